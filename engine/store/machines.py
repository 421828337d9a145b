"""Machines: the daemons, one on each, with a sign of life every few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database

from engine.store.calls import answered

Document = dict[str, Any]

ALIVE = timedelta(seconds=10)
"""A daemon that has been silent for longer is taken for dead."""


class Machines:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["machines"]

    def beat(
        self, name: str, pid: int, slots: int, running: list[str], now: datetime, load: Sequence[float] = ()
    ) -> None:
        """A daemon's sign of life.

        Args:
            load: processes that want to compute, a mean of the last minute, and processors; nothing where unknown.
        """
        with answered():
            self._collection.update_one(
                {"_id": name},
                {"$set": {"pid": pid, "slots": slots, "running": running, "seen": now, "load": list(load)}},
                upsert=True,
            )

    def leave(self, name: str, pid: int) -> None:
        """A daemon says good-bye."""
        with answered():
            self._collection.delete_one({"_id": name, "pid": pid})

    def all(self, now: datetime) -> list[Document]:
        """Every machine, with `alive`."""
        return self.after("", 1000, now)

    def after(self, name: str, limit: int, now: datetime) -> list[Document]:
        """At most *limit* machines, by name, from the first after *name* on, with `alive`."""
        with answered():
            found = list(self._collection.find({"_id": {"$gt": name}}).sort("_id", 1).limit(limit))
        return [{**machine, "alive": now - machine["seen"] < ALIVE} for machine in found]
