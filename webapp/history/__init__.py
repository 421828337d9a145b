"""The history of all Sacred runs."""
