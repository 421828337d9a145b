"""The audit log: what was changed through the web, by whom and from where. Entries are added and, when old, forgotten.

A document: {_id: sorts by time, at, who: the account's name, what: in words, target: the address of what was changed,
detail, where: the address that the request came from, refused: whether it was}.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database

from engine.store.calls import answered

Document = dict[str, Any]

MOST = 100_000
"""Entries kept at most."""
MOST_FRUITLESS = 20_000
"""Of logins, failed ones, logouts and refusals: whoever makes many of them drives no change out of the log."""
IN, OUT, FAILED = "logged in", "logged out", "failed to log in"


class Audit:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["audit"]

    def add(self, entry: Document) -> None:
        """Write an entry: a document as above."""
        with answered():
            self._collection.insert_one(entry)

    def page(self, limit: int, who: str = "", text: str = "", where: str = "", before: str = "") -> list[Document]:
        """At most *limit* entries, the newest first.

        Args:
            who: only of this account, however it is written.
            text: only those whose `what`, `target` or `detail` holds it.
            where: only from addresses that begin like this.
            before: only entries older than that of this id.
        """
        wanted: Document = {}
        if who:
            wanted["who"] = {"$regex": f"^{re.escape(who)}$", "$options": "i"}
        if where:
            wanted["where"] = {"$regex": f"^{re.escape(where)}"}
        if text:
            holds = {"$regex": re.escape(text), "$options": "i"}
            wanted["$or"] = [{field: holds} for field in ("what", "target", "detail")]
        if before:
            wanted["_id"] = {"$lt": before}
        with answered():
            return list(self._collection.find(wanted).sort("_id", DESCENDING).limit(limit))

    def forget(self, before: datetime) -> None:
        """Forget what is older than a moment, and of the rest all but the newest MOST, of them all but the newest
        MOST_FRUITLESS that changed nothing."""
        with answered():
            self._collection.delete_many({"at": {"$lt": before}})
            fruitless = {"$or": [{"what": {"$in": [IN, OUT, FAILED]}}, {"refused": True}]}
            kinds: tuple[tuple[Document, int], ...] = ((fruitless, MOST_FRUITLESS), ({}, MOST))
            for kind, most in kinds:
                oldest = list(self._collection.find(kind, {"_id": 1}).sort("_id", DESCENDING).skip(most).limit(1))
                if oldest:
                    self._collection.delete_many({**kind, "_id": {"$lte": oldest[0]["_id"]}})
