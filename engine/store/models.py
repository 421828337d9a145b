"""The parameters of trained networks, and what it takes to use them.

Collection `models`: {_id: "sweep/trial", sweep_id, fence, parameters: the flat vector, float32, compressed}, and one
{_id: sweep_id, about} for each sweep with what its networks have in common.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import pymongo
from bson import Binary
from pymongo import ReplaceOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.errors import LeaseLost, NotFound
from engine.store.calls import answered

Document = dict[str, Any]

MOST_BYTES = 14 * 1024 * 1024
"""Of compressed parameters: a document may have 16 MB."""


class Models:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["models"]

    def describe(self, sweep_id: str, about: Mapping[str, Any]) -> None:
        """Keep what the networks of a sweep have in common (see `engine.data.about`)."""
        with answered():
            self._collection.replace_one({"_id": sweep_id}, {"_id": sweep_id, "about": dict(about)}, upsert=True)

    def put(self, sweep_id: str, parameters: Mapping[int, bytes], fence: int, seconds: float = 3.0) -> list[int]:
        """Keep the parameters of trials' networks, {number: parameters}, in one call of so many *seconds* at most;
        returns the numbers of those that are too large to be kept here.

        Raises:
            LeaseLost: an optimizer of a later fence has kept one of them.
        """
        packed = {number: zlib.compress(flat, level=3) for number, flat in parameters.items()}
        too_large = [number for number, flat in packed.items() if len(flat) > MOST_BYTES]
        put: list[ReplaceOne[Document]] = []
        for number, flat in packed.items():
            if number not in too_large:
                document = {"_id": f"{sweep_id}/{number}", "sweep_id": sweep_id, "fence": fence}
                own = {"_id": document["_id"], "fence": {"$not": {"$gt": fence}}}
                put.append(ReplaceOne(own, {**document, "parameters": Binary(flat)}, upsert=True))
        if put:
            try:
                with answered(), pymongo.timeout(seconds):
                    self._collection.bulk_write(put, ordered=False)
            except DuplicateKeyError:
                raise LeaseLost(f"a model of sweep {sweep_id} was written by a newer optimizer") from None
        return too_large

    def about(self, sweep_id: str) -> Document:
        """
        Raises:
            NotFound: nothing is known of the sweep's networks: none has been trained yet.
        """
        with answered():
            found = self._collection.find_one({"_id": sweep_id})
        if found is None:
            raise NotFound("the sweep has no model yet")
        return dict(found["about"])

    def get(self, sweep_id: str, number: int) -> bytes:
        """The parameters of a trial's network: float32, flat.

        Raises:
            NotFound: they are not kept: it has not completed, or is too large.
        """
        with answered():
            found = self._collection.find_one({"_id": f"{sweep_id}/{number}"})
        if found is None:
            raise NotFound(f"the model of trial {number} is not kept")
        return zlib.decompress(found["parameters"])

    def has(self, sweep_id: str, number: int) -> bool:
        """Whether the model of a trial is kept."""
        with answered():
            return self._collection.find_one({"_id": f"{sweep_id}/{number}"}, {"_id": 1}) is not None

    def kept(self, sweep_id: str) -> list[int]:
        """The trials whose models are kept, by number."""
        with answered():
            found = self._collection.find({"sweep_id": sweep_id}, {"_id": 1})
            return sorted(int(document["_id"].rpartition("/")[2]) for document in found)
