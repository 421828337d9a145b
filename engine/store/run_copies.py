"""Taking over runs from elsewhere, with their metrics and files: each once, however often it is asked for.

Everything of a run that is taken over gets an id that is worked out from where it came from, so an interruption leaves
nothing that doing it again would not find. Where it came from is kept in the run, `info.imported`: {key, source, run,
by, at, done, over}; *done*: all of it is here; *over*: it had ended, so that it need not be looked at again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pymongo
from bson import ObjectId
from bson.errors import BSONError
from gridfs import GridFS
from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, DuplicateKeyError

from engine.errors import NotFound, StoreError
from engine.store.calls import answered
from engine.store.run_parts import RunParts
from engine.store.run_reader import PATIENCE_SECONDS, RunReader
from engine.store.run_removal import files_of
from engine.store.runs import lenient, run_id_text

Document = dict[str, Any]

LARGEST_ID = 2**53
"""Larger numbers are not kept as ids: the runs after them would have even larger ones."""
GOES_ON = ("RUNNING", "QUEUED")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a run: what GridFS keeps of it, and its content piece by piece."""

    about: Mapping[str, Any]
    pieces: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A run from elsewhere. *source* tells where, *run_id* is its id there. *files* are by what the document names in
    place of their ids; *resources* are named by digest, so that only their contents are taken. *metrics* are
    {_id, name, steps, values, timestamps}."""

    source: str
    run_id: Any
    document: Document
    metrics: Sequence[Mapping[str, Any]] = ()
    files: Mapping[Any, File] = field(default_factory=dict)
    resources: Sequence[File] = ()
    identity: str = ""

    @property
    def key(self) -> str:
        """What tells this run from all others."""
        return hashlib.blake2b(
            f"{self.source} {self.identity or run_id_text(self.run_id)}".encode(), digest_size=16
        ).hexdigest()


class RunCopies:
    """The runs of our own database that came from elsewhere."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._runs = database.get_collection("runs", lenient(database))
        self._metrics = database["metrics"]
        self._files = database["fs.files"]
        self._chunks = database["fs.chunks"]

    def known(self, key: str) -> bool:
        """Whether all of the run of this key is here, and it had ended."""
        with answered():
            found = self._runs.find_one({"info.imported.key": key}, {"info.imported": 1})
        return bool(found and found["info"]["imported"].get("done") and found["info"]["imported"].get("over"))

    def take(self, run: Incoming, called: str, by: str, at: datetime) -> Any:
        """Take a run over, or go on with it; its id here. It keeps its own where that is a whole number that is free.

        Raises:
            StoreError: it cannot be stored, or the database does not answer.
        """
        files = {ref: self._take_file(run.source, ref, file) for ref, file in run.files.items()}
        for file in run.resources:
            self._take_file(run.source, file.about.get("md5"), file)
        metrics = {str(metric["_id"]): _id(run.key, metric["_id"]) for metric in run.metrics}
        document = _renamed(run.document, files, metrics)
        document["info"]["imported"] = {
            "key": run.key,
            "source": called,
            "run": run_id_text(run.run_id),
            "by": by,
            "at": at,
            "done": False,
            "over": document.get("status") not in GOES_ON,
        }
        try:
            with answered():
                run_id = self._put(run, document)
                for metric in run.metrics:
                    one = {name: metric.get(name) for name in ("name", "steps", "values", "timestamps")}
                    new = metrics[str(metric["_id"])]
                    self._metrics.replace_one({"_id": new}, {"run_id": run_id, **one}, upsert=True)
                self._runs.update_one({"_id": run_id}, {"$set": {"info.imported.done": True}})
        except (BSONError, DocumentTooLarge, OverflowError, RecursionError) as error:
            raise StoreError(f"it cannot be stored: {str(error)[:150]}") from error
        return run_id

    def _put(self, run: Incoming, document: Document) -> Any:
        """Store the document of a run; its id."""
        found = self._runs.find_one({"info.imported.key": run.key}, {"_id": 1})
        if found is not None:
            self._runs.replace_one({"_id": found["_id"]}, document)
            return found["_id"]
        wanted = run.run_id
        while True:
            if not isinstance(wanted, int) or isinstance(wanted, bool) or not 0 < wanted < LARGEST_ID:
                newest = self._runs.find_one({"_id": {"$type": "number"}}, {"_id": 1}, sort=[("_id", DESCENDING)])
                wanted = int(newest["_id"]) + 1 if newest else 1
            try:
                self._runs.insert_one({**document, "_id": wanted})
            except DuplicateKeyError:
                wanted = None
                continue
            return wanted

    def _take_file(self, source: str, ref: Any, file: File) -> ObjectId | None:
        """Store a file once; its id. None: it is not stored where it came from."""
        new = _id(source, ref)
        with answered():
            if self._files.find_one({"_id": new}, {"_id": 1}):
                return new
            self._chunks.delete_many({"files_id": new})
            about = {name: value for name, value in file.about.items() if value is not None}
            incoming = GridFS(self._database).new_file(_id=new, **about)
            try:
                for piece in file.pieces():
                    incoming.write(piece)
            except NotFound:
                incoming.abort()
                return None
            except BaseException:
                incoming.abort()
                raise
            incoming.close()
        return new


