"""What each chart of a sweep draws, as plain JSON: columns of equal length, thinned to what a page can show.

All but the timeline are of the search's trials (`TrialColumns.searched`). `loss` in an answer is the scale to draw
losses on, as `loss_scale` gives it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.analysis.axes import ChartAxis
from engine.analysis.thinning import best_and_even, evenly, exact, extremes, improvements, plain, whole
from engine.columns import Column, Floats, Ints, TrialColumns
from engine.domain import TrialState

Document = dict[str, Any]

MOST_LINES = 1000
MOST_SLICE = 1000
"""Points of one axis,"""
MOST_SLICES = 4000
"""and of all that are shown together."""
LEAST_SLICE = 200
BUCKETS = 500
MOST_BEST = 2000
MOST_OTHERS = 300
"""Pruned trials in the history, and failed ones."""
MOST_STEPS = 300
MOST_INTERVALS = 1500
MOST_POINTS = 500
"""Over a contour."""
GRID = 32
"""Of a contour: places along a numeric axis."""
CELLS = 4 * GRID
"""Of a contour: along a numeric axis, in which losses are added up before they are smoothed."""
LARGEST = 1e280
"""A loss beyond it is none: it cannot be drawn."""
FAR = 3.0
"""Interquartile ranges above the upper quartile at which the scale of losses ends."""
REACH = 2.0
"""Bandwidths: beyond them no trial tells anything of a place in a contour."""


def completed(columns: TrialColumns) -> TrialColumns:
    """The completed trials that have a loss."""
    done = columns.state.equal(TrialState.COMPLETED)
    return columns.take(done & (np.abs(columns.loss) < LARGEST))


def loss_scale(columns: TrialColumns) -> Document:
    """The scale for the losses of *columns*: {log, low, high, beyond, left_out}.

    *high* lies below losses that are far out: *beyond* of them are drawn at the edge. On a logarithmic scale *low* is
    the least loss above zero. *left_out* completed trials have no finite loss.
    """
    losses = completed(columns).loss
    left_out = int(np.count_nonzero(columns.state.equal(TrialState.COMPLETED))) - len(losses)
    positive = losses[losses > 0]
    log = bool(len(positive) and losses.min() >= 0 and positive.max() >= 10 * positive.min())
    shown = np.log10(positive) if log else losses
    if not len(shown):
        return {"log": False, "low": None, "high": None, "beyond": 0, "left_out": left_out}
    lower, upper = np.quantile(shown, [0.25, 0.75])
    edge = shown[shown <= upper + FAR * (upper - lower)].max()
    beyond = int(np.count_nonzero(shown > edge))
    low, high = (10 ** shown.min(), 10**edge) if log else (shown.min(), edge)
    return {"log": log, "low": float(low), "high": float(high), "beyond": beyond, "left_out": left_out}


def parallel(columns: TrialColumns, axes: Sequence[ChartAxis]) -> Document:
    """Parallel coordinates: {total, loss, axes, lines: {number, stage, losses, values: {axis: […]}}}.

    A categorical value is its place in the axis's choices; null, that the trial lacks the axis.
    """
    done = completed(columns)
    shown = done.take(best_and_even(done.loss, MOST_LINES))
    return {
        "total": len(done),
        "loss": loss_scale(columns),
        "axes": [axis.document() for axis in axes],
        "lines": {**_points(shown), "values": {axis.name: _values(axis, shown) for axis in axes}},
    }


def slices(columns: TrialColumns, axes: Sequence[ChartAxis]) -> Document:
    """Losses over each axis: {total, loss, slices: [{axis, total, points: {number, stage, losses, values}}]}."""
    done = completed(columns)
    most = int(np.clip(MOST_SLICES // max(len(axes), 1), LEAST_SLICE, MOST_SLICE))
    found = []
    for axis in axes:
        present = done.take(np.isfinite(axis.values(done.params.get(axis.name), len(done))))
        shown = present.take(best_and_even(present.loss, most))
        points = {**_points(shown), "values": _values(axis, shown)}
        found.append({"axis": axis.document(), "total": len(present), "points": points})
    return {"total": len(done), "loss": loss_scale(columns), "slices": found}


def contour(columns: TrialColumns, x: ChartAxis, y: ChartAxis) -> Document:
    """The loss over two axes: {total, loss, x, y, grid: {x, y, z}, points: {number, stage, losses, x, y}}.

    `z[row of y][column of x]` is the mean of the losses around a place, each within the scale and weighted by its
    distance (of logarithms, where the scale is logarithmic); null where no trial is near. The grid's places on a
    categorical axis are its choices.
    """
    scale, done = loss_scale(columns), completed(columns)
    at = [axis.values(done.params.get(axis.name), len(done)) for axis in (x, y)]
    present = np.isfinite(at[0]) & np.isfinite(at[1])
    done, at = done.take(present), [values[present] for values in at]
    places = [_places(axis) for axis in (x, y)]
    (cells_x, near_x), (cells_y, near_y) = (
        _nearness(axis, place, values) for axis, place, values in zip((x, y), places, at, strict=True)
    )
    losses = np.clip(done.loss, scale["low"], scale["high"]) if len(done) else done.loss
    losses = np.log10(losses) if scale["log"] else losses
    shape = near_y.shape[1], near_x.shape[1]
    cells = cells_y * shape[1] + cells_x
    counts, sums = (np.bincount(cells, part, shape[0] * shape[1]).reshape(shape) for part in (None, losses))
    weight, total = near_y @ counts @ near_x.T, near_y @ sums @ near_x.T
    known = weight >= np.exp(-0.5 * REACH**2)
    mean = np.divide(total, weight, out=np.full(weight.shape, np.nan), where=known)
    shown = done.take(best_and_even(done.loss, MOST_POINTS))
    return {
        "total": len(done),
        "loss": scale,
        "x": x.document(),
        "y": y.document(),
        "grid": {
            "x": _grid_values(x, places[0]),
            "y": _grid_values(y, places[1]),
            "z": [plain(row, 4) for row in (10**mean if scale["log"] else mean)],
        },
        "points": {**_points(shown), "x": _values(x, shown), "y": _values(y, shown)},
    }


def history(columns: TrialColumns, objective: str) -> Document:
    """Loss by number: {total, states, loss, completed, best, pruned, failed}.

    *completed* {number, stage, losses} keeps the extremes along the way and every new best; *best* {number, stage,
    losses} is each trial that was better than all before it, with all digits. *pruned* have the last value of
    *objective*, val_loss or train_loss, that they reached; *failed* {number, stage, state} have ended without a loss.
    """
    done = completed(columns)
    better = improvements(done.loss)
    better = better[evenly(len(better), MOST_BEST)]
    shown = done.take(np.union1d(extremes(done.loss, BUCKETS), better))
    best = done.take(better)
    pruned = columns.take(columns.state.equal(TrialState.PRUNED))
    pruned = pruned.take(evenly(len(pruned), MOST_OTHERS))
    failed = columns.take(columns.state.equal(TrialState.FAILED, TrialState.LOST, TrialState.STOPPED))
    failed = failed.take(evenly(len(failed), MOST_OTHERS))
    reached = pruned.train_loss if objective == "train_loss" else pruned.val_loss
    return {
        "total": len(columns),
        "states": _counts(columns.state),
        "loss": loss_scale(columns),
        "completed": _points(shown),
        "best": {**_points(best), "losses": exact(best.loss)},
        "pruned": {**_points(pruned), "losses": plain(reached)},
        "failed": {"number": whole(failed.number), "stage": whole(failed.stage), "state": failed.state.texts()},
    }


def edf(columns: TrialColumns) -> Document:
    """The empirical distribution of losses: {loss, all, stages: [{stage, …}]}; each {total, losses, shares}.

    A step (loss, share): this share of the completed trials has at most this loss.
    """
    done = completed(columns)
    stages = [{"stage": int(stage), **_steps(done.loss[done.stage == stage])} for stage in np.unique(done.stage)]
    return {"loss": loss_scale(columns), "all": _steps(done.loss), "stages": stages}


def timeline(columns: TrialColumns, now: float) -> Document:
    """Who trained what when: {start, end, total, merged, workers: [{worker, total, busy, intervals}]}.

    *start* is in seconds since 1970; all other moments, and *end*, are seconds after it. What trains still ends *now*,
    likewise since 1970. *busy*, 0 to 1, is the part of the whole time in which a worker trained. Intervals are columns
    {start, end, busy, number, stage, trials, states: {state: […]}}, each of one trial, or, *merged*, of trials that
    follow each other: the first one's number and how many there are, in which states, and the seconds of training among
    them. An interval never covers a longer pause than half of the time that merged intervals last.
    """
    going = columns.state.equal(TrialState.RUNNING)
    ends = np.where(going & np.isnan(columns.finished), now, columns.finished)
    seen = np.isfinite(columns.started) & np.isfinite(ends) & ~columns.state.equal(TrialState.QUEUED)
    columns, ends = columns.take(seen), ends[seen]
    if not len(columns):
        return {"start": None, "end": 0.0, "total": 0, "merged": False, "workers": []}
    zero = float(columns.started.min())
    starts, ends = columns.started - zero, np.maximum(ends, columns.started) - zero
    span = float(ends.max())
    members = _by_worker(columns.worker, starts)
    length = 0.0
    groups = {worker: np.arange(len(rows)) for worker, rows in members.items()}
    while sum(len(group) for group in groups.values()) > MOST_INTERVALS and length < span:
        length = 2 * length or span * len(members) / MOST_INTERVALS
        groups = {worker: _merged(starts[rows], ends[rows], columns.stage[rows], length)
                  for worker, rows in members.items()}  # fmt: skip
    workers = []
    for worker, rows in members.items():
        first, trained = groups[worker], np.add.reduceat(ends[rows] - starts[rows], groups[worker])
        until = np.maximum.reduceat(ends[rows], first)
        states = columns.state.take(rows)
        workers.append(
            {
                "worker": worker,
                "total": len(rows),
                "busy": round(min(float(trained.sum()) / span, 1.0), 4) if span else 1.0,
                "intervals": {
                    "start": _rounded(starts[rows][first]),
                    "end": _rounded(until),
                    "busy": _rounded(np.minimum(trained, until - starts[rows][first])),
                    "number": whole(columns.number[rows][first]),
                    "stage": whole(columns.stage[rows][first]),
                    "trials": np.diff([*first, len(rows)]).tolist(),
                    "states": {
                        state: np.add.reduceat(states.equal(state).astype(np.int64), first).tolist()
                        for state in _counts(states)
                    },
                },
            }
        )
    return {"start": zero, "end": round(span, 3), "total": len(columns), "merged": length > 0, "workers": workers}


def _by_worker(worker: Column, starts: Floats) -> dict[str, Ints]:
    """The rows of each worker by their start; worker_2 comes before worker_10."""
    names = [name or "?" for name in worker.texts()]
    rows: dict[str, list[int]] = {}
    for row in np.argsort(starts, kind="stable").tolist():
        rows.setdefault(names[row], []).append(row)
    ordered = sorted(rows, key=lambda name: [(not part.isdigit(), part.zfill(9)) for part in re.split(r"(\d+)", name)])
    return {name: np.array(rows[name]) for name in ordered}


def _merged(starts: Floats, ends: Floats, stages: Ints, length: float) -> Ints:
    """The first places of groups of intervals that begin within the same *length*, with no pause over half of it."""
    pause = starts[1:] - np.maximum.accumulate(ends)[:-1]
    parts = np.floor(starts / length)
    apart = (pause > length / 2) | (np.diff(parts) > 0) | (np.diff(stages) != 0)
    return np.flatnonzero(np.concatenate([[True], apart]))


def _steps(losses: Floats) -> Document:
    ordered = np.sort(losses)
    last = np.flatnonzero(np.append(np.diff(ordered) > 0, True)[: len(ordered)])
    last = last[evenly(len(last), MOST_STEPS)]
    shares = (last + 1) / max(len(ordered), 1)
    return {"total": len(ordered), "losses": plain(ordered[last]), "shares": plain(shares)}


def _places(axis: ChartAxis) -> Floats:
    """Where the grid of a contour lies on an axis: places among choices, else numbers."""
    if axis.kind == "categorical":
        return np.arange(len(axis.choices), dtype=np.float64)
    if axis.low == axis.high:
        return np.array([axis.low])
    if axis.kind == "int" and axis.high - axis.low < GRID:
        return np.arange(axis.low, axis.high + 1, dtype=np.float64)
    return axis.at(np.linspace(0, 1, GRID))


def _nearness(axis: ChartAxis, places: Floats, values: Floats) -> tuple[Ints, Floats]:
    """Cells along an axis: that of each value, and how near each is to each place, 0 to 1: [place, cell]."""
    if axis.kind == "categorical":
        return values.astype(np.int64), np.eye(len(axis.choices))
    units = axis.unit(values)
    width = float(np.clip(np.std(units) * max(len(units), 1) ** (-1 / 6), 1 / GRID, 4 / GRID)) if len(units) else 1.0
    centres = (np.arange(CELLS) + 0.5) / CELLS
    distance = np.subtract.outer(axis.unit(places), centres) / width
    return np.clip(units * CELLS, 0, CELLS - 1).astype(np.int64), np.exp(-0.5 * distance**2)


def _grid_values(axis: ChartAxis, places: Floats) -> Sequence[Any]:
    return list(axis.choices) if axis.kind == "categorical" else plain(places)


def _points(columns: TrialColumns) -> Document:
    return {"number": whole(columns.number), "stage": whole(columns.stage), "losses": plain(columns.loss)}


def _values(axis: ChartAxis, columns: TrialColumns) -> Sequence[float | None]:
    values = axis.values(columns.params.get(axis.name), len(columns))
    return plain(values) if axis.kind == "float" else whole(values)


def _counts(state: Column) -> Mapping[str, int]:
    """How many trials are in each state that occurs."""
    counts = {choice: int(np.count_nonzero(state.equal(choice))) for choice in state.choices or ()}
    return {choice: count for choice, count in counts.items() if count}


def _rounded(seconds: Floats) -> list[float]:
    return [round(second, 3) for second in seconds.tolist()]
