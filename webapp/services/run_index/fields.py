"""What the list of runs can show of a run: its document as fields with plain values.

Pure. A field is a dotted name such as `config.optimizer.lr`; its value is a number or a text. What is no value, such as
a list, is kept as JSON; what is too long is cut, and of a document with too many fields the first ones are kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from bson.decimal128 import Decimal128

from engine.store.runs import parse_run_id, run_id_text
from webapp.services import runs
from webapp.services.plain import dig

Document = Mapping[str, Any]
Value = int | float | str
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_FIELDS = {"config": 300, "info": 150, "result": 150, "meta": 60, "experiment": 30, "host": 60}
"""The parts of a document that become fields, and how many of each at most."""
DEEPEST = 6
LONGEST_NAME = 150
LONGEST_VALUE = 500
MOST_TAGS = 50
MOST_WORDS = 400
HIDDEN = {"info": {"metrics"}, "host": {"ENV"}, "experiment": {"sources", "dependencies", "repositories"}}
"""Parts that are no columns; an environment may hold secrets."""

DATES = frozenset({"started", "ended", "beat", "active"})
"""Fields that are moments, kept as seconds since 1970."""

OWN = {
    "id": "Run",
    "name": "Name",
    "state": "State",
    "experiment": "Experiment",
    "started": "Started",
    "ended": "Ended",
    "active": "Last activity",
    "beat": "Last heartbeat",
    "duration": "Duration",
    "host": "Host",
    "owner": "Owner",
    "tag": "Tags",
    "sweep": "Sweep",
    "command": "Command",
    "comment": "Comment",
    "notes": "Notes",
    "archived": "Archived",
    "commit": "Commit",
    "dirty": "Uncommitted changes",
    "result": "Result",
}
"""Fields that every run can have, and their headings."""

WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Row:
    """A run as the index keeps it.

    *status* is Sacred's in lower case; a running one counts as dead after *deadline* (seconds since 1970; None: at
    once). *metrics* are the ids of its metrics, as far as the document tells. *words* are what it is found by.
    """

    key: str
    status: str
    beat: float | None
    deadline: float | None
    cells: dict[str, Value]
    words: str
    metrics: tuple[Any, ...]
    sweep: str

    @property
    def open(self) -> bool:
        """Whether the run may still change by itself."""
        return self.status in ("running", "queued")


def key_of(run_id: Any) -> str:
    """An id of any type as text."""
    return run_id_text(run_id)


def id_of(key: str) -> Any:
    """The id that `key_of` made *key* of."""
    return parse_run_id(key)[0]


def row(document: Document) -> Row:
    """What the index keeps of a run."""
    status = status_of(document.get("status"))
    started, ended = started_of(document), _seconds(document.get("stop_time"))
    beat = _seconds(document.get("heartbeat"))
    last = beat if beat is not None else started
    cells: dict[str, Value] = {}
    for part, most in MOST_FIELDS.items():
        cells.update(_fields(part, document.get(part), most))
    cells.update({name: value for name, value in _own(document).items() if value is not None and value != ""})
    for name, moment in (("started", started), ("ended", ended), ("beat", beat)):
        if moment is not None:
            cells[name] = moment
    if active := [moment for moment in (beat, ended, started) if moment is not None]:
        cells["active"] = max(active)
    until = ended if ended is not None else beat
    if started is not None and until is not None and until >= started:
        cells["duration"] = until - started
    return Row(
        key=key_of(document.get("_id")),
        status=status,
        beat=beat,
        deadline=None if last is None else last + runs.silence(document).total_seconds(),
        cells=cells,
        words=words(cells),
        metrics=tuple(_metric_ids(dig(document, "info", "metrics"))),
        sweep=text(dig(document, "info", "sweep_id") or ""),
    )


def status_of(status: Any) -> str:
    """Sacred's status in lower case, whatever is stored as one; `unknown` where nothing is."""
    return text(status).strip().lower()[:40] or "unknown" if status else "unknown"


