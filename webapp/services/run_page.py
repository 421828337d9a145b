"""The page of one run of the history."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.store import Store
from webapp.services.plain import dig
from webapp.services.runs import Document, RunRow, date, find, finite, is_sweep, row, text, unwrap

LONGEST_OUTPUT = 200_000
MOST_ROWS = 500
MOST_METRICS = 60
MOST_POINTS = 1000


@dataclass(frozen=True, slots=True)
class RunPage:
    """What templates/history/run.html shows. The tables are rows of (name, value)."""

    row: RunRow
    ended: datetime | None
    seconds: float | None
    command: str
    config: Sequence[tuple[str, str]]
    info: Sequence[tuple[str, str]]
    host: Sequence[tuple[str, str]]
    sources: Sequence[str]
    dependencies: Sequence[str]
    output: str
    output_cut: bool
    failure: str
    metrics: Sequence[Document]
    is_sweep: bool


def run(store: Store, run_id: str, now: datetime) -> RunPage:
    """One run in full.

    Raises:
        NotFound: there is no such run.
    """
    document = find(store, run_id)
    head = row(document, now)
    ended = date(document.get("stop_time"))
    last = ended or head.active
    output = document.get("captured_out")
    written = output if isinstance(output, str) else "" if output is None else text(output, LONGEST_OUTPUT)
    return RunPage(
        row=head,
        ended=ended,
        seconds=(last - head.started).total_seconds() if last and head.started else None,
        command=text(document.get("command")) if document.get("command") else "",
        config=_table(document.get("config")),
        info=_table(_without(document.get("info"), "metrics")),
        host=_table(document.get("host")),
        sources=_names(dig(document, "experiment", "sources")),
        dependencies=_names(dig(document, "experiment", "dependencies")),
        output=written[-LONGEST_OUTPUT:],
        output_cut=len(written) > LONGEST_OUTPUT,
        failure=_failure(document.get("fail_trace")),
        metrics=_metrics(store, document["_id"]),
        is_sweep=is_sweep(document.get("config")),
    )


def _table(value: Any) -> list[tuple[str, str]]:
    """A nested value as rows of (dotted name, text); at most MOST_ROWS."""
    if not isinstance(value, Mapping):
        return [] if value is None else [("", text(value))]
    rows: list[tuple[str, str]] = []
    for name, shown in _flat(value, "", 0):
        if len(rows) == MOST_ROWS:
            rows.append(("…", "more is stored than is shown here"))
            break
        rows.append((name, shown))
    return rows


def _flat(value: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        name, item = f"{prefix}{key}", unwrap(item)
        if isinstance(item, Mapping) and item and depth < 6:
            yield from _flat(item, f"{name}.", depth + 1)
        else:
            yield name, text(item, 2000)


def _names(value: Any) -> list[str]:
    """Sacred keeps sources as [name, file id], dependencies as text."""
    items = value if isinstance(value, list) else []
    return [text(item[0] if isinstance(item, list) and item else item) for item in items[:MOST_ROWS]]


def _failure(value: Any) -> str:
    """Sacred keeps a traceback as a list of its parts."""
    parts = value if isinstance(value, list) else [] if value is None else [value]
    return "".join(part if isinstance(part, str) else text(part) for part in parts)[-20_000:]


def _metrics(store: Store, run_id: Any) -> list[Document]:
    """The metrics as charts: {name, steps, values, last}, thinned to MOST_POINTS each."""
    charts = []
    for metric in store.runs.metrics(run_id)[:MOST_METRICS]:
        steps, values = metric.get("steps"), metric.get("values")
        if not isinstance(steps, list) or not isinstance(values, list):
            continue
        pairs = [(step, finite(value)) for step, value in zip(steps, values, strict=False) if finite(step) is not None]
        pairs.sort(key=lambda pair: pair[0])
        thinned = pairs[:: max(1, math.ceil(len(pairs) / MOST_POINTS))]
        if pairs and thinned[-1] != pairs[-1]:
            thinned.append(pairs[-1])
        charts.append(
            {
                "name": text(metric.get("name") or "unnamed"),
                "steps": [step for step, _ in thinned],
                "values": [value for _, value in thinned],
                "last": pairs[-1][1] if pairs else None,
            }
        )
    return charts


def _without(value: Any, key: str) -> Any:
    return {name: item for name, item in value.items() if name != key} if isinstance(value, Mapping) else value
