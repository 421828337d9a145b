"""Trials: one document each, written whole by the optimizer that owns the sweep, keyed (sweep, number).

A document holds the fence it was written under; a writer with an older fence matches nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from pymongo import ReplaceOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.domain import Trial, TrialState
from engine.errors import LeaseLost
from engine.store.calls import answered

Document = dict[str, Any]

PAGE = 500
"""Trials read in one call."""


class Trials:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["trials"]

    def put(self, *documents: Mapping[str, Any]) -> None:
        """Write trials whole, in one call; writing the same ones twice changes nothing.

        Raises:
            LeaseLost: a newer optimizer has written one of them.
        """
        put = [
            ReplaceOne({"_id": document["_id"], "fence": {"$lte": document["fence"]}}, dict(document), upsert=True)
            for document in documents
        ]
        try:
            with answered():
                self._collection.bulk_write(put, ordered=False)
        except DuplicateKeyError:
            raise LeaseLost(f"a trial of sweep {documents[0]['sweep_id']} was written by a newer optimizer") from None

    def of_sweep(self, sweep_id: str, curves: bool = False, after: int = 0, limit: int = 10_000) -> list[Document]:
        """The trials of a sweep by number, those above *after*; curves only when asked for; *limit* 0 is none."""
        hidden = {} if curves else {"curve": 0, "attempts": 0}
        return list(islice(above(self._collection, sweep_id, after, hidden), limit or None))

    def some(self, sweep_id: str, numbers: Sequence[int]) -> list[Document]:
        """The trials of these numbers, whole, with their curves."""
        with answered():
            found = self._collection.find({"_id": {"$in": [f"{sweep_id}-{number}" for number in numbers]}})
            return sorted(found, key=lambda trial: int(trial["number"]))

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


def above(
    collection: Collection[Document], sweep_id: str, number: int, fields: Mapping[str, int]
) -> Iterator[Document]:
    """The trials of a sweep above *number*, by number, with what the projection *fields* says of them.

    The database's work goes with all that a filter matches, whatever its sort and limit are: so pages are narrow
    ranges.
    """
    while True:
        page = between(collection, sweep_id, number, number + PAGE, fields)
        yield from page
        number += PAGE
        if len(page) < PAGE:
            first = first_above(collection, sweep_id, number)
            if first is None:
                return
            number = first - 1


def first_above(collection: Collection[Document], sweep_id: str, number: int) -> int | None:
    """The least number above *number* that a trial of the sweep has."""
    with answered():
        found = collection.find({"sweep_id": sweep_id, "number": {"$gt": number}}, {"number": 1})
        return next((int(trial["number"]) for trial in found.sort("number", 1).limit(1)), None)


def between(
    collection: Collection[Document], sweep_id: str, low: int, high: int, fields: Mapping[str, int]
) -> list[Document]:
    """The trials of a sweep above *low* up to *high*, by number."""
    with answered():
        numbers = {"$gt": low, "$lte": high}
        return list(collection.find({"sweep_id": sweep_id, "number": numbers}, fields or None).sort("number", 1))


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
