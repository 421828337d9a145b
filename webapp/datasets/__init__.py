"""Data sets: the list, an upload, one of them with its columns or classes."""
