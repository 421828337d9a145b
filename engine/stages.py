"""Stages: each later one searches a smaller space around the best point of the one before. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from engine.domain import Trial, TrialState
from engine.space import LAYERS, Axis, Categorical, Float, Int, Params, SearchSpace, hidden_units, units_axis

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
            axes[name] = space.axes[name]
        elif isinstance(axis, Float):
            value = float(best[name])
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
    reach = int(abs(value) * shrink)
    return _clipped(value - reach, value + reach, user)


def _clipped(low: int, high: int, user: Int) -> Int:
    return Int(max(user.low, min(low, user.high)), min(user.high, max(high, user.low)))
