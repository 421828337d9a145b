"""One run of any Sacred database, read in parts: what is large only as far as it is looked at. Never a write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database

from engine.errors import NotFound
from engine.store.calls import answered
from engine.store.runs import lenient

Document = dict[str, Any]

BEAT_FIELDS = {
    "status": 1,
    "start_time": 1,
    "heartbeat": 1,
    "stop_time": 1,
    "result": 1,
    "meta.options.--beat-interval": 1,
}
OUTPUT = {"$ifNull": ["$captured_out", ""]}
MOST_METRICS = 200


class RunParts:
    """The runs and metrics of one database; with *prefix* those of PREFIX_runs and PREFIX_metrics."""

    def __init__(self, database: Database[Document], prefix: str = "") -> None:
        begin = f"{prefix}_" if prefix else ""
        self._database = database
        self._collection = database.get_collection(f"{begin}runs", lenient(database))
        self._metrics = database.get_collection(f"{begin}metrics", lenient(database))
        self.name = f"{database.name}.{begin}"

    def head(self, run_id: Any) -> Document:
        """A run without its captured output, which may be most of it.

        Raises:
            NotFound: there is no such run.
        """
        with answered():
            found = self._collection.find_one({"_id": {"$eq": run_id}}, {"captured_out": 0})
        if found is None:
            raise NotFound(f"there is no run {run_id}")
        return found

    def beat(self, run_id: Any) -> Document | None:
        """What tells whether a run has gone on: its state, its times and its result; None when it is gone."""
        with answered():
            return self._collection.find_one({"_id": {"$eq": run_id}}, BEAT_FIELDS)

    def before(self, run_id: int, within: int) -> list[Document]:
        """The runs of the *within* numbers below *run_id*, newest first: experiment and configuration."""
        with answered():
            # Not as a range: the embedded database reads every run for that.
            wanted = {"_id": {"$in": list(range(run_id - within, run_id))}}
            return list(self._collection.find(wanted, {"experiment.name": 1, "config": 1}).sort("_id", DESCENDING))

    def output_length(self, run_id: Any) -> int | None:
        """The characters of a run's captured output; None where it is no text."""
        length = {"$cond": [{"$eq": [{"$type": OUTPUT}, "string"]}, {"$strLenCP": OUTPUT}, None]}
        with answered():
            found = list(
                self._collection.aggregate([{"$match": {"_id": {"$eq": run_id}}}, {"$project": {"n": length}}])
            )
        return found[0]["n"] if found else 0

    def output(self, run_id: Any, start: int, length: int) -> str:
        """Part of a run's captured output, which must be text, in characters."""
        part = {"$substrCP": [OUTPUT, start, length]}
        with answered():
            found = list(self._collection.aggregate([{"$match": {"_id": {"$eq": run_id}}}, {"$project": {"n": part}}]))
        return str(found[0]["n"]) if found else ""

    def whole_output(self, run_id: Any) -> Any:
        """A run's captured output as it is stored, whatever it is."""
        with answered():
            found = self._collection.find_one({"_id": {"$eq": run_id}}, {"captured_out": 1})
        return found.get("captured_out") if found else None

    def metric_lengths(self, run_id: Any) -> list[Document]:
        """The metrics of a run, by name: {_id, name, n: how many points it has, last: [its last value]}."""
        counted = {
            "name": 1,
            "steps": {"$size": _list("$steps")},
            "values": {"$size": _list("$values")},
            "last": {"$slice": [_list("$values"), -1]},
        }
        steps: list[Document] = [{"$match": {"run_id": {"$eq": run_id}}}, {"$project": counted}]
        with answered():
            found = list(self._metrics.aggregate([*steps, {"$sort": {"name": 1}}, {"$limit": MOST_METRICS}]))
        return [{**one, "n": min(one["steps"], one["values"])} for one in found]

    def metric_part(self, metric_id: Any, start: int, most: int) -> Document:
        """Points of a metric from number *start* on: {steps, values, timestamps}."""
        parts = {name: {"$slice": [_list(f"${name}"), start, most]} for name in ("steps", "values", "timestamps")}
        with answered():
            found = list(self._metrics.aggregate([{"$match": {"_id": {"$eq": metric_id}}}, {"$project": parts}]))
        return found[0] if found else {"steps": [], "values": [], "timestamps": []}

    def metric(self, run_id: Any, name: str) -> Document | None:
        """A whole metric of a run: {steps, values, timestamps}."""
        fields = {"steps": 1, "values": 1, "timestamps": 1}
        with answered():
            return self._metrics.find_one({"run_id": {"$eq": run_id}, "name": {"$eq": name}}, fields)

    def file(self, file_id: Any) -> StoredFile:
        """A GridFS file, to be read in pieces.

        Raises:
            NotFound: it is not stored.
        """
        with answered():
            found = self._database["fs.files"].find_one({"_id": {"$eq": file_id}}, {"length": 1})
        if found is None:
            raise NotFound("the file is named by the run, but not stored")
        return StoredFile(self._database, file_id, found.get("length"))


class StoredFile:
    """A file in GridFS, of *length* bytes by its record."""

    def __init__(self, database: Database[Document], file_id: Any, length: Any) -> None:
        self._chunks = database["fs.chunks"]
        self._id = file_id
        self.length = length if isinstance(length, int) and length >= 0 else 0

    def __iter__(self) -> Iterator[bytes]:
        """Its pieces in order.

        Raises:
            NotFound: the database has lost a piece.
        """
        read = number = 0
        while read < self.length:
            with answered():
                piece = self._chunks.find_one({"files_id": {"$eq": self._id}, "n": number}, {"data": 1})
            data = piece.get("data") if piece else None
            if not isinstance(data, bytes) or not data:
                raise NotFound("the file is not stored in full")
            read, number = read + len(data), number + 1
            yield data

    def start(self, most: int) -> bytes:
        """Its first *most* bytes.

        Raises:
            NotFound: the database has lost a piece.
        """
        read = b""
        for piece in self:
            read += piece
            if len(read) >= most:
                break
        return read[:most]


def _list(field: str) -> Document:
    return {"$cond": [{"$isArray": field}, field, []]}
