"""Tables: scikit-learn's diabetes data, and CSV files."""

from __future__ import annotations

import csv
import itertools
import math
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError

LEAST_ROWS = 20
MOST_BYTES = 200 * 1024 * 1024
SMALL_BYTES = 1024 * 1024
LOOKED_AT = 1000
"""Rows of a large file that are looked at before a sweep is created."""
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Table:
    """Features [rows, columns] and target [rows, 1], float32, with the columns' names."""

    features: NDArray[np.float32]
    target: NDArray[np.float32]
    columns: tuple[str, ...]
    target_name: str


def diabetes() -> Table:
    """scikit-learn's diabetes table: 442 patients, 10 features, disease progression after one year."""
    from sklearn.datasets import load_diabetes

    loaded = load_diabetes()
    return Table(
        loaded.data.astype(np.float32),
        loaded.target.astype(np.float32).reshape(-1, 1),
        tuple(loaded.feature_names),
        "progression",
    )


def csv_shape(path: Path, target_column: str = "") -> tuple[int, int]:
    """(rows, features) of a CSV file; of a large one only the beginning is read whole, its other lines are counted.

    Raises:
        DataError: as `read_csv`, for what was read.
    """
    _check_file(path)
    if path.stat().st_size <= SMALL_BYTES:
        rows, features = read_csv(path, target_column).features.shape
        return rows, features
    rows, features = _table(path, _rows(path, LOOKED_AT), target_column).features.shape
    with path.open("rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return max(lines - 1, rows), features


def read_csv(path: Path, target_column: str = "") -> Table:
    """A table of numbers with a header line; the target is *target_column*, or the last column.

    Raises:
        DataError: naming the file, and the line and column where one is at fault.
    """
    return _table(path, _rows(path), target_column)


def _table(path: Path, rows: list[tuple[int, list[str]]], target_column: str) -> Table:
    header = [name.strip() for name in rows[0][1]]
    if len(header) < 2:
        raise DataError(f"{path}: needs at least two columns separated by commas: features and a target")
    if len(set(header)) != len(header):
        raise DataError(f"{path}: two columns of the header line have the same name")
    if all(_is_number(name) for name in header):
        raise DataError(f"{path}: the first line must name the columns")
    target_name = target_column or header[-1]
    if target_name not in header:
        raise DataError(f"{path}: there is no column {target_column!r}; the columns are {', '.join(header)[:300]}")
    body = rows[1:]
    if len(body) < LEAST_ROWS:
        raise DataError(f"{path}: has {len(body)} rows of data; at least {LEAST_ROWS} are needed")
    values = np.empty((len(body), len(header)), dtype=np.float64)
    for index, (line, row) in enumerate(body):
        if len(row) != len(header):
            raise DataError(f"{path}: line {line} has {len(row)} values where the header has {len(header)}")
        for column, text in enumerate(row):
            values[index, column] = _number(path, line, header[column], text)
    target = header.index(target_name)
    return Table(
        np.delete(values, target, axis=1).astype(np.float32),
        values[:, [target]].astype(np.float32),
        tuple(name for name in header if name != target_name),
        target_name,
    )


def _check_file(path: Path) -> None:
    """
    Raises:
        DataError: *path* is not a file that may hold a table.
    """
    try:
        about = path.stat()
    except ValueError:
        raise DataError("the name of the file has a character that no name can have") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if stat.S_ISDIR(about.st_mode):
        raise DataError(f"{path}: is a folder; name a CSV file")
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"{path}: is not a file")
    if about.st_size == 0:
        raise DataError(f"{path}: is empty")
    if about.st_size > MOST_BYTES:
        raise DataError(f"{path}: is larger than {MOST_BYTES // 2**20} MB")


def _rows(path: Path, most: int | None = None) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, at most *most*, each with the number of its line."""
    _check_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in itertools.islice(reader, most) if row]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}: is not a CSV file: {error}") from None
    if not rows:
        raise DataError(f"{path}: is empty")
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        shown = "an empty value" if not text.strip() else f"{text.strip()[:30]!r}"
        raise DataError(f"{path}: line {line}, column {column!r}: {shown} is not a number") from None
    if not math.isfinite(value):
        raise DataError(f"{path}: line {line}, column {column!r}: {text.strip()} is not a finite number")
    if abs(value) > LARGEST:
        raise DataError(f"{path}: line {line}, column {column!r}: {text.strip()} is too large; at most {LARGEST:g}")
    return value
