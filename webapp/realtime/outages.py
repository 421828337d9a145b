"""What browsers are told when a database falls silent."""

from __future__ import annotations

from collections.abc import Iterable

from webapp.realtime.relay import Emitter


class Outages:
    """Tells once that a database has fallen silent, and once that it answers again."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._silent: set[str] = set()

    def tell(self, database: str, silent: bool, rooms: Iterable[str]) -> None:
        """Tell the *rooms* of a database how it is, if that has changed."""
        if silent == (database in self._silent):
            return
        (self._silent.add if silent else self._silent.discard)(database)
        for room in rooms:
            self._emitter.emit("database", {"ok": not silent}, to=room)

    def forget(self, database: str) -> None:
        """Nobody watches a database any more."""
        self._silent.discard(database)
