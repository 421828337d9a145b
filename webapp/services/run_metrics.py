"""The metrics of runs: any number of points, thinned here to what a chart can show."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.store.run_parts import RunParts
from webapp.errors import QueryError
from webapp.services.plain import aware, plain
from webapp.services.runs import Document, date, finite, text

Numbers = npt.NDArray[np.float64]

MOST_POINTS = 1500
"""Points of one line in a chart."""
MOST_KEPT = 1_500_000
"""Points of metrics that a process keeps, so that zooming doesn't read them anew."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in the page's list: its name, how many points it has, and its last value."""

    name: str
    total: int
    last: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """The points of a metric, in the order in which they were logged. *moments* are seconds of the epoch, NaN where
    none was recorded."""

    steps: Numbers
    values: Numbers
    moments: Numbers


def listed(parts: RunParts, run_id: Any) -> list[Metric]:
    """The metrics of a run by name."""
    return [
        Metric(name_of(one), one["n"], finite(one["last"][0]) if one["last"] else None)
        for one in parts.metric_lengths(run_id)
    ]


def name_of(metric: Mapping[str, Any]) -> str:
    """The name of a metric, whatever stands there."""
    name = metric.get("name")
    return name if isinstance(name, str) else text(name)


class Lines:
    """The metrics that were read last."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, str], Line] = OrderedDict()
        self._guard = threading.Lock()

    def read(self, parts: RunParts, metric: Mapping[str, Any]) -> Line:
        """The points of a metric, as `RunParts.metric_lengths` gives it: only those that are new are asked for."""
        key = (parts.name, repr(metric["_id"]))
        with self._guard:
            known = self._kept.get(key)
        count, total = len(known.steps) if known else 0, metric["n"]
        if known is None or count != total:
            known = self._grown(parts, metric["_id"], known, total)
        with self._guard:
            self._kept[key] = known
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(len(line.steps) for line in self._kept.values()) > self._most:
                self._kept.popitem(last=False)
        return known

    @staticmethod
    def _grown(parts: RunParts, metric_id: Any, known: Line | None, total: int) -> Line:
        """*known* with the points that have come since; all of them where it was rewritten, as a long metric may be."""
        count = len(known.steps) if known else 0
        if known is not None and 0 < count < total:
            new = line_of(parts.metric_part(metric_id, count - 1, total - count + 1))
            if new.steps[:1].tolist() == known.steps[-1:].tolist():
                return Line(
                    np.concatenate([known.steps, new.steps[1:]]),
                    np.concatenate([known.values, new.values[1:]]),
                    np.concatenate([known.moments, new.moments[1:]]),
                )
        return line_of(parts.metric_part(metric_id, 0, total) if total else {})


_lines = Lines()


def line_of(stored: Mapping[str, Any]) -> Line:
    """The points of a stored metric, or of a part of one; what is no number is NaN."""
    steps, values = numbers(stored.get("steps")), numbers(stored.get("values"))
    count = min(len(steps), len(values))
    given = stored.get("timestamps")
    stamps = given[:count] if isinstance(given, list) else []
    moments = np.full(count, np.nan)
    for at, stamp in enumerate(stamps):
        if isinstance(stamp, datetime):
            moments[at] = aware(stamp).timestamp()
    return Line(steps[:count], values[:count], moments)


