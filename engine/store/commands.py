"""Commands: what a user asked of a running sweep, taken by its optimizer in order."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pymongo.database import Database

from engine.store.calls import answered

Document = dict[str, Any]


class Commands:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["commands"]

    def send(self, sweep_id: str, kind: str, by: str, now: datetime) -> str:
        """Ask the optimizer of a sweep for something; returns the command's id."""
        command_id = uuid.uuid4().hex
        with answered():
            self._collection.insert_one(
                {"_id": command_id, "sweep_id": sweep_id, "kind": kind, "by": by, "at": now, "taken": None}
            )
        return command_id

    def waiting(self, sweep_id: str) -> list[Document]:
        """The commands nobody has taken, oldest first."""
        with answered():
            found = self._collection.find({"sweep_id": sweep_id, "taken": None}).limit(100)
            return sorted(found, key=lambda command: command["at"])

    def take(self, command_id: str, now: datetime) -> bool:
        """Mark a command as taken; False when it was taken before."""
        with answered():
            taken = self._collection.update_one({"_id": command_id, "taken": None}, {"$set": {"taken": now}})
        return taken.matched_count == 1