class Elsewhere:
    """The runs of another Sacred database, to be taken over. *source* tells them from those of any other."""

    def __init__(self, database: Database[Document], prefix: str, source: str) -> None:
        begin = f"{prefix}_" if prefix else ""
        self.source = source
        self._runs = database.get_collection(f"{begin}runs", lenient(database))
        self._metrics = database.get_collection(f"{begin}metrics", lenient(database))
        self._files = database["fs.files"]
        self._parts = RunParts(database, prefix)
        self._reader = RunReader(database, prefix)
        self._of_run: dict[str, list[Any]] | None = None

    def ids(self) -> list[Any]:
        """Every run's id."""
        return list(self._reader.ids())

    def run(self, run_id: Any) -> Incoming:
        """A run with all that belongs to it.

        Raises:
            NotFound: there is no such run.
            StoreError: it cannot be read, or the database does not answer.
        """
        try:
            with answered(), pymongo.timeout(PATIENCE_SECONDS):
                document = self._runs.find_one({"_id": {"$eq": run_id}})
                if document is None:
                    raise NotFound("it is gone")
                metrics = [found for one in self._metric_ids(run_id) if (found := self._metrics.find_one({"_id": one}))]
                named = list(dict.fromkeys(files_of(document)))
                files = {value: self._file({"_id": value}, value) for kind, value in named if kind == "id"}
                shared = [self._files.find_one({"md5": value}) for kind, value in named if kind == "md5"]
        except (BSONError, OverflowError, RecursionError) as error:
            raise StoreError(f"it cannot be read: {str(error)[:150]}") from error
        resources = [File(_about(one), self._parts.file(one["_id"]).__iter__) for one in shared if one]
        return Incoming(self.source, run_id, document, metrics, files, resources)

    def _metric_ids(self, run_id: Any) -> list[Any]:
        """The metrics of a run; without an index they are listed once for all runs."""
        if self._of_run is None and self._reader.has_index("metrics", "run_id"):
            return [found["_id"] for found in self._metrics.find({"run_id": {"$eq": run_id}}, {"_id": 1})]
        if self._of_run is None:
            self._of_run = {}
            for found in self._metrics.find({}, {"run_id": 1}):
                self._of_run.setdefault(run_id_text(found.get("run_id")), []).append(found["_id"])
        return self._of_run.get(run_id_text(run_id), [])

    def _file(self, wanted: Mapping[str, Any], file_id: Any) -> File:
        found = self._files.find_one(wanted)
        return File(_about(found or {}), lambda: iter(self._parts.file(file_id)))


def _about(found: Mapping[str, Any]) -> Document:
    return {name: found[name] for name in ("filename", "md5", "metadata", "contentType") if name in found}


def _id(source: str, ref: Any) -> ObjectId:
    """The id here of what is called *ref* there."""
    return ObjectId(hashlib.blake2b(f"{source} {ref!r}".encode("utf-8", "replace"), digest_size=12).digest())


def _renamed(document: Mapping[str, Any], files: Mapping[Any, Any], metrics: Mapping[str, ObjectId]) -> Document:
    """A document that names what belongs to it by the ids that it has here."""
    found = {name: value for name, value in document.items() if name != "_id"}
    info = found.get("info")
    found["info"] = dict(info) if isinstance(info, Mapping) else {} if info is None else {"was": info}
    if isinstance(listed := found["info"].get("metrics"), list):
        found["info"]["metrics"] = [
            {**one, "id": str(metrics[str(one["id"])])}
            if isinstance(one, Mapping) and str(one.get("id")) in metrics
            else one
            for one in listed
        ]
    if isinstance(artifacts := found.get("artifacts"), list):
        found["artifacts"] = [
            {**one, "file_id": files[one["file_id"]]}
            if isinstance(one, Mapping) and _among(one.get("file_id"), files)
            else one
            for one in artifacts
        ]
    experiment = found.get("experiment")
    if isinstance(experiment, Mapping) and isinstance(sources := experiment.get("sources"), list):
        renamed = [
            [one[0], files[one[1]], *one[2:]]
            if isinstance(one, list) and len(one) > 1 and _among(one[1], files)
            else one
            for one in sources
        ]
        found["experiment"] = {**experiment, "sources": renamed}
    return found


def _among(ref: Any, files: Mapping[Any, Any]) -> bool:
    return isinstance(ref, str | ObjectId) and ref in files
