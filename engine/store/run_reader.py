"""Reading the runs of any Sacred database for an index of them: by id, without output, and never a write.

Nothing is taken for granted: the database may belong to somebody else, may have no index but that of `_id`, and its
documents may hold anything. Ids are therefore asked for in small groups, and moments or texts that Python cannot hold
are read as far as they go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pymongo
from bson.errors import BSONError
from pymongo.collection import Collection
from pymongo.database import Database

from engine.store.calls import answered
from engine.store.runs import LIST_FIELDS, lenient

Document = dict[str, Any]

GROUP = 50
"""Documents that are asked for at once."""

PATIENCE_SECONDS = 120
"""How long the listing of all ids may take, for which an embedded database reads every document; or large documents."""

WITHOUT = ("captured_out", "fail_trace", "resources", "artifacts", "experiment.sources", "experiment.dependencies")
"""What no list shows, and what may be large."""

BRIEF = {"status": 1, "heartbeat": 1, "stop_time": 1}
DAMAGED = {**BRIEF, "start_time": 1, "experiment.name": 1, "config.name": 1}
"""What is read of a document that cannot be read in full."""


class RunReader:
    """The runs and metrics of one database; with *prefix* those of the collections PREFIX_runs and PREFIX_metrics."""

    def __init__(self, database: Database[Document], prefix: str = "") -> None:
        begin = f"{prefix}_" if prefix else ""
        self._runs = database.get_collection(f"{begin}runs", lenient(database))
        self._metrics = database.get_collection(f"{begin}metrics", lenient(database))

    def count(self) -> int:
        """About how many runs there are, by the database's own books."""
        with answered(), pymongo.timeout(PATIENCE_SECONDS):
            return self._runs.estimated_document_count()

    def ids(self) -> Iterator[Any]:
        """The id of every run."""
        with answered(), pymongo.timeout(PATIENCE_SECONDS):
            for found in self._runs.find({}, {"_id": 1}):
                yield found["_id"]

    def begun_since(self, moment: datetime) -> list[Any]:
        """The ids of runs that began at *moment* or later; only an index makes this cheap."""
        with answered():
            return [found["_id"] for found in self._runs.find({"start_time": {"$gte": moment}}, {"_id": 1})]

    def existing(self, ids: Sequence[Any]) -> list[Any]:
        """Which of *ids* there are."""
        with answered():
            return [found["_id"] for group in groups(ids) for found in self._runs.find(among(group), {"_id": 1})]

    def briefs(self, ids: Sequence[Any]) -> list[Document]:
        """State and last heartbeat of these runs: what tells whether there is more to read."""
        with answered():
            return [found for group in groups(ids) for found in self._read(group, BRIEF)]

    def heads(self, ids: Sequence[Any]) -> list[Document]:
        """What tells of these runs whose they are, what they are called, and whether they go on."""
        wanted = {**LIST_FIELDS, "info.imported": 1}
        with answered():
            return [found for group in groups(ids) for found in self._read(group, wanted)]

    def rows(self, ids: Sequence[Any]) -> list[Document]:
        """What lists may show of these runs; those that are gone are missing."""
        wanted = dict.fromkeys(WITHOUT, 0)
        with answered(), pymongo.timeout(PATIENCE_SECONDS):
            return [found for group in groups(ids) for found in self._read(group, wanted)]

    def _read(self, ids: Sequence[Any], projection: Mapping[str, int]) -> list[Document]:
        """Documents; of one that cannot be decoded as much as can."""
        try:
            return list(self._runs.find(among(ids), projection))
        except (BSONError, OverflowError, RecursionError):
            if len(ids) > 1:
                return [found for run_id in ids for found in self._read([run_id], projection)]
            if projection == DAMAGED:
                return [{"_id": ids[0]}]
            return self._read(ids, DAMAGED)

    def has_index(self, collection: str, field: str) -> bool:
        """Whether `runs` or `metrics` can be asked by *field*; False also where the database does not tell."""
        found: Collection[Document] = {"runs": self._runs, "metrics": self._metrics}[collection]
        with answered():
            return any(next(iter(index["key"]), "") == field for index in found.list_indexes())

    def metric_ids(self) -> Iterator[Any]:
        """The id of every metric."""
        with answered(), pymongo.timeout(PATIENCE_SECONDS):
            for found in self._metrics.find({}, {"_id": 1}):
                yield found["_id"]

    def metric_count(self) -> int:
        """About how many metrics there are."""
        with answered(), pymongo.timeout(PATIENCE_SECONDS):
            return self._metrics.estimated_document_count()

    def metrics_of(self, run_ids: Sequence[Any]) -> list[Any]:
        """The ids of the metrics of these runs; only an index makes this cheap."""
        with answered():
            return [
                found["_id"]
                for group in groups(run_ids)
                for found in self._metrics.find({"run_id": {"$in": list(group)}}, {"_id": 1})
            ]

    def metrics(self, ids: Sequence[Any], skip: int = 0) -> list[Document]:
        """These metrics as {_id, run_id, name, steps, values}, without their first *skip* points."""
        wanted: Document = {"run_id": 1, "name": 1, "steps": 1, "values": 1}
        if skip:
            wanted |= {name: {"$slice": [skip, 2**31 - 1]} for name in ("steps", "values")}
        found: list[Document] = []
        with answered():
            for group in groups(ids):
                try:
                    found += self._metrics.find(among(group), wanted)
                except (BSONError, OverflowError, RecursionError):
                    continue
        return found


def among(ids: Iterable[Any]) -> Document:
    return {"_id": {"$in": list(ids)}}


def groups(ids: Sequence[Any], size: int = GROUP) -> Iterator[Sequence[Any]]:
    """*ids* in groups of *size*."""
    return (ids[start : start + size] for start in range(0, len(ids), size))
