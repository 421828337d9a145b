"""The pages of single runs, kept up to date: whoever writes the run, it tells of itself by its heartbeats.

A watched run is asked for its state and heartbeat a few times a second; only when these have changed, for what it has
written since: output from a place on, points of metrics from a number on. Joining and telling of one run exclude each
other, so that a browser gets all of it, in order, once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.errors import StoreError, StoreUnavailable
from engine.store.run_parts import RunParts
from webapp.realtime.outages import Outages
from webapp.realtime.relay import Emitter
from webapp.services import run_metrics, run_output
from webapp.services.histories import OWN
from webapp.services.run_page import news
from webapp.services.runs import date, find

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.3
LATE_SECONDS = 2.0
"""Output and metrics of a run that goes on are looked for so often even without a heartbeat: some write them apart."""
OVER_SECONDS = 5.0
"""A run that has ended is looked at so often."""
OUTAGE_SECONDS = 2.0
IDLE_SECONDS = 5.0
KNOWN = 200
"""Characters before the new ones that are compared, to see whether what was written has changed."""
MOST_POINTS = 2000
"""Of one metric in one message; a page asks for more by itself."""
GOES_ON = ("RUNNING", "QUEUED")


@dataclass(slots=True)
class Room:
    """The browsers that look at one run, and what they have been told: output up to *end*, of which the last
    characters are *known*, and so many points of each metric."""

    database: str
    parts: RunParts
    run_id: Any
    text: str
    beat: Mapping[str, Any]
    end: int
    known: str
    metrics: dict[str, int]
    told: dict[str, Any]
    looked: float = 0.0
    members: set[str] = field(default_factory=set)


class RunPages:
    """The runs that somebody looks at."""

    def __init__(self, parts_of: Callable[[str], RunParts], emitter: Emitter) -> None:
        """*parts_of* gives the runs of the database of that name."""
        self._parts_of = parts_of
        self._emitter = emitter
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._rooms: dict[str, Room] = {}
        self._watched = threading.Event()
        self._followed: set[str] = set()
        self._outages = Outages(emitter)

    def join(self, message: Any, sid: str, enter: Callable[[str], None]) -> dict[str, Any]:
        """Let client *sid* look at a run. *message* is {run, output, database}: its id, where the client's output
        ends, and the name of its database unless it is NHOP's own.

        Sends what was written after that, and returns {news, metrics: {name: how many points}}.

        Raises:
            NotFound: there is no such run or database.
        """
        given = message if isinstance(message, dict) else {}
        text, after, database = given.get("run"), given.get("output"), given.get("database", OWN)
        if not (isinstance(text, str) and isinstance(database, str) and type(after) is int and after >= 0):
            return {"error": "`run` must be the id of a run, and `output` a number of at least 0"}
        parts = self._parts_of(database)
        run_id = find(parts, text)["_id"]
        name = f"run:{database}:{text}"
        with self._locks.setdefault(name, threading.Lock()):
            room = self._rooms.get(name)
            if room is None:
                room = self._open(database, parts, run_id, text)
            else:
                self._advance(name, room)
            self._send_output(room, after, room.end, sid)
            enter(name)
            with self._guard:
                self._rooms[name] = room
                room.members.add(sid)
                self._watched.set()
        return {"news": room.told, "metrics": dict(room.metrics)}

    def leave(self, sid: str) -> None:
        """Client *sid* looks at nothing any more."""
        with self._guard:
            for name in [name for name, room in self._rooms.items() if sid in room.members]:
                self._rooms[name].members.discard(sid)
                if not self._rooms[name].members:
                    del self._rooms[name]
            if not self._rooms:
                self._watched.clear()

    def run(self) -> None:
        """Keep the pages up to date for ever, those of each database by a thread of their own: a silent one holds up no
        other. Idle while nobody looks."""
        while True:
            if self._watched.wait(IDLE_SECONDS):
                with self._guard:
                    new = {room.database for room in self._rooms.values()} - self._followed
                    self._followed |= new
                for database in new:
                    threading.Thread(target=self._follow, args=(database,), daemon=True).start()
                self._emitter.sleep(BEAT_SECONDS)

    def _follow(self, database: str) -> None:
        while True:
            with self._guard:
                if not any(room.database == database for room in self._rooms.values()):
                    self._followed.discard(database)
                    self._outages.forget(database)
                    return
            self._emitter.sleep(BEAT_SECONDS if self.turn(database) else OUTAGE_SECONDS)

    def turn(self, database: str = OWN) -> bool:
        """Tell every room of a database what is new, once; False: it does not answer, or not as it should."""
        with self._guard:
            rooms = [(name, room) for name, room in self._rooms.items() if room.database == database]
        try:
            parts = self._parts_of(database)  # anew: it keeps the connection open, which may have been changed
        except StoreError as error:
            log.warning("the pages of the runs of %r wait: %s", database, error)
            self._outages.tell(database, True, self._names_of(database))
            return False
        well = True
        for name, room in rooms:
            try:
                with self._locks.setdefault(name, threading.Lock()):
                    if room.members:
                        room.parts = parts
                        self._advance(name, room)
            except StoreUnavailable as error:
                log.warning("the pages of runs wait: %s", error)
                self._outages.tell(database, True, self._names_of(database))
                return False
            except StoreError as error:
                log.warning("run %s cannot be followed just now: %s", room.text, error)
                well = False
            except Exception:
                log.exception("run %s met an unexpected error; its page waits", room.text)
                well = False
        self._outages.tell(database, False, self._names_of(database))
        return well

    def _names_of(self, database: str) -> list[str]:
        with self._guard:
            return [name for name, room in self._rooms.items() if room.database == database]

    @staticmethod
    def _open(database: str, parts: RunParts, run_id: Any, text: str) -> Room:
        beat = parts.beat(run_id) or {}
        end = parts.output_length(run_id) or 0
        metrics = {run_metrics.name_of(one): one["n"] for one in parts.metric_lengths(run_id)}
        told = {"run": text, **news({"_id": run_id, **beat}, datetime.now(UTC))}
        return Room(
            database, parts, run_id, text, beat, end, _before(parts, run_id, end), metrics, told, time.monotonic()
        )

    def _advance(self, name: str, room: Room) -> None:
        """Tell a room what is new; its lock is held."""
        since = time.monotonic() - room.looked
        goes_on = room.beat.get("status") in GOES_ON
        if not goes_on and since < OVER_SECONDS:
            return
        beat = room.parts.beat(room.run_id)
        if beat is None:
            return
        if beat != room.beat or since > LATE_SECONDS:
            room.looked = time.monotonic()
            self._tell_output(name, room)
            self._tell_metrics(name, room, date(beat.get("start_time")))
            room.beat = beat
        told = {"run": room.text, **news({"_id": room.run_id, **beat}, datetime.now(UTC))}
        if told != room.told:
            room.told = told
            self._emitter.emit("run", told, to=name)

    def _tell_output(self, name: str, room: Room) -> None:
        """Send what was written: of an output of megabytes each look costs a reading of all of it, so there are two."""
        start, end = room.end, room.parts.output_length(room.run_id) or 0
        begin = max(0, start - KNOWN)
        read = (
            room.parts.output(room.run_id, begin, min(end - begin, KNOWN + run_output.LONGEST)) if end > begin else ""
        )
        known, new = read[: start - begin], read[start - begin :]
        if known != room.known or end - start > run_output.LONGEST:
            self._send_output(room, -1, end, name)
            room.known = _before(room.parts, room.run_id, end)
        elif new:
            told = {"run": room.text, "anew": False, "text": new, "start": start, "end": end}
            self._emitter.emit("run_output", told, to=name)
            room.known = (known + new)[-KNOWN:]
        room.end = end

    def _send_output(self, room: Room, start: int, end: int, to: str) -> None:
        """Send the output from *start* to *end*; only its end, in place of everything, where that is too much or
        *start* is none of its places."""
        if start == end:
            return
        if 0 <= start < end and end - start <= run_output.LONGEST:
            part = {"text": room.parts.output(room.run_id, start, end - start), "start": start, "end": end}
        else:
            last = run_output.before(room.parts, room.run_id, end, end)
            part = {"text": last.text, "start": last.start, "end": last.end}
        self._emitter.emit("run_output", {"run": room.text, "anew": part["start"] != start, **part}, to=to)

    def _tell_metrics(self, name: str, room: Room, started: datetime | None) -> None:
        news = []
        for metric in room.parts.metric_lengths(room.run_id):
            called, count = run_metrics.name_of(metric), metric["n"]
            before = room.metrics.get(called, 0)
            if count == before:
                continue
            start = before if before < count <= before + MOST_POINTS else count
            news.append(run_metrics.new_points(room.parts, metric, start, started))
            room.metrics[called] = count
        if news:
            self._emitter.emit("run_metrics", {"run": room.text, "metrics": news}, to=name)


def _before(parts: RunParts, run_id: Any, end: int) -> str:
    """What was written just before *end*."""
    start = max(0, end - KNOWN)
    return parts.output(run_id, start, end - start) if end else ""