def cell(value: Any) -> Value:
    """A stored value as one that can be compared and sorted: numbers stay numbers, all else is text."""
    value = runs.unwrap(value)
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        value = text(value) if number.is_nan() else float(number)  # a NaN may be one that signals, and raises
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    if isinstance(value, float) and not math.isnan(value):
        return value
    return text(value)


def text(value: Any) -> str:
    """Any value as one line of text of at most LONGEST_VALUE characters that can be stored."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Mapping | list):
        value = _short(value)
    return runs.text(value, LONGEST_VALUE - 1).encode("utf-8", "replace").decode()


def words(cells: Mapping[str, Value]) -> str:
    """Each word of the values, and of the names of fields, once, in lower case and after a blank."""
    found: dict[str, None] = {}
    for name, value in cells.items():
        if name in DATES or name.startswith("host."):
            continue
        for word in (*WORD.findall(name), *WORD.findall(str(value))):
            found[word.lower()[:60]] = None
            if len(found) == MOST_WORDS:
                break
    return "".join(f" {word}" for word in found)


def tags(document: Document) -> list[str]:
    """The tags of a run, wherever a tool has put them."""
    places = (("omniboard", "tags"), ("config", "tags"), ("meta", "tags"), ("info", "tags"))
    found: dict[str, None] = {}
    for place in places:
        value = dig(document, *place)
        items = value if isinstance(value, list) else value.split(",") if isinstance(value, str) else []
        for item in items[:MOST_TAGS]:
            tag = " ".join(text(item).split())[:60]
            if tag and item is not None:
                found[tag] = None
    return list(found)[:MOST_TAGS]


def _own(document: Document) -> dict[str, Value | None]:
    """The fields that every run can have, but for moments."""
    run_id = document.get("_id")
    experiment = dig(document, "experiment", "name")
    repositories = dig(document, "experiment", "repositories")
    repository = repositories[0] if isinstance(repositories, list) and repositories else None
    name = dig(document, "config", "name") or experiment
    dirty = dig(repository, "dirty")
    return {
        "id": run_id if isinstance(run_id, int) and not isinstance(run_id, bool) else text(run_id),
        "name": text(name) if name else "unnamed",
        "experiment": _given(experiment),
        "host": _given(dig(document, "host", "hostname")),
        "owner": _given(_owner(document)),
        "tag": "".join(f"\n{tag}" for tag in tags(document)) + "\n" if tags(document) else None,
        "sweep": _given(dig(document, "info", "sweep_id")),
        "command": _given(document.get("command") or dig(document, "meta", "command")),
        "comment": _given(dig(document, "meta", "comment")),
        "notes": _given(dig(document, "omniboard", "notes")),
        "commit": _given(dig(repository, "commit")),
        "dirty": text(dirty) if isinstance(dirty, bool) else None,
        "result": None if document.get("result") is None else cell(document["result"]),
    }


def _owner(document: Document) -> Any:
    places = (("info", "owner"), ("config", "owner"), ("meta", "owner"), ("host", "ENV", "USER"))
    return next((found for place in places if isinstance(found := dig(document, *place), str) and found), None)


def _given(value: Any) -> Value | None:
    return None if value is None or value == "" else text(value)


def _fields(part: str, value: Any, most: int) -> Iterator[tuple[str, Value]]:
    """The fields of one part of a document, at most *most*."""
    value = runs.unwrap(value)
    if not isinstance(value, Mapping):
        if value is not None and part not in OWN:
            yield part, cell(value)
        return
    hidden = HIDDEN.get(part, set())
    flat = _flat({key: item for key, item in value.items() if key not in hidden}, f"{part}.", 0)
    for _, (name, item) in zip(range(most), flat, strict=False):
        yield name, item


def _flat(value: Document, prefix: str, depth: int) -> Iterator[tuple[str, Value]]:
    for key, item in value.items():
        name, item = f"{prefix}{' '.join(str(key).split())}".encode("utf-8", "replace").decode(), runs.unwrap(item)
        if len(name) > LONGEST_NAME:
            continue
        if isinstance(item, Mapping) and item and depth < DEEPEST:
            yield from _flat(item, f"{name}.", depth + 1)
        else:
            yield name, cell(item)


def _short(value: Any, depth: int = 0) -> Any:
    """A nested value with no more of it than its text may show."""
    if depth > DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {
            str(key)[:LONGEST_VALUE]: _short(value[key], depth + 1) for _, key in zip(range(50), value, strict=False)
        }
    if isinstance(value, list):
        return [_short(item, depth + 1) for item in value[:100]]
    return value[:LONGEST_VALUE] if isinstance(value, str) else runs.unwrap(value)


def started_of(document: Document) -> float | None:
    """When a run began, in seconds since 1970: what tells it from another one that has its number since."""
    return _seconds(document.get("start_time"))


def is_same(started: Any, now: Any) -> bool:
    """Whether a run that had *started* then is the one of its number that has started *now*, as far as is known."""
    return started is None or now is None or started == now


def _seconds(value: Any) -> float | None:
    """A moment as seconds since 1970; None for what is none."""
    moment = runs.date(value)
    return None if moment is None else (moment - EPOCH).total_seconds()


def _metric_ids(value: Any) -> Iterable[Any]:
    """The ids of metrics in `info.metrics`, which Sacred writes as text."""
    for item in value if isinstance(value, list) else []:
        found = item.get("id") if isinstance(item, Mapping) else None
        if isinstance(found, ObjectId):
            yield found
        elif isinstance(found, str) and ObjectId.is_valid(found):
            yield ObjectId(found)


@dataclass(slots=True)
class Curve:
    """What the index keeps of a metric: how many points it has read, and what they come to."""

    count: int = 0
    finite: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    last: Value | None = None

    def add(self, values: Any) -> None:
        """Take in the next points of a metric."""
        values = values if isinstance(values, list) else []
        if values and set(map(type, values)) <= {int, float} and math.isfinite(total := sum(values)):
            self.count += len(values)
            self.finite += len(values)
            self.total += total
            self.low, self.high = min(self.low, min(values)), max(self.high, max(values))
            self.last = values[-1]
            return
        for value in values:
            self.count += 1
            self.last = cell(value)
            if isinstance(self.last, int | float) and math.isfinite(self.last):
                self.finite += 1
                self.total += self.last
                self.low = min(self.low, self.last)
                self.high = max(self.high, self.last)

    def cells(self, name: str) -> dict[str, Value]:
        """The fields of the metric."""
        found: dict[str, Value] = {f"metrics.{name}.count": self.count}
        if self.last is not None:
            found[f"metrics.{name}.last"] = self.last
        if self.finite:
            found |= {
                f"metrics.{name}.min": self.low,
                f"metrics.{name}.max": self.high,
                f"metrics.{name}.mean": self.total / self.finite,
            }
        return found


def at_step(steps: Any, values: Any, step: int) -> Value | None:
    """The value of a metric at *step*: that of its last point up to there."""
    best: tuple[float, Any] | None = None
    if isinstance(steps, list) and isinstance(values, list):
        for at, value in zip(steps, values, strict=False):
            at = runs.unwrap(at)
            if isinstance(at, int | float) and at <= step and (best is None or at >= best[0]):
                best = (at, value)
    return None if best is None else cell(best[1])


AT = re.compile(r"metrics\.(?P<name>.+)@(?P<step>\d{1,12})")
"""A metric at a step, as a field: `metrics.loss@500`."""
HIGHER = re.compile(r"acc|auc|f1|precision|recall|score|r2|bleu|iou|dice|reward|psnr|ssim", re.IGNORECASE)


def stored_name(field: str) -> str:
    """The field that *field* stands for: `best` is the lowest, or the highest of what is better the higher it is."""
    if field.startswith("metrics.") and field.endswith(".best"):
        name = field[len("metrics.") : -len(".best")]
        return f"metrics.{name}.{'max' if HIGHER.search(name) else 'min'}"
    return field
