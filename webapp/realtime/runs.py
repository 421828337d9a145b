"""The history's followers at work, and the browsers that watch the list of runs.

Browsers that ask the same of the list share a room. When a follower has found something, each room is sent the rows
that have changed, ready to be shown, and which of them are new to what it asks.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from flask import Flask, g, render_template

from engine.errors import NotFound, StoreError
from webapp.errors import QueryError
from webapp.realtime.outages import Outages
from webapp.realtime.relay import Emitter
from webapp.services import history as listing
from webapp.services.histories import OWN, Histories, History
from webapp.services.history import Asked
from webapp.services.run_index.follower import News
from webapp.services.run_index.query import Query

log = logging.getLogger(__name__)

WATCHED_SECONDS, IDLE_SECONDS, BUSY_SECONDS, OUTAGE_SECONDS = 0.3, 2.0, 0.02, 2.0
"""Between two turns: while somebody watches, while nobody does, while much is waiting, while the database is silent."""
TELL_SECONDS = 1.0
MOST_ROWS = 200
MOST_SHOWN, PART = 400, 100
"""Rows that a page shows at most; of so many at once it is told what they are now."""
LONGEST_QUERY = 8000


@dataclass(slots=True)
class Room:
    """Browsers that ask the same of the list."""

    asked: Asked
    members: set[str] = field(default_factory=set)


class RunWatcher:
    """Follows every database, and tells the rooms."""

    def __init__(self, app: Flask, histories: Histories, emitter: Emitter) -> None:
        self._app = app
        self._histories = histories
        self._emitter = emitter
        self._guard = threading.Lock()
        self._rooms: dict[str, Room] = {}
        self._told = 0.0
        self._stale: set[str] = set()
        """Rooms of which more has changed than is sent; they are told to ask for what they show."""
        self._running = False
        self._others: set[str] = set()
        self._outages = Outages(emitter)

    def join(self, message: Any, sid: str, enter: Callable[[str], None]) -> dict[str, Any]:
        """Let client *sid* watch what it asks; sends it what has changed since its page was made.

        *message* is {query, newest, version, shown}: what its address asks, the newest row that it knows of, the
        index's version then, and the rows that it shows.
        """
        given = message if isinstance(message, dict) else {}
        query, shown = given.get("query", ""), given.get("shown")
        newest, version = given.get("newest"), given.get("version")
        if not isinstance(query, str) or len(query) > LONGEST_QUERY:
            return {"error": "`query` must be what stands after the question mark of the list's address"}
        try:
            asked = Asked.of(dict(parse_qsl(query)))
            asked.query, asked.shown  # noqa: B018 - says whether they are understood
        except QueryError as error:
            return {"error": str(error)}
        name = f"runs:{hashlib.blake2b(asked.address().encode(), digest_size=12).hexdigest()}"
        history = self._histories.get(asked.database)
        enter(name)
        with self._guard:
            self._rooms.setdefault(name, Room(asked)).members.add(sid)
        index = history.index
        now = datetime.now(UTC)
        if version != index.version:
            rows = [n for n in shown if type(n) is int][:MOST_SHOWN] if isinstance(shown, list) else []
            there = set(index.existing(rows))
            fresh = index.after(newest, MOST_ROWS) if type(newest) is int and 0 <= newest < 2**62 else []
            some = [n for n in rows if n in there]
            parts = [News(tuple(some[at : at + PART])) for at in range(0, len(some), PART)]
            last = News(tuple(fresh), tuple(fresh), tuple(n for n in rows if n not in there))
            for news in (*parts, last):
                self._emitter.emit("runs", self._message(history, asked, news, now), to=sid)
        history.wanted.set()
        self._follow(asked.database)
        return {"retry": True} if history.silent else {"ok": True}

    def leave(self, sid: str) -> None:
        """Client *sid* watches nothing any more."""
        with self._guard:
            for name in [name for name, room in self._rooms.items() if sid in room.members]:
                self._rooms[name].members.discard(sid)
                if not self._rooms[name].members:
                    del self._rooms[name]
                    self._stale.discard(name)

    def run(self) -> None:
        """Follow our own database for ever, and others while somebody watches them."""
        own = self._histories.get(OWN)
        own.followed = self._running = True
        while True:
            own.wanted.clear()
            own.wanted.wait(self.turn(datetime.now(UTC)))

    def _follow(self, name: str) -> None:
        """Follow another database in a thread of its own, so that its silence is nobody else's."""
        with self._guard:
            if name == OWN or name in self._others or not self._running:
                return
            self._others.add(name)
        threading.Thread(target=self._follow_on, args=(name,), daemon=True).start()

    def _follow_on(self, name: str) -> None:
        history: History | None = None
        try:
            while self._rooms_of(name):
                try:
                    history = self._histories.get(name)
                except NotFound as error:
                    log.warning("the database %s is no longer followed: %s", name, error)
                    self._outages.tell(name, True, self._rooms_of(name))
                    return
                except StoreError as error:  # our own database is silent, or its address is not found just now
                    log.warning("the database %s is not followed just now: %s", name, error)
                    self._outages.tell(name, True, self._rooms_of(name))
                    self._emitter.sleep(OUTAGE_SECONDS)
                    continue
                history.followed = True
                self._emitter.sleep(self.turn(datetime.now(UTC), name))
        finally:
            if history is not None:
                history.followed = False
            self._outages.forget(name)
            with self._guard:
                self._others.discard(name)

    def _rooms_of(self, name: str) -> dict[str, Room]:
        with self._guard:
            return {key: room for key, room in self._rooms.items() if room.asked.database == name}

    def turn(self, now: datetime, name: str = OWN) -> float:
        """Follow a database once and tell its rooms; the seconds until it should be done again."""
        try:
            history = self._histories.get(name)
            news = history.turn(now)
            progress = history.follower.progress()
            rooms = self._rooms_of(name)
            self._outages.tell(name, bool(history.silent), rooms)
            if news or not progress.ready or progress.metrics or self._stale & rooms.keys():
                self._tell(history, rooms, news, now)
        except Exception:
            log.exception("the follower of the runs met an unexpected error and goes on")
            return OUTAGE_SECONDS
        if history.silent:
            return OUTAGE_SECONDS
        if progress.waiting or progress.metrics:
            return BUSY_SECONDS
        return WATCHED_SECONDS if rooms else IDLE_SECONDS

    def _tell(self, history: History, rooms: dict[str, Room], news: News, now: datetime) -> None:
        progress = history.follower.progress()
        if news and (not progress.ready or len(news.changed) > MOST_ROWS):
            self._stale |= rooms.keys()
        if not progress.ready or self._stale & rooms.keys():
            if time.monotonic() - self._told > TELL_SECONDS:
                self._told = time.monotonic()
                for name in rooms:
                    told = {**listing.progress_of(history), "stale": progress.ready and name in self._stale}
                    self._emitter.emit("runs_progress", told, to=name)
                if progress.ready:
                    self._stale -= rooms.keys()
            return
        for name, room in rooms.items():
            try:
                self._emitter.emit("runs", self._message(history, room.asked, news, now), to=name)
            except QueryError as error:
                log.warning("a list cannot be told what is new: %s", error)

    def _message(self, history: History, asked: Asked, news: News, now: datetime) -> dict[str, Any]:
        """{html, moved, gone, total, states, progress}: rows to show in place of those shown, and which are new."""
        seconds, query, shown = now.timestamp(), asked.query, asked.shown
        index = history.index
        every = Query(sort=query.sort, down=query.down, archived=query.archived)
        found = index.page(every, seconds, MOST_ROWS, among=news.changed) if news.changed else []
        moved = index.page(query, seconds, MOST_ROWS, among=news.moved) if news.moved else []
        with self._app.test_request_context():
            g.database = history.name
            html = render_template(
                "history/_rows.html", rows=listing.lines(history, found, shown), columns=shown
            )  # fmt: skip
        return {
            "html": html,
            "moved": [run.n for run in moved],
            "gone": [*news.gone, *(set(news.changed) - {run.n for run in found})] if len(found) < MOST_ROWS else [],
            "total": sum(index.count(query, seconds).values()),
            "states": {state.key: state.count for state in listing.states(history, asked, query, seconds)},
            "progress": listing.progress_of(history),
        }
