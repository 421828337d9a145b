"""Uploaded Python files that hold models, every version of each.

A document: {_id: "name.py@sha256", name, sha256, content, size, by, uploaded, classes: as
`engine.models.inspection.inspect_file` gives them}. A sweep names one as `name.py` (the newest version) or `name.py@`
with at least 8 digits of a version's sha256, and its class after a colon.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bson import Binary
from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.domain import ENDED, SweepState
from engine.errors import NO_ROOM, DataError, NotFound, StateError
from engine.store.calls import answered

Document = dict[str, Any]

DIGITS = 12
"""Of a version's sha256 in what a sweep calls it."""
OPEN = [str(state) for state in SweepState if state not in ENDED]


class ModelFiles:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["model_files"]
        self._sweeps = database["sweeps"]

    def all(self) -> list[Document]:
        """Every version of every file, the newest first, without their contents."""
        with answered():
            return list(self._collection.find({}, {"content": 0}).sort("uploaded", DESCENDING).limit(1000))

    def after(self, name: str, limit: int) -> list[Document]:
        """Every version, the newest first, of at most *limit* files, by name, from the first after *name* on."""
        with answered():
            names = sorted(self._collection.distinct("name", {"name": {"$gt": name}}))[:limit]
            found = self._collection.find({"name": {"$in": names}}, {"content": 0})
            return sorted(found.sort("uploaded", DESCENDING), key=lambda version: names.index(version["name"]))

    def add(self, name: str, content: bytes, classes: Mapping[str, Any], by: str, now: datetime) -> bool:
        """Store *content* as the newest version of *name*; False where this version is stored already."""
        sha256 = hashlib.sha256(content).hexdigest()
        document: Document = {"_id": f"{name}@{sha256}", "name": name, "sha256": sha256, "content": Binary(content)}
        document |= {"size": len(content), "by": by, "uploaded": now, "classes": dict(classes)}
        try:
            with answered():
                self._collection.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    def find(self, reference: str) -> Document | None:
        """The version that `name.py` or `name.py@version` means, with its content; None where there is none."""
        name, at, version = reference.partition("@")
        if at and not re.fullmatch(r"[0-9a-f]{8,64}", version):
            return None
        with answered():
            found = self._collection.find({"name": name, "sha256": {"$regex": f"^{version}"}})
            return next(iter(found.sort("uploaded", DESCENDING).limit(1)), None)

    def fetch(self, reference: str, folder: Path) -> tuple[str, Path]:
        """Bring a file into *folder*, under its name: (`name.py@version`, its place).

        Raises:
            NotFound: there is no such file or version.
            DataError: the content is not what was uploaded, or cannot be written.
        """
        found = self.find(reference)
        if found is None:
            raise NotFound(f"there is no uploaded file {reference}; the page Models lists those there are")
        content = bytes(found["content"])
        if hashlib.sha256(content).hexdigest() != found["sha256"]:
            raise DataError(f"{reference} is not stored as it was uploaded; upload it again")
        path = folder / found["name"]
        try:
            part = path.with_suffix(".part")
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise DataError(f"{path}: cannot be written: {error.strerror}") from None
        return f"{found['name']}@{found['sha256'][:DIGITS]}", path

    def users(self, name: str) -> list[str]:
        """The names of the sweeps that use a file and have not ended."""
        with answered():
            found = list(self._sweeps.find({"state": {"$in": OPEN}}, {"name": 1, "config.model_class": 1}))
        return sorted(sweep["name"] for sweep in found if _file_of(sweep["config"]) == name)

    def delete(self, name: str) -> None:
        """Delete all versions of a file.

        Raises:
            NotFound: there is no such file.
            StateError: a sweep that has not ended uses it.
        """
        if users := self.users(name):
            shown = ", ".join(users[:5]) + (f" and {len(users) - 5} more" if len(users) > 5 else "")
            raise StateError(f"{name} is used by {shown}; wait for the end, or stop it first")
        with answered():
            done = self._collection.delete_many({"name": name})
        if not done.deleted_count:
            raise NotFound(f"there is no uploaded file {name}")


def _file_of(config: Mapping[str, Any]) -> str:
    """`name.py` of a configuration's class; of a class in a module, the module."""
    return str(config.get("model_class", "")).partition(":")[0].partition("@")[0]
