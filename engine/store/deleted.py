"""Runs that were deleted and can still be had back: each is where it was until it is due, and lists leave it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import DESCENDING, DeleteOne, UpdateOne
from pymongo.database import Database

from engine.store.calls import answered
from engine.store.run_notes import key_of
from engine.store.run_reader import groups
from engine.store.runs import lenient, run_id_text

Document = dict[str, Any]


class DeletedRuns:
    """A document: {_id: "DATABASE/RUN", database, run, started, batch, name, experiment, owner, by, at, due, removing}.

    *started* tells the run from a later one of the same number, in seconds since 1970; *batch* is of those that were
    deleted together; *removing* says that it is too late for an undo.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.get_collection("deleted_runs", lenient(database))

    def put(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Delete runs: documents as above, without `_id` and `removing`. Those that are deleted already stay so, but
        for earlier ones of the same number, of which nothing is left."""
        writes: list[DeleteOne | UpdateOne] = []
        for document in documents:
            key = {"_id": key_of(document["database"], document["run"])}
            if (started := document.get("started")) is not None:
                writes.append(DeleteOne({**key, "started": {"$nin": [None, started]}}))
            writes.append(UpdateOne(key, {"$setOnInsert": {**document, "removing": False}}, upsert=True))
        with answered():
            for some in groups(writes, 500):
                self._collection.bulk_write(list(some))

    def some(self, database: str, run_ids: Sequence[Any]) -> dict[str, float | None]:
        """Which of these runs are deleted, by the text of their ids, and when they had begun."""
        keys = {key_of(database, run_id): run_id_text(run_id) for run_id in run_ids}
        with answered():
            found = list(self._collection.find({"_id": {"$in": list(keys)}}, {"started": 1}))
        return {keys[one["_id"]]: one.get("started") for one in found}

    def of(self, database: str, limit: int) -> list[Document]:
        """Those of a database that can be had back, the last one first."""
        with answered():
            found = self._collection.find({"database": database, "removing": False})
            return list(found.sort("at", DESCENDING).limit(limit))

    def find(self, database: str, run_ids: Sequence[Any], batch: str = "") -> list[Document]:
        """Those of these runs, or of a batch, that can be had back."""
        wanted: Document = {"batch": batch} if batch else {"_id": {"$in": [key_of(database, one) for one in run_ids]}}
        with answered():
            return list(self._collection.find({**wanted, "database": database, "removing": False}))

    def restore(self, database: str, run_ids: Sequence[Any]) -> int:
        """Have runs back; how many."""
        keys = [key_of(database, run_id) for run_id in run_ids]
        with answered():
            return self._collection.delete_many({"_id": {"$in": keys}, "removing": False}).deleted_count

    def due(self, now: datetime, limit: int) -> list[Document]:
        """Those whose time has come, of one database."""
        wanted = {"due": {"$lte": now}}
        with answered():
            first = self._collection.find_one(wanted)
            if first is None:
                return []
            return list(self._collection.find({**wanted, "database": first["database"]}).limit(limit))

    def begin(self, documents: Sequence[Mapping[str, Any]]) -> list[Document]:
        """From now on these can no longer be had back; those of them that were not had back meanwhile."""
        these = _these(documents)
        with answered():
            self._collection.update_many(these, {"$set": {"removing": True}})
            return list(self._collection.find(these))

    def postpone(self, database: str, due: datetime) -> None:
        """Nothing of a database is due before *due*: it cannot be reached or written now."""
        with answered():
            self._collection.update_many({"database": database, "due": {"$lt": due}}, {"$set": {"due": due}})

    def forget(self, database: str) -> None:
        """Nothing of a database is deleted any more."""
        with answered():
            self._collection.delete_many({"database": database})

    def drop(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Forget them: there is nothing left of the runs."""
        with answered():
            self._collection.delete_many(_these(documents))


def _these(documents: Sequence[Mapping[str, Any]]) -> Document:
    """Which are these, and none that has been deleted since under the same number."""
    return {name: {"$in": list({one[name] for one in documents})} for name in ("_id", "batch")}
