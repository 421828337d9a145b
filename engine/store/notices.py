"""Notices: what is to be told to whom when a sweep has ended; apart from the sweeps, whose documents all may read.

A document: {_id: "<sweep>-<kind>", sweep_id, kind: webhook | email, to: an address, or a list of them, open, due,
tries, outcome}. An open one whose sweep has ended is due at once, and later again while sending fails. Whoever takes it
has it for a while; when that process dies, it is due for the next one: a notice may be sent twice, but it is not lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.domain import ENDED
from engine.store.calls import answered

Document = dict[str, Any]

WEBHOOK = "webhook"
EMAIL = "email"


class Notices:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["notices"]
        self._sweeps = database["sweeps"]

    def create(self, sweep_id: str, webhook: str, emails: Sequence[str], now: datetime) -> None:
        """Keep what a sweep is to tell at its end; doing it twice changes nothing. Before the sweep itself: a notice
        without a sweep is never due."""
        wanted: dict[str, Any] = {WEBHOOK: webhook, EMAIL: list(emails)}
        notices = [
            {
                "_id": f"{sweep_id}-{kind}",
                "sweep_id": sweep_id,
                "kind": kind,
                "to": to,
                "open": True,
                "due": now,
                "tries": 0,
                "outcome": None,
            }
            for kind, to in wanted.items()
            if to
        ]
        if notices:
            with suppress(DuplicateKeyError), answered():
                self._collection.insert_many(notices, ordered=False)

    def of_sweep(self, sweep_id: str) -> list[Document]:
        """The notices of a sweep, with their addresses."""
        with answered():
            return list(self._collection.find({"sweep_id": sweep_id}).sort("_id", 1))

    def waiting(self, sweep_id: str | None = None) -> bool:
        """Whether a sweep, or any, has ended and is still to be told of."""
        return bool(self._due({} if sweep_id is None else {"sweep_id": sweep_id}))

    def take(self, now: datetime, lease: timedelta, sweep_id: str | None = None) -> Document | None:
        """A notice that is due, of a sweep if one is named, for the caller alone until *now* + *lease*; its `tries`
        count this one. None: nothing is due.
        """
        wanted = {"due": {"$lte": now}} if sweep_id is None else {"due": {"$lte": now}, "sweep_id": sweep_id}
        for notice in self._due(wanted):
            tries = notice["tries"]
            with answered():
                taken = self._collection.update_one(
                    {"_id": notice["_id"], "open": True, "tries": tries},
                    {"$set": {"due": now + lease, "tries": tries + 1}},
                )
                if taken.matched_count == 1:
                    return self._collection.find_one({"_id": notice["_id"]})
        return None

    def settle(self, notice: Document, outcome: str) -> None:
        """A notice has been sent, or never will be."""
        self._set(notice, {"open": False, "outcome": outcome})

    def postpone(self, notice: Document, due: datetime, outcome: str) -> None:
        """Sending has failed; try again at *due*."""
        self._set(notice, {"due": due, "outcome": outcome})

    def _set(self, notice: Document, fields: Document) -> None:
        with answered():
            self._collection.update_one({"_id": notice["_id"], "tries": notice["tries"]}, {"$set": fields})

    def _due(self, wanted: Document) -> list[Document]:
        """The open notices of sweeps that have ended, those that have waited longest first."""
        with answered():
            found = list(self._collection.find({**wanted, "open": True}, {"sweep_id": 1, "tries": 1}).sort("due", 1))
            if not found:
                return []
            named = {"_id": {"$in": [notice["sweep_id"] for notice in found]}}
            ended = {"state": {"$in": [str(state) for state in ENDED]}}
            over = {sweep["_id"] for sweep in self._sweeps.find({**named, **ended}, {"_id": 1})}
        return [notice for notice in found if notice["sweep_id"] in over]
