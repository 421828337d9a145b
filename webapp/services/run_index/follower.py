"""The follower: keeps the index of a database's runs up to date, whoever writes them.

It reads by id, in small groups, and needs no index and no right to write. What is new or still open is looked at in
every turn; what costs the database more, such as counting or listing all runs, as rarely as its price demands. In
between it goes round all runs, a few at a time, and so notices what others have edited.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from engine.errors import StoreError
from engine.store.run_reader import RunReader
from webapp.services.run_index.fields import AT, EPOCH, Curve, Row, Value, at_step, id_of, key_of, row, text, words
from webapp.services.run_index.index import Index, OpenRun, Points, apart

log = logging.getLogger(__name__)
T = TypeVar("T")

GROUP = 25
METRICS = 10
"""Runs, and metrics, that are read at once: a few milliseconds of work."""
TURN_SECONDS = 0.2
"""The longest that a turn works off what is waiting."""
SHARE = 200.0
"""Counting, and listing everything, may take one part in so many of the time."""
COUNT_SECONDS, ROUND_SECONDS, SILENT_SECONDS = 1.0, 2.0, 10.0
"""At least so long between two counts, two steps of the round, two looks at a silent run."""
SLACK = timedelta(minutes=5)
"""A run's start may lie so much before that of one that was seen earlier."""
AHEAD = 20
"""Whole numbers beyond the largest id that may be the next runs."""
LARGEST = 2**63
MOST_COUNTED = 5000
"""Beyond this a database that reads every document to count them is not asked to: nobody else would be answered."""
MOST_KNOWN = 10_000
"""Ids that are looked up at once; of more, the first build, none is known."""
LONGEST_METRIC = 100
MOST_STEPS = 40
USED_SECONDS = 3600.0
"""So many columns of metrics at a step are kept; one that nobody has asked for so long gives way to another."""

Beside = Callable[[Sequence[Row]], Mapping[str, Mapping[str, Value]]]
"""What is known of runs beside their documents: fields by a run's key."""


