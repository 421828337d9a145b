"""Several runs side by side: where their configurations differ, their metrics, results, output and sources."""

from __future__ import annotations

import difflib
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.errors import NotFound
from engine.store.run_parts import RunParts
from webapp.errors import QueryError
from webapp.services import run_files, run_metrics, run_output
from webapp.services.run_metrics import Metric, Numbers
from webapp.services.run_values import MISSING, flat, same
from webapp.services.runs import Document, RunRow, date, find, finite, rounded, row, text, unwrap

LEAST, MOST = 2, 50
MOST_LINES = 1500
"""Lines of a text that are compared; of a longer one, the last."""
CONTEXT = 3
OUTPUT = "output"
ESCAPES = re.compile(r"\x1b\[[0-9;:]*[ -/]*[@-~]")


@dataclass(frozen=True, slots=True)
class Compared:
    """One run of a comparison; *number* is its place, from 1."""

    number: int
    row: RunRow
    seconds: float | None
    result: float | None
    metrics: Mapping[str, Metric]


@dataclass(frozen=True, slots=True)
class Line:
    """One value of all runs, by its path; "" where a run has none. *exact* has what cells may have rounded."""

    path: str
    cells: Sequence[str]
    exact: Sequence[str]
    differs: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """Of so many numbers the mean and, of two or more, the standard deviation."""

    count: int
    mean: float | None
    sd: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """The runs that have *value* where it is grouped by, their results, and the last values of the chosen metric."""

    value: str
    numbers: Sequence[int]
    result: Spread
    metric: Spread


@dataclass(frozen=True, slots=True)
class Changed:
    """A line of two texts: *kind* is same, changed, added, removed or gap. A side that has none has no number."""

    kind: str
    left_number: int | None
    left: str
    right_number: int | None
    right: str


@dataclass(frozen=True, slots=True)
class Texts:
    """Two texts, of the runs of these numbers: the names of those that can be compared, the one that is, and where they
    differ. *note* says why there is nothing."""

    names: Sequence[str]
    name: str
    left: int
    right: int
    lines: Sequence[Changed]
    note: str


@dataclass(frozen=True, slots=True)
class ComparePage:
    """What templates/history/compare.html shows."""

    runs: Sequence[Compared]
    lost: Sequence[str]
    lines: Sequence[Line]
    whole: bool
    hidden: int
    results: Sequence[Line]
    metrics: Sequence[str]
    metric: str
    fields: Sequence[str]
    field: str
    groups: Sequence[Group]
    texts: Texts
    unified: bool

    @property
    def ids(self) -> list[str]:
        """The runs, as addresses name them."""
        return [one.row.id for one in self.runs]


def page(parts: RunParts, ids: Sequence[str], asked: Mapping[str, str], now: datetime) -> ComparePage:
    """The runs with these *ids*. *asked* may have: `all`, to see values that do not differ; `metric`; `group`, the path
    of a value; `left`, `right` and `text`, whose texts are compared and which; `unified`.

    Raises:
        QueryError: fewer than 2 of them are there, or they are more than 50.
    """
    documents, lost = found(parts, ids)
    if len(documents) < LEAST:
        raise QueryError(f"choose {LEAST} to {MOST} runs in the list of the history, and compare those")
    runs = [_compared(parts, number, document, now) for number, document in enumerate(documents, 1)]
    values = [flat(document.get("config")) for document in documents]
    lines = _lines(values)
    names = list(dict.fromkeys(name for one in runs for name in one.metrics))
    metric = asked.get("metric", "")
    metric = metric if metric in names else next(iter(names), "")
    fields = [line.path for line in lines if line.differs]
    field = asked.get("group", "")
    if field not in fields:
        field = field.removeprefix("config.")  # as the list of the history calls it
    whole = bool(asked.get("all"))
    return ComparePage(
        runs=runs,
        lost=lost,
        lines=[line for line in lines if whole or line.differs],
        whole=whole,
        hidden=sum(not line.differs for line in lines),
        results=_results(documents),
        metrics=names,
        metric=metric,
        fields=fields if not field or field in fields else [field, *fields],
        field=field,
        groups=_groups(runs, values, field, metric) if field else (),
        texts=_texts(parts, documents, asked),
        unified=bool(asked.get("unified")),
    )


def found(parts: RunParts, ids: Sequence[str]) -> tuple[list[Document], list[str]]:
    """The documents of the runs with these *ids*, each once, and those ids that no run has.

    Raises:
        QueryError: they are too many.
    """
    once = list(dict.fromkeys(ids))
    if len(once) > MOST:
        raise QueryError(f"at most {MOST} runs are compared at once, not {len(once)}")
    documents, lost = [], []
    for run_id in once:
        try:
            documents.append(find(parts, run_id))
        except NotFound:
            lost.append(text(run_id))
    return documents, lost


def _compared(parts: RunParts, number: int, document: Document, now: datetime) -> Compared:
    head, ended = row(document, now), date(document.get("stop_time"))
    last = ended or head.active
    return Compared(
        number=number,
        row=head,
        seconds=(last - head.started).total_seconds() if last and head.started else None,
        result=_finite(document.get("result")),
        metrics={metric.name: metric for metric in run_metrics.listed(parts, document["_id"])},
    )


def _finite(value: Any) -> float | None:
    try:
        return finite(value)
    except OverflowError:
        return None


