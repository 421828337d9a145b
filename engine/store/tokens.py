"""Tokens of programs that use the API: only a digest of each is kept.

A document: {_id, digest, account: its id, name, scope: read | write, created, expires: a moment or None, used: when it
last opened something, or None}.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database

from engine.store.calls import answered

Document = dict[str, Any]

MOST = 200
"""Tokens listed of one account."""


class Tokens:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["tokens"]

    def create(self, document: Document) -> None:
        """Keep a token: a document as above."""
        with answered():
            self._collection.insert_one(document)

    def find(self, digest: str) -> Document | None:
        """The token of this *digest*, expired or not."""
        with answered():
            return self._collection.find_one({"digest": digest})

    def of_account(self, account: str) -> list[Document]:
        """The tokens of an account, the newest first."""
        with answered():
            return list(self._collection.find({"account": account}).sort("created", DESCENDING).limit(MOST))

    def used(self, token_id: str, now: datetime) -> None:
        """Note that a token has opened something."""
        with answered():
            self._collection.update_one({"_id": token_id}, {"$set": {"used": now}})

    def revoke(self, account: str, token_id: str) -> bool:
        """Forget a token of an account; False where it has none of this id."""
        with answered():
            return self._collection.delete_one({"_id": token_id, "account": account}).deleted_count == 1
