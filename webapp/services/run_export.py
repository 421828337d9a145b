"""The filtered list as a file: every column that it shows, the values as they are, written while it is sent."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from webapp.services.histories import History
from webapp.services.history import Asked, moment
from webapp.services.run_index.fields import DATES, Value
from webapp.services.run_work import all_found

ID = "id"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a text must not begin with, or a spreadsheet would calculate it."""


def csv_of(history: History, asked: Asked, now: datetime) -> Iterator[bytes]:
    """The runs as CSV, one a line, below the names of their fields."""
    names = _names(asked)
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow([_safe(name) for name in names])
    yield sink.getvalue().encode()
    for runs in _runs(history, asked, names, now):
        sink.seek(0)
        sink.truncate()
        writer.writerows([_safe(_flat(run.get(name))) for name in names] for run in runs)
        yield sink.getvalue().encode()


def json_of(history: History, asked: Asked, now: datetime) -> Iterator[bytes]:
    """The runs as a JSON list of objects; a field that a run lacks is missing, what is no number for JSON is a text."""
    yield b"["
    begin = "\n"
    for runs in _runs(history, asked, _names(asked), now):
        for run in runs:
            yield f"{begin}{json.dumps(run, ensure_ascii=False, allow_nan=False)}".encode("utf-8", "replace")
            begin = ",\n"
    yield b"\n]\n"


def _names(asked: Asked) -> list[str]:
    return list(dict.fromkeys([ID, *(column.name for column in asked.shown)]))


def _runs(history: History, asked: Asked, names: Sequence[str], now: datetime) -> Iterator[list[dict[str, Any]]]:
    for found in all_found(history, asked, now):
        cells = history.index.cells([run.n for run in found], names)
        groups = []
        for run in found:
            values = {**cells[run.n], ID: cells[run.n].get(ID, run.key)}
            if "state" in names:
                values["state"] = run.state
            groups.append({name: _plain(name, values[name]) for name in names if name in values})
        yield groups


def _plain(name: str, value: Value) -> Any:
    if name in DATES:
        at = moment(value)
        return at.isoformat() if at else None
    if name == "tag":
        return [tag for tag in str(value).split("\n") if tag]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _flat(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else "" if value is None else value


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
