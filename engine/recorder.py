"""The recorder: carries what happens in a sweep to the database, in its own thread.

The optimizer never waits for the database. What must not be lost goes to the journal first; everything goes to
the database a few times a second, merged, in an order that keeps a reader's view consistent: documents before the
events that announce them. While the database is silent all of it waits here, and the sweep goes on; while the disk is
full, or so much waits, or another machine may take the sweep, it is held.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engine.domain import ENDED, SweepState, Trial, TrialState, Wishes
from engine.errors import JournalError, LeaseLost, StoreError, StoreUnavailable, clipped
from engine.events import EventType
from engine.points import reached
from engine.store import Store
from engine.store.columns import block_of
from engine.store.events import draft
from engine.store.journal import Journal, Record, lacks_room
from engine.store.metrics import Metrics
from engine.store.sweeps import WISHES
from engine.store.sweeps import public as public_sweep
from engine.store.trials import public as public_trial
from engine.store.trials import to_document

FLUSH_SECONDS = 0.25
"""Between two writes: at most four messages a second reach the page."""
LEASE = timedelta(seconds=20)
RENEW_SECONDS = 5.0
LOOK_SECONDS = 1.0
"""Between two looks at the disk."""
RETRY_SECONDS = 1.0
STEADY_SECONDS = 600.0
"""An optimizer that has run for so long forgives the earlier deaths."""
CURVE_SECONDS = 2.0
"""Between two writes of a running trial's curve."""
BATCH = 100
"""Trials in one call to the database."""
EVENTS = 200
"""Events in one call."""
BATCH_BYTES = 8_000_000
"""Of networks' parameters in one call, or those of one network; half of it after a call that took too long."""
MODELS_SECONDS = 6.0
"""The longest that one call with networks may take: a lease must outlast it."""
HOLD_SECONDS = 12.0
"""Without a renewal of the lease, where other machines use the database: the rest of the lease is for the chunks in
training to end."""
GONE_SECONDS = 900.0
"""Without a renewal of the lease: the process ends."""
MOST_POINTS = 500
"""Of a trial's curve that wait to be told; older ones are left out: the trial itself has its curve."""
MOST_WAITING = 5000
"""Events that may wait for the database before the sweep is held."""
HELD_BY_SILENCE = "the database does not answer, and another machine may take the sweep over; no trial goes on"
HELD_BY_PLENTY = "the database has not answered for so long that no more results can wait for it; no trial goes on"
HELD_BY_DISK = "{}; the sweep waits, and goes on by itself when there is room"

MOST_LINES = 2000
"""Log lines that wait for the database; older ones are only in the log file."""

log = logging.getLogger("nhop.recorder")

Document = dict[str, Any]
K = TypeVar("K")
V = TypeVar("V")


