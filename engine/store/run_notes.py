"""Tags and notes of runs, kept apart from the runs: their documents belong to whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.errors import StoreError
from engine.store.calls import answered
from engine.store.runs import lenient, run_id_text

Document = dict[str, Any]


ROUNDS = 5
EMPTY: Document = {"tags": [], "notes": "", "version": 0}


class RunNotes:
    """A document: {_id: "DATABASE/RUN", database, run, tags, notes, archived, batch, version, by, at}. *database* is ""
    for the database that NHOP itself uses; *batch* is of those that were archived together."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.get_collection("run_notes", lenient(database))

    def get(self, database: str, run_id: Any) -> Document:
        """Those of a run; empty ones, of version 0, where there are none."""
        with answered():
            found = self._collection.find_one({"_id": key_of(database, run_id)})
        return found or {"database": database, "run": run_id, **EMPTY}

    def some(self, database: str, run_ids: Sequence[Any]) -> dict[str, Document]:
        """Those of the runs that have any, by the text of the run's id."""
        keys = {key_of(database, run_id): run_id_text(run_id) for run_id in run_ids}
        with answered():
            found = list(self._collection.find({"_id": {"$in": list(keys)}}))
        return {keys[document["_id"]]: document for document in found}

    def archived(self, database: str, batch: str) -> list[Any]:
        """The runs of a batch that are in the archive."""
        with answered():
            found = self._collection.find({"database": database, "archived": True, "batch": batch}, {"run": 1})
            return [document["run"] for document in found]

    def put(
        self, database: str, run_id: Any, tags: Sequence[str], notes: str, version: int, by: str, at: datetime
    ) -> bool:
        """Write those of a run over *version*; False when somebody else has written meanwhile."""
        key = key_of(database, run_id)
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

    def change(
        self,
        database: str,
        run_ids: Sequence[Any],
        change: Callable[[Document], Mapping[str, Any]],
        by: str,
        at: datetime,
    ) -> None:
        """Set what *change* makes of those of each run; it must change nothing where it is applied again.

        Raises:
            StoreError: others write the same ones all the time.
        """
        keys = {key_of(database, run_id): run_id for run_id in run_ids}
        for _ in range(ROUNDS):
            with answered():
                found = {one["_id"]: one for one in self._collection.find({"_id": {"$in": list(keys)}})}
                writes = []
                for key, run_id in keys.items():
                    before = found.get(key) or {"database": database, "run": run_id, **EMPTY}
                    wanted = change(before)
                    if any(before.get(name) != value for name, value in wanted.items()):
                        after = {**before, **wanted, "version": before["version"] + 1, "by": by, "at": at}
                        after.pop("_id", None)
                        known = {"_id": key, "version": before["version"]} if key in found else {"_id": key}
                        set_now = {"$set": after} if key in found else {"$setOnInsert": after}
                        writes.append(UpdateOne(known, set_now, upsert=key not in found))
                if not writes:
                    return
                self._collection.bulk_write(writes, ordered=False)
        raise StoreError("others change the tags and notes of these runs at this moment; try again")

    def drop(self, database: str, run_ids: Sequence[Any]) -> None:
        """Forget those of runs that are gone."""
        with answered():
            self._collection.delete_many({"_id": {"$in": [key_of(database, run_id) for run_id in run_ids]}})


def key_of(database: str, run_id: Any) -> str:
    return f"{database}/{run_id_text(run_id)}"
