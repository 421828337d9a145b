"""Sessions of browsers: who is logged in where. Only a digest of what the browser's cookie holds is kept.

A document: {_id: the digest, account: its id, epoch: the account's when the session began, created, seen: when it last
asked for something, to the minute, address, browser: what it calls itself, hint: by which a provider that has let its
owner in knows whom to log out, sealed, or None}.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database

from engine.store.calls import answered

Document = dict[str, Any]

MOST = 200
"""Sessions listed of one account."""


class Sessions:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["sessions"]

    def create(self, document: Document) -> None:
        """Keep a session: a document as above."""
        with answered():
            self._collection.insert_one(document)

    def find(self, digest: str) -> Document | None:
        with answered():
            return self._collection.find_one({"_id": digest})

    def some(self, digests: Sequence[str]) -> list[Document]:
        """Those of these sessions that there still are."""
        with answered():
            return list(self._collection.find({"_id": {"$in": list(digests)}}))

    def all(self, since: datetime) -> list[Document]:
        """Account and last sign of all sessions that began after a moment."""
        with answered():
            return list(self._collection.find({"created": {"$gt": since}}, {"account": 1, "seen": 1}))

    def of_account(self, account: str) -> list[Document]:
        """The sessions of an account, the one last seen first."""
        with answered():
            return list(self._collection.find({"account": account}).sort("seen", DESCENDING).limit(MOST))

    def seen(self, digest: str, now: datetime, address: str, every: timedelta) -> None:
        """Note that a session has asked for something from this address, once in so long."""
        with answered():
            self._collection.update_one(
                {"_id": digest, "seen": {"$lt": now - every}}, {"$set": {"seen": now, "address": address}}
            )

    def end(self, account: str, digest: str) -> bool:
        """End a session of an account; False where it has none of this digest."""
        with answered():
            return self._collection.delete_one({"_id": digest, "account": account}).deleted_count == 1

    def end_all(self, account: str) -> None:
        """End all sessions of an account."""
        with answered():
            self._collection.delete_many({"account": account})

    def end_old(self, before: datetime) -> None:
        """End the sessions that began before a moment."""
        with answered():
            self._collection.delete_many({"created": {"$lt": before}})
