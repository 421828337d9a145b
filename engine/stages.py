"""Stages: each later one searches a smaller space, that of the best of the one before. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from engine.config import SweepConfig
from engine.domain import Trial, TrialState
from engine.space import (
    LAYERS,
    Axis,
    Categorical,
    Float,
    Int,
    Params,
    SearchSpace,
    Value,
    hidden_units,
    units_axis,
)  # fmt: skip

SHRINK = 0.5
"""How far the narrowed bounds lie from the best value, as a part of it."""


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """The completed trials of the search by their loss, the earliest of equals first."""
    done = [
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETED and trial.loss is not None and trial.confirms is None
    ]
    return sorted(done, key=lambda trial: (trial.loss, trial.number))


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """The completed trial with the least loss, the earliest of equals; None where none has one."""
    return next(iter(ranked(trials)), None)


def space_after(config: SweepConfig, space: SearchSpace, trials: Sequence[Trial]) -> SearchSpace:
    """What the stage after one of these *trials*, that searched *space*, is to search; with no trial to go by, *space*
    within the user's bounds as they are now."""
    user, good = config.space(), ranked(trials)
    if config.narrowing == "none":
        return user
    if not good:
        return within_bounds(space, user)
    if config.narrowing == "quantile":
        count = max(2, math.ceil(config.quantile * len(good)))
        return spanned([trial.params for trial in good[:count]], user)
    return narrow(space, good[0].params, user, config.tied, config.shrink)


def spanned(points: Sequence[Params], user: SearchSpace) -> SearchSpace:
    """The smallest part of *user*'s space that holds all *points*; an axis that none of them has stays whole."""
    axes: dict[str, Axis] = {}
    for name, axis in user.axes.items():
        values = [point[name] for point in points if name in point and point[name] in axis]
        if isinstance(axis, Categorical):
            chosen = tuple(choice for choice in axis.choices if choice in values)
            axes[name] = Categorical(chosen or axis.choices)
        elif not values:
            axes[name] = axis
        elif isinstance(axis, Float):
            axes[name] = Float(*bounds_of(values), log=axis.log)
        else:
            low, high = bounds_of(values)
            axes[name] = Int(int(low), int(high))
    return SearchSpace(axes, user.conditions)


def bounds_of(values: Iterable[Value]) -> tuple[float, float]:
    """The least and the largest of numbers."""
    numbers = [float(value) for value in values]
    return min(numbers), max(numbers)


def within_bounds(space: SearchSpace, user: SearchSpace) -> SearchSpace:
    """The part of *space* that lies in *user*'s; an axis of which nothing does is *user*'s."""
    return SearchSpace({name: _common(space.axes.get(name), axis) for name, axis in user.axes.items()}, user.conditions)


def _common(axis: Axis | None, user: Axis) -> Axis:
    if isinstance(user, Categorical):
        choices = axis.choices if isinstance(axis, Categorical) else ()
        return Categorical(tuple(choice for choice in user.choices if choice in choices) or user.choices)
    if axis is None or isinstance(axis, Categorical) or axis.low > user.high or axis.high < user.low:
        return user
    low, high = max(axis.low, user.low), min(axis.high, user.high)
    return Float(low, high, log=user.log) if isinstance(user, Float) else Int(int(low), int(high))


def narrow(space: SearchSpace, best: Params, user: SearchSpace, tied: bool, shrink: float = SHRINK) -> SearchSpace:
    """The part of *user*'s space around *best*, the best point of a stage that searched *space*.

    A number p is searched in p ± *shrink*·p; the nodes of a layer between the fewest and the most nodes of
    *best*'s hidden layers. The number of layers is searched like a number, unless *tied*: then, as in the
    reference, one pair of bounds serves layers and nodes, and it is the nodes' pair. Choices stay as they are.
    No bound ever leaves *user*.
    """
    layered, conditions = _layers(best, user, tied, shrink) if LAYERS in user.axes else ({}, {})
    axes: dict[str, Axis] = {}
    for name, axis in user.axes.items():
        if name == LAYERS or name in user.conditions:
            axes |= {name: layered[name]} if name in layered else {}
        elif isinstance(axis, Categorical):
            axes[name] = _common(space.axes.get(name), axis)
        elif isinstance(axis, Float):
            value = min(max(float(best[name]), axis.low), axis.high)  # the user may have moved the bounds
            reach = abs(shrink * value)
            low, high = max(axis.low, value - reach), min(axis.high, value + reach)
            axes[name] = Float(low, high, log=axis.log)
        else:
            axes[name] = _around(int(best[name]), shrink, axis)
    return SearchSpace(axes, conditions)


def _layers(
    best: Params, user: SearchSpace, tied: bool, shrink: float
) -> tuple[dict[str, Axis], dict[str, tuple[str, int]]]:
    """The axes of a network's layers around *best*, and the conditions of those that hold a layer's nodes."""
    nodes = hidden_units(best)
    layers_axis = user.axes[LAYERS]
    assert isinstance(layers_axis, Int)  # noqa: S101 - the space is built by SweepConfig
    tied_layers = _clipped(min(nodes), max(nodes), layers_axis)
    layers = tied_layers if tied else _around(int(best[LAYERS]), shrink, layers_axis)
    axes: dict[str, Axis] = {LAYERS: layers}
    for name, (_, least) in user.conditions.items():
        axis = user.axes[name]
        assert isinstance(axis, Int)  # noqa: S101
        if least <= layers.high:
            axes[name] = _clipped(min(nodes), max(nodes), axis)
    return axes, {units_axis(layer): (LAYERS, layer) for layer in range(1, layers.high + 1)}


def _around(value: int, shrink: float, user: Int) -> Int:
    value = min(max(value, user.low), user.high)  # the user may have moved the bounds
    reach = int(abs(value) * shrink)
    return _clipped(value - reach, value + reach, user)


def _clipped(low: int, high: int, user: Int) -> Int:
    return Int(max(user.low, min(low, user.high)), min(user.high, max(high, user.low)))
