"""The report of a sweep, as a page and as a file."""
