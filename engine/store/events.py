"""Events: one ordered, gapless sequence for each sweep.

An event takes the number after the newest one; the unique index (sweep_id, seq) decides between two writers,
and the loser takes the next. So whoever sees number n has seen, or can fetch, all before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.write_concern import WriteConcern

from engine.events import Event, EventType
from engine.store.calls import answered

Document = dict[str, Any]


class Events:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["events"]
        self._lossy = database.get_collection("events", write_concern=WriteConcern(w=1))

    def last(self, sweep_id: str) -> int:
        """The newest number of a sweep; 0 where there is none."""
        with answered():
            newest = self._collection.find_one({"sweep_id": sweep_id}, {"seq": 1}, sort=[("seq", DESCENDING)])
        return int(newest["seq"]) if newest else 0

    def append(
        self, sweep_id: str, events: Sequence[tuple[EventType, Mapping[str, Any], datetime]], durable: bool = True
    ) -> int:
        """Append in order; returns the last number. *durable* waits for the database's journal."""
        collection = self._collection if durable else self._lossy
        waiting = list(events)
        seq = self.last(sweep_id)
        while waiting:
            documents = [
                {
                    "_id": f"{sweep_id}-{seq + i}",
                    "sweep_id": sweep_id,
                    "seq": seq + i,
                    "type": str(kind),
                    "at": at,
                    "data": dict(data),
                }
                for i, (kind, data, at) in enumerate(waiting, start=1)
            ]
            try:
                with answered():
                    self._insert(collection, documents)
                return seq + len(documents)
            except DuplicateKeyError:
                newest = self.last(sweep_id)
                waiting = waiting[self._ours(sweep_id, documents) :]
                seq = newest
        return seq

    @staticmethod
    def _insert(collection: Any, documents: list[Document]) -> None:
        try:
            collection.insert_many(documents, ordered=True)
        except BulkWriteError as error:
            if any(item.get("code") == 11000 for item in error.details.get("writeErrors", [])):
                raise DuplicateKeyError("number taken", 11000) from error
            raise

    def _ours(self, sweep_id: str, documents: list[Document]) -> int:
        """How many of *documents*, inserted in order, are stored: those before the first number somebody took."""
        stored = self.after(sweep_id, documents[0]["seq"] - 1, limit=len(documents))
        count = 0
        for event, document in zip(stored, documents, strict=False):
            if (event.seq, str(event.type), event.data) != (document["seq"], document["type"], document["data"]):
                break
            count += 1
        return count

    def after(self, sweep_id: str, seq: int, limit: int = 500) -> list[Event]:
        """The events above *seq*, in order."""
        with answered():
            found = list(self._collection.find({"sweep_id": sweep_id, "seq": {"$gt": seq}}).sort("seq", 1).limit(limit))
        return [Event(sweep_id, item["seq"], EventType(item["type"]), item["at"], item["data"]) for item in found]

    def newest(self, sweep_id: str, kind: EventType, limit: int) -> list[Event]:
        """The newest events of one kind, oldest of them first."""
        with answered():
            found = list(
                self._collection.find({"sweep_id": sweep_id, "type": str(kind)}).sort("seq", DESCENDING).limit(limit)
            )
        return [Event(sweep_id, item["seq"], kind, item["at"], item["data"]) for item in reversed(found)]

    def prune(self, before: datetime) -> int:
        """Delete the events older than *before*; returns how many."""
        with answered():
            return int(self._collection.delete_many({"at": {"$lt": before}}).deleted_count)
