"""TPE, the tree-structured Parzen estimator: points that resemble the best trials more than they resemble the others.

Bergstra, Bardenet, Bengio, Kégl, *Algorithms for Hyper-Parameter Optimization*, NeurIPS 24 (2011); all axes of a group
in one density, as in Falkner, Klein, Hutter, *BOHB*, ICML (2018); the number of good trials, weights and bandwidths
after Watanabe, *Tree-Structured Parzen Estimator: Understanding Its Algorithm Components* (arXiv 2304.11127, 2023).

Axes of one condition form a group: the units of a fifth layer are learned from the networks that have one. A trial that
is running counts among the others, which keeps parallel proposals apart.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from engine.domain import Trial
from engine.samplers.base import Cube, Distinct, is_judged, standing
from engine.space import Axis, Categorical, Int, Params

STARTUP = 10
"""Trials drawn at random before any are learned from."""
CANDIDATES = 24
GOOD, MOST_GOOD = 0.15, 25
"""The part of all trials that is good, and how many are at most."""
FULL_WEIGHT = 25
"""So many of the newest trials weigh 1; older ones less, the oldest 1/n."""
MOST_LEVELS = 50
"""An axis of more whole numbers is taken for a continuous one."""
KERNELS = 600
"""The newest of the other trials that a density is made of, at most."""

Numbers = NDArray[np.float64]


class TPESampler(Distinct):
    """Learns from the trials of the stage; from those of earlier stages while there are too few."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cube = Cube(self.space)
        conditions = [self.space.conditions.get(name) for name in self._cube.names]
        always = [condition is None or self._is_always(*condition) for condition in conditions]
        groups: dict[object, list[int]] = {}
        for index, (condition, certain) in enumerate(zip(conditions, always, strict=True)):
            groups.setdefault(None if certain else condition, []).append(index)
        self._groups = list(groups.values())
        axes = [self.space.axes[name] for name in self._cube.names]
        self._levels = np.array([_levels(axis) for axis in axes], dtype=np.int64)
        self._ordered = np.array([not isinstance(axis, Categorical) for axis in axes], dtype=np.bool_)
        self._units: dict[int, Numbers] = {}
        self._ranked: list[tuple[tuple[int, int, float], int]] = []
        """Trials by their standing, and by their number."""
        self._numbers: list[int] = []

    def _is_always(self, parent: str, least: int) -> bool:
        low = getattr(self.space.axes[parent], "low", None)
        return low is not None and low >= least

    def learn(self, finished: Sequence[Trial]) -> None:
        for trial in filter(is_judged, finished):
            self._units[trial.number] = self._cube.units(trial.params)
            insort(self._ranked, (standing(trial, self.steps), trial.number))
            insort(self._numbers, trial.number)
        earlier = bisect_left(self._numbers, self.start)
        if earlier and len(self._numbers) - earlier >= STARTUP:
            del self._numbers[:earlier]
            self._ranked = [entry for entry in self._ranked if entry[1] >= self.start]

    def propose(self, rng: np.random.Generator, number: int) -> Params:
        known = len(self._numbers)
        if known < STARTUP:
            return self.space.draw(rng)
        best = {trial for _, trial in self._ranked[: min(math.ceil(GOOD * known), MOST_GOOD)]}
        others = [trial for trial in self._numbers[-KERNELS - len(best) :] if trial not in best][-KERNELS:]
        running = [self._cube.units(trial.params) for trial in self.running if trial.number != number]
        good = np.array([self._units[trial] for trial in sorted(best)])
        rest = np.array([*(self._units[trial] for trial in others), *running])
        weights = np.concatenate([ramp(len(others)), np.ones(len(running))])
        at = np.full(len(self._cube.names), 0.5)
        for group in self._groups:
            at[group] = self._sample(group, good, rest, weights, rng)
        return self._cube.point(at)

    def _sample(
        self, group: list[int], best: Numbers, rest: Numbers, weights: Numbers, rng: np.random.Generator
    ) -> Numbers:
        """The coordinates of a group: of some candidates from the density of the best, the one whose ratio to the
        density of the others is largest."""
        about = self._levels[group], self._ordered[group]
        have_best, have_rest = (~np.isnan(points[:, group[0]]) for points in (best, rest))
        good = Parzen(best[have_best][:, group], np.ones(have_best.sum()), *about)
        other = Parzen(rest[have_rest][:, group], weights[have_rest], *about)
        candidates = good.draw(CANDIDATES, rng)
        chosen: Numbers = candidates[np.argmax(good.log_density(candidates) - other.log_density(candidates))]
        return chosen


def _levels(axis: Axis) -> int:
    """The values of an axis; 0 where they are many, and it is taken for a continuous one."""
    count = len(axis.choices) if isinstance(axis, Categorical) else axis.high - axis.low + 1
    return int(count) if isinstance(axis, Categorical) or (isinstance(axis, Int) and count <= MOST_LEVELS) else 0