class Recorder:
    """Records one sweep that this process owns under *fence*.

    Args:
        shared: other machines use the database too, and could take the sweep over.
    """

    def __init__(
        self, store: Store, sweep: Document, journal: Journal, clock: Callable[[], datetime], shared: bool = False
    ) -> None:
        self._store = store
        self._sweep = dict(sweep)
        self._id: str = sweep["_id"]
        self._fence: int = sweep["lease"]["fence"]
        self._shared = shared
        self._journal = journal
        self._journaling = threading.Lock()
        self._unwritten: deque[Record] = deque()
        self._no_room: str | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._trials: dict[int, Document] = {}
        self._running: dict[int, Trial] = {}
        self._blocks: set[int] = set()
        self._fields: Document = {}
        self._run_fields: Document = {}
        self.metrics = Metrics(store.runs, self._fence)
        """Of the Sacred run."""
        self._progress: dict[str, Document] = {}
        self._used: dict[str, list[int]] = {}
        self._used_told: dict[str, list[int]] = {}
        self._lines: list[Document] = []
        self._models: dict[int, Path] = {}
        self._report: Document | None = None
        self._drafts: list[Document] = []
        self._writing: list[Document] = []
        self._announced = True
        """Whether the documents are stored of which the events in `_writing` tell."""
        self._again = False
        self._batch_bytes = BATCH_BYTES
        self._models_alone = False
        """Whether all else that waited has been stored."""
        self._over = False
        self.wishes = Wishes(stop=bool(self._sweep.get("stop_requested")))
        """What the user wants of the sweep."""
        self.lost = threading.Event()
        """Set when another optimizer owns the sweep."""
        self._begun = steady()
        self._renewed: float | None = None
        """When the lease was last renewed: what counts is when that was asked for."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)

    @property
    def sweep(self) -> Document:
        """The sweep's document as this recorder knows it."""
        return self._sweep

    def start(self) -> None:
        self._thread.start()

    def set(self, **fields: Any) -> None:
        """Set fields of the sweep's document; the page learns of it."""
        with self._lock:
            self._sweep.update(fields)
            self._fields.update(fields)

    def event(self, kind: EventType, data: Mapping[str, Any]) -> None:
        """Tell the page."""
        with self._lock:
            self._drafts.append(draft(kind, data, self._clock()))

    def line(self, level: str, text: str) -> None:
        """A line of the sweep's log."""
        with self._lock:
            self._lines.append({"at": self._clock().isoformat(), "level": level, "text": clipped(text[:4000])})
            del self._lines[:-MOST_LINES]

    def used(self, used: Mapping[str, list[int]]) -> None:
        """What the processes use, as the data of a `resources` event; the page learns of it when it has changed."""
        with self._lock:
            self._used = dict(used)

    def begun(self, trial: Trial) -> None:
        """A trial is about to be given to a worker. The next process knows of it, even if this one dies at once."""
        with self._journaling, suppress(JournalError):
            if not self._unwritten:
                self._journal.append({"trial": to_document(trial, self._fence)}, wait=False)
        with self._lock:
            self._running[trial.number] = trial
            self._put(trial)

    def reached(self, trial: Trial) -> None:
        """A running trial's curve has a new last point."""
        with self._lock:
            entry = self._progress.setdefault(str(trial.number), {"step": 0, "points": []})
            entry["step"] = trial.step
            entry["points"].append(trial.curve[-1])
            del entry["points"][:-MOST_POINTS]

    def ended(self, trial: Trial) -> None:
        """A trial has ended, for good or for this attempt. On return its result is on this machine's disk; where that
        cannot be written, it waits here and the sweep is held."""
        document = to_document(trial, self._fence)
        if trial.state is not TrialState.QUEUED:
            self._write_down({"trial": document})
        with self._lock:
            self._running.pop(trial.number, None)
            self._progress.pop(str(trial.number), None)  # the event of its end has its curve
            self._put(trial)
        if trial.state is TrialState.COMPLETED and self._sweep["restarts"]:
            self.set(restarts=0)  # the optimizer gets on: earlier deaths no longer count against the sweep

    def model(self, number: int, path: Path) -> None:
        """A trial's network is to be kept: its parameters lie in *path*."""
        with self._lock:
            self._models[number] = path

    def report(self, document: Document) -> None:
        """The sweep's report, in place of the one before."""
        with self._lock:
            self._report = document

    def recorded(self, trial: Trial) -> None:
        """A trial that ended under an earlier process, whose end the database may not know."""
        with self._lock:
            self._put(trial)

    def stage_ended(self, index: int) -> None:
        """A stage is over; a resumed search does not take it up again."""
        self._write_down({"stage_ended": index})
        reached("stage-ended")

    @property
    def held(self) -> str | None:
        """Why no trial must go on for now; None: nothing stands in the way."""
        silent = steady() - (self._renewed or self._begun)
        if silent > GONE_SECONDS and self._shared:
            self.lost.set()
        if silent > HOLD_SECONDS and self._shared:
            return HELD_BY_SILENCE
        if self._no_room is not None:
            return HELD_BY_DISK.format(self._no_room)
        return HELD_BY_PLENTY if len(self._drafts) + len(self._writing) > MOST_WAITING else None

    def look_for_room(self) -> None:
        """Find out whether the disk takes more; write down what waits for it."""
        with self._journaling:
            self._write_what_waits(lacks_room(self._journal.path.parent))

    def _write_down(self, record: Record) -> None:
        """Put *record* on the disk, after those that wait for it."""
        with self._journaling:
            self._unwritten.append(record)
            self._write_what_waits(self._no_room)

    def _write_what_waits(self, trouble: str | None) -> None:
        try:
            while self._unwritten:
                self._journal.append(self._unwritten[0])
                self._unwritten.popleft()
        except JournalError as error:
            trouble = str(error)
        before, self._no_room = self._no_room, trouble
        if trouble is not None and before is None:
            log.error("%s", trouble)

    def close_edits(self, version: int, wait_seconds: float) -> bool:
        """Take no more edits of the sweep, if *version* is the newest; else the wishes are brought up to date.

        Raises:
            StoreUnavailable: the database was silent for *wait_seconds*.
        """
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                if self._store.sweeps.close_edits(self._id, self._fence, version):
                    return True
                self.wishes = self._store.sweeps.wishes(self._id, self.wishes)
                return False
            except StoreUnavailable:
                if time.monotonic() > deadline or self.lost.is_set():
                    raise
                time.sleep(RETRY_SECONDS)

    def run(self, fields: Mapping[str, Any]) -> None:
        """Set fields of the Sacred run's document."""
        with self._lock:
            self._run_fields.update(fields)

    def finish(self, state: SweepState, wait_seconds: float, **fields: Any) -> None:
        """Write everything, then move the sweep to its end.

        Raises:
            StoreUnavailable: the database was silent for *wait_seconds*; the journal still has every result.
            LeaseLost: another optimizer owns the sweep.
        """
        self._closing.set()
        self._thread.join()
        deadline = time.monotonic() + wait_seconds
        fields = {**fields, "held": None, "finished": self._clock()}
        if fields.get("error"):
            fields["error"] = clipped(fields["error"])
        finished = doubtful = False
        while not self.lost.is_set():
            try:
                if not finished:
                    if not (doubtful and self._has_ended(state)):
                        self._renew()
                        self._flush(running=False)
                        while self._models:
                            self._flush_models()
                        self._write_columns(None)
                        reached("sweep-finishing")
                        self._store.sweeps.finish(self._id, self._fence, state, fields)
                    finished = self._over = True
                    reached("sweep-finished", sweep=self._id, fence=self._fence)
                    self._sweep.update(fields, state=str(state))
                    with self._lock:
                        self._drafts.append(draft(EventType.SWEEP, self._told(), self._clock()))
                self._flush(running=False)
                return
            except LeaseLost:
                if finished or doubtful:
                    raise
                doubtful = True  # perhaps it was moved to its end by a call whose answer did not arrive
            except StoreUnavailable:
                if time.monotonic() > deadline and not self._gives_models_up():
                    raise
                time.sleep(RETRY_SECONDS)
        raise LeaseLost(f"sweep {self._id} is owned by another optimizer")

    def _gives_models_up(self) -> bool:
        """Whether nothing but networks is left, which the database takes too long to store; they are left out then."""
        if not self._models_alone or not self._models:
            return False
        log.error("the networks of trials %s could not be stored in time; they stay in %s",
                  ", ".join(map(str, sorted(self._models))), next(iter(self._models.values())).parent)  # fmt: skip
        self._models.clear()
        return True

    def _has_ended(self, state: SweepState) -> bool:
        """Whether the database has the end *state* by this optimizer."""
        sweep = self._store.sweeps.get(self._id)
        return bool(sweep["state"] == state and sweep["lease"]["fence"] == self._fence)

    def close(self) -> None:
        """Stop recording without ending the sweep; what waits is written if the database answers."""
        self._closing.set()
        self._thread.join()
        if not self.lost.is_set():
            with suppress(StoreError, LeaseLost):
                self._flush(running=False)

    def _told(self) -> Document:
        """The sweep as its page is told of it: what the user wishes is the web's to tell."""
        return {key: value for key, value in public_sweep(self._sweep).items() if key not in WISHES}

    def _put(self, trial: Trial) -> None:
        document = to_document(trial, self._fence)
        self._trials[trial.number] = document
        row = public_trial(document)
        if trial.state not in (TrialState.RUNNING, TrialState.QUEUED):
            row["curve"] = document["curve"]
        self._drafts.append(draft(EventType.TRIAL, row, self._clock()))

    def _work(self) -> None:
        curves = looked = float("-inf")
        silent_since: float | None = None
        while not self._closing.is_set() and not self.lost.is_set():
            now = time.monotonic()
            try:
                if self._unwritten or now - looked > LOOK_SECONDS:
                    looked = now
                    self.look_for_room()
                self._renew()  # first of all that is stored: after a long stop the sweep may be another's
                self.wishes = self._store.sweeps.wishes(self._id, self.wishes)
                with_curves = now - curves > CURVE_SECONDS
                self._flush(running=with_curves)
                if with_curves:
                    curves = now
                if silent_since is not None:
                    log.info("the database answers again after %.0f s; nothing was lost", now - silent_since)
                    silent_since = None
            except StoreUnavailable as error:
                if silent_since is None:
                    silent_since = now
                    log.warning("%s; the results wait in the journal", error)
                self._merge()
                self._closing.wait(RETRY_SECONDS)
            except LeaseLost as error:
                log.error("%s", error)
                self.lost.set()
            except StoreError as error:
                log.error("%s", error)
                self._merge()
                self._closing.wait(RETRY_SECONDS)
            except Exception:
                log.exception("the recorder met an unexpected error, and tries again")
                self._merge()
                self._closing.wait(RETRY_SECONDS)
            self._closing.wait(FLUSH_SECONDS)

    def _merge(self) -> None:
        """Of the events that wait keep those that no later one makes idle."""
        with self._lock:
            self._drafts = newest(self._drafts)
            if not self._announced:
                self._writing = newest(self._writing)

    def _renew(self, always: bool = False) -> None:
        """Keep the lease; before every batch, so that however much waits it is not lost while the database answers."""
        now = steady()
        if self._over:
            return
        if always or self._renewed is None or now - self._renewed > RENEW_SECONDS:
            self._store.sweeps.renew(self._id, self._fence, self._clock() + LEASE)
            self._renewed = now
            reached("lease-renewed", sweep=self._id, fence=self._fence)
            if self._sweep["restarts"] and now - self._begun > STEADY_SECONDS:
                self.set(restarts=0)

    def _flush(self, running: bool) -> None:
        """Write all that waits. What a failure leaves unwritten is written by the next call. Networks come before the
        documents of their trials, so that a machine that is lost leaves none without; where they take too long, they
        hold up nothing else."""
        self._models_alone, late = False, None
        if self._announced:
            self._flush_events()
        try:
            self._flush_models()
        except StoreUnavailable as error:
            late = error
        with self._lock:
            self._collect(running, self._announced)
            self._announced = False
            trials, fields = dict(self._trials), dict(self._fields)
            run_fields = dict(self._run_fields)
        for written in _batched(trials.items(), BATCH):
            self._renew()
            self._store.trials.put(*(document for _, document in written))
            reached("trials-stored", sweep=self._id, fence=self._fence, numbers=[number for number, _ in written])
            with self._lock:
                _remove_same(self._trials, dict(written))
        self._flush_columns(trials)
        self._flush_report()
        if fields:
            self._store.sweeps.update(self._id, self._fence, fields)
            reached("fields-stored", sweep=self._id, fence=self._fence)
            with self._lock:
                _remove_same(self._fields, fields)
        self._flush_run(run_fields)
        self._announced = True
        self._flush_events()
        self._models_alone = True
        if late is not None:
            raise late

    def _flush_events(self) -> None:
        """Write the events that `_collect` has put in order."""
        while self._writing:
            self._renew()
            again, self._again = self._again, True
            self._store.events.write(self._id, self._writing[:EVENTS], again=again, fence=self._fence)
            reached("events-stored", sweep=self._id, fence=self._fence)
            del self._writing[:EVENTS]
            self._again = False

    def _flush_columns(self, written: Iterable[int]) -> None:
        """Write the columns of the blocks that now seem to have ended; a block that has not comes here again."""
        self._blocks |= {block_of(number) for number in written}
        with self._lock:
            busy = {block_of(number) for number in self._running}
        for block in sorted(self._blocks - busy - {max(self._blocks, default=0)}):
            self._write_columns(block)
            self._blocks.discard(block)

    def _write_columns(self, block: int | None) -> None:
        """Write a block, or all that the sweep still lacks. What the database refuses is given up: it can be made from
        the trials at any time."""
        try:
            if block is None:
                self._store.columns.complete(self._id, self._fence)
            else:
                self._store.columns.write(self._id, block, self._fence)
        except (StoreUnavailable, LeaseLost):
            raise
        except StoreError as error:
            log.warning("the columns of the trials cannot be stored: %s", error)

    def _flush_models(self) -> None:
        """Store as many networks as one call takes, those that have waited longest."""
        with self._lock:
            waiting = list(self._models.items())
        written: dict[int, Path] = {}
        batch: dict[int, bytes] = {}
        for number, path in waiting:
            if sum(map(len, batch.values())) >= self._batch_bytes:
                break
            written[number] = path
            try:
                batch[number] = np.load(path, allow_pickle=False).tobytes()
            except FileNotFoundError:
                pass
            except (OSError, ValueError, EOFError) as error:  # its machine lost power, say
                log.error("the model of trial %d cannot be read, and is lost: %s: %s", number, path, error)
        if not written:
            return
        self._renew(always=True)
        try:
            too_large = self._store.models.put(self._id, batch, self._fence, MODELS_SECONDS)
        except StoreUnavailable:
            self._batch_bytes = max(1, self._batch_bytes // 2)
            with self._lock:
                again = {number: path for number, path in written.items() if self._models.get(number) is path}
                _remove_same(self._models, again)
                self._models.update(again)  # behind the others
            raise
        self._batch_bytes = BATCH_BYTES
        for number in too_large:
            path = written[number]
            log.warning("the model of trial %d is too large for the database; it stays in %s", number, path)
        with self._lock:
            _remove_same(self._models, written)

    def _flush_report(self) -> None:
        """A report that the database refuses is given up: a sweep does not end for it."""
        with self._lock:
            report = self._report
        if report is None:
            return
        try:
            self._store.reports.put(report)
        except (StoreUnavailable, LeaseLost):
            raise
        except Exception as error:  # too large, say
            log.warning("the report cannot be stored: %s", error)
        with self._lock:
            if self._report is report:
                self._report = None

    def _flush_run(self, fields: Document) -> None:
        run_id = self._sweep.get("run_id")
        if run_id is None:
            return
        listed = self.metrics.flush(run_id)
        if listed is not None:
            with self._lock:
                fields["info.metrics"] = self._run_fields["info.metrics"] = listed
        if fields:
            self._store.runs.update(run_id, fields, self._fence)
            with self._lock:
                _remove_same(self._run_fields, fields)

    def _collect(self, running: bool, whole: bool) -> None:
        """Turn what has gathered since the last write into documents and events; if not the *whole* of it, leave where
        they are merged those parts that only grow."""
        now = self._clock()
        if running:
            for number, trial in self._running.items():
                self._trials.setdefault(number, to_document(trial, self._fence))
        if whole and self._lines:
            self._writing.append(draft(EventType.LOG, {"lines": self._lines}, now))
            self._lines = []
        if whole and self._progress:
            self._writing.append(draft(EventType.PROGRESS, {"trials": self._progress}, now))
            self._progress = {}
        if whole and self._used != self._used_told:
            self._writing.append(draft(EventType.RESOURCES, {"processes": self._used}, now))
            self._used_told = self._used
        self._writing += self._drafts
        self._drafts = []
        if self._fields:
            self._writing.append(draft(EventType.SWEEP, self._told(), now))


def newest(drafts: Iterable[Document]) -> list[Document]:
    """Of *drafts* of events, in order, those that no later one makes idle: each carries whole values."""
    last: dict[tuple[str, Any], Document] = {}
    for place, item in enumerate(drafts):
        about = {EventType.TRIAL: ("number",), EventType.PROCESS: ("role", "index"), EventType.SWEEP: ()}
        names = about.get(EventType(item["type"]))
        key = (item["type"], place if names is None else tuple(item["data"].get(name) for name in names))
        last.pop(key, None)
        last[key] = item
    return list(last.values())


def steady() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _batched(items: Iterable[V], size: int) -> Iterator[list[V]]:
    """*items* in order, in lists of *size*, the last of them with what is left."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _remove_same(waiting: dict[K, V], written: Mapping[K, V]) -> None:
    """Take from *waiting* what was written, unless it has been set anew since."""
    for key, value in written.items():
        if waiting.get(key) is value:
            del waiting[key]


def tell_end(store: Store, sweep_id: str, fence: int, now: datetime) -> None:
    """Tell that a sweep has ended, for its optimizer of this *fence*, which may have died before it did; telling it
    twice changes nothing. A sweep that has not ended, or is another's, is left alone."""
    sweep = store.sweeps.get(sweep_id)
    if sweep["state"] in ENDED and sweep["lease"]["fence"] == fence:
        store.events.append(sweep_id, [(EventType.SWEEP, public_sweep(sweep), now)], fence)


def give_up(store: Store, sweep: Mapping[str, Any], error: str, now: datetime) -> None:
    """End a claimed sweep before, or instead of, running it: Sacred run, document and event. It has FAILED for this
    *error*, or was STOPPED where the user has stopped it before. What a silent database leaves undone is done by the
    next call, or by `tell_end`.

    Raises:
        LeaseLost: somebody else has it.
    """
    sweep_id, fence = sweep["_id"], sweep["lease"]["fence"]
    stopped = bool(sweep.get("stop_requested"))
    if sweep.get("run_id") is not None and store.runs.take(sweep["run_id"], fence):
        end = {"status": "INTERRUPTED"} if stopped else {"status": "FAILED", "fail_trace": [error]}
        store.runs.update(sweep["run_id"], {**end, "stop_time": now}, fence)
    state = SweepState.STOPPED if stopped else SweepState.FAILED
    store.sweeps.finish(sweep_id, fence, state, {"error": None if stopped else error, "finished": now, "held": None})
    tell_end(store, sweep_id, fence, now)
