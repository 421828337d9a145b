"""Creations that are asked for under a key of the client's own: each is done once, and its answer kept for a day.

A document: {_id: "<account>/<key>", request: a digest of what was asked for, made: the id kept ready for what is
created, created, until: whoever does it has it so long, answer: what was answered, or None while it is being done}.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.store.calls import answered

Document = dict[str, Any]

KEPT = timedelta(hours=24)


class Creations:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["creations"]

    def take(self, name: str, request: str, made: str, now: datetime, lease: timedelta) -> tuple[bool, Document]:
        """Take a creation, which *name* alone means, to do it.

        Args:
            request: the digest of what is asked for.
            made: the id of what is to be created, unless the creation has been begun before.

        Returns:
            whether it is the caller's to do, and the document, which may be of another request.
        """
        new = {"_id": name, "request": request, "made": made, "created": now, "until": now + lease, "answer": None}
        with answered():
            self._collection.delete_many({"created": {"$lt": now - KEPT}})
            while True:
                try:
                    self._collection.insert_one(new)
                    return True, new
                except DuplicateKeyError:
                    found = self._collection.find_one({"_id": name})
                if found is None:  # given up just now
                    continue
                if found["answer"] is not None or found["request"] != request or found["until"] > now:
                    return False, found
                mine = {"_id": name, "until": found["until"], "answer": None}  # its doer has died
                if self._collection.update_one(mine, {"$set": {"until": now + lease}}).matched_count == 1:
                    return True, found

    def settle(self, name: str, answer: Document) -> None:
        """Keep the answer of a creation that is done."""
        with answered():
            self._collection.update_one({"_id": name}, {"$set": {"answer": answer}})

    def give_up(self, name: str) -> None:
        """Forget a creation that failed: whoever asks for it again does it."""
        with answered():
            self._collection.delete_one({"_id": name, "answer": None})

    def let_go(self, name: str, now: datetime) -> None:
        """Let whoever asks next for a creation do it, without waiting until its doer's time is over."""
        with answered():
            self._collection.update_one({"_id": name, "answer": None}, {"$set": {"until": now}})