def ramp(count: int) -> Numbers:
    """The weights of *count* trials, the oldest first."""
    if count <= FULL_WEIGHT:
        return np.ones(count)
    return np.concatenate([np.linspace(1 / count, 1, count - FULL_WEIGHT), np.ones(FULL_WEIGHT)])


class Parzen:
    """A density on the unit cube: a mixture of one kernel at each of *points*, and one broad kernel in the middle.

    A kernel is a product over the axes: of normal densities cut off at 0 and 1, and of tables of probabilities for axes
    of few values. It is as wide on each axis as the way to its farther neighbour.

    Args:
        points: (points, axes).
        weights: of each point's kernel; the broad one weighs 1.
        levels: the values of each axis; 0: too many for a table.
        ordered: whether they have an order.
    """

    def __init__(
        self, points: Numbers, weights: Numbers, levels: NDArray[np.int64], ordered: NDArray[np.bool_]
    ) -> None:
        axes = points.shape[1]
        self._levels = levels
        self._smooth = levels == 0
        self._log_weights = np.log(np.append(weights, 1.0) / (weights.sum() + 1.0))
        means = np.vstack([points, np.full(axes, 0.5)])
        widths = np.vstack([neighbour_distances(points), np.ones(axes)])
        self._means, self._widths = means[:, self._smooth], widths[:, self._smooth]
        self._below, self._above = ndtr(-self._means / self._widths), ndtr((1 - self._means) / self._widths)
        sizes = np.log((self._above - self._below) * self._widths).sum(axis=1)
        self._constants = self._log_weights - sizes - 0.5 * ((self._means / self._widths) ** 2).sum(axis=1)
        self._tables = {
            axis: _ordered_table(means[:, axis], widths[:, axis], levels[axis])
            if ordered[axis]
            else _table(means[:, axis], levels[axis])
            for axis in np.flatnonzero(~self._smooth).tolist()
        }

    def log_density(self, at: Numbers) -> Numbers:
        """The logarithms of the density, up to a constant, at (points, axes)."""
        given, precision = at[:, self._smooth], self._widths**-2.0
        logs = self._constants - 0.5 * given**2 @ precision.T + given @ (self._means * precision).T
        for axis, table in self._tables.items():
            logs += np.log(table)[:, level(at[:, axis], self._levels[axis])].T
        highest = logs.max(axis=1)
        total: Numbers = highest + np.log(np.exp(logs - highest[:, None]).sum(axis=1))
        return total

    def draw(self, count: int, rng: np.random.Generator) -> Numbers:
        """*count* points of the density: (count, axes)."""
        kernel = rng.choice(len(self._log_weights), size=count, p=np.exp(self._log_weights))
        drawn = np.empty((count, len(self._levels)))
        below, above = self._below[kernel], self._above[kernel]
        share = below + rng.random(below.shape) * (above - below)
        drawn[:, self._smooth] = np.clip(self._means[kernel] + self._widths[kernel] * ndtri(share), 0, 1)
        for axis, table in self._tables.items():
            chosen = (rng.random((count, 1)) > np.cumsum(table[kernel], axis=1)).sum(axis=1)
            drawn[:, axis] = (np.minimum(chosen, self._levels[axis] - 1) + 0.5) / self._levels[axis]
        return drawn


def neighbour_distances(points: Numbers) -> Numbers:
    """Of each point on each axis, how far its farther neighbour is; at least 1/100, and more of few points."""
    count, axes = points.shape
    if count == 0:
        return points
    order = np.argsort(points, axis=0, kind="stable")
    ends = np.vstack([np.zeros(axes), np.take_along_axis(points, order, axis=0), np.ones(axes)])
    gaps = np.diff(ends, axis=0)
    farther = np.maximum(gaps[:-1], gaps[1:])
    if count > 1:
        farther[0], farther[-1] = gaps[1], gaps[-2]
    distances = np.empty_like(points)
    np.put_along_axis(distances, order, farther, axis=0)
    return np.clip(distances, 1 / min(100, count + 2), 1.0)


def _table(means: Numbers, levels: int) -> Numbers:
    """(kernels, levels): each kernel's own choice, and a share of all the others; the last kernel knows none."""
    count = len(means)
    table = np.full((count, levels), 1 / count)
    table[np.arange(count - 1), level(means[:-1], levels)] += 1
    table[-1] = 1.0
    shares: Numbers = table / table.sum(axis=1, keepdims=True)
    return shares


def _ordered_table(means: Numbers, widths: Numbers, levels: int) -> Numbers:
    """(kernels, levels): what each kernel, cut off at 0 and 1, holds of each level's share of the axis."""
    edges = np.linspace(0, 1, levels + 1)
    table = np.diff(ndtr((edges - means[:, None]) / widths[:, None]), axis=1) + 1e-12
    shares: Numbers = table / table.sum(axis=1, keepdims=True)
    return shares


def level(units: Numbers, levels: int) -> NDArray[np.int64]:
    """Which of an axis's levels hold *units*."""
    return np.minimum((units * levels).astype(np.int64), levels - 1)
