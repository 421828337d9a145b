"""Training: the inner loop, run inside the TensorFlow processes."""
