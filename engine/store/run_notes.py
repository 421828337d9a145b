"""Tags and notes of runs, kept apart from the runs: their documents belong to whoever wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.store.calls import answered
from engine.store.runs import lenient, run_id_text

Document = dict[str, Any]


class RunNotes:
    """A document: {_id: "DATABASE/RUN", database, run, tags, notes, version, by, at}. *database* is "" for the
    database that NHOP itself uses."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.get_collection("run_notes", lenient(database))

    def get(self, database: str, run_id: Any) -> Document:
        """Those of a run; empty ones, of version 0, where there are none."""
        with answered():
            found = self._collection.find_one({"_id": _key(database, run_id)})
        return found or {"database": database, "run": run_id, "tags": [], "notes": "", "version": 0}

    def some(self, database: str, run_ids: Sequence[Any]) -> dict[str, Document]:
        """Those of the runs that have any, by the text of the run's id."""
        keys = {_key(database, run_id): run_id_text(run_id) for run_id in run_ids}
        with answered():
            found = list(self._collection.find({"_id": {"$in": list(keys)}}))
        return {keys[document["_id"]]: document for document in found}

    def put(
        self, database: str, run_id: Any, tags: Sequence[str], notes: str, version: int, by: str, at: datetime
    ) -> bool:
        """Write those of a run over *version*; False when somebody else has written meanwhile."""
        key = _key(database, run_id)
        written = {"tags": list(tags), "notes": notes, "version": version + 1, "by": by, "at": at}
        with answered():
            if version == 0:
                try:
                    self._collection.insert_one({"_id": key, "database": database, "run": run_id, **written})
                except DuplicateKeyError:
                    return False
                return True
            done = self._collection.update_one({"_id": key, "version": version}, {"$set": written})
        return bool(done.matched_count)


def _key(database: str, run_id: Any) -> str:
    return f"{database}/{run_id_text(run_id)}"
