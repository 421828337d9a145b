"""The databases whose runs the history shows, each with its index and its follower."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.errors import NotFound, StoreError
from engine.settings import Settings
from engine.store import Store
from engine.store.run_parts import RunParts
from engine.store.run_reader import RunReader
from engine.store.runs import parse_run_id
from webapp.services import connections
from webapp.services.connections import Opened
from webapp.services.places import MOST_SERVERS, own_place
from webapp.services.plain import dig
from webapp.services.run_index.fields import Row, Value, is_same
from webapp.services.run_index.follower import Beside, Follower, News
from webapp.services.run_index.index import Index

log = logging.getLogger(__name__)

OWN = ""
"""The name of the database that NHOP itself uses."""
FRESH_SECONDS, WAIT_SECONDS = 0.5, 0.08
"""When the last turn is older, a page waits a moment for the next one, but not while much is still to be read."""
UNUSED_SECONDS = 300.0
"""After so long a connection that nobody looks at is closed."""


class History:
    """The runs of one database. The index is opened when it is first asked for."""

    def __init__(
        self,
        folder: Path,
        identity: str,
        opened: Opened,
        beside: Beside = lambda _: {},
        name: str = OWN,
        counts_fast: bool = True,
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._beside = beside
        self._counts_fast = counts_fast
        self.name = name
        self.database = opened.database
        self.prefix = opened.prefix
        self.read_only = opened.read_only
        self.reader = RunReader(opened.database, opened.prefix)
        self.parts = RunParts(opened.database, opened.prefix)
        self._client = opened.client
        if name != OWN:
            weakref.finalize(self, opened.client.close)
        self._follower: Follower | None = None
        self._opening = threading.Lock()
        self.followed = False
        """Whether somebody calls `turn` again and again; else every page does, once."""
        self.wanted = threading.Event()
        """Set by a page that would like a turn now."""
        self._turned = threading.Event()
        self._last = 0.0
        self.silent = ""
        """Why the database could not be read the last time; empty: it could."""

    @property
    def follower(self) -> Follower:
        with self._opening:
            if self._follower is None:
                path, lock = _own_file(self._folder, self._identity)
                weakref.finalize(self, os.close, lock)
                self._follower = Follower(self.reader, Index(path), self._beside, self._counts_fast)
            return self._follower

    @property
    def index(self) -> Index:
        return self.follower.index

    def turn(self, now: datetime) -> News:
        """Follow once. A silent database is remembered, not raised."""
        try:
            news = self.follower.turn(now.timestamp())
        except StoreError as error:
            self.silent = str(error)
            return News()
        finally:
            self._last = time.monotonic()
            self._turned.set()
        self.silent = ""
        return news

    def refresh(self, now: datetime) -> None:
        """See that the index is fresh: wait a moment for a turn, or where nobody follows read everything now.

        Of another database that nobody follows what a moment allows is read, silent or not.

        Raises:
            StoreError: our own database does not answer.
        """
        if self.followed:
            busy = self.silent or not self.follower.progress().ready
            if time.monotonic() - self._last > FRESH_SECONDS and not busy:
                self._turned.clear()
                self.wanted.set()
                self._turned.wait(WAIT_SECONDS)
            return
        if self.name == OWN:
            self.follower.turn(now.timestamp(), whole=True)
        else:
            self.turn(now)

    def poke(self, run_id: str) -> None:
        """A run, by its id as addresses have it, has been changed from here."""
        self.follower.poke(run_id)

    def take_over(self, run_ids: Sequence[str], now: datetime, seconds: float) -> None:
        """See that the index knows how these runs are now, which have been changed from here; wait so long for it.

        Where somebody follows, that is who reads them: what is new is told to whoever watches the list by nobody else.
        """
        for run_id in run_ids:
            self.poke(run_id)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.followed:
                self._turned.clear()
                self.wanted.set()
                self._turned.wait(until - time.monotonic())
            else:
                self.turn(now)
            if self.silent or not self.follower.is_behind():
                return

    def close(self) -> None:
        """Close the connection and the index; nobody may use this any more."""
        with self._opening:
            if self._follower is not None:
                self._follower.index.close()
        self._client.close()


@dataclass(slots=True)
class Used:
    """A connection that is open, as it was stored, and when it was last asked for (monotonic seconds)."""

    history: History
    sealed: bytes
    at: float = 0.0


class Histories:
    """All of them by name; OWN is the first."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._folder = settings.data_dir / "history"
        self._settings = settings
        self._store = store
        self._guard = threading.Lock()
        self._others: dict[str, Used] = {}
        identity = f"{settings.mongo_uri or 'embedded'} {store.database.name}"
        opened = Opened(store.database.client, store.database, "", False)
        embedded = not settings.mongo_uri
        self._own = History(self._folder, identity, opened, _beside(store, OWN), counts_fast=not embedded)

    def get(self, name: str = OWN) -> History:
        """The history of a database, which is opened where it is not yet.

        Raises:
            NotFound: there is no connection of this name.
            StoreError: it cannot be opened.
        """
        if name == OWN:
            return self._own
        document = self._store.connections.get(name)
        with self._guard:
            used = self._others.get(name)
            if used is not None and (document is None or used.sealed != document["sealed"]):
                self._others.pop(name).history.close()
                used = None
        if document is None:
            raise NotFound(f"there is no database {name[:40]!r} here")
        if used is None:
            opened = connections.opened(self._settings, document)
            identity = f"{name} {document['at']}"  # a connection that is added anew has an index of its own
            history = History(self._folder, identity, opened, _beside(self._store, name), name)
            with self._guard:
                used = self._others.setdefault(name, Used(history, document["sealed"]))
        used.at = time.monotonic()
        return used.history

    def close_unused(self) -> None:
        """Close the connections that nobody has looked at for a while."""
        with self._guard:
            for name, used in list(self._others.items()):
                if not used.history.followed and time.monotonic() - used.at > UNUSED_SECONDS:
                    self._others.pop(name).history.close()


