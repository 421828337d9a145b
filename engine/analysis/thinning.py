"""Fewer points that tell the same, and numbers short enough for a page."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from engine.columns import Floats, Ints

DIGITS = 6
BEST_PART = 3
"""One point in so many is one of the best, where not all can be shown."""


def evenly(count: int, most: int) -> Ints:
    """At most *most* of the places 0 to *count* − 1, evenly spread, both ends among them."""
    if count <= most:
        return np.arange(count)
    return np.round(np.linspace(0, count - 1, most)).astype(np.int64)


def best_and_even(losses: Floats, most: int) -> Ints:
    """At most *most* places, in order: a third of them the least *losses*, the others evenly spread over the rest."""
    if len(losses) <= most:
        return np.arange(len(losses))
    by_loss = np.argsort(losses, kind="stable")
    best = by_loss[: most // BEST_PART]
    rest = np.sort(by_loss[len(best) :])
    return np.sort(np.concatenate([best, rest[evenly(len(rest), most - len(best))]]))


def extremes(values: Floats, buckets: int) -> Ints:
    """The places of the least and the largest of *values* in each of at most *buckets* equal parts, in order."""
    if len(values) <= 2 * buckets:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), buckets + 1).astype(np.int64)
    parts = [(first, values[first:last]) for first, last in pairwise(edges.tolist())]
    found = [first + int(end(part)) for first, part in parts for end in (np.argmin, np.argmax)]
    return np.unique(np.array(found, dtype=np.int64))


def improvements(values: Floats) -> Ints:
    """The places where a value is less than all before it."""
    before = np.concatenate([[np.inf], np.minimum.accumulate(values)[:-1]])
    return np.flatnonzero(values < before)


def plain(values: Floats, digits: int = DIGITS) -> list[float | None]:
    """Numbers with *digits* significant digits; what is not finite is null."""
    return [float(f"{value:.{digits}g}") if finite else None for value, finite in _with_finite(values)]


def exact(values: Floats) -> list[float | None]:
    """Numbers with all their digits; what is not finite is null."""
    return [value if finite else None for value, finite in _with_finite(values)]


def whole(values: Floats | Ints) -> list[int | None]:
    """Whole numbers; null for NaN."""
    return [int(value) if finite else None for value, finite in _with_finite(values)]


def _with_finite(values: Any) -> Any:
    return zip(values.tolist(), np.isfinite(values).tolist(), strict=True)