def numbers(value: Any) -> Numbers:
    """A stored list as numbers; what is none is NaN."""
    items = value if isinstance(value, list) else []
    if all(type(item) in (float, int) for item in items):
        try:
            found = np.array(items, dtype=np.float64)
        except OverflowError:
            found = np.array([_number(item) for item in items], dtype=np.float64)
    else:
        found = np.array([_number(item) for item in items], dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def _number(value: Any) -> float:
    try:
        found = finite(value)
    except OverflowError:
        return math.nan
    return math.nan if found is None else found


def chart(
    parts: RunParts, document: Mapping[str, Any], name: str, axis: str, weight: float, low: float, high: float
) -> Document:
    """One metric of a run as a chart draws it: {name, total, x: [], y: [], low, high, timed}, thinned, where x are
    steps, or seconds since the run's start. *low* and *high* are then those of the whole metric.

    Args:
        axis: step or time.
        weight: of the past in the smoothed value, from 0 to below 1.
        low, high: only what lies between these x, with the point before and the one after; infinite: everything.
    """
    metric = next((one for one in parts.metric_lengths(document["_id"]) if name_of(one) == name), None)
    nothing = {"name": name, "total": 0, "x": [], "y": [], "low": None, "high": None, "timed": False}
    if metric is None:
        return nothing
    line = _lines.read(parts, metric)
    x, y = along(line, axis, date(document.get("start_time")))
    told = {**nothing, "total": metric["n"], "timed": bool(np.isfinite(line.moments).any())}
    if not len(x):
        return told
    y = smoothed(y, weight)
    first, last = float(x[0]), float(x[-1])
    begin = max(int(np.searchsorted(x, low)) - 1, 0)
    end = int(np.searchsorted(x, high, side="right")) + 1
    x, y = x[begin:end], y[begin:end]
    kept = thinned(y, MOST_POINTS)
    return dict(plain({**told, "x": x[kept].tolist(), "y": y[kept].tolist(), "low": first, "high": last}))


def along(line: Line, axis: str, started: datetime | None) -> tuple[Numbers, Numbers]:
    """The points of a metric that have a place on an axis, in its order: (x, y)."""
    if axis == "time":
        begin = started.timestamp() if started else math.nan
        moments = line.moments
        if math.isnan(begin):
            begin = float(np.nanmin(moments)) if np.isfinite(moments).any() else 0.0
        x = moments - begin
    elif axis == "step":
        x = line.steps
    else:
        raise QueryError(f"`x` must be step or time, not {axis[:20]!r}")
    placed = np.isfinite(x)
    x, y = x[placed], line.values[placed]
    if len(x) > 1 and bool((np.diff(x) < 0).any()):
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return x, y


def smoothed(values: Numbers, weight: float) -> Numbers:
    """The exponential moving average of *values*, without the pull of its beginning towards 0; NaN stays.

    Raises:
        QueryError: *weight* is not from 0 to below 1.
    """
    if not 0 <= weight < 1:
        raise QueryError("`smooth` must be a number from 0 to below 1")
    if weight == 0:
        return values
    average = seen = 0.0
    result = np.full(len(values), np.nan)
    for at, value in enumerate(values.tolist()):
        if value == value:
            average = weight * average + (1 - weight) * value
            seen = weight * seen + (1 - weight)
            result[at] = average / seen
    return result


def thinned(values: Numbers, most: int) -> npt.NDArray[np.intp]:
    """The places of at most *most* values that draw the same line: the first, the last, and of each of as many
    stretches as there is room for the lowest and the highest. Of a stretch of NaN alone one stays, and with it the gap.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    stretches = max((most - 2) // 2, 1)
    edges = np.linspace(1, count - 1, stretches + 1).astype(np.intp)
    places = np.arange(1, count - 1)
    stretch = np.searchsorted(edges, places, side="right") - 1
    inner, starts = values[1:-1], edges[:-1] - 1
    lows = np.where(np.isnan(inner), np.inf, inner)
    highs = np.where(np.isnan(inner), -np.inf, inner)
    lowest = _first(lows == np.minimum.reduceat(lows, starts)[stretch], stretch, stretches)
    highest = _first(highs == np.maximum.reduceat(highs, starts)[stretch], stretch, stretches)
    return np.unique(np.concatenate([[0], lowest + 1, highest + 1, [count - 1]]))


def _first(hits: npt.NDArray[np.bool_], stretch: npt.NDArray[np.intp], stretches: int) -> npt.NDArray[np.intp]:
    """The first place of a hit in each stretch."""
    places = np.flatnonzero(hits)
    found = np.searchsorted(stretch[places], np.arange(stretches))
    return places[np.minimum(found, len(places) - 1)]


def new_points(parts: RunParts, metric: Mapping[str, Any], start: int, started: datetime | None) -> Document:
    """The points of a metric from number *start* on: {name, start, total, steps, values, seconds}."""
    part = line_of(parts.metric_part(metric["_id"], start, metric["n"] - start) if start < metric["n"] else {})
    seconds = part.moments - (started.timestamp() if started else math.nan)
    told = {"steps": part.steps.tolist(), "values": part.values.tolist(), "seconds": seconds.tolist()}
    return dict(plain({"name": name_of(metric), "start": start, "total": metric["n"], **told}))


def mean_of(lines: Sequence[tuple[Numbers, Numbers]], most: int = 400) -> Document:
    """Several lines as one: {x, y, sd}, mean and standard deviation of those that reach an x, at most *most* x."""
    drawn = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in lines]
    drawn = [(x, y) for x, y in drawn if len(x)]
    if not drawn:
        return {"x": [], "y": [], "sd": []}
    every = np.unique(np.concatenate([x for x, _ in drawn]))
    grid = every if len(every) <= most else np.linspace(every[0], every[-1], most)
    rows = np.array([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in drawn])
    counts = np.isfinite(rows).sum(axis=0)
    kept = counts > 0
    grid, rows, counts = grid[kept], rows[:, kept], counts[kept]
    mean = np.nansum(rows, axis=0) / counts
    spread = np.nansum((rows - mean) ** 2, axis=0) / np.maximum(counts - 1, 1)
    return dict(plain({"x": grid.tolist(), "y": mean.tolist(), "sd": np.sqrt(spread).tolist()}))
