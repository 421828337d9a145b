"""The search space: axes, and the points drawn from them. Pure; chance is an argument."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from engine.errors import SpaceError

Value: TypeAlias = float | int | str
Params: TypeAlias = dict[str, Value]

LAYERS = "layers"
"""The axis that holds the number of hidden layers."""

SEQUENCE = "sequence_length"
"""The axis that holds the tokens that an LSTM reads at once."""

RESERVED = ("batch_size", "learning_rate", "train_optimizer")
"""The axes that every sweep has."""

KINDS = {"float": {"low", "high", "log"}, "int": {"low", "high"}, "categorical": {"choices"}}
"""The kinds of axes, and what `axis_document` says of each."""

LARGEST = 2**53
"""Of whole numbers: those above are not told apart everywhere."""

NAMING = {"low": "the lower bound", "high": "the upper bound"}


def units_axis(layer: int) -> str:
    """The name of the axis that holds the units of hidden layer *layer*, counted from 1."""
    return f"units_{layer}"


@dataclass(frozen=True, slots=True)
class Float:
    """A real-valued axis, *low* to *high*, both included; *log* draws uniformly in the logarithm."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise SpaceError(f"bounds must be finite numbers, got {self.low} and {self.high}")
        if self.low > self.high:
            raise SpaceError(f"low must not be above high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise SpaceError(f"a logarithmic axis must start above 0, got {self.low}")

    def draw(self, rng: np.random.Generator) -> float:
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            drawn = float(rng.uniform(self.low, self.high))
        return min(max(drawn, self.low), self.high)

    def at(self, unit: float) -> float:
        """The value at *unit*, 0 to 1, of the way from *low* to *high*."""
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def unit(self, value: Value) -> float:
        """Where *value* lies between *low*, 0, and *high*, 1."""
        low, high, at = self.low, self.high, float(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.5

    def levels(self, most: int | None) -> list[float]:
        """At most *most* values, evenly spaced, both ends among them.

        Raises:
            SpaceError: *most* is None, and there are infinitely many.
        """
        if self.low == self.high:
            return [self.low]
        if most is None:
            raise SpaceError("a real-valued axis has infinitely many values")
        return [self.at(index / (most - 1)) for index in range(most)] if most > 1 else [self.at(0.5)]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Int:
    """A whole-numbered axis, *low* to *high*, both included, discrete uniform."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise SpaceError(f"low must not be above high, got {self.low} and {self.high}")

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.low, self.high, endpoint=True))

    def at(self, unit: float) -> int:
        """The value whose share of 0 to 1, cut evenly, *unit* lies in."""
        return self.low + _share(unit, self.high - self.low + 1)

    def unit(self, value: Value) -> float:
        """The middle of *value*'s share of 0 to 1."""
        return (int(value) - self.low + 0.5) / (self.high - self.low + 1)

    def levels(self, most: int | None) -> Sequence[int]:
        """At most *most* values, evenly spaced, both ends among them; None: all."""
        count = self.high - self.low + 1
        if most is None or count <= most:
            return range(self.low, self.high + 1)
        if most == 1:
            return [(self.low + self.high) // 2]
        return [self.low + round(index * (count - 1) / (most - 1)) for index in range(most)]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Categorical:
    """An axis of named *choices*, each equally likely."""

    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise SpaceError("a categorical axis needs at least one choice")

    def draw(self, rng: np.random.Generator) -> str:
        return self.choices[int(rng.integers(len(self.choices)))]

    def at(self, unit: float) -> str:
        """The choice whose share of 0 to 1, cut evenly, *unit* lies in."""
        return self.choices[_share(unit, len(self.choices))]

    def unit(self, value: Value) -> float:
        """The middle of *value*'s share of 0 to 1."""
        return (self.choices.index(str(value)) + 0.5) / len(self.choices)

    def levels(self, most: int | None) -> Sequence[str]:
        """All choices."""
        return self.choices

    def __contains__(self, value: object) -> bool:
        return value in self.choices


Axis: TypeAlias = Float | Int | Categorical


def _share(unit: float, count: int) -> int:
    """Which of *count* equal shares of 0 to 1 holds *unit*."""
    return min(max(int(unit * count), 0), count - 1)


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Named axes, in order. ``conditions[name] = (parent, least)`` makes an axis exist only in points
    whose *parent* is at least *least* (the units of layer 3 exist only in networks of 3 layers or more).
    """

    axes: Mapping[str, Axis]
    conditions: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def draw(self, rng: np.random.Generator) -> Params:
        """One point, every axis by its own distribution."""
        point: Params = {}
        for name, axis in self.axes.items():
            if self.is_active(name, point):
                point[name] = axis.draw(rng)
        return point

    def is_active(self, name: str, point: Mapping[str, Value]) -> bool:
        if name not in self.conditions:
            return True
        parent, least = self.conditions[name]
        value = point.get(parent)
        return isinstance(value, int) and value >= least

    def __contains__(self, point: Mapping[str, Value]) -> bool:
        expected = [name for name in self.axes if self.is_active(name, point)]
        return set(point) == set(expected) and all(point[name] in self.axes[name] for name in expected)

    def to_document(self) -> dict[str, Any]:
        """The space as plain JSON, for the store and the page."""
        return {name: axis_document(axis) for name, axis in self.axes.items()}


def space_of(document: Mapping[str, Mapping[str, Any]]) -> SearchSpace:
    """The space that `SearchSpace.to_document` wrote; the units of a layer exist where there is that layer."""
    axes = {name: axis_of(axis) for name, axis in document.items()}
    units = [name for name in axes if LAYERS in axes and re.fullmatch(r"units_\d+", name)]
    return SearchSpace(axes, {name: (LAYERS, int(name.removeprefix("units_"))) for name in units})


def axis_document(axis: Axis) -> dict[str, Any]:
    """One axis as plain JSON."""
    if isinstance(axis, Categorical):
        return {"kind": "categorical", "choices": list(axis.choices)}
    if isinstance(axis, Float):
        return {"kind": "float", "low": axis.low, "high": axis.high, "log": axis.log}
    return {"kind": "int", "low": axis.low, "high": axis.high}


def point_of(given: Mapping[str, Any], space: SearchSpace) -> Params:
    """The point of *space* that *given* holds; its numbers may be texts, as they were typed.

    Raises:
        SpaceError: it holds none; "axis: what is wrong", the first of all that is.
    """
    point: Params = {}
    for name, axis in space.axes.items():
        if not space.is_active(name, point):
            continue
        value = given.get(name)
        if isinstance(axis, Categorical):
            if value not in axis.choices:
                raise SpaceError(f"{name}: must be one of {', '.join(axis.choices)}, got {str(value)[:60]!r}")
            point[name] = str(value)
            continue
        try:
            point[name] = _whole(given, name) if isinstance(axis, Int) else _real(given, name)
        except SpaceError as error:
            raise SpaceError(f"{name}: {str(error).removeprefix(_naming(name)).strip()}") from None
        if point[name] not in axis:
            raise SpaceError(f"{name}: must lie between {axis.low:g} and {axis.high:g}, got {point[name]:g}")
    if strangers := sorted(set(map(str, given)) - set(point)):
        where = "this point has no such axis" if strangers[0] in space.axes else "there is no such axis"
        raise SpaceError(f"{strangers[0][:60]}: {where}")
    return point


def name_problem(name: object) -> str:
    """Why no axis of a user's class can be called so, in words; empty: it can."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        return "must have a name of lower-case letters, digits and _, at most 40, with a letter first"
    if name in RESERVED:
        return "has the name of an axis that every sweep has; choose another one"
    if name == LAYERS or re.fullmatch(r"units_\d+", name):
        return "has a name that belongs to the built-in networks; choose another one, such as depth or width"
    return ""


def axis_of(document: Mapping[str, Any]) -> Axis:
    """The axis that `axis_document` wrote; its numbers may be texts, as they were typed.

    Raises:
        SpaceError: it describes none; in words.
    """
    kind = document.get("kind")
    if kind not in KINDS:
        raise SpaceError(f"the kind must be one of {', '.join(KINDS)}, got {str(kind)[:60]!r}")
    if unknown := sorted(set(map(str, document)) - KINDS[kind] - {"kind"}):
        raise SpaceError(f"an axis of kind {kind} has no {unknown[0][:60]!r}; it has {', '.join(sorted(KINDS[kind]))}")
    if kind == "categorical":
        choices = document.get("choices")
        if not isinstance(choices, list | tuple) or not choices or not all(isinstance(one, str) for one in choices):
            raise SpaceError("choose at least one" if choices in ([], ()) else "choices must be a list of texts")
        return Categorical(tuple(dict.fromkeys(choices)))
    if kind == "int":
        return Int(*(_whole(document, name) for name in ("low", "high")))
    low, high = (_real(document, name) for name in ("low", "high"))
    return Float(low, high, log=document.get("log") in (True, "true"))


def within(axis: Axis, own: Axis) -> str:
    """What is wrong with *axis* as a part of *own*, in words; empty: nothing."""
    if isinstance(own, Categorical):
        if not isinstance(axis, Categorical):
            return "it must be one of choices"
        strangers = [choice for choice in axis.choices if choice not in own.choices]
        return f"{strangers[0]!r} is none of {', '.join(own.choices)}" if strangers else ""
    if isinstance(axis, Categorical) or isinstance(axis, Int) is not isinstance(own, Int):
        return f"it must be of kind {axis_document(own)['kind']}"
    if axis.low < own.low or axis.high > own.high:
        return f"the bounds must lie within {own.low:g} and {own.high:g}, got {axis.low:g} and {axis.high:g}"
    return ""


def _naming(name: str) -> str:
    return NAMING.get(name, name)


def _given(document: Mapping[str, Any], name: str) -> Any:
    value = document.get(name)
    value = value.strip().replace("\u2212", "-") if isinstance(value, str) else value
    if value is None or value == "" or isinstance(value, bool) or not isinstance(value, int | float | str):
        raise SpaceError(f"{_naming(name)} must be a number")
    return value


def _whole(document: Mapping[str, Any], name: str) -> int:
    value = _given(document, name)
    try:
        if isinstance(value, float) and value != int(value):
            raise ValueError
        if abs(int(value)) > LARGEST:
            raise SpaceError(f"{_naming(name)} is too large a number, at most {LARGEST:,}")
        return int(value)
    except (ValueError, OverflowError):
        raise SpaceError(f"{_naming(name)} must be a whole number, got {str(value)[:60]!r}") from None


def _real(document: Mapping[str, Any], name: str) -> float:
    value = _given(document, name)
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise SpaceError(f"{_naming(name)} must be a number, got {str(value)[:60]!r}") from None


def hidden_units(params: Mapping[str, Value]) -> list[int]:
    """The units of each hidden layer of a point, first layer first."""
    return [int(params[units_axis(layer)]) for layer in range(1, int(params[LAYERS]) + 1)]
