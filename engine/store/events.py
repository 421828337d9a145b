"""Events: one ordered, gapless sequence for each sweep.

An event takes the number after the newest one; the unique index (sweep_id, seq) decides between two writers,
and the loser takes the next. So whoever sees number n has seen, or can fetch, all before it.

Each event carries the fence of the optimizer that wrote it, or that of the event before where somebody else did. A
writer that finds a later fence at the newest event has lost the sweep; one that has looked before there was such an
event finds its number taken. So nothing of an optimizer comes after the first event of its successor.

The database's work goes with all that a filter matches, whatever its sort and limit are. So collection `event_marks`,
{_id: sweep_id, seq, fence}, remembers a number that a sweep's events have reached, and the newest are looked for above.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from engine.errors import LeaseLost
from engine.events import Event, EventType
from engine.store.calls import answered

Document = dict[str, Any]

FAR = 500
"""Numbers: a mark that is further behind is moved by whoever finds it."""
WINDOW = 250
"""Numbers among which the newest events of a kind are looked for first."""


def draft(kind: EventType, data: Mapping[str, Any], at: datetime) -> Document:
    """An event that has its identity but not yet its number."""
    return {"_id": uuid.uuid4().hex, "type": str(kind), "at": at, "data": dict(data)}


class Events:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["events"]
        self._marks = database.get_collection("event_marks", write_concern=WriteConcern(w=1))  # may be lost

    def last(self, sweep_id: str) -> int:
        """The newest number of a sweep; 0 where there is none."""
        return self._newest(sweep_id)[0]

    def _newest(self, sweep_id: str) -> tuple[int, int]:
        """The newest number of a sweep, and the fence that its event carries."""
        with answered():
            mark = self._marks.find_one({"_id": sweep_id}) or {}
            known = int(mark.get("seq", 0))
            above = {"sweep_id": sweep_id, "seq": {"$gt": known}}
            newest = self._collection.find_one(above, {"seq": 1, "fence": 1}, sort=[("seq", DESCENDING)]) or mark
        last, fence = int(newest.get("seq", 0)), int(newest.get("fence", 0))
        if last > known + FAR:
            self._mark(sweep_id, last, fence)
        return last, fence

    def _mark(self, sweep_id: str, seq: int, fence: int) -> None:
        with suppress(DuplicateKeyError), answered():
            self._marks.update_one({"_id": sweep_id}, {"$max": {"seq": seq, "fence": fence}}, upsert=True)

    def append(
        self,
        sweep_id: str,
        events: Sequence[tuple[EventType, Mapping[str, Any], datetime]],
        fence: int | None = None,
    ) -> int:
        """Append in order; returns the last number. Raises LeaseLost as `write`."""
        return self.write(sweep_id, [draft(*event) for event in events], fence=fence)

    def write(self, sweep_id: str, drafts: Sequence[Document], again: bool = False, fence: int | None = None) -> int:
        """Append *drafts* in order; returns the last number.

        Args:
            again: an earlier call with some of these may have succeeded without its answer arriving; those that
                are stored are not stored twice.
            fence: the one under which the writer owns the sweep; None: it does not.

        Raises:
            LeaseLost: an optimizer of a later fence has written.
        """
        waiting = self._missing(drafts) if again else list(drafts)
        while waiting:
            last, newest = self._newest(sweep_id)
            if fence is not None and fence < newest:
                raise LeaseLost(f"sweep {sweep_id} is owned by fence {newest}, no longer by {fence}")
            own = newest if fence is None else fence
            numbered = [
                {**item, "sweep_id": sweep_id, "fence": own, "seq": last + i} for i, item in enumerate(waiting, start=1)
            ]
            try:
                with answered():
                    self._collection.insert_many(numbered, ordered=True)
            except DuplicateKeyError:
                waiting = self._missing(waiting)
                continue
            self._mark(sweep_id, last + len(numbered), own)
            return last + len(numbered)
        return self.last(sweep_id)

    def _missing(self, drafts: Sequence[Document]) -> list[Document]:
        """Those of *drafts* that are not stored."""
        with answered():
            found = self._collection.find({"_id": {"$in": [item["_id"] for item in drafts]}}, {"_id": 1})
            stored = {item["_id"] for item in found}
        return [item for item in drafts if item["_id"] not in stored]

    def after(self, sweep_id: str, seq: int, limit: int = 500) -> list[Event]:
        """The events above *seq*, in order."""
        with answered():
            found = list(self._collection.find({"sweep_id": sweep_id, "seq": {"$gt": seq}}).sort("seq", 1).limit(limit))
        return [Event(sweep_id, item["seq"], EventType(item["type"]), item["at"], item["data"]) for item in found]

    def latest(self, sweep_id: str) -> Event | None:
        """The newest event of a sweep, unless it was deleted by age."""
        return next(iter(self.after(sweep_id, self.last(sweep_id) - 1)), None)

    def newest(self, sweep_id: str, kind: EventType, limit: int) -> list[Event]:
        """The newest events of one kind, oldest of them first."""
        found: list[Document] = []
        upto, width = self.last(sweep_id), WINDOW
        while upto > 0 and len(found) < limit:
            numbers = {"$gt": upto - width, "$lte": upto}
            with answered():
                cursor = self._collection.find({"sweep_id": sweep_id, "type": str(kind), "seq": numbers})
                found += cursor.sort("seq", DESCENDING).limit(limit - len(found))
            upto, width = upto - width, 4 * width
        return [Event(sweep_id, item["seq"], kind, item["at"], item["data"]) for item in reversed(found)]

    def between(self, sweep_id: str, kind: EventType, begin: datetime, end: datetime, limit: int) -> list[Event]:
        """At most *limit* events of one kind that were told from *begin* to *end*, in order."""
        low, last = 0, self.last(sweep_id)
        high = last
        while high - low > WINDOW:  # numbers follow the time, but for some seconds
            middle = (low + high) // 2
            with answered():
                found = self._collection.find_one({"sweep_id": sweep_id, "seq": middle}, {"at": 1})
            low, high = (middle, high) if found is None or found["at"] < begin else (low, middle)
        events: list[Event] = []
        while low < last and len(events) < limit:
            numbers = {"$gt": low, "$lte": low + WINDOW}
            with answered():
                told = list(self._collection.find({"sweep_id": sweep_id, "seq": numbers}).sort("seq", 1))
            events += [
                Event(sweep_id, item["seq"], kind, item["at"], item["data"])
                for item in told
                if item["type"] == kind and begin <= item["at"] <= end
            ]
            if told and told[0]["at"] > end:
                break
            low += WINDOW
        return events[:limit]

    def prune(self, before: datetime) -> int:
        """Delete the events older than *before*; returns how many."""
        with answered():
            return int(self._collection.delete_many({"at": {"$lt": before}}).deleted_count)
