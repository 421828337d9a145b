"""Models of trials: downloading them, trying them."""