@dataclass(frozen=True, slots=True)
class News:
    """What a turn has found: rows that have changed, those of them that are new or in another state, and rows gone."""

    changed: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the index is: runs in it, and runs and metrics that are still to be read. *ready*: it was once whole."""

    runs: int
    waiting: int
    metrics: int
    ready: bool


class Follower:
    """Follows one database into one index."""

    def __init__(
        self, reader: RunReader, index: Index, beside: Beside = lambda _: {}, counts_fast: bool = True
    ) -> None:
        self.index = index
        self._counts_fast = counts_fast
        self._reader = reader
        self._beside = beside
        self._guard = threading.Lock()
        self._waiting: dict[str, None] = {}
        self._metrics: dict[str, bool] = {}  # whether to read them from their first point
        self._poked: deque[str] = deque()
        self._asked: deque[tuple[str, int]] = deque()
        self._odd: set[str] = set()
        """Runs that cannot be read in full, and have been told of."""
        self._used: dict[tuple[str, int], float] = {}
        """When each metric at a step was asked for the last time."""
        self._indexed: dict[str, bool] = {}
        self._due: dict[str, float] = {}
        self._settled = (-1, -1)
        self._settled_metrics = -1
        self._round = 0
        self._hasty = False
        self._complete = False
        self._size = -1
        self._size_of = -1

    def turn(self, now: float, whole: bool = False) -> News:
        """Look for what is new and read it; *now* is in seconds since 1970. *whole*: read everything anew.

        Raises:
            StoreError: the database does not answer; the next turn goes on.
        """
        with self._guard:
            try:
                return self._turn(now, whole)
            except sqlite3.OperationalError as error:
                raise StoreError(f"the index of the runs cannot be written: {error}") from error
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:
                    raise
                log.warning("the index of the runs is built anew: %s", error)
                self._forget()
                return News()

    def poke(self, key: str) -> None:
        """Read a run again in the next turn."""
        self._poked.append(key)

    def is_behind(self) -> bool:
        """Whether runs are known that are to be read, but for their metrics."""
        return bool(self._poked or self._waiting)

    def keep(self, fields: Sequence[str]) -> None:
        """See to it that these fields exist where they are metrics at a step."""
        for field in fields:
            asked = AT.fullmatch(field)
            if asked and self.index.number(f"metrics.{asked['name']}.count") is not None:
                self._asked.append((asked["name"], int(asked["step"])))

    def lacks(self, fields: Sequence[str]) -> list[str]:
        """Those of these fields that are metrics at a step whose values are not kept, or still to be read."""
        steps, found = self.index.steps(), []
        for field in fields:
            asked = AT.fullmatch(field)
            if asked is None or self.index.number(f"metrics.{(name := asked['name'])}.count") is None:
                continue
            waits = any(self._metrics.get(curve) for curve in self.index.curve_ids(name))
            if waits or int(asked["step"]) not in steps.get(name, ()):
                found.append(field)
        return found

    def is_out_of_steps(self) -> bool:
        """Whether no more metrics at a step can be kept for now."""
        now = time.monotonic()
        return sum(now - at < USED_SECONDS for at in self._used.values()) >= MOST_STEPS

    def progress(self) -> Progress:
        """How far the index is."""
        if self._size_of != self.index.version:
            self._size_of, self._size = self.index.version, self.index.size()
        return Progress(self._size, len(self._waiting), len(self._metrics), self._complete and not self._waiting)

    def _turn(self, now: float, whole: bool) -> News:
        changed: dict[int, bool] = {}
        gone: list[int] = []
        if whole:
            self._due.clear()
            self._waiting |= dict.fromkeys(self.index.keys())
        changed |= dict.fromkeys(self._look_at_open(now), True)
        self._look_for_new()
        while self._poked:
            self._waiting[self._poked.popleft()] = None
        self._keep_steps()
        until = float("inf") if whole else time.monotonic() + TURN_SECONDS
        self._work_off(until, changed, gone)
        if not self._waiting:
            gone += self._count(whole)
            self._work_off(until, changed, gone)
        while self._metrics and not self._waiting and time.monotonic() < until:
            with _taken(self._metrics, METRICS) as wanted:
                changed = dict.fromkeys(self._read_metrics(wanted), False) | changed
        if not self._waiting and (self._hasty or self._is_due("round", ROUND_SECONDS)):
            gone += self._go_round()
            while self._hasty and time.monotonic() < until:
                gone += self._go_round()
        left = {n: moved for n, moved in changed.items() if n not in gone}
        return News(tuple(left), tuple(n for n, moved in left.items() if moved), tuple(gone))

    def _work_off(self, until: float, changed: dict[int, bool], gone: list[int]) -> None:
        """Read what is waiting, into *changed* and *gone*."""
        while self._waiting and time.monotonic() < until:
            with _taken(self._waiting, GROUP) as taken:
                fresh, lost = self._read(list(taken))
            changed |= {n: moved or changed.get(n, False) for n, moved in fresh.items()}
            gone += lost

    def _keep_steps(self) -> None:
        while self._asked:
            name, step = asked = self._asked.popleft()
            kept = [(name, step) for name, steps in self.index.steps().items() for step in steps]
            now = time.monotonic()
            if asked in kept:
                self._used[asked] = now
                continue
            if len(kept) >= MOST_STEPS:
                oldest = min(kept, key=lambda one: self._used.get(one, float("-inf")))
                if now - self._used.get(oldest, float("-inf")) < USED_SECONDS:
                    continue
                self._used.pop(oldest, None)
                apart(partial(self.index.drop_step, *oldest))
            self._used[asked] = now
            apart(partial(self.index.ask_step, name, step))
            self._metrics |= dict.fromkeys(self.index.curve_ids(name), True)

    # what may have changed

    def _look_at_open(self, now: float) -> list[int]:
        """Read the open runs that have had a heartbeat; the rows of those that died since the last turn."""
        known = self.index.open_runs()
        silent = self._is_due("silent", SILENT_SECONDS)
        before, self._due["died"] = self._due.get("died", now), now
        watched = [run for run in known if silent or not _is_silent(run, now)]
        found = {key_of(brief["_id"]): brief for brief in self._reader.briefs([id_of(run.key) for run in watched])}
        for run in watched:
            if run.key not in found or not _same(run, found[run.key]):
                self._waiting[run.key] = None
        return [run.n for run in known if run.deadline is not None and before <= run.deadline < now]

    def _look_for_new(self) -> None:
        """Queue runs with the next whole numbers as ids, and where starts are indexed those that began lately."""
        found = self._next_numbers(self.index.largest_id() + 1)
        newest = self.index.newest_start()
        if newest is not None and self._has_index("runs", "start_time"):
            found += self._reader.begun_since(EPOCH + timedelta(seconds=newest) - SLACK)
        if found:
            known = self.index.known([key_of(run_id) for run_id in found[:MOST_KNOWN]])
            self._waiting |= {key: None for run_id in found if (key := key_of(run_id)) not in known}

    def _next_numbers(self, first: int) -> list[Any]:
        """The ids from *first* on, the largest first. Of many at once it is found out where they end, not which are
        missing: a list of all ids costs some databases as much as reading every document."""
        last, beyond, step = -1, first, AHEAD
        while beyond < LARGEST - AHEAD and self._reader.existing(range(beyond, beyond + AHEAD)):
            last, beyond, step = beyond, beyond + step, 2 * step
        if last < 0:
            return []
        while beyond - last > AHEAD:
            middle = (last + beyond) // 2
            if self._reader.existing(range(middle, middle + AHEAD)):
                last = middle
            else:
                beyond = middle
        numbers = range(beyond + AHEAD - 1, first - 1, -1)
        return self._reader.existing(numbers)[::-1] if len(numbers) <= 2 * AHEAD else list(numbers)

    def _count(self, whole: bool) -> list[int]:
        """Count, and find out more where it is not what is known; the rows that are gone."""
        if not self._is_due("count", COUNT_SECONDS):
            return []
        if not whole and not self._counts_fast and self.index.size() > MOST_COUNTED:
            self._complete = True
            return []
        begun = time.monotonic()
        count, size = self._reader.count(), self.index.size()
        unknown = (count, size) != self._settled
        gone: list[int] = []
        if whole or (count > size and unknown):
            gone = self._list()
        elif count < size and unknown:
            self._round, self._hasty = 0, True
        self._settled, self._complete = (count, size), True
        if not self._has_index("metrics", "run_id"):
            self._list_metrics()
        self._postpone("count", max(COUNT_SECONDS, SHARE * (time.monotonic() - begun)))
        return gone

    def _list(self) -> list[int]:
        """Queue every run that is not known, the newest first; the rows that are gone."""
        known = self.index.keys()
        there = [key_of(run_id) for run_id in self._reader.ids()]
        self._waiting |= dict.fromkeys(key for key in reversed(there) if key not in known)
        gone = known.keys() - set(there)
        return apart(partial(self.index.drop, gone)) if gone else []

    def _list_metrics(self) -> None:
        """Find metrics of which no run's document tells, and those that are gone."""
        count = self._reader.metric_count()
        if count == self._settled_metrics:
            return
        self._settled_metrics = count
        there = {key_of(metric_id) for metric_id in self._reader.metric_ids()}
        known = self.index.curve_ids()
        self._metrics |= dict.fromkeys(there - known, True)
        if known - there:
            apart(partial(self.index.drop_curves, known - there))

    def _go_round(self) -> list[int]:
        """Read the next few runs again; the rows of those that are gone. Those that have changed are queued."""
        some = self.index.some_keys(self._round, GROUP)
        self._round = some[-1][0] if len(some) == GROUP else 0
        self._hasty = self._hasty and self._round > 0
        found = {key_of(document["_id"]): document for document in self._reader.rows([id_of(key) for _, key in some])}
        lost = [key for _, key in some if key not in found]
        rows = self._rows(list(found.values()))
        same = self.index.same(rows)
        self._waiting |= dict.fromkeys(key for key in found if key not in same)
        return apart(partial(self.index.drop, lost)) if lost else []

    # reading

    def _rows(self, documents: Sequence[Mapping[str, Any]]) -> list[Row]:
        rows = list(map(self._row, documents))
        beside = self._beside(rows)
        return [
            replace(found, cells=(cells := {**found.cells, **beside[found.key]}), words=words(cells))
            if found.key in beside
            else found
            for found in rows
        ]

    def _row(self, document: Mapping[str, Any]) -> Row:
        """What the index keeps of a run; where it holds what nobody has thought of, at least that it is there."""
        try:
            return row(dict(document))
        except Exception:
            key = key_of(document["_id"])
            if key not in self._odd:
                self._odd.add(key)
                log.exception("run %s cannot be read in full", key[:100])
            return row({"_id": document["_id"]})

    def _read(self, keys: Sequence[str]) -> tuple[dict[int, bool], list[int]]:
        """Take over these runs as they are now: rows that have changed, as Index.put tells them, and rows gone."""
        rows = self._rows(self._reader.rows([id_of(key) for key in keys]))
        changed = apart(partial(self.index.put, rows))
        there = {found.key for found in rows}
        lost = self.index.known([key for key in keys if key not in there]).keys()
        gone = apart(partial(self.index.drop, lost)) if lost else []
        if rows:
            self._queue_metrics(rows)
        return changed, gone

    def _queue_metrics(self, rows: Sequence[Row]) -> None:
        """Those of runs that have changed: their documents tell, or an index, or what was read before."""
        found: dict[str, bool] = {}
        bare: list[Any] = []
        known = self.index.known([run.key for run in rows])
        for run in rows:
            of_run = {*map(key_of, run.metrics), *self.index.curves_of(known[run.key])}
            found |= dict.fromkeys(of_run, not run.open)
            if not run.metrics:
                bare.append(id_of(run.key))
        if bare and self._has_index("metrics", "run_id"):
            for metric_id in self._reader.metrics_of(bare):
                found.setdefault(key_of(metric_id), True)
        self._metrics |= {key: whole or self._metrics.get(key, False) for key, whole in found.items()}

    def _read_metrics(self, wanted: Mapping[str, bool]) -> list[int]:
        """Take over these metrics; the rows of their runs. What is read from its first point counts anew."""
        known = self.index.curves([key for key, whole in wanted.items() if not whole])
        fresh = [key for key in wanted if key not in known]
        documents = [(document, Curve()) for document in self._reader.metrics([id_of(key) for key in fresh])]
        for key, curve in known.items():
            documents += [(document, curve) for document in self._reader.metrics([id_of(key)], curve.count)]
        steps = self.index.steps()
        points: list[Points] = []
        for document, curve in documents:
            values = document.get("values")
            curve.add(values)
            name = text(document.get("name"))[:LONGEST_METRIC]
            asked = {step: at_step(document.get("steps"), values, step) for step in steps.get(name, ())}
            given = {step: value for step, value in asked.items() if value is not None}
            points.append(Points(key_of(document["_id"]), key_of(document.get("run_id")), name, curve, given))
        there = {found.id for found in points}
        lost = [key for key in wanted if key not in there]
        changed = apart(partial(self.index.put_curves, points))
        return changed + (apart(partial(self.index.drop_curves, lost)) if lost else [])

    # pace

    def _has_index(self, collection: str, field: str) -> bool:
        if collection not in self._indexed:
            try:
                self._indexed[collection] = self._reader.has_index(collection, field)
            except StoreError:
                self._indexed[collection] = False
        return self._indexed[collection]

    def _is_due(self, what: str, seconds: float) -> bool:
        if time.monotonic() < self._due.get(what, 0.0):
            return False
        self._postpone(what, seconds)
        return True

    def _postpone(self, what: str, seconds: float) -> None:
        self._due[what] = time.monotonic() + seconds

    def _forget(self) -> None:
        """Begin anew, with an empty index."""
        self.index.rebuild()
        self._waiting.clear()
        self._metrics.clear()
        self._due.clear()
        self._complete, self._hasty, self._round = False, False, 0
        self._settled, self._settled_metrics = (-1, -1), -1


@contextmanager
def _taken(waiting: dict[str, T], count: int) -> Iterator[dict[str, T]]:
    """The first *count* of what is waiting; they wait again when the work with them fails."""
    taken = {key: waiting.pop(key) for key in list(islice(waiting, count))}
    try:
        yield taken
    except BaseException:
        waiting |= taken
        raise


def _is_silent(run: OpenRun, now: float) -> bool:
    return run.status == "running" and (run.deadline is None or run.deadline < now)


def _same(run: OpenRun, brief: Mapping[str, Any]) -> bool:
    found = row(brief)
    return found.status == run.status and found.beat == run.beat
