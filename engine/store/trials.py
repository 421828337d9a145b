"""Trials: one document each, written whole by the optimizer that owns the sweep, keyed (sweep, number).

A document holds the fence it was written under; a writer with an older fence matches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.domain import Trial, TrialState
from engine.errors import LeaseLost
from engine.store.calls import answered

Document = dict[str, Any]


class Trials:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["trials"]

    def put(self, document: Mapping[str, Any]) -> None:
        """Write a trial whole; writing the same one twice changes nothing.

        Raises:
            LeaseLost: a newer optimizer has written this trial.
        """
        try:
            with answered():
                self._collection.replace_one(
                    {"_id": document["_id"], "fence": {"$lte": document["fence"]}}, dict(document), upsert=True
                )
        except DuplicateKeyError:
            raise LeaseLost(f"trial {document['_id']} was written by a newer optimizer") from None

    def of_sweep(self, sweep_id: str, curves: bool = False, after: int = 0, limit: int = 10_000) -> list[Document]:
        """The trials of a sweep by number, those above *after*; curves only when asked for; *limit* 0 is none."""
        hidden = {} if curves else {"curve": 0, "attempts": 0}
        with answered():
            cursor = self._collection.find({"sweep_id": sweep_id, "number": {"$gt": after}}, hidden or None)
            return list(cursor.sort("number", 1).limit(limit))

    def losses(self, sweep_id: str) -> list[Document]:
        """{number, stage, state, loss, confirms} of every trial, by number: what a chart of all of them needs."""
        fields = {"_id": 0, "number": 1, "stage": 1, "state": 1, "loss": 1, "confirms": 1}
        with answered():
            return list(self._collection.find({"sweep_id": sweep_id}, fields).sort("number", 1).limit(1_000_000))

    def some(self, sweep_id: str, numbers: Sequence[int]) -> list[Document]:
        """The trials of these numbers, whole, with their curves."""
        with answered():
            found = self._collection.find({"_id": {"$in": [f"{sweep_id}-{number}" for number in numbers]}})
            return sorted(found, key=lambda trial: int(trial["number"]))

    def retrying(self, sweep_id: str, number: int) -> list[int]:
        """The trials that retry the one of this number."""
        with answered():
            found = self._collection.find({"sweep_id": sweep_id, "retries": number}, {"number": 1}).sort("number", 1)
            return [int(trial["number"]) for trial in found.limit(100)]

    def errors(self, sweep_id: str, numbers: Sequence[int]) -> dict[int, str]:
        """The errors of those of these trials that have one, by number."""
        ids = [f"{sweep_id}-{number}" for number in numbers]
        found: dict[int, str] = {}
        for start in range(0, len(ids), 500):
            wanted = {"_id": {"$in": ids[start : start + 500]}}
            with answered():
                trials = self._collection.find(wanted, {"_id": 0, "number": 1, "error": 1})
                found |= {int(trial["number"]): str(trial["error"]) for trial in trials if trial.get("error")}
        return found

    def running(self, sweep_id: str) -> list[Document]:
        """The trials in training, with their curves."""
        with answered():
            return list(self._collection.find({"sweep_id": sweep_id, "state": str(TrialState.RUNNING)}).limit(100))


def to_document(trial: Trial, fence: int) -> Document:
    """A trial as it is stored."""
    document = asdict(trial)
    document["_id"] = f"{trial.sweep_id}-{trial.number}"
    document["state"] = str(trial.state)
    document["fence"] = fence
    return document


def from_document(document: Mapping[str, Any]) -> Trial:
    """The trial of a stored document."""
    fields = {key: value for key, value in document.items() if key not in ("_id", "fence")}
    return Trial(**{**fields, "state": TrialState(document["state"])})


ROW = (
    "number",
    "stage",
    "params",
    "steps",
    "step",
    "state",
    "attempt",
    "worker",
    "train_loss",
    "val_loss",
    "loss",
    "seconds",
    "error",
    "figures",
    "confirms",
    "retries",
    "edit",
    "rungs",
    "attempts",
    "test",
)


def public(document: Mapping[str, Any]) -> Document:
    """What the pages and events show of a trial, as plain JSON."""
    row = {key: document.get(key) for key in ROW}
    for moment in ("started", "finished"):
        row[moment] = document[moment].isoformat() if document.get(moment) else None
    return row
