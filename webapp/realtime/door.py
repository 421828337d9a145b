"""The door: which session opened each socket, and closing those whose session has ended."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Protocol

from engine.errors import StoreError
from engine.store import Store
from webapp.services import sessions

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.5
"""A socket lives at most about so long after its session."""
MOST_MESSAGES = 200
WINDOW_SECONDS = 10.0
"""A socket that sends more in so long is closed."""


class Sockets(Protocol):
    """What the door needs of Flask-SocketIO."""

    def sleep(self, seconds: float) -> None: ...

    def close(self, sid: str) -> None: ...


class Door:
    """Everybody who is in."""

    def __init__(self, store: Store, sockets: Sockets) -> None:
        self._store = store
        self._sockets = sockets
        self._guard = threading.Lock()
        self._inside: dict[str, str] = {}
        self._sent: dict[str, tuple[float, int]] = {}
        self._somebody = threading.Event()

    def enter(self, sid: str, secret: str) -> None:
        """The session of this *secret* has opened the socket *sid*."""
        with self._guard:
            self._inside[sid] = sessions.digest(secret)
            self._somebody.set()

    def leave(self, sid: str) -> None:
        with self._guard:
            self._inside.pop(sid, None)
            self._sent.pop(sid, None)
            if not self._inside:
                self._somebody.clear()

    def hears(self, sid: str) -> bool:
        """Count a message of a socket; False, and it is closed, when there were too many."""
        with self._guard:
            began, count = self._sent.get(sid, (time.monotonic(), 0))
            if time.monotonic() - began > WINDOW_SECONDS:
                began, count = time.monotonic(), 0
            self._sent[sid] = began, count + 1
        if count < MOST_MESSAGES:
            return True
        log.warning("a socket that sent more than %d messages in %.0f s is closed", MOST_MESSAGES, WINDOW_SECONDS)
        self.leave(sid)
        self._sockets.close(sid)
        return False

    def run(self) -> None:
        """Look for ever; nothing is asked of the database while nobody is in."""
        while True:
            self._somebody.wait()
            self.look()
            self._sockets.sleep(BEAT_SECONDS)

    def look(self) -> None:
        """Close the sockets of sessions that have ended. While the database is silent nobody is thrown out."""
        with self._guard:
            inside = dict(self._inside)
        try:
            alive = sessions.alive(self._store, inside.values(), datetime.now(UTC)) if inside else set()
        except StoreError:
            return
        for sid, digest in inside.items():
            if digest not in alive:
                self.leave(sid)
                self._sockets.close(sid)