def _beside(store: Store, name: str) -> Callable[[Sequence[Row]], dict[str, dict[str, Value]]]:
    """What our own collections know of runs: who started their sweep, and the tags and notes that were given here."""

    def beside(rows: Sequence[Row]) -> dict[str, dict[str, Value]]:
        found: dict[str, dict[str, Value]] = {}
        owners = store.sweeps.owners([row.sweep for row in rows if row.sweep]) if name == OWN else {}
        notes = store.run_notes.some(name, [parse_run_id(row.key)[0] for row in rows])
        gone = store.deleted_runs.some(name, [parse_run_id(row.key)[0] for row in rows])
        for row in rows:
            more: dict[str, Value] = {}
            if row.key in gone and is_same(gone[row.key], row.cells.get("started")):
                more["deleted"] = "yes"
            if row.sweep in owners:
                more["owner"] = owners[row.sweep]
            if note := notes.get(row.key):
                if note.get("archived"):
                    more["archived"] = "yes"
                given = [tag for tag in note.get("tags", ()) if isinstance(tag, str)]
                before = str(row.cells.get("tag", "")).split("\n")
                if tags := list(dict.fromkeys(tag for tag in (*before, *given) if tag)):
                    more["tag"] = "\n" + "\n".join(tags) + "\n"
                if text := dig(note, "notes"):
                    more["notes"] = " ".join(str(text).split())[:500]
            if more:
                found[row.key] = more
        return found

    return beside


def _own_file(folder: Path, identity: str) -> tuple[Path, int]:
    """A file for the index of the database that *identity* tells, and the lock that keeps other servers from it."""
    place = own_place(folder, f"{hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()}-")
    if place is None:
        raise StoreError(f"more than {MOST_SERVERS} servers share the data directory {folder.parent}")
    path, lock = place
    return path.with_suffix(".sqlite"), lock
