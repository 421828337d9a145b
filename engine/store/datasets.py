"""Uploaded data sets: what is known of them, by name, and their content in GridFS.

A document: {_id: name, kind: table | texts, owner, created, versions: [{sha256, size, file_id, uploaded, by, filename,
about}]}, the newest version last; `about` is what `engine.data.uploads.describe` found. A sweep names one as `name`
(the newest version) or `name@` with at least 8 digits of a version's sha256.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import bson
from gridfs import GridFSBucket
from gridfs.errors import NoFile
from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.domain import ENDED, SweepState
from engine.errors import NO_ROOM, DataError, NotFound, StateError
from engine.store.calls import answered

Document = dict[str, Any]

BLOCK = 2**20
TURN = 0.0001
"""Seconds that other requests of the web process get between blocks: with zero, gevent would look at no socket."""
LARGEST_DOCUMENT = 15 * 2**20
"""MongoDB takes 16 MB."""

OPEN = [str(state) for state in SweepState if state not in ENDED]
LARGE_FIELDS = {"versions.about.columns": 0, "versions.about.preview": 0}


class Datasets:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["datasets"]
        self._sweeps = database["sweeps"]
        self._content = GridFSBucket(database, "datasets")

    def all(self) -> list[Document]:
        """Every data set, the newest first, without its columns and previews."""
        with answered():
            return list(self._collection.find({}, LARGE_FIELDS).sort("created", DESCENDING).limit(1000))

    def after(self, name: str, limit: int) -> list[Document]:
        """At most *limit* data sets, by name, from the first after *name* on, without their columns and previews."""
        with answered():
            return list(self._collection.find({"_id": {"$gt": name}}, LARGE_FIELDS).sort("_id", 1).limit(limit))

    def names(self) -> list[str]:
        """The names of all data sets, in order."""
        with answered():
            return [found["_id"] for found in self._collection.find({}, {"_id": 1}).sort("_id", 1).limit(1000)]

    def get(self, name: str) -> Document:
        """
        Raises:
            NotFound: there is no such data set.
        """
        with answered():
            found = self._collection.find_one({"_id": name})
        if found is None:
            raise NotFound(f"there is no data set {name}")
        return found

    def find(self, reference: str) -> Document | None:
        """What is known of the version that `name` or `name@version` means: {name, kind, sha256, size, file_id,
        **about}; None where there is none.
        """
        name, _, prefix = reference.partition("@")
        if "@" in reference and not re.fullmatch(r"[0-9a-f]{8,64}", prefix):
            return None
        with answered():
            found = self._collection.find_one({"_id": name})
        for version in reversed(found["versions"] if found else []):
            if version["sha256"].startswith(prefix):
                known = {key: version[key] for key in ("sha256", "size", "file_id")}
                return {**version["about"], **known, "name": name, "kind": found["kind"] if found else ""}
        return None

    def add(
        self, name: str, kind: str, content: BinaryIO, about: Mapping[str, Any], filename: str, by: str, now: datetime
    ) -> tuple[int, bool]:
        """Store *content* as the newest version of *name*, which begins with it where there is none.

        Returns:
            the version's number, from 1, and whether it is new: the same content is not stored twice.

        Raises:
            StateError: the data set is of the other kind, or has no room for another version.
        """
        sha256, size = _digest(content)
        stored = self._version_of(name, kind, sha256)
        if stored:
            return stored, False
        file_id = self._upload(name, content)
        version = {"sha256": sha256, "size": size, "file_id": file_id, "uploaded": now, "by": by}
        version |= {"filename": filename, "about": dict(about)}
        try:
            number = self._append(name, kind, version)
        except BaseException:
            self._discard(file_id)
            raise
        if number is None:
            self._discard(file_id)
            return self._version_of(name, kind, sha256), False
        return number, True

    def choose(self, name: str, sha256: str, target: str, features: Sequence[str]) -> None:
        """Set what a version's sweeps predict, and from what.

        Raises:
            NotFound: there is no such version.
            StateError: a sweep that has not ended uses the data set.
        """
        self._must_be_unused(name)
        while True:
            found = self.get(name)
            versions = [version for version in found["versions"] if version["sha256"] == sha256]
            if not versions:
                raise NotFound(f"the data set {name} has no version {sha256[:12]}")
            versions[0]["about"] |= {"target": target, "features": list(features)}
            if self._replace(found, len(found["versions"])):
                return

    def delete(self, name: str) -> None:
        """Delete a data set with all its versions.

        Raises:
            NotFound: there is no such data set.
            StateError: a sweep that has not ended uses it.
        """
        self._must_be_unused(name)
        versions = self.get(name)["versions"]
        with answered():
            self._collection.delete_one({"_id": name})
        for version in versions:
            self._discard(version["file_id"])

    def users(self, name: str) -> list[str]:
        """The names of the sweeps that use a data set and have not ended."""
        with answered():
            found = list(self._sweeps.find({"state": {"$in": OPEN}}, {"name": 1, "config": 1}))
        return sorted(sweep["name"] for sweep in found if _uses(sweep["config"], name))

    def fetch(self, reference: str, folder: Path) -> tuple[Path, Document]:
        """Bring the content of `name` or `name@version` into *folder*, unless it is there: (its file, as `find`).

        Raises:
            NotFound: there is no such data set or version.
            DataError: the content is not what was uploaded, or cannot be written.
            OSError: there is no room on the disk.
        """
        about = self.find(reference)
        if about is None:
            raise NotFound(f"there is no data set {reference} any more; upload it again under this name")
        path = folder / f"{about['name']}-{about['sha256'][:12]}.{'zip' if about['kind'] == 'texts' else 'csv'}"
        try:
            if not path.exists():
                self._download(about, path)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise DataError(f"{path}: cannot be written: {error.strerror}") from None
        return path, about

    def _download(self, about: Document, path: Path) -> None:
        partial = path.with_suffix(".part")
        digest = hashlib.sha256()
        try:
            with partial.open("wb") as file:
                for block in self._blocks(about["file_id"], about["name"]):
                    digest.update(block)
                    file.write(block)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        if digest.hexdigest() != about["sha256"]:
            partial.unlink()
            raise DataError(f"the data set {about['name']} is not stored as it was uploaded; upload it again")
        partial.replace(path)

    def _blocks(self, file_id: str, name: str) -> Iterator[bytes]:
        with answered():
            try:
                stored = self._content.open_download_stream(file_id)
            except NoFile:
                raise NotFound(f"the content of the data set {name} is gone; upload it again") from None
        while True:
            with answered():
                block = stored.read(BLOCK)
            if not block:
                return
            yield block

    def _upload(self, name: str, content: BinaryIO) -> str:
        """Store the content, block by block: each call has the usual limit, the whole has none."""
        content.seek(0)
        file_id = uuid.uuid4().hex
        stored = self._content.open_upload_stream_with_id(file_id, name)
        try:
            while block := content.read(BLOCK):
                time.sleep(TURN)
                with answered():
                    stored.write(block)
            with answered():
                stored.close()
        except BaseException:
            with suppress(Exception):
                stored.abort()
            raise
        return file_id

    def _discard(self, file_id: str) -> None:
        with answered(), suppress(NoFile):
            self._content.delete(file_id)

    def _version_of(self, name: str, kind: str, sha256: str) -> int:
        """The number of the version that has this content; 0: none."""
        with answered():
            found = self._collection.find_one({"_id": name})
        if found is None:
            return 0
        if found["kind"] != kind:
            raise StateError(f"{name} is a data set of kind {found['kind']}, and this file is of kind {kind}")
        versions = [version["sha256"] for version in found["versions"]]
        return versions.index(sha256) + 1 if sha256 in versions else 0

    def _append(self, name: str, kind: str, version: Document) -> int | None:
        """The number under which *version* was stored; None: another process has stored the same content."""
        while True:
            with answered():
                before = self._collection.find_one({"_id": name})
            if before is None:
                document = {"_id": name, "kind": kind, "owner": version["by"], "created": version["uploaded"]}
                with suppress(DuplicateKeyError), answered():
                    self._collection.insert_one({**document, "versions": [version]})
                    return 1
                continue
            if self._version_of(name, kind, version["sha256"]):
                return None
            if len(bson.encode(before)) + len(bson.encode(version)) > LARGEST_DOCUMENT:
                raise StateError(f"{name} has no room for another version; delete it, or choose another name")
            count = len(before["versions"])
            if self._replace({**before, "versions": [*before["versions"], version]}, count):
                return count + 1

    def _replace(self, document: Document, count: int) -> bool:
        """Store *document* in place of the one of its name, if that has still *count* versions."""
        with answered():
            done = self._collection.replace_one({"_id": document["_id"], "versions": {"$size": count}}, document)
        return done.matched_count == 1

    def _must_be_unused(self, name: str) -> None:
        if users := self.users(name):
            shown = ", ".join(users[:5]) + (f" and {len(users) - 5} more" if len(users) > 5 else "")
            raise StateError(f"{name} is used by {shown}; wait for the end, or stop it first")


def _uses(config: Mapping[str, Any], name: str) -> bool:
    return str(config.get("dataset", "")).partition("@")[0] == name and not config.get("load_data")


def _digest(content: BinaryIO) -> tuple[str, int]:
    """(sha256 in hexadecimal, bytes); other requests of the web process get their turn meanwhile."""
    content.seek(0)
    digest, size = hashlib.sha256(), 0
    while block := content.read(BLOCK):
        time.sleep(TURN)
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size
