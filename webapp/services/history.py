"""The history's list: any Sacred run of any experiment, whatever its document holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bson.errors import BSONError

from engine.errors import StoreError
from engine.store import Store
from webapp.services.plain import aware
from webapp.services.runs import LEGEND, RunRow, row

PAGE = 50


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """What templates/history/index.html shows: runs, newest first, and where older ones begin."""

    rows: Sequence[RunRow]
    older: str
    first: bool
    legend: Mapping[str, str]


def index(store: Store, before: str, now: datetime) -> HistoryPage:
    """The runs that began before *before* (ISO 8601; anything else: the newest)."""
    start = _moment(before)
    try:
        found = store.runs.page(PAGE + 1, start)
    except (BSONError, OverflowError) as error:
        raise StoreError(f"a run cannot be read: {error}") from error
    rows = [row(run, now) for run in found[:PAGE]]
    older = rows[-1].started.isoformat() if len(found) > PAGE and rows[-1].started else ""
    return HistoryPage(rows, older, start is None, LEGEND)


def _moment(text: str) -> datetime | None:
    try:
        return aware(datetime.fromisoformat(text.replace(" ", "+"))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
