"""The reports of sweeps: what the best trial of each stage, and of all, predicts.

A document: {_id: sweep_id, fence, model, columns, target, classes, folds, stages: [as engine.report gives them],
final: one of the best trial of all, or null}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.errors import LeaseLost
from engine.store.calls import answered

Document = dict[str, Any]


class Reports:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["reports"]

    def put(self, document: Mapping[str, Any]) -> None:
        """Write a report whole, in place of the sweep's earlier one.

        Raises:
            LeaseLost: a newer optimizer has written one.
        """
        try:
            with answered():
                self._collection.replace_one(
                    {"_id": document["_id"], "fence": {"$lte": document["fence"]}}, dict(document), upsert=True
                )
        except DuplicateKeyError:
            raise LeaseLost(f"the report of sweep {document['_id']} was written by a newer optimizer") from None

    def get(self, sweep_id: str) -> Document | None:
        """The report of a sweep; None before its first stage has ended."""
        with answered():
            return self._collection.find_one({"_id": sweep_id})
