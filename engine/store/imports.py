"""Imports of runs: what was asked for, how far it is, and who does it.

A document: {_id, kind: database | folder, source: the connection or file, runs: ids or None for all, state: RUNNING |
COMPLETED | CANCELLED | FAILED, total, taken, known, failures, failed: [{run, why}], error, by, at, ended, holder,
lease}. While its lease runs, its holder works at it; then anybody may begin again, which does nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo import DESCENDING, ReturnDocument
from pymongo.database import Database

from engine.store.calls import answered

Document = dict[str, Any]

OPEN = "RUNNING"
LEASE = timedelta(minutes=2)
KEPT = 50
"""Imports that are listed, and failures that one names."""


class Imports:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["imports"]

    def create(self, document: Mapping[str, Any], now: datetime) -> None:
        begun = {"state": OPEN, "total": 0, "taken": 0, "known": 0, "failures": 0, "failed": [], "error": ""}
        with answered():
            self._collection.insert_one({**begun, "ended": None, "holder": "", "lease": now, **document})

    def all(self) -> list[Document]:
        """The newest ones first."""
        with answered():
            return list(self._collection.find({}, {"runs": 0}).sort("at", DESCENDING).limit(KEPT))

    def begun_by(self, import_id: str) -> str:
        """The account that began an import; empty: there is none."""
        with answered():
            found = self._collection.find_one({"_id": import_id}, {"by": 1})
        return str(found["by"]) if found else ""

    def waiting(self, now: datetime) -> list[Document]:
        """Those that nobody works at."""
        with answered():
            return list(self._collection.find({"state": OPEN, "lease": {"$lte": now}}).sort("at", 1).limit(KEPT))

    def claim(self, import_id: str, holder: str, now: datetime) -> bool:
        """Begin to work at one; False where somebody else does."""
        wanted = {"_id": import_id, "state": OPEN, "lease": {"$lte": now}}
        anew = {"holder": holder, "lease": now + LEASE, "taken": 0, "known": 0, "failures": 0, "failed": []}
        with answered():
            return self._collection.update_one(wanted, {"$set": anew}).matched_count == 1

    def advance(self, import_id: str, holder: str, now: datetime, **counts: Any) -> bool:
        """Write how far it is; False where it was cancelled, or somebody else works at it."""
        with answered():
            found = self._collection.find_one_and_update(
                {"_id": import_id, "state": OPEN, "holder": holder},
                {"$set": {**counts, "lease": now + LEASE}},
                projection={"_id": 1},
                return_document=ReturnDocument.AFTER,
            )
        return found is not None

    def end(self, import_id: str, state: str, now: datetime, error: str = "") -> bool:
        """End one that is open."""
        with answered():
            done = self._collection.update_one(
                {"_id": import_id, "state": OPEN}, {"$set": {"state": state, "ended": now, "error": error}}
            )
        return done.matched_count == 1
