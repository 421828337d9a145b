"""The relay: follows the events of the sweeps that somebody watches, and sends them to their rooms.

A room has seen everything up to its number. Joining and relaying of one sweep exclude each other, so that a
browser gets, in order, what it missed and then what comes: without gap, without duplicate.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from engine.errors import StoreBroken, StoreError, StoreUnavailable
from engine.events import Event
from engine.points import reached
from engine.settings import Settings
from engine.store import Store, embedded
from engine.store.journal import lacks_room
from engine.store.leases import Watch
from webapp.services.daemon import ensure_daemon
from webapp.services.home import newest_ended, overview
from webapp.services.plain import plain
from webapp.services.sweeps import OPEN

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.05
OVERVIEW_BEATS = 20
OUTAGE_SECONDS = 1.0
CARE_SECONDS = 5.0
SILENT_SECONDS = 12.0
"""Without a renewal of a lease; an optimizer that is well renews it every 5 s."""
PAGE = 500
MOST_MISSED = 5000
"""A browser that missed more loads the page anew."""

HOME = "home"
NOTICES = "notices"
"""Browsers that show a notification when a sweep ends, on whatever page."""
ROOMS = frozenset({HOME, NOTICES})
"""Those that are no sweep's."""


class Emitter(Protocol):
    """What the relay needs of Flask-SocketIO."""

    def emit(self, event: str, *args: Any, **kwargs: Any) -> None: ...

    def sleep(self, seconds: float) -> None: ...


