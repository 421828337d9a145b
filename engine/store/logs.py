"""Logs of processes that another machine has: a page asks, that machine's daemon answers.

{_id: "sweep/name", machine, asked, lines: None until it is answered, where}
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database

from engine.store.calls import answered

Document = dict[str, Any]

OPEN = timedelta(seconds=20)
"""What was asked for longer ago is nobody's question any more."""


class Logs:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["logs"]

    def ask(self, key: str, machine: str, now: datetime) -> None:
        """Want the end of the log of *key*, "sweep/name", from *machine*."""
        asked = {"_id": key, "machine": machine, "asked": now, "lines": None, "where": ""}
        with answered():
            self._collection.replace_one({"_id": key}, asked, upsert=True)

    def asked(self, machine: str, now: datetime) -> list[str]:
        """What is wanted of *machine*: keys."""
        with answered():
            found = self._collection.find({"machine": machine, "lines": None, "asked": {"$gt": now - OPEN}}, {"_id": 1})
            return [document["_id"] for document in found]

    def answer(self, key: str, lines: Sequence[str], where: str) -> None:
        with answered():
            self._collection.update_one({"_id": key}, {"$set": {"lines": list(lines), "where": where}})

    def answer_to(self, key: str, since: datetime) -> Document | None:
        """{lines, where} that answer a question of *since* or later; None: not yet."""
        with answered():
            found = self._collection.find_one({"_id": key, "asked": {"$gte": since}})
        return found if found is not None and found["lines"] is not None else None

    def sweep_out(self, before: datetime) -> None:
        """Delete what nobody has asked for since *before*."""
        with answered():
            self._collection.delete_many({"asked": {"$lt": before}})
