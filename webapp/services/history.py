"""The history: any Sacred run of any experiment, whatever its document holds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.errors import BSONError

from engine.errors import NotFound, StoreError
from engine.store import Store
from engine.store.runs import parse_run_id
from webapp.services.plain import aware, dig, plain

Document = dict[str, Any]

PAGE = 50
SILENT = timedelta(seconds=120)
"""A RUNNING run without a heartbeat for longer is probably dead (SacredBoard's rule)."""

LONGEST_TEXT = 200
LONGEST_OUTPUT = 200_000
MOST_ROWS = 500
MOST_METRICS = 60
MOST_POINTS = 1000

LEGEND = {
    "running": "Running",
    "completed": "Completed",
    "failed": "Failed",
    "interrupted": "Interrupted",
    "dead": "Probably dead",
    "queued": "Queued",
}
"""The states of SacredBoard's legend."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in the list. *state* is a key of LEGEND or "other"; *label* is what is shown for it."""

    id: str
    name: str
    experiment: str
    model: str
    state: str
    label: str
    started: datetime | None
    active: datetime | None
    host: str
    result: str
    sweep_id: str


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """What templates/history/index.html shows: runs, newest first, and where older ones begin."""

    rows: Sequence[RunRow]
    older: str
    first: bool
    legend: Mapping[str, str]


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


def index(store: Store, before: str, now: datetime) -> HistoryPage:
    """The runs that began before *before* (ISO 8601; anything else: the newest)."""
    start = _moment(before)
    try:
        found = store.runs.page(PAGE + 1, start)
    except (BSONError, OverflowError) as error:
        raise StoreError(f"a run cannot be read: {error}") from error
    rows = [row(run, now) for run in found[:PAGE]]
    older = rows[-1].started.isoformat() if len(found) > PAGE and rows[-1].started else ""
    return HistoryPage(rows, older, start is None, LEGEND)


def run(store: Store, run_id: str, now: datetime) -> RunPage:
    """One run in full.

    Raises:
        NotFound: there is no such run.
    """
    document = find(store, run_id)
    head = row(document, now)
    ended = _date(document.get("stop_time"))
    last = ended or head.active
    output = document.get("captured_out")
    text = output if isinstance(output, str) else "" if output is None else _text(output, LONGEST_OUTPUT)
    return RunPage(
        row=head,
        ended=ended,
        seconds=(last - head.started).total_seconds() if last and head.started else None,
        command=_text(document.get("command")) if document.get("command") else "",
        config=_table(document.get("config")),
        info=_table(_without(document.get("info"), "metrics")),
        host=_table(document.get("host")),
        sources=_names(dig(document, "experiment", "sources")),
        dependencies=_names(dig(document, "experiment", "dependencies")),
        output=text[-LONGEST_OUTPUT:],
        output_cut=len(text) > LONGEST_OUTPUT,
        failure=_failure(document.get("fail_trace")),
        metrics=_metrics(store, document["_id"]),
        is_sweep=is_sweep(document.get("config")),
    )


def is_sweep(config: Any) -> bool:
    """Whether the configuration of a run, whoever recorded it, is that of a sweep."""
    return isinstance(config, Mapping) and {"nn_model", "hyperparam_opt"} <= set(config)


def row(document: Mapping[str, Any], now: datetime) -> RunRow:
    """A run as the list shows it."""
    experiment = _text(dig(document, "experiment", "name") or "")
    started, beat = _date(document.get("start_time")), _date(document.get("heartbeat"))
    stopped = _date(document.get("stop_time"))
    state, label = _state(document.get("status"), beat or started, now)
    return RunRow(
        id=str(document["_id"]),
        name=_text(dig(document, "config", "name") or experiment or "unnamed"),
        experiment=experiment,
        model=_text(dig(document, "config", "nn_model") or ""),
        state=state,
        label=label,
        started=started,
        active=max((moment for moment in (beat, stopped, started) if moment), default=None),
        host=_text(dig(document, "host", "hostname") or ""),
        result="" if document.get("result") is None else result(document.get("result")),
        sweep_id=_text(dig(document, "info", "sweep_id") or ""),
    )


def result(value: Any) -> str:
    """A result as text; what jsonpickle made of a numpy number is unwrapped."""
    value = unwrap(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return _text(value)


def unwrap(value: Any) -> Any:
    """{"py/object": "numpy.float64", …, "value": x} → x."""
    return value["value"] if isinstance(value, Mapping) and "value" in value and _pickled(value) else value


def _pickled(value: Mapping[str, Any]) -> bool:
    return any(str(key).startswith("py/") for key in value) or set(value) <= {"dtype", "value"}


def _state(status: Any, beat: datetime | None, now: datetime) -> tuple[str, str]:
    name = _text(status).lower() if status else "unknown"
    if name == "running" and (beat is None or now - beat > SILENT):
        return "dead", LEGEND["dead"]
    return (name, LEGEND[name]) if name in LEGEND else ("other", _text(status) if status else "unknown")


def find(store: Store, run_id: str) -> Document:
    """The document of a run.

    Raises:
        NotFound: there is none.
    """
    for candidate in parse_run_id(run_id[:200]):
        try:
            return store.runs.get(candidate)
        except NotFound:
            continue
        except (BSONError, OverflowError) as error:
            raise StoreError(f"run {run_id[:200]} cannot be read: {error}") from error
    raise NotFound(f"there is no run {run_id[:200]}")


def _table(value: Any) -> list[tuple[str, str]]:
    """A nested value as rows of (dotted name, text); at most MOST_ROWS."""
    if not isinstance(value, Mapping):
        return [] if value is None else [("", _text(value))]
    rows: list[tuple[str, str]] = []
    for name, text in _flat(value, "", 0):
        if len(rows) == MOST_ROWS:
            rows.append(("…", "more is stored than is shown here"))
            break
        rows.append((name, text))
    return rows


def _flat(value: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        name, item = f"{prefix}{key}", unwrap(item)
        if isinstance(item, Mapping) and item and depth < 6:
            yield from _flat(item, f"{name}.", depth + 1)
        else:
            yield name, _text(item, 2000)


def _text(value: Any, longest: int = LONGEST_TEXT) -> str:
    """Any value as one line of text."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool) or value is None:
        text = {True: "true", False: "false", None: "null"}[value]
    elif isinstance(value, float):
        text = repr(value) if math.isfinite(value) else {"inf": "∞", "-inf": "−∞"}.get(str(value), "NaN")
    elif isinstance(value, datetime):
        text = aware(value).isoformat(sep=" ", timespec="seconds")
    elif isinstance(value, Mapping | list):
        text = json.dumps(plain(value), ensure_ascii=False)
    else:
        text = str(value)
    return text if len(text) <= longest else f"{text[:longest]}…"


def _names(value: Any) -> list[str]:
    """Sacred keeps sources as [name, file id], dependencies as text."""
    items = value if isinstance(value, list) else []
    return [_text(item[0] if isinstance(item, list) and item else item) for item in items[:MOST_ROWS]]


def _failure(value: Any) -> str:
    """Sacred keeps a traceback as a list of its parts."""
    parts = value if isinstance(value, list) else [] if value is None else [value]
    return "".join(part if isinstance(part, str) else _text(part) for part in parts)[-20_000:]


def _metrics(store: Store, run_id: Any) -> list[Document]:
    """The metrics as charts: {name, steps, values, last}, thinned to MOST_POINTS each."""
    charts = []
    for metric in store.runs.metrics(run_id)[:MOST_METRICS]:
        steps, values = metric.get("steps"), metric.get("values")
        if not isinstance(steps, list) or not isinstance(values, list):
            continue
        pairs = [
            (step, _finite(value)) for step, value in zip(steps, values, strict=False) if _finite(step) is not None
        ]
        pairs.sort(key=lambda pair: pair[0])
        thinned = pairs[:: max(1, math.ceil(len(pairs) / MOST_POINTS))]
        if pairs and thinned[-1] != pairs[-1]:
            thinned.append(pairs[-1])
        charts.append(
            {
                "name": _text(metric.get("name") or "unnamed"),
                "steps": [step for step, _ in thinned],
                "values": [value for _, value in thinned],
                "last": pairs[-1][1] if pairs else None,
            }
        )
    return charts


def _finite(value: Any) -> float | None:
    value = unwrap(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _without(value: Any, key: str) -> Any:
    return {name: item for name, item in value.items() if name != key} if isinstance(value, Mapping) else value


def _date(value: Any) -> datetime | None:
    return aware(value) if isinstance(value, datetime) else None


def _moment(text: str) -> datetime | None:
    try:
        return aware(datetime.fromisoformat(text.replace(" ", "+"))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
