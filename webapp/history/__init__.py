"""The history of all Sacred runs."""

from webapp.history import databases, runs, views, work
from webapp.history.blueprint import blueprint

__all__ = ["blueprint", "databases", "runs", "views", "work"]
