"""CSV files from elsewhere: what their columns hold, and the chosen ones as a table.

A file is read twice, in batches, and never whole in memory. Between batches other requests of the web process get their
turn.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from engine.data.tables import LARGEST, LEAST_ROWS, Table
from engine.errors import DataError

Document = dict[str, Any]
Row = tuple[int, list[str]]
"""The number of a line, and its values."""

DELIMITERS = (",", ";", "\t")
MISSING = frozenset({"", "na", "n/a", "nan", "null"})
"""What stands for no value, in lower case."""

BATCH = 50_000
"""Values that are looked at before others get their turn."""
TURN = 0.0001
"""Seconds of a turn: with zero, gevent would not look at any socket."""
BINS = 20
PREVIEW = 10
SAMPLE = 20
LONGEST_LINE = 2**20
LONGEST_NAME = 200
LONGEST_SHOWN = 60
MOST_COLUMNS = 2000
MOST_DISTINCT = 1000


def describe(file: BinaryIO) -> Document:
    """What a CSV file holds: {rows, delimiter, columns, preview, target, features}.

    A column: {name, type: number | text | empty, missing, distinct (None: more than 1,000), min, max, mean, counts
    [20], edges [21], reason}; *reason* says why it cannot be learned from, and is empty when it can. The target is the
    last column that can, the features are all others that can.

    Raises:
        DataError: one sentence, naming line and column where there is one.
    """
    file.seek(0)
    delimiter = _delimiter(file)
    columns = [_Column(name) for name in _header(file, delimiter)]
    rows = 0
    preview: list[list[str]] = []
    for batch in _batches(file, delimiter, len(columns)):
        rows += len(batch)
        preview += [[_short(value) for value in row] for _, row in batch[: PREVIEW - len(preview)]]
        lines = [line for line, _ in batch]
        for column, cells in zip(columns, zip(*(row for _, row in batch), strict=True), strict=True):
            column.add(lines, cells)
    if rows < LEAST_ROWS:
        raise DataError(f"the file has {rows} rows of data; at least {LEAST_ROWS} are needed")
    usable = _usable(columns)
    for batch in _batches(file, delimiter, len(columns)):
        for column, cells in zip(columns, zip(*(row for _, row in batch), strict=True), strict=True):
            column.count(cells)
    return {
        "rows": rows,
        "delimiter": delimiter,
        "columns": [column.document() for column in columns],
        "preview": preview,
        "target": usable[-1],
        "features": usable[:-1],
    }


def read(file: BinaryIO, about: Mapping[str, Any]) -> Table:
    """The chosen columns of a file that `describe` has described as *about*.

    Raises:
        DataError: the file is not the one that was described.
    """
    header = _header(file, about["delimiter"])
    chosen = [*about["features"], about["target"]]
    if gone := [name for name in chosen if name not in header]:
        raise DataError(f"there is no column {gone[0]!r}; choose the columns of the data set again")
    places = [header.index(name) for name in chosen]
    values = np.empty((about["rows"], len(chosen)), dtype=np.float32)
    done = 0
    for batch in _batches(file, about["delimiter"], len(header)):
        numbers = [[_finite(line, header[place], row[place]) for place in places] for line, row in batch]
        if done + len(batch) > len(values):
            raise DataError(f"the file has more than the {len(values)} rows that were counted; upload it again")
        values[done : done + len(batch)] = numbers
        done += len(batch)
    if done < len(values):
        raise DataError(f"the file has {done} of the {len(values)} rows that were counted; upload it again")
    return Table(values[:, :-1], values[:, -1:], tuple(about["features"]), about["target"])


@dataclass(slots=True)
class _Column:
    """What has been seen of a column so far."""

    name: str
    rows: int = 0
    missing: int = 0
    first_missing: int = 0
    infinite: str = ""
    text: str = ""
    numbers: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    distinct: set[int] = field(default_factory=set)
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))

    @property
    def type(self) -> str:
        if self.missing == self.rows:
            return "empty"
        return "text" if self.text else "number"

    @property
    def reason(self) -> str:
        """Why nothing can be learned from it; empty when something can."""
        if self.type == "empty":
            return "it is empty"
        if self.text:
            return f"it holds text: {self.text}"
        if self.missing:
            values = "one value is" if self.missing == 1 else f"{self.missing:,} values are"
            return f"{values} missing, the first in line {self.first_missing}"
        return self.infinite

    def add(self, lines: Sequence[int], cells: Sequence[str]) -> None:
        """Take in the next cells, each with the number of its line."""
        self.rows += len(cells)
        if self.text:
            self.missing += sum(_is_missing(cell) for cell in cells)
            self._see(cell for cell in cells if not _is_missing(cell))
            return
        values = self._numbers(lines, cells)
        if values is None:
            self.distinct = set()
            self._see(cell for cell in cells if not _is_missing(cell))
            return
        gone = np.isnan(values)
        if gone.any():
            self.first_missing = self.first_missing or lines[int(gone.argmax())]
            self.missing += int(gone.sum())
        present = values[~gone]
        finite = np.abs(present) <= LARGEST
        if not finite.all() and not self.infinite:
            place = int(np.flatnonzero(~gone)[int((~finite).argmax())])
            self.infinite = f"line {lines[place]} holds {_short(cells[place])}, which no network can take"
        present = present[finite]
        if len(present):
            self.numbers += len(present)
            self.total += float(present.sum())
            self.low, self.high = min(self.low, float(present.min())), max(self.high, float(present.max()))
        self._see(present.tolist())

    def count(self, cells: Sequence[str]) -> None:
        """Take in the same cells again, for the histogram."""
        if self.type != "number" or not self.numbers:
            return
        values = _floats(cells)
        values = values[np.abs(values) <= LARGEST]
        span = (self.high - self.low) or 1.0
        bins = np.clip(((values - self.low) / span * BINS).astype(np.int64), 0, BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)

    def document(self) -> Document:
        """As it is stored."""
        seen = len(self.distinct) if len(self.distinct) <= MOST_DISTINCT else None
        known = {"name": self.name, "type": self.type, "missing": self.missing, "distinct": seen, "reason": self.reason}
        if self.type != "number" or not self.numbers:
            return {**known, "min": None, "max": None, "mean": None, "counts": [], "edges": []}
        edges = np.linspace(self.low, self.high, BINS + 1).tolist()
        mean = self.total / self.numbers
        return {
            **known,
            "min": self.low,
            "max": self.high,
            "mean": mean,
            "counts": self.counts.tolist(),
            "edges": edges,
        }

    def _numbers(self, lines: Sequence[int], cells: Sequence[str]) -> NDArray[np.float64] | None:
        """The cells as numbers, NaN where there is none; None, and the first is noted, where some are text."""
        try:
            return _floats(cells)
        except ValueError:
            pass
        for line, cell in zip(lines, cells, strict=True):
            if not _is_missing(cell) and _number(cell) is None:
                comma = _number(cell.replace(",", ".")) is not None
                self.text = f"line {line} has {_short(cell)!r}{'; write decimals with a point' if comma else ''}"
                break
        self.missing += sum(_is_missing(cell) for cell in cells)
        return None

    def _see(self, values: Iterable[Any]) -> None:
        if len(self.distinct) <= MOST_DISTINCT:
            self.distinct.update(map(hash, values))


def _usable(columns: Sequence[_Column]) -> list[str]:
    """The names of the columns that something can be learned from.

    Raises:
        DataError: there are fewer than two.
    """
    if not any(column.type == "number" for column in columns):
        raise DataError("no column holds numbers; at least two are needed: a feature and the target")
    usable = [column.name for column in columns if not column.reason]
    if len(usable) < 2:
        wrong = next(column for column in columns if column.reason) if len(columns) > 1 else None
        hint = f"; column {wrong.name!r} cannot be one: {wrong.reason}" if wrong else ""
        count = "only one column has" if usable else "no column has"
        raise DataError(f"{count} a number in every row, and a feature and the target are needed{hint}")
    return usable


def _header(file: BinaryIO, delimiter: str) -> list[str]:
    """The columns' names.

    Raises:
        DataError: there are none, or they cannot be told apart.
    """
    row = next(_rows(file, delimiter), None)
    if row is None:
        raise DataError("the file is empty")
    header = [name.strip() or f"column {place}" for place, name in enumerate(row[1], start=1)]
    if all(_number(name) is not None for name in header):
        raise DataError(f"line {row[0]} must name the columns, and it holds numbers only; add a header line")
    if len(header) > MOST_COLUMNS:
        raise DataError(f"the file has {len(header):,} columns; at most {MOST_COLUMNS:,} can be taken")
    for place, name in enumerate(header, start=1):
        if len(name) > LONGEST_NAME:
            raise DataError(f"the name of column {place} is longer than {LONGEST_NAME} characters")
        if name in header[: place - 1]:
            raise DataError(f"two columns are called {_short(name)!r}; give every column a name of its own")
    return header


def _delimiter(file: BinaryIO) -> str:
    """The delimiter that cuts the first lines into the most columns, all of them alike; else most of the header."""
    sizes: dict[str, list[int]] = {}
    for delimiter in DELIMITERS:
        sizes[delimiter] = [len(row) for _, row in islice(_rows(file, delimiter), SAMPLE)]
    return max(DELIMITERS, key=lambda one: (_alike(sizes[one]), sizes[one][0] if sizes[one] else 0))


def _alike(sizes: Sequence[int]) -> bool:
    return len(set(sizes)) == 1 and sizes[0] > 1


def _batches(file: BinaryIO, delimiter: str, width: int) -> Iterator[list[Row]]:
    """The rows below the header, a batch at a time.

    Raises:
        DataError: a row has more or fewer values than the header.
    """
    rows = _rows(file, delimiter)
    next(rows, None)
    while batch := list(islice(rows, max(1, BATCH // width))):
        for line, row in batch:
            if len(row) != width:
                values = "one value" if len(row) == 1 else f"{len(row):,} values"
                raise DataError(f"line {line} has {values} where the header has {width:,}")
        yield batch
        time.sleep(TURN)


def _rows(file: BinaryIO, delimiter: str) -> Iterator[Row]:
    """The rows that are not empty, from the beginning.

    Raises:
        DataError: this is no CSV file in UTF-8.
    """
    file.seek(0)
    reader = csv.reader(_lines(file), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} is not CSV: {error}") from None


def _lines(file: BinaryIO) -> Iterator[str]:
    for number, raw in enumerate(iter(partial(file.readline, LONGEST_LINE), b""), start=1):
        if len(raw) == LONGEST_LINE:
            raise DataError(f"line {number} is longer than {LONGEST_LINE // 2**20} MB; is this a CSV file?")
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"line {number} is not UTF-8 text; save the file as CSV in UTF-8") from None


def _floats(cells: Sequence[str]) -> NDArray[np.float64]:
    """
    Raises:
        ValueError: a cell is neither a number nor missing.
    """
    try:
        return np.array([float(cell) for cell in cells], dtype=np.float64)
    except ValueError:
        return np.array([math.nan if _is_missing(cell) else float(cell) for cell in cells], dtype=np.float64)


def _finite(line: int, column: str, text: str) -> float:
    value = _number(text)
    if value is None or not abs(value) <= LARGEST:
        raise DataError(f"line {line}, column {column!r}: {_short(text)!r} is not a number that a network can take")
    return value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
