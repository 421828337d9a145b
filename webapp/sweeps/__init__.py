"""Sweeps: the home page, the form of a new one, stopping."""
