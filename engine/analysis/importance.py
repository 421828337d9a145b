"""How much each axis matters, by PED-ANOVA (Watanabe, Bansal and Hutter, 2023).

A trial is good when its loss is among the least of its stage. Where an axis does not matter, good trials lie on it as
all trials do; the more it matters, the more their density differs. The importance of an axis is the variance of the
chance that a trial is good, given its value on the axis: γ² ∫ (p_good / p_all − 1)² p_all, from densities on a grid.
What this variance would be if good trials were chosen blindly is known in closed form, and taken off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.axes import ChartAxis
from engine.columns import Floats, Ints, TrialColumns

LEAST = 10
"""Completed trials a stage; with fewer, nothing is said of it."""
GOOD = 0.1
"""The part of a stage's trials that is good,"""
LEAST_GOOD = 15
"""but at least so many, as long as they are no more than half."""
CLEAR = 3.0
"""Standard deviations by which a variance must exceed what blind choice gives, or it counts as none."""
CELLS = 48
"""Of the grid on which the densities of a numeric axis are taken."""
MOST_CHOICES = 500
"""An axis that has more is no axis to compare trials on."""


@dataclass(frozen=True, slots=True)
class Importance:
    """*shares* of the axes, which add up to 1, or are 0 when no axis stands out.

    Of *trials* completed ones in stages that have enough of them, *good* were good. *explained*, 0 to 1, is the part of
    the variance that the axes explain each by itself; what they do together, and chance, is the rest.
    """

    shares: Sequence[float]
    explained: float
    trials: int
    good: int


def importance(columns: TrialColumns, axes: Sequence[ChartAxis]) -> Importance | None:
    """The importance of *axes* to the loss of *columns*, completed trials with finite losses; None: they are too few.

    Good trials are found within each stage, since stages differ in steps and space; stages count by their trials.
    """
    variances, whole = np.zeros(len(axes)), 0.0
    trials = good = 0
    values = [axis.values(columns.params.get(axis.name), len(columns)) for axis in axes]
    for stage in np.unique(columns.stage):
        rows = np.flatnonzero(columns.stage == stage)
        count = len(rows)
        if count < LEAST:
            continue
        best = max(math.ceil(GOOD * count), min(LEAST_GOOD, count // 2))
        weights = best_weights(columns.loss[rows], best)
        part = best / count
        variances += [count * _variance(axis, found[rows], weights) for axis, found in zip(axes, values, strict=True)]
        whole += count * part * (1 - part)
        trials, good = trials + count, good + best
    if not trials:
        return None
    total = float(variances.sum())
    shares = variances / total if total > 0 else variances
    return Importance(shares.tolist(), min(total / whole, 1.0), trials, good)


def best_weights(losses: Floats, best: int) -> Floats:
    """1 for each of the *best* least losses, 0 for others; equal losses at the border share what is left."""
    border = np.partition(losses, best - 1)[best - 1]
    below, equal = losses < border, losses == border
    return np.asarray(below + equal * (best - np.count_nonzero(below)) / np.count_nonzero(equal))


def _variance(axis: ChartAxis, values: Floats, weights: Floats) -> float:
    """The variance, over trials, of the chance to be good that they have by their value on *axis*.

    A trial that lacks the axis has the chance of all that lack it, which is not the axis's doing.
    """
    present = np.isfinite(values)
    count, good = np.count_nonzero(present), float(weights[present].sum())
    if count < LEAST or good == 0:
        return 0.0
    weights = weights[present]
    cells, kernel = _grid(axis, values[present], weights)
    if len(kernel) < 2 or np.ptp(weights) == 0:
        return 0.0
    whole = np.bincount(cells, minlength=len(kernel)) / count
    kernel = kernel[:, whole @ kernel > 0]
    density, density_good = whole @ kernel, np.bincount(cells, weights, minlength=len(kernel)) / good @ kernel
    variance = float(np.sum((density_good - density) ** 2 / density))
    # Blindly chosen good trials: the covariance of their density, relative to that of all.
    covariance = ((kernel.T * whole) @ kernel - np.outer(density, density)) / np.sqrt(np.outer(density, density))
    covariance *= count / (count - 1) * (np.sum(weights**2) / good**2 - 1 / count)
    blind, deviation = float(np.trace(covariance)), math.sqrt(2 * float(np.sum(covariance**2)))
    if variance < blind + CLEAR * deviation:
        return 0.0
    return (variance - blind) * (good / count) ** 2 * count / len(present)


def _grid(axis: ChartAxis, values: Floats, weights: Floats) -> tuple[Ints, Floats]:
    """The cell of each value, and the smoothing kernel [cell of a trial, cell of the density]; rows add up to 1."""
    if axis.kind == "categorical" and len(axis.choices) <= MOST_CHOICES:
        return values.astype(np.int64), np.eye(len(axis.choices))
    low, high = float(values.min()), float(values.max())
    if axis.kind == "categorical" or low == high:
        return np.zeros(len(values), dtype=np.int64), np.eye(1)
    if axis.kind == "int" and high - low < CELLS:
        count = int(high - low) + 1
        cells = (values - low).astype(np.int64)
    else:
        count = CELLS
        units = ChartAxis(axis.name, axis.kind, low, high, axis.log and low > 0).unit(values)
        cells = np.clip((units * CELLS).astype(np.int64), 0, CELLS - 1)
    good = float(weights.sum())
    spread = math.sqrt(np.cov(cells, aweights=weights, ddof=0))
    width = max(1.06 * spread * good**-0.2, 0.25)  # Scott's rule, of what is good
    distance = np.subtract.outer(np.arange(count), np.arange(count)) / width
    kernel = np.exp(-0.5 * distance**2)
    return cells, kernel / kernel.sum(axis=1, keepdims=True)
