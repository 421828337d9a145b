"""The history of all Sacred runs."""

from webapp.history import boards, compare, databases, imports, runs, views, work
from webapp.history.blueprint import blueprint

__all__ = ["blueprint", "boards", "compare", "databases", "imports", "runs", "views", "work"]