class Relay:
    """The rooms, who is in them, and how far each has been told."""

    def __init__(self, store: Store, emitter: Emitter, settings: Settings) -> None:
        self._store = store
        self._emitter = emitter
        self._settings = settings
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._members: dict[str, set[str]] = {}
        self._seen: dict[str, int] = {}
        self._watched = threading.Event()
        self._answering = True
        self._watch = Watch()
        self._silent: set[str] = set()
        self._overview: dict[str, Any] = {}
        self._ended: list[dict[str, Any]] = []

    def join(self, sweep_id: str, sid: str, after: int, enter: Callable[[], None]) -> dict[str, Any]:
        """Send client *sid* the events above *after*, then let it *enter* the room.

        Returns {"seq": the last number sent}, or {"reload": true} when what it missed cannot be sent in full:
        too much, deleted by age, or of another database.

        Raises:
            NotFound: there is no such sweep.
        """
        self._store.sweeps.get(sweep_id)
        with self._lock(sweep_id):
            if self._members.get(sweep_id):
                self._advance(sweep_id)
                upto = self._seen[sweep_id]
            else:
                upto = self._store.events.last(sweep_id)
            if after > upto or upto - after > MOST_MISSED:
                return {"reload": True}
            while after < upto:
                page = self._store.events.after(sweep_id, after, limit=min(PAGE, upto - after))
                if not page or page[0].seq != after + 1:
                    return {"reload": True}
                self._emitter.emit("events", to_json(sweep_id, page), to=sid)
                after = page[-1].seq
            enter()
            with self._guard:
                self._seen[sweep_id] = upto
                self._members.setdefault(sweep_id, set()).add(sid)
                self._watched.set()
        if sweep_id in self._silent:
            self._emitter.emit("owner", {"sweep": sweep_id, "silent": True}, to=sid)
        return {"seq": upto}

    def join_home(self, sid: str, enter: Callable[[], None]) -> dict[str, Any]:
        """Let client *sid* watch the home page; returns its present state."""
        self._enter(HOME, sid, enter)
        return {"overview": overview(self._store, datetime.now(UTC))}

    def join_notices(self, sid: str, enter: Callable[[], None]) -> dict[str, Any]:
        """Tell client *sid* which sweeps end; returns those that ended last."""
        self._enter(NOTICES, sid, enter)
        return {"ended": newest_ended(self._store)}

    def _enter(self, room: str, sid: str, enter: Callable[[], None]) -> None:
        enter()
        with self._guard:
            self._members.setdefault(room, set()).add(sid)
            self._watched.set()

    def leave(self, sid: str) -> None:
        """Client *sid* watches nothing any more."""
        with self._guard:
            rooms = [room for room, members in self._members.items() if sid in members]
        for room in rooms:
            with self._lock(room), self._guard:
                members = self._members.get(room, set())
                members.discard(sid)
                if not members:
                    self._members.pop(room, None)
                    self._seen.pop(room, None)
        with self._guard:
            if not self._members:
                self._watched.clear()

    def watched(self) -> list[str]:
        """The sweeps that somebody watches."""
        with self._guard:
            return [room for room in self._members if room not in ROOMS]

    def run(self) -> None:
        """Relay for ever, and now and then see to the database and the daemon; else idle while nobody watches."""
        beat = 0
        cared = float("-inf")
        while True:
            if time.monotonic() - cared > CARE_SECONDS:
                cared = time.monotonic()
                self.care()
            if not self._watched.wait(CARE_SECONDS):
                continue
            self.turn(with_overview=beat % OVERVIEW_BEATS == 0)
            beat += 1
            self._emitter.sleep(BEAT_SECONDS if self._answering else OUTAGE_SECONDS)

    def turn(self, with_overview: bool = False) -> None:
        """Send every room what is new, once. An outage of the database is told and waited out."""
        try:
            if with_overview and self.watched():
                self._look_at_owners()
            for sweep_id in self.watched():
                with self._lock(sweep_id):
                    if self._members.get(sweep_id):
                        self._advance(sweep_id)
            if with_overview and self._members.get(HOME):
                self._send_overview()
            if with_overview and self._members.get(NOTICES):
                self._send_ended()
            self._answers(True)
        except StoreUnavailable as error:
            self._answers(False, str(error))
            self._revive(isinstance(error, StoreBroken))
        except StoreError:
            log.exception("the relay skips a beat")
        except Exception:
            log.exception("the relay met an unexpected error and goes on")

    def _advance(self, sweep_id: str) -> None:
        """Send a room its next events; its lock is held."""
        while page := self._store.events.after(sweep_id, self._seen[sweep_id], limit=PAGE):
            self._emitter.emit("events", to_json(sweep_id, page), to=sweep_id)
            reached("events-relayed")
            self._seen[sweep_id] = page[-1].seq

    def _look_at_owners(self) -> None:
        """Tell the rooms of sweeps whose optimizer renews its lease no longer, and of those that are heard of again."""
        leases = self._store.sweeps.leases()
        ages = self._watch.ages({key: (one["fence"], one["until"]) for key, one in leases.items()}, time.monotonic())
        silent = {sweep_id for sweep_id, age in ages.items() if age > SILENT_SECONDS}
        for sweep_id in self.watched():
            if (sweep_id in silent) != (sweep_id in self._silent):
                self._emitter.emit("owner", {"sweep": sweep_id, "silent": sweep_id in silent}, to=sweep_id)
        self._silent = silent

    def _send_overview(self) -> None:
        now = overview(self._store, datetime.now(UTC))
        if now != self._overview:
            self._overview = now
            self._emitter.emit("overview", now, to=HOME)

    def _send_ended(self) -> None:
        now = newest_ended(self._store)
        if now != self._ended:
            self._ended = now
            self._emitter.emit("ended", now, to=NOTICES)

    def _answers(self, answering: bool, error: str = "") -> None:
        """Tell every room when the database falls silent or answers again."""
        if answering == self._answering:
            return
        self._answering = answering
        log.warning("the database answers again" if answering else f"the relay waits: {error}")
        for room in (*self.watched(), HOME):
            self._emitter.emit("database", {"ok": answering}, to=room)

    def care(self) -> None:
        """See that the database runs, and a daemon where sweeps wait for one: either may have died."""
        self._revive()
        try:
            if self._store.sweeps.recent(1, OPEN) or self._store.notices.waiting():
                ensure_daemon(self._settings, self._store, datetime.now(UTC))
        except StoreBroken:
            self._revive(broken=True)
        except (StoreError, OSError) as error:
            log.warning("the daemon cannot be seen to: %s", error)
        except Exception:
            log.exception("the daemon cannot be seen to")

    def _revive(self, broken: bool = False) -> None:
        """Start the embedded database again where its process has died, or is *broken* and its disk has room."""
        folder = self._settings.data_dir
        if not self._settings.embedded or (broken and lacks_room(folder)):
            return
        found = embedded.recorded(folder)
        if found is not None and (broken or not found.alive()):
            try:
                if broken:
                    log.warning("the embedded database has failed, and is started anew")
                    embedded.restart(folder)
                else:
                    embedded.start(folder)
            except (StoreUnavailable, OSError) as error:
                log.warning("the embedded database cannot be started again: %s", error)

    def _lock(self, sweep_id: str) -> threading.Lock:
        return self._locks.setdefault(sweep_id, threading.Lock())


def to_json(sweep_id: str, events: list[Event]) -> dict[str, Any]:
    """Events as the browser gets them: {sweep, events: [{seq, type, at, data}, …]}."""
    return {"sweep": sweep_id, "events": [plain(event.to_json()) for event in events]}
