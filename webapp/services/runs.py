"""A Sacred run as every page of the history sees it, whatever its document holds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson.errors import BSONError

from engine.errors import NotFound, StoreError
from engine.store.run_parts import RunParts
from engine.store.runs import parse_run_id, run_id_text
from webapp.filters import figure
from webapp.services.plain import aware, dig, plain

Document = dict[str, Any]

SILENT = timedelta(seconds=120)
"""A RUNNING run without a heartbeat for longer is probably dead (SacredBoard's rule): that of 12 of Sacred's beats."""
BEATS = 12

SHOWN_DIGITS, FEW = 6, 6
"""Significant digits of a number, and the values of a result that are told by name."""
LONGEST_TEXT = 200
LONGEST_ID = 1500

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


def find(parts: RunParts, run_id: str) -> Document:
    """The document of a run, without its output.

    Raises:
        NotFound: there is none.
    """
    for candidate in parse_run_id(run_id[:LONGEST_ID]):
        try:
            return parts.head(candidate)
        except NotFound:
            continue
        except (BSONError, OverflowError) as error:
            raise StoreError(f"run {text(run_id)} cannot be read: {error}") from error
    raise NotFound(f"there is no run {text(run_id)}")


def row(document: Mapping[str, Any], now: datetime) -> RunRow:
    """A run as the list shows it."""
    experiment = text(dig(document, "experiment", "name") or "")
    started, beat = date(document.get("start_time")), date(document.get("heartbeat"))
    stopped = date(document.get("stop_time"))
    status, label = state(document, now)
    return RunRow(
        id=run_id_text(document["_id"]),
        name=text(dig(document, "config", "name") or experiment or "unnamed"),
        experiment=experiment,
        model=text(dig(document, "config", "nn_model") or ""),
        state=status,
        label=label,
        started=started,
        active=max((moment for moment in (beat, stopped, started) if moment), default=None),
        host=text(dig(document, "host", "hostname") or ""),
        result="" if document.get("result") is None else result(document.get("result")),
        sweep_id=text(dig(document, "info", "sweep_id") or ""),
    )


def state(document: Mapping[str, Any], now: datetime) -> tuple[str, str]:
    """The state of a run: a key of LEGEND or "other", and the word for it."""
    status = document.get("status")
    name = text(status).lower() if status else "unknown"
    if name == "running":
        last = date(document.get("heartbeat")) or date(document.get("start_time"))
        if last is None or now - last > silence(document):
            return "dead", LEGEND["dead"]
    return (name, LEGEND[name]) if name in LEGEND else ("other", text(status) if status else "unknown")


def silence(document: Mapping[str, Any]) -> timedelta:
    """How long a RUNNING run may be silent before it is probably dead: longer where its beats are farther apart."""
    given = dig(document, "meta", "options", "--beat-interval") or dig(document, "meta", "options", "--beat_interval")
    try:
        return max(SILENT, timedelta(seconds=BEATS * float(given)))
    except (TypeError, ValueError, OverflowError):
        return SILENT


def is_sweep(config: Any) -> bool:
    """Whether the configuration of a run, whoever recorded it, is that of a sweep."""
    return isinstance(config, Mapping) and {"nn_model", "hyperparam_opt"} <= set(config)


def counted(count: int) -> str:
    """1 run, 2 runs."""
    return f"{count:,} run{'' if count == 1 else 's'}"


def result(value: Any) -> str:
    """A result as text; what jsonpickle made of a numpy number is unwrapped, a few values are told by name."""
    value = unwrap(value)
    if isinstance(value, float):
        return figure(value, SHOWN_DIGITS)
    if isinstance(value, Mapping) and 0 < len(value) <= FEW:
        values = {name: unwrap(one) for name, one in value.items()}
        if not any(isinstance(one, Mapping | list) for one in values.values()):
            return " · ".join(f"{name} {result(one)}" for name, one in values.items())
    return text(rounded(value))


def rounded(value: Any) -> Any:
    """*value* with its floats at SHOWN_DIGITS significant digits, for people to read."""
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{SHOWN_DIGITS}g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, Mapping):
        return {name: rounded(item) for name, item in value.items()}
    return value


def unwrap(value: Any) -> Any:
    """{"py/object": "numpy.float64", …, "value": x} → x."""
    return value["value"] if isinstance(value, Mapping) and "value" in value and _pickled(value) else value


def _pickled(value: Mapping[str, Any]) -> bool:
    return any(str(key).startswith("py/") for key in value) or set(value) <= {"dtype", "value"}


def text(value: Any, longest: int = LONGEST_TEXT) -> str:
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


def date(value: Any) -> datetime | None:
    return aware(value) if isinstance(value, datetime) else None


def finite(value: Any) -> float | None:
    value = unwrap(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
