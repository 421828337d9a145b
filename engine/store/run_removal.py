"""Removing runs from a Sacred database, with their metrics and with what only they have in GridFS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pymongo
from bson import ObjectId
from gridfs import GridFS
from pymongo.database import Database

from engine.store.calls import answered
from engine.store.run_reader import PATIENCE_SECONDS, among, groups
from engine.store.runs import lenient

Document = dict[str, Any]

NAMING = {"artifacts": 1, "experiment.sources": 1, "resources": 1}
"""Where a run names files."""


def remove(database: Database[Document], prefix: str, run_ids: Sequence[Any]) -> None:
    """Remove these runs. Files that any other run of the database names, under whichever prefix, stay. The runs' own
    documents go last, so that doing it again removes what an interruption has left.

    Raises:
        StoreError: the database does not answer, or may not be written.
    """
    begin = f"{prefix}_" if prefix else ""
    runs = database.get_collection(f"{begin}runs", lenient(database))
    with answered(), pymongo.timeout(PATIENCE_SECONDS):
        own = {file for some in groups(run_ids) for found in runs.find(among(some), NAMING) for file in files_of(found)}
        if own:
            digests = {"md5": {"$in": [value for kind, value in own if kind == "md5"]}}
            ids = {"_id": {"$in": [value for kind, value in own if kind == "id"]}}
            found = {file["_id"]: file.get("md5") for file in database["fs.files"].find({"$or": [ids, digests]})}
            others = {file for other in _others(database, runs.name, run_ids) for file in files_of(other)}
            files = GridFS(database)
            for file_id, digest in found.items():
                if ("id", file_id) not in others and ("md5", digest) not in others:
                    files.delete(file_id)
        for some in groups(run_ids):
            database[f"{begin}metrics"].delete_many({"run_id": {"$in": list(some)}})
            runs.delete_many(among(some))


def files_of(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a run names in GridFS: ("id", id) of artifacts and sources, ("md5", digest) of resources."""
    artifacts, experiment = document.get("artifacts"), document.get("experiment")
    for item in artifacts if isinstance(artifacts, list) else ():
        if isinstance(item, Mapping) and isinstance(item.get("file_id"), ObjectId):
            yield "id", item["file_id"]
    sources = experiment.get("sources") if isinstance(experiment, Mapping) else None
    for item in sources if isinstance(sources, list) else ():
        if isinstance(item, list) and len(item) > 1 and isinstance(item[1], ObjectId):
            yield "id", item[1]
    resources = document.get("resources")
    for item in resources if isinstance(resources, list) else ():
        if isinstance(item, list) and len(item) > 1 and isinstance(item[1], str):
            yield "md5", item[1]


def _others(database: Database[Document], name: str, run_ids: Sequence[Any]) -> Iterator[Document]:
    """What all other runs of the database name."""
    for other in database.list_collection_names():
        if other == "runs" or other.endswith("_runs"):
            found = database.get_collection(other, lenient(database)).find({}, NAMING)
            gone = {repr(run_id) for run_id in run_ids} if other == name else set()
            yield from (document for document in found if repr(document["_id"]) not in gone)
