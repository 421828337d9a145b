"""The TensorFlow processes of a sweep: parameter servers, workers and chief, forked from one zygote."""
