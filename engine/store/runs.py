"""Sacred's run documents (its MongoObserver format), read and written.

Reading: any Sacred run, whatever experiment wrote it. Writing: whole fields by id, so that doing it again
changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import bson
from bson import ObjectId, Regex, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError, InvalidId
from gridfs import GridFS
from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.errors import LeaseLost, NotFound
from engine.store.calls import answered

Document = dict[str, Any]
RunId = int | str | ObjectId

LIST_FIELDS = {
    "experiment.name": 1,
    "config.name": 1,
    "config.nn_model": 1,
    "status": 1,
    "start_time": 1,
    "heartbeat": 1,
    "stop_time": 1,
    "host.hostname": 1,
    "result": 1,
    "info.sweep_id": 1,
    "meta.options.--beat-interval": 1,
}


COLUMNS = ("steps", "values", "timestamps")
"""Of a metric."""


class Runs:
    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._collection = database.get_collection("runs", lenient(database))
        self._metrics = database.get_collection("metrics", lenient(database))

    def page(self, limit: int, before: datetime | None = None) -> list[Document]:
        """Runs by start, newest first, those that began before *before*; never output, info or metrics."""
        wanted = {"start_time": {"$lt": before}} if before else {}
        with answered():
            return list(self._collection.find(wanted, LIST_FIELDS).sort("start_time", DESCENDING).limit(limit))

    def get(self, run_id: RunId) -> Document:
        """
        Raises:
            NotFound: there is no such run.
        """
        with answered():
            found = self._collection.find_one({"_id": {"$eq": run_id}})
        if found is None:
            raise NotFound(f"there is no run {run_id}")
        return found

    def metrics(self, run_id: RunId) -> list[Document]:
        """The metrics of a run: {name, steps, values, timestamps}."""
        with answered():
            return list(self._metrics.find({"run_id": {"$eq": run_id}}).sort("name", 1).limit(200))

    def metric(self, run_id: RunId, name: str) -> Document | None:
        """One metric of a run: {steps, values}."""
        wanted = {"run_id": {"$eq": run_id}, "name": name}
        with answered():
            return self._metrics.find_one(wanted, {"_id": 0, "steps": 1, "values": 1})

    def create(self, document: Mapping[str, Any]) -> int:
        """Insert a run under the next free whole number, as Sacred does; returns it."""
        while True:
            with answered():
                newest = self._collection.find_one({"_id": {"$type": "number"}}, {"_id": 1}, sort=[("_id", DESCENDING)])
                run_id = int(newest["_id"]) + 1 if newest else 1
                try:
                    self._collection.insert_one({**document, "_id": run_id})
                except DuplicateKeyError:
                    continue
            return run_id

    def of_sweep(self, sweep_id: str) -> int | None:
        """The run of a sweep."""
        with answered():
            found = self._collection.find_one({"info.sweep_id": sweep_id}, {"_id": 1})
        return int(found["_id"]) if found else None

    def take(self, run_id: RunId, fence: int) -> bool:
        """Make a sweep's run that of its optimizer with this *fence*: those before can no longer write it. False: one
        that came later has it, or there is no such run."""
        with answered():
            self._collection.update_one({"_id": run_id, "info.fence": None}, {"$set": {"info.fence": fence}})
            done = self._collection.update_one(_own(run_id, fence), {"$set": {"info.fence": fence}})
        return done.matched_count == 1

    def update(self, run_id: RunId, fields: Mapping[str, Any], fence: int) -> None:
        """Set *fields* of a run that the sweep's optimizer with this *fence* has made or taken.

        Raises:
            LeaseLost: an optimizer of a later fence has it.
        """
        with answered():
            done = self._collection.update_one(_own(run_id, fence), {"$set": {**fields, "info.fence": fence}})
            if done.matched_count != 1 and self._collection.find_one({"_id": run_id}, {"_id": 1}):
                raise LeaseLost(f"run {run_id} is no longer written by fence {fence}")

    def drop(self, run_id: RunId, fence: int) -> None:
        """Delete a run that an optimizer with this *fence* has made for a sweep that it had lost, if nobody took it."""
        with answered():
            self._collection.delete_one({"_id": run_id, "info.fence": fence})

    def put_metric(
        self,
        run_id: RunId,
        name: str,
        steps: Sequence[int],
        values: Sequence[float],
        timestamps: Sequence[datetime],
        fence: int = 0,
    ) -> str:
        """Write a metric whole; returns its id.

        Raises:
            LeaseLost: an optimizer of a later fence has written it.
        """
        named = {"run_id": run_id, "name": name}
        fields = {"steps": list(steps), "values": list(values), "timestamps": list(timestamps), "fence": fence}
        with answered():
            before = self._metrics.find_one(named, {"fence": 1})
            if before is None:
                return str(self._metrics.insert_one({**named, **fields}).inserted_id)
            seen = before.get("fence")
            if (seen or 0) <= fence:
                done = self._metrics.update_one({"_id": before["_id"], "fence": seen}, {"$set": fields})
                if done.matched_count == 1:
                    return str(before["_id"])
        raise LeaseLost(f"run {run_id} is no longer written by fence {fence}")

    def append_metric(self, run_id: RunId, name: str, count: int, columns: Sequence[Sequence[Any]], fence: int) -> int:
        """Append *columns* (steps, values, timestamps) to a metric of *count* points, unless an earlier call with the
        same ones has. Returns how many it has then; one that has another number of points is left as it is.

        Raises:
            LeaseLost: an optimizer of a later fence has written it.
        """
        named = {"run_id": run_id, "name": name}
        more = {key: {"$each": list(column)} for key, column in zip(COLUMNS, columns, strict=True)}
        with answered():
            own = {**named, "fence": {"$lte": fence}, "steps": {"$size": count}}
            if self._metrics.update_one(own, {"$push": more}).matched_count == 1:
                return count + len(columns[0])
            found = self._metrics.find_one(named, {"fence": 1, "steps": 1}) or {"steps": []}
        if (found.get("fence") or 0) > fence:
            raise LeaseLost(f"run {run_id} is no longer written by fence {fence}")
        return len(found["steps"])

    def thin_metric(self, run_id: RunId, name: str, fence: int) -> int:
        """Leave out every second point of a metric; returns how many are left.

        Raises:
            LeaseLost: an optimizer of a later fence has written it.
        """
        with answered():
            whole = self._metrics.find_one({"run_id": run_id, "name": name}) or {}
        columns = [list(whole.get(key, ()))[::2] for key in COLUMNS]
        self.put_metric(run_id, name, columns[0], columns[1], columns[2], fence)
        return len(columns[0])

    def put_source(self, filename: str, md5: str, content: bytes) -> ObjectId:
        """The GridFS file of a source, stored once for each content, as Sacred does."""
        with answered():
            files = GridFS(self._database)
            found = files.find_one({"filename": filename, "md5": md5})
            if found is not None:
                return ObjectId(str(found._id))
            return ObjectId(str(files.put(content, filename=filename, md5=md5)))

    def source(self, file_id: ObjectId) -> bytes:
        """The content of a GridFS file."""
        with answered():
            return bytes(GridFS(self._database).get(file_id).read())


def lenient(database: Database[Document]) -> CodecOptions[Document]:
    """How documents are read that anything may have written: moments beyond the year 9999, broken UTF-8."""
    return database.codec_options.with_options(
        datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="replace"
    )


def run_id_text(run_id: Any) -> str:
    """An id as addresses have it: a number or ObjectId as it is, a string too unless it reads as something else.

    Everything else is MongoDB's extended JSON.
    """
    if (isinstance(run_id, int) and not isinstance(run_id, bool)) or isinstance(run_id, ObjectId):
        return str(run_id)
    if isinstance(run_id, str) and parse_run_id(run_id) == [run_id]:
        return run_id
    return str(json_util.dumps(run_id, json_options=json_util.CANONICAL_JSON_OPTIONS))


def _own(run_id: RunId, fence: int) -> Document:
    return {"_id": run_id, "info.fence": {"$lte": fence}}


def parse_run_id(text: str) -> list[Any]:
    """The ids that *text* from an address may mean, likeliest first: a number, an ObjectId, extended JSON, a string."""
    ids: list[Any] = []
    if text.removeprefix("-").isdigit() and text.isascii() and len(text) <= 20 and abs(int(text)) < 2**63:
        ids.append(int(text))
    with suppress(InvalidId):
        ids.append(ObjectId(text))
    if text in ("true", "false", "null") or text[:1] in ('"', "{", "["):
        with suppress(BSONError, TypeError, ValueError, ArithmeticError, RecursionError):
            found = json_util.loads(text)
            if _can_be_id(found) and bson.encode({"_id": found}):  # else it is in no database
                ids.append(found)
    ids.append(text)
    return ids


def _can_be_id(value: Any) -> bool:
    """Whether a document may have this id: none is a list or a pattern, or has names that are operators."""
    if isinstance(value, Mapping):
        return all(
            not name.startswith("$") and (isinstance(part, list) or _can_be_id(part)) for name, part in value.items()
        )
    return not isinstance(value, list | Regex)
