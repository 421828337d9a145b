"""The index's file: every value of every run in one table, ordered by field.

`cells` (field, run, value) holds a field's values beside each other, so that a filter or an order reads those fields
alone. One writer, any number of readers, each on a connection of its own (WAL). The file is derived: when it is
damaged or of an older form it is deleted and built anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import sys
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from webapp.errors import QueryError
from webapp.services.run_index.fields import OWN, Curve, Row, Value
from webapp.services.run_index.query import STATE, Conditions, Place, Query, canonical, order

log = logging.getLogger(__name__)
T = TypeVar("T")

VERSION = 1
MOST_NAMES = 20_000
"""Fields that are kept at most; keys that are really data would make as many as they like."""
MOST_CURVES = 2000
"""Fields of metrics that a run may have."""
CACHE_KB = 8_000
QUESTION_SECONDS = 10.0
KEPT_COUNTS = 64

SCHEMA = """
CREATE TABLE runs (n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, status TEXT NOT NULL, beat REAL,
                   deadline REAL, digest BLOB NOT NULL, fields TEXT NOT NULL, metrics TEXT NOT NULL DEFAULT '[]');
CREATE INDEX open_runs ON runs (status) WHERE status IN ('running', 'queued');
CREATE TABLE words (n INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE names (f INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE cells (f INTEGER NOT NULL, n INTEGER NOT NULL, v, PRIMARY KEY (f, n)) WITHOUT ROWID;
CREATE TABLE curves (id TEXT PRIMARY KEY, n INTEGER, name TEXT, count INTEGER, finite INTEGER, total REAL, low REAL,
                     high REAL, last) WITHOUT ROWID;
CREATE INDEX curves_of ON curves (n);
CREATE TABLE steps (name TEXT NOT NULL, step INTEGER NOT NULL, PRIMARY KEY (name, step)) WITHOUT ROWID;
"""

CURVE = "id, count, finite, total, low, high, last"


def apart(work: Callable[[], T]) -> T:
    """The result of *work*, in a thread of its own where requests share one (gevent), so that they go on meanwhile."""
    if "gevent.monkey" in sys.modules:
        from gevent import get_hub, monkey

        if monkey.is_module_patched("socket"):
            return get_hub().threadpool.apply(work)  # type: ignore[no-any-return]
    return work()


@dataclass(frozen=True, slots=True)
class Found:
    """A run on a page: its row, key, state, and moments in seconds since 1970; *place* is where it stands."""

    n: int
    key: str
    state: str
    beat: float | None
    deadline: float | None
    place: Place


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that may still change: what was last known of it."""

    n: int
    key: str
    status: str
    beat: float | None
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Points:
    """A metric as it is known now: its id, its run's key, its name, and its values at the steps that are kept."""

    id: str
    run_key: str
    name: str
    curve: Curve
    steps: dict[int, Value]


class Index:
    """One database's runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readers: deque[sqlite3.Connection] = deque()
        self._connections: list[sqlite3.Connection] = []
        weakref.finalize(self, _close, self._connections).atexit = False  # threads may still be reading then
        self._names: dict[str, int] = {}
        self._counts: OrderedDict[Any, dict[str, int]] = OrderedDict()
        self.version = 0
        """Rises with every change."""
        self._writer = self._open_writer()

    def close(self) -> None:
        """Close every connection."""
        self._readers.clear()
        _close(self._connections)

    def rebuild(self) -> None:
        """Delete the file and begin with an empty one."""
        self.close()
        self._delete()
        self._names, self.version = {}, self.version + 1
        self._writer = self._open_writer()

    # writing: one caller at a time

    def put(self, rows: Sequence[Row]) -> dict[int, bool]:
        """Take over runs as they are now; the rows of those that have changed, and whether they are new or moved on.

        A run moves on from one status to another.
        """
        changed: dict[int, bool] = {}
        with self._writing() as cursor:
            for row in rows:
                digest = _digest(row)
                found = cursor.execute(
                    "SELECT n, digest, fields, status FROM runs WHERE key = ?", (row.key,)
                ).fetchone()
                if found and found[1] == digest:
                    continue
                cells = self._numbered(cursor, row.cells)
                kept = json.dumps(list(cells))
                if found:
                    n = int(found[0])
                    gone = [(f, n) for f in json.loads(found[2]) if f not in cells]
                    cursor.executemany("DELETE FROM cells WHERE f = ? AND n = ?", gone)
                    cursor.execute(
                        "UPDATE runs SET status = ?, beat = ?, deadline = ?, digest = ?, fields = ? WHERE n = ?",
                        (row.status, row.beat, row.deadline, digest, kept, n),
                    )
                else:
                    cursor.execute(
                        "INSERT INTO runs (key, status, beat, deadline, digest, fields) VALUES (?, ?, ?, ?, ?, ?)",
                        (row.key, row.status, row.beat, row.deadline, digest, kept),
                    )
                    n = int(cursor.lastrowid or 0)
                cursor.executemany(
                    "INSERT OR REPLACE INTO cells VALUES (?, ?, ?)", [(f, n, value) for f, value in cells.items()]
                )
                cursor.execute("INSERT OR REPLACE INTO words VALUES (?, ?)", (n, row.words))
                changed[n] = found is None or found[3] != row.status
        return changed

    def drop(self, keys: Iterable[str]) -> list[int]:
        """Forget runs; their rows."""
        gone: list[int] = []
        with self._writing() as cursor:
            for key in keys:
                found = cursor.execute("SELECT n, fields, metrics FROM runs WHERE key = ?", (key,)).fetchone()
                if found is None:
                    continue
                n = int(found[0])
                numbers = [(f, n) for f in {*json.loads(found[1]), *json.loads(found[2])}]
                cursor.executemany("DELETE FROM cells WHERE f = ? AND n = ?", numbers)
                for table in ("runs", "words", "curves"):
                    cursor.execute(f"DELETE FROM {table} WHERE n = ?", (n,))  # noqa: S608 - names from above
                gone.append(n)
        return gone

    def put_curves(self, points: Sequence[Points]) -> list[int]:
        """Take over what is known of metrics now; the rows of their runs. Metrics of unknown runs are left out."""
        changed: list[int] = []
        with self._writing() as cursor:
            for found in points:
                run = cursor.execute("SELECT n, metrics FROM runs WHERE key = ?", (found.run_key,)).fetchone()
                known = json.loads(run[1]) if run else []
                if run is None or len(known) > MOST_CURVES:
                    continue
                n, curve = int(run[0]), found.curve
                cursor.execute(
                    "INSERT OR REPLACE INTO curves VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        found.id,
                        n,
                        found.name,
                        curve.count,
                        curve.finite,
                        curve.total,
                        curve.low,
                        curve.high,
                        curve.last,
                    ),
                )
                cells = curve.cells(found.name) | {f"metrics.{found.name}@{at}": v for at, v in found.steps.items()}
                numbered = self._numbered(cursor, cells)
                cursor.executemany(
                    "INSERT OR REPLACE INTO cells VALUES (?, ?, ?)", [(f, n, value) for f, value in numbered.items()]
                )
                if more := [f for f in numbered if f not in known]:
                    cursor.execute("UPDATE runs SET metrics = ? WHERE n = ?", (json.dumps(known + more), n))
                changed.append(n)
        return changed

    def drop_curves(self, ids: Iterable[str]) -> list[int]:
        """Forget metrics; the rows of their runs."""
        gone: list[int] = []
        steps = self.steps()
        with self._writing() as cursor:
            for curve_id in ids:
                found = cursor.execute("SELECT n, name FROM curves WHERE id = ?", (curve_id,)).fetchone()
                if found is None:
                    continue
                n, begin = int(found[0]), f"metrics.{found[1]}"
                cursor.execute("DELETE FROM curves WHERE id = ?", (curve_id,))
                names = [f"{begin}.{kind}" for kind in ("count", "last", "min", "max", "mean")]
                names += [f"{begin}@{step}" for step in steps.get(found[1], ())]
                numbers = [(self._names[name], n) for name in names if name in self._names]
                cursor.executemany("DELETE FROM cells WHERE f = ? AND n = ?", numbers)
                gone.append(n)
        return gone

    def ask_step(self, name: str, step: int) -> bool:
        """Keep a metric's value at a step from now on; False when that was asked before."""
        with self._writing() as cursor:
            return cursor.execute("INSERT OR IGNORE INTO steps VALUES (?, ?)", (name, step)).rowcount == 1

    def drop_step(self, name: str, step: int) -> None:
        """Keep a metric's value at a step no longer."""
        with self._writing() as cursor:
            cursor.execute("DELETE FROM steps WHERE name = ? AND step = ?", (name, step))
            cursor.execute("DELETE FROM cells WHERE f = ?", (self._names.get(f"metrics.{name}@{step}"),))

    # reading

    def steps(self) -> dict[str, list[int]]:
        """The steps at which values of metrics are kept, by metric."""
        found: dict[str, list[int]] = {}
        for name, step in self._read(lambda reader: reader.execute("SELECT name, step FROM steps").fetchall()):
            found.setdefault(name, []).append(step)
        return found

    def keys(self) -> dict[str, int]:
        """Every run's key, and its row."""
        return dict(self._read(lambda reader: reader.execute("SELECT key, n FROM runs").fetchall()))

    def some_keys(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Rows and keys in the order of rows, beginning after one."""
        sql = "SELECT n, key FROM runs WHERE n > ? ORDER BY n LIMIT ?"
        return self._read(lambda reader: reader.execute(sql, (after, limit)).fetchall())

    def size(self) -> int:
        """How many runs there are."""
        return int(self._read(lambda reader: reader.execute("SELECT count(*) FROM runs").fetchone())[0])

    def newest(self) -> int:
        """The row of the run that was found last; 0 while there is none."""
        return int(self._read(lambda reader: reader.execute("SELECT max(n) FROM runs").fetchone())[0] or 0)

    def after(self, n: int, limit: int) -> list[int]:
        """The newest rows beyond *n*."""
        sql = "SELECT n FROM runs WHERE n > ? ORDER BY n DESC LIMIT ?"
        return [found for (found,) in self._read(lambda reader: reader.execute(sql, (n, limit)).fetchall())]

    def existing(self, rows: Sequence[int]) -> list[int]:
        """Which of these rows there are."""
        sql = f"SELECT n FROM runs WHERE n IN ({marks(rows)})"  # noqa: S608 - question marks
        return [found for (found,) in self._read(lambda reader: reader.execute(sql, rows).fetchall())]

    def largest_id(self) -> int:
        """The largest id that is a whole number; 0 where there is none."""
        f = self.number("id")
        sql = "SELECT max(v) FROM cells WHERE f = ? AND typeof(v) = 'integer'"
        found = self._read(lambda reader: reader.execute(sql, (f,)).fetchone())
        return int(found[0] or 0)

    def newest_start(self) -> float | None:
        """When the newest run began."""
        f = self.number("started")
        sql = "SELECT max(v) FROM cells WHERE f = ?"
        found = self._read(lambda reader: reader.execute(sql, (f,)).fetchone())
        return None if found[0] is None else float(found[0])

    def open_runs(self) -> list[OpenRun]:
        """The runs that may still change by themselves."""
        sql = "SELECT n, key, status, beat, deadline FROM runs WHERE status IN ('running', 'queued')"
        return [OpenRun(*found) for found in self._read(lambda reader: reader.execute(sql).fetchall())]

    def curve_ids(self, name: str | None = None) -> set[str]:
        """The ids of the metrics that have been read; with *name* of those that are called so."""
        sql = "SELECT id FROM curves WHERE :name IS NULL OR name = :name"
        found = self._read(lambda reader: reader.execute(sql, {"name": name}).fetchall())
        return {curve_id for (curve_id,) in found}

    def curves(self, ids: Sequence[str]) -> dict[str, Curve]:
        """What is known of these metrics, by id."""
        sql = f"SELECT {CURVE} FROM curves WHERE id IN ({marks(ids)})"  # noqa: S608 - question marks
        return _curves(self._read(lambda reader: reader.execute(sql, ids).fetchall()))

    def curves_of(self, n: int) -> dict[str, Curve]:
        """What is known of the metrics of a run, by id."""
        sql = f"SELECT {CURVE} FROM curves WHERE n = ?"  # noqa: S608 - names of columns
        return _curves(self._read(lambda reader: reader.execute(sql, (n,)).fetchall()))

    def known(self, keys: Sequence[str]) -> dict[str, int]:
        """The rows of those of these keys that are known."""
        sql = f"SELECT key, n FROM runs WHERE key IN ({marks(keys)})"  # noqa: S608 - question marks
        return dict(self._read(lambda reader: reader.execute(sql, keys).fetchall()))

    def same(self, rows: Sequence[Row]) -> set[str]:
        """The keys of those of these runs that are known just so."""
        sql = f"SELECT key, digest FROM runs WHERE key IN ({marks(rows)})"  # noqa: S608 - question marks
        keys = [row.key for row in rows]
        found = dict(self._read(lambda reader: reader.execute(sql, keys).fetchall()))
        return {row.key for row in rows if found.get(row.key) == _digest(row)}

    def number(self, name: str) -> int | None:
        """The number of a field; None where no run has it."""
        return self._names.get(name)

    def names(self, begin: str, limit: int) -> list[str]:
        """Fields whose name holds *begin*, those that begin with it first."""
        like = begin.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        sql = (
            "SELECT name FROM names WHERE name LIKE :any ESCAPE '\\' "
            "ORDER BY name LIKE :first ESCAPE '\\' DESC, length(name), name LIMIT :limit"
        )
        params = {"any": f"%{like}%", "first": f"{like}%", "limit": limit}
        return [name for (name,) in self._read(lambda reader: reader.execute(sql, params).fetchall())]

    def values(self, field: str, begin: str, limit: int) -> list[Value]:
        """Values of a field whose text holds *begin*, the most frequent first, among its newest 5,000."""
        sql = (
            "SELECT v FROM (SELECT v FROM cells WHERE f = ? ORDER BY n DESC LIMIT 5000) WHERE instr(lower(v), ?) "
            "GROUP BY v ORDER BY count(*) DESC, v LIMIT ?"
        )
        params = (self.number(canonical(field)), begin.lower(), limit)
        return [value for (value,) in self._read(lambda reader: reader.execute(sql, params).fetchall())]

    def page(
        self,
        query: Query,
        now: float,
        limit: int,
        place: Place | None = None,
        backwards: bool = False,
        among: Sequence[int] | None = None,
    ) -> list[Found]:
        """At most *limit* runs in order, after *place*, or before it when *backwards*; *among* these rows only."""
        conditions = Conditions(self.number, now)
        down = query.down
        value, rank, by = order(query.sort, down, backwards)
        wanted = [conditions.of(query)]
        if place is not None:
            wanted.append(
                f"NOT ({conditions.after(place, value, rank, down)}) AND r.n != {int(place.n)}"
                if backwards
                else conditions.after(place, value, rank, down)
            )
        if among is not None:
            wanted.append(f"r.n IN ({', '.join(str(int(n)) for n in among)})")
        f = self.number(canonical(query.sort))
        sql = (
            f"SELECT r.n, r.key, {STATE}, r.beat, r.deadline, {rank}, {value} FROM runs r "  # noqa: S608 - built above
            f"LEFT JOIN cells s ON s.f = {-1 if f is None else f} AND s.n = r.n "
            f"WHERE {' AND '.join(wanted)} ORDER BY {by} LIMIT {int(limit)}"
        )
        rows = self._ask(sql, conditions)
        found = [
            Found(n, key, state, beat, deadline, Place(ranked, placed, n))
            for n, key, state, beat, deadline, ranked, placed in rows
        ]
        return found[::-1] if backwards else found

    def count(self, query: Query, now: float) -> dict[str, int]:
        """How many runs a filter finds, by state."""
        conditions = Conditions(self.number, now)
        sql = f"SELECT {STATE}, count(*) FROM runs r WHERE {conditions.of(query)} GROUP BY 1"  # noqa: S608 - built above
        params = tuple(item for item in conditions.params.items() if item[0] != "now")
        memory = (self.version, int(now) // 10, sql, params, query.filter)
        if memory not in self._counts:
            self._counts[memory] = dict(self._ask(sql, conditions))
            while len(self._counts) > KEPT_COUNTS:
                self._counts.popitem(last=False)
        return self._counts[memory]

    def cells(self, rows: Sequence[int], names: Sequence[str]) -> dict[int, dict[str, Value]]:
        """The values of some fields of some runs: {row: {name: value}}, by the names as they were given."""
        numbers: dict[int, list[str]] = {}
        for name in names:
            if (f := self.number(canonical(name))) is not None:
                numbers.setdefault(f, []).append(name)
        found: dict[int, dict[str, Value]] = {n: {} for n in rows}
        sql = (
            f"SELECT f, n, v FROM cells WHERE f IN ({', '.join(map(str, numbers))}) "  # noqa: S608 - whole numbers
            f"AND n IN ({', '.join(str(int(n)) for n in rows)})"
        )
        for f, n, value in self._read(lambda reader: reader.execute(sql).fetchall()) if numbers and rows else ():
            for name in numbers[f]:
                found[n][name] = value
        return found

    # connections

    def _ask(self, sql: str, conditions: Conditions) -> list[Any]:
        """
        Raises:
            QueryError: the question takes too long.
        """

        def work(reader: sqlite3.Connection) -> list[Any]:
            until = time.monotonic() + QUESTION_SECONDS
            reader.create_function("matches", 2, conditions.patterns.matches)
            reader.set_progress_handler(lambda: time.monotonic() > until, 50_000)
            try:
                return reader.execute(sql, conditions.params).fetchall()
            finally:
                reader.set_progress_handler(None, 0)

        try:
            return self._read(work)
        except sqlite3.OperationalError as error:
            if conditions.patterns.tired:
                raise QueryError("the regular expression takes too long; write a simpler one") from None
            if "interrupted" in str(error):
                raise QueryError("the question takes too long; filter by fewer fields") from None
            raise

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def reading() -> T:
            try:
                reader = self._readers.pop()
            except IndexError:
                reader = self._connect()
            try:
                return work(reader)
            finally:
                self._readers.append(reader)

        return apart(reading)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        """A transaction; all of it or nothing."""
        cursor = self._writer.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            yield cursor
            self._writer.commit()
        except BaseException:
            self._writer.rollback()
            self._names = dict(cursor.execute("SELECT name, f FROM names").fetchall())
            raise
        self.version += 1

    def _numbered(self, cursor: sqlite3.Cursor, cells: dict[str, Value]) -> dict[int, Value]:
        """Cells by the numbers of their fields; fields beyond MOST_NAMES are left out."""
        found: dict[int, Value] = {}
        for name, value in cells.items():
            number = self._names.get(name)
            if number is None:
                row = cursor.execute("SELECT f FROM names WHERE name = ?", (name,)).fetchone()
                if row is None:
                    if len(self._names) >= MOST_NAMES and name not in OWN:
                        continue
                    cursor.execute("INSERT INTO names (name) VALUES (?)", (name,))
                    row = (cursor.lastrowid,)
                number = self._names[name] = int(row[0])
            found[number] = value
        return found

    def _open_writer(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            writer = self._connect()
            (version,) = writer.execute("PRAGMA user_version").fetchone()
            if version == VERSION:
                self._names = dict(writer.execute("SELECT name, f FROM names").fetchall())
                return writer
        except sqlite3.DatabaseError as error:
            log.warning("the index %s is built anew: %s", self._path, error)
        _close(self._connections)
        self._delete()
        writer = self._connect()
        writer.executescript(f"{SCHEMA} PRAGMA user_version = {VERSION};")
        return writer

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=10)
        self._connections.append(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        return connection

    def _delete(self) -> None:
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + ending).unlink()


def _digest(row: Row) -> bytes:
    kept = repr((row.status, row.beat, row.deadline, list(row.cells.items()), row.words))
    return hashlib.blake2b(kept.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _curves(found: Iterable[Any]) -> dict[str, Curve]:
    return {curve_id: Curve(*values) for curve_id, *values in found}


def marks(values: Sequence[Any]) -> str:
    """A question mark for each value."""
    return ", ".join("?" * len(values))


def _close(connections: list[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()
