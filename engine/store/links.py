"""One-time links, by which somebody is invited or gets a new password: only a digest of each is kept.

A document: {_id: the digest, kind: invite | reset, account: whose password is replaced, or None, role: of who is
invited, or None, note: for whom it is, by: who made it, created, ends}.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database

from engine.store.calls import answered

Document = dict[str, Any]

MOST = 200
"""Links listed."""


class Links:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["links"]

    def create(self, document: Document) -> None:
        """Keep a link: a document as above. One that replaces a password ends those before it."""
        with answered():
            if document["account"] is not None:
                self._collection.delete_many({"account": document["account"]})
            self._collection.insert_one(document)

    def find(self, digest: str) -> Document | None:
        with answered():
            return self._collection.find_one({"_id": digest})

    def open(self, now: datetime) -> list[Document]:
        """The links that may still be used, the newest first; those that have ended are forgotten."""
        with answered():
            self._collection.delete_many({"ends": {"$lte": now}})
            return list(self._collection.find().sort("created", DESCENDING).limit(MOST))

    def use(self, digest: str) -> bool:
        """Spend a link, or take it back; False where there is none."""
        with answered():
            return self._collection.delete_one({"_id": digest}).deleted_count == 1
