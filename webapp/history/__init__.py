"""The history of all Sacred runs."""

from webapp.history import runs, views
from webapp.history.blueprint import blueprint

__all__ = ["blueprint", "runs", "views"]
