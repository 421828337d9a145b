"""Saved views of the history's list, and the columns that an account last chose."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from pymongo.database import Database

from engine.errors import NotFound
from engine.store.calls import answered

Document = dict[str, Any]

MOST = 200
"""Views that an account sees."""


class Views:
    """A document: {_id, owner, name, shared, query, at}; the last chosen columns: {_id: "columns/OWNER", columns}.

    *owner* is an account's id, *query* what stands after the question mark of the view's address.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["views"]

    def seen_by(self, owner: str) -> list[Document]:
        """The views of an account, and those that others share, by name."""
        own = self.of(owner)
        with answered():
            others = list(self._collection.find({"shared": True, "owner": {"$ne": owner}}).limit(MOST - len(own)))
            return sorted(own + others, key=lambda view: (str(view["name"]).casefold(), view["_id"]))

    def of(self, owner: str) -> list[Document]:
        """The views of an account."""
        with answered():
            return list(self._collection.find({"owner": owner}).limit(MOST - 1))

    def get(self, view_id: str, owner: str) -> Document:
        """
        Raises:
            NotFound: there is no such view that this account may see.
        """
        with answered():
            found = self._collection.find_one({"_id": view_id})
        if found is None or "query" not in found or not (found["shared"] or found["owner"] == owner):
            raise NotFound(f"there is no view {view_id[:40]}")
        return found

    def put(self, owner: str, name: str, shared: bool, query: str, at: datetime) -> str:
        """Save a view, over that of the same account and name; returns its id."""
        with answered():
            before = self._collection.find_one({"owner": owner, "name": name}, {"_id": 1})
            view_id = before["_id"] if before else secrets.token_urlsafe(6)
            view = {"owner": owner, "name": name, "shared": shared, "query": query, "at": at}
            self._collection.replace_one({"_id": view_id}, view, upsert=True)
        return str(view_id)

    def drop(self, view_id: str) -> None:
        with answered():
            self._collection.delete_one({"_id": view_id})

    def columns(self, owner: str) -> str:
        """The columns that an account last chose, as an address has them; empty: none."""
        with answered():
            found = self._collection.find_one({"_id": f"columns/{owner}"})
        return str(found["columns"]) if found else ""

    def put_columns(self, owner: str, columns: str) -> None:
        """Remember them; empty forgets."""
        with answered():
            if columns:
                self._collection.replace_one({"_id": f"columns/{owner}"}, {"columns": columns}, upsert=True)
            else:
                self._collection.delete_one({"_id": f"columns/{owner}"})
