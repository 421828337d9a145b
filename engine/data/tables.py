"""Tables: scikit-learn's diabetes data, and CSV files."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError

LEAST_ROWS = 20
MOST_BYTES = 200 * 1024 * 1024
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


def read_csv(path: Path, target_column: str = "") -> Table:
    """A table of numbers with a header line; the target is *target_column*, or the last column.

    Raises:
        DataError: naming the file, and the line and column where one is at fault.
    """
    rows = _rows(path)
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


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, each with the number of its line."""
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a folder; name a CSV file")
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: is larger than {MOST_BYTES // 2**20} MB")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if row]
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