def _lines(values: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The values of all runs by path, in the order in which they first come."""
    lines = []
    for path in dict.fromkeys(path for one in values for path in one):
        cells = [one.get(path, MISSING) for one in values]
        differs = any(not same(cell, cells[0]) for cell in cells[1:])
        exact = [_shown(cell) for cell in cells]
        brief = [_shown(rounded(cell)) for cell in cells]
        if differs and len(set(map(str, brief))) < len(set(map(str, exact))):  # they would look the same
            brief = exact
        lines.append(Line(path, brief, exact, differs))
    return lines


def _shown(cell: Any) -> str:
    return "" if cell is MISSING else text(cell) or '""'


def _results(documents: Sequence[Document]) -> list[Line]:
    """Results of several values, by path, where any run has such."""
    results = [unwrap(document.get("result")) for document in documents]
    if not any(isinstance(result, Mapping | list) for result in results):
        return []
    return _lines([_values(result) for result in results])


def _values(result: Any) -> dict[str, Any]:
    if result is None:
        return {}
    return flat(result) if isinstance(result, Mapping | list) else {"": result}


def spread(numbers: Sequence[float | None]) -> Spread:
    """Mean and standard deviation of those that are there."""
    there = [number for number in numbers if number is not None and math.isfinite(number)]
    return Spread(
        len(there), statistics.fmean(there) if there else None, statistics.stdev(there) if len(there) > 1 else None
    )


def grouped(values: Sequence[Mapping[str, Any]], field: str) -> dict[str, list[int]]:
    """The places of the runs by what they have at *field*."""
    groups: dict[str, list[int]] = {}
    for place, one in enumerate(values):
        value = one.get(field, MISSING)
        groups.setdefault("nothing" if value is MISSING else text(value), []).append(place)
    return groups


def _groups(runs: Sequence[Compared], values: Sequence[Mapping[str, Any]], field: str, metric: str) -> list[Group]:
    def last(place: int) -> float | None:
        found = runs[place].metrics.get(metric)
        return found.last if found else None

    return [
        Group(
            value,
            [runs[place].number for place in places],
            spread([runs[place].result for place in places]),
            spread([last(place) for place in places]),
        )
        for value, places in grouped(values, field).items()
    ]


def curves(
    parts: RunParts,
    documents: Sequence[Document],
    name: str,
    field: str,
    axis: str,
    weight: float,
    low: float,
    high: float,
) -> list[Document]:
    """A metric of all runs as charts draw it; with *field*, the mean of each group with its standard deviation."""
    lines = [run_metrics.chart(parts, document, name, axis, weight, low, high) for document in documents]
    if not field:
        return [{"run": str(number), **line} for number, line in enumerate(lines, 1)]
    groups = grouped([flat(document.get("config")) for document in documents], field)
    return [{"run": value, **_mean(name, [lines[place] for place in places])} for value, places in groups.items()]


def _mean(name: str, lines: Sequence[Document]) -> Document:
    drawn: list[tuple[Numbers, Numbers]] = [
        (run_metrics.numbers(line["x"]), run_metrics.numbers(line["y"])) for line in lines if line["x"]
    ]
    lows, highs = [line["low"] for line in lines if line["x"]], [line["high"] for line in lines if line["x"]]
    told = {"name": name, "total": 0, "runs": len(drawn), **run_metrics.mean_of(drawn)}
    return {**told, "low": min(lows, default=None), "high": max(highs, default=None)}


def _texts(parts: RunParts, documents: Sequence[Document], asked: Mapping[str, str]) -> Texts:
    left, right = _place(asked.get("left", ""), 1, documents), _place(asked.get("right", ""), 2, documents)
    pair = documents[left - 1], documents[right - 1]
    files = [{file.name: file.at for file in run_files.listed(document, "source")} for document in pair]
    names = [OUTPUT, *dict.fromkeys(name for one in files for name in one)]
    name = asked.get("text", "")
    name = name if name in names else OUTPUT
    try:
        if name == OUTPUT:
            texts = [ESCAPES.sub("", run_output.end_of(parts, document["_id"]).text) for document in pair]
        else:
            texts = [_source(parts, document, one.get(name)) for document, one in zip(pair, files, strict=True)]
    except NotFound as error:
        return Texts(names, name, left, right, (), f"{str(error)[:1].upper()}{str(error)[1:]}.")
    lines = list(changes(*texts))
    note = "" if lines else "They are the same." if any(texts) else "Neither run has any."
    return Texts(names, name, left, right, lines, note)


def _place(given: str, default: int, documents: Sequence[Document]) -> int:
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 4 else default
    return number if 1 <= number <= len(documents) else default


def _source(parts: RunParts, document: Document, at: int | None) -> str:
    if at is None:
        return ""
    _, file = run_files.opened(parts, document, "source", at)
    return file.start(run_files.LONGEST_TEXT).decode("utf-8", "replace")


def changes(left: str, right: str) -> Iterator[Changed]:
    """Where two texts differ, line by line with the lines around it; nothing where they are the same."""
    one, other = left.splitlines()[-MOST_LINES:], right.splitlines()[-MOST_LINES:]
    if one == other:
        return
    for number, group in enumerate(difflib.SequenceMatcher(None, one, other).get_grouped_opcodes(CONTEXT)):
        if number:
            yield Changed("gap", None, "", None, "")
        for kind, from_left, to_left, from_right, to_right in group:
            for step in range(max(to_left - from_left, to_right - from_right)):
                a, b = from_left + step, from_right + step
                has_left, has_right = a < to_left, b < to_right
                only = "changed" if has_left and has_right else "removed" if has_left else "added"
                yield Changed(
                    "same" if kind == "equal" else only,
                    a + 1 if has_left else None,
                    one[a] if has_left else "",
                    b + 1 if has_right else None,
                    other[b] if has_right else "",
                )
