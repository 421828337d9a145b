"""The databases whose runs the history shows, each with its index and its follower."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from engine.errors import StoreError
from engine.settings import Settings
from engine.store import Store
from engine.store.run_reader import RunReader
from engine.store.runs import parse_run_id
from webapp.services.plain import dig
from webapp.services.run_index.fields import Row, Value
from webapp.services.run_index.follower import Beside, Follower, News
from webapp.services.run_index.index import Index

log = logging.getLogger(__name__)

OWN = ""
"""The name of the database that NHOP itself uses."""
MOST_SERVERS = 16


class History:
    """The runs of one database. The index is opened when it is first asked for."""

    def __init__(self, folder: Path, identity: str, reader: RunReader, beside: Beside = lambda _: {}) -> None:
        self._folder = folder
        self._identity = identity
        self._reader = reader
        self._beside = beside
        self._follower: Follower | None = None
        self._opening = threading.Lock()
        self.followed = False
        """Whether somebody calls `turn` again and again; else every page does, once."""
        self.silent = ""
        """Why the database could not be read the last time; empty: it could."""

    @property
    def follower(self) -> Follower:
        with self._opening:
            if self._follower is None:
                path, lock = _own_file(self._folder, self._identity)
                weakref.finalize(self, os.close, lock)
                self._follower = Follower(self._reader, Index(path), self._beside)
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
        self.silent = ""
        return news

    def refresh(self, now: datetime) -> None:
        """Where nobody follows, read everything now.

        Raises:
            StoreError: the database does not answer.
        """
        if not self.followed:
            self.follower.turn(now.timestamp(), whole=True)

    def poke(self, run_id: str) -> None:
        """A run, by its id as addresses have it, has been changed from here."""
        self.follower.poke(run_id)


class Histories:
    """All of them by name; OWN is the first."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._folder = settings.data_dir / "history"
        identity = f"{settings.mongo_uri or 'embedded'} {store.database.name}"
        self._all = {OWN: History(self._folder, identity, RunReader(store.database), _beside(store))}

    def get(self, name: str = OWN) -> History:
        return self._all[name]

    def all(self) -> Mapping[str, History]:
        return self._all


def _beside(store: Store) -> Callable[[Sequence[Row]], dict[str, dict[str, Value]]]:
    """What our own collections know of runs: who started their sweep, and the tags and notes that were given here."""

    def beside(rows: Sequence[Row]) -> dict[str, dict[str, Value]]:
        found: dict[str, dict[str, Value]] = {}
        owners = store.sweeps.owners([row.sweep for row in rows if row.sweep])
        notes = store.run_notes.some(OWN, [parse_run_id(row.key)[0] for row in rows])
        for row in rows:
            more: dict[str, Value] = {}
            if row.sweep in owners:
                more["owner"] = owners[row.sweep]
            if note := notes.get(row.key):
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
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()
    for number in range(1, MOST_SERVERS + 1):
        path = folder / f"{name}-{number}.sqlite"
        lock = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        return path, lock
    raise StoreError(f"more than {MOST_SERVERS} servers share the data directory {folder.parent}")
