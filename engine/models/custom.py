"""The user's own models: what a class must offer, and how one is found. Without TensorFlow.

A configuration names a class as `package.module:Class`, or as `name.py:Class` for a file that was uploaded; a sweep
pins the file's content, `name.py@abcdef12:Class`. docs/custom-models.md explains the protocol with examples.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.config import MOST_AXES
from engine.errors import ModelError
from engine.space import RESERVED, SEQUENCE, Axis, Categorical, Float, Int, Value, name_problem

METHODS = ("build", "forward", "loss")
CHANCE = "chance"
"""The optional argument of `forward`."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model learns from.

    Attributes:
        inputs: features of a table; for texts, how many different numbers a token can have.
        outputs: 1 for a table, whose target is one number; for texts, the classes.
    """

    inputs: int
    outputs: int


class CustomModel(Protocol):
    """What a user's class offers. It is made without arguments, and keeps nothing between calls.

    Attributes:
        axes: the hyper-parameters it adds to the search space, by name; an attribute of the class or a class method.
        units: optional; the power of the target's unit that "loss" and each metric has, {"loss": 2} for a squared
            error. Targets of real tables are standardised for training; what stands here is given back in their units.
    """

    axes: Mapping[str, Axis]

    def build(self, params: Mapping[str, Value], shape: Shape, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The parameters to begin with, by name. *params* are the values of `axes` in this trial; *rng* is all chance
        there may be. The shapes of the arrays may depend on *params* and *shape* alone."""

    def forward(self, variables: Mapping[str, Any], x: Any, params: Mapping[str, Value]) -> Any:
        """The outputs, a float32 tensor [batch, …], from TensorFlow tensors: `variables` as `build` gave them, and *x*
        [batch, inputs] float32 of a table or [batch, length] int32 of texts.

        With a fourth argument *chance* it gets, while it trains, a seed [2] int32 for TensorFlow's stateless random
        functions, another one in each step; None when it is measured.
        """

    def loss(self, outputs: Any, y: Any) -> Any:
        """The loss of each row, [batch]; *y* is the target [batch] float32, or the class [batch] int32."""

    # def metrics(self, outputs: Any, y: Any) -> Mapping[str, Any]: optional; scalars of a whole part of the data


def load_class(reference: str) -> type[Any]:
    """The class that *reference*, `module:Class`, names; this imports the module, and so runs its code.

    The module of an uploaded file, `name.py:Class` or `name.py@version:Class`, is looked for under its name.

    Raises:
        ModelError: there is no such module or class, or it lacks a method.
        Exception: whatever the module raises.
    """
    module, _, name = reference.partition(":")
    module = re.sub(r"\.py(@[0-9a-f]+)?$", "", module)
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise ModelError(f"there is no module {error.name}") from None
        raise
    found = getattr(loaded, name, None)
    if not inspect.isclass(found):
        known = classes_of(loaded)
        hint = f"; it has {', '.join(known)}" if known else ""
        raise ModelError(f"the module {module} has no class {name}{hint}")
    for method in METHODS:
        if not callable(getattr(found, method, None)):
            raise ModelError(f"the class {name} has no method {method}")
    return found


def classes_of(module: Any) -> list[str]:
    """The names of the classes that a module defines and that look like models."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and value.__module__ == module.__name__
        and all(callable(getattr(value, method, None)) for method in METHODS)
    ]


def axes_of(model: type[Any]) -> dict[str, Axis]:
    """The axes of a class.

    Raises:
        ModelError: they are missing, or wrong; in words.
        Exception: whatever the class raises.
    """
    name = model.__name__
    if not hasattr(model, "axes"):
        raise ModelError(f"the class {name} has no axes; give it axes = {{}} where it adds none to the search space")
    axes = model.axes() if callable(model.axes) else model.axes
    if not isinstance(axes, Mapping):
        raise ModelError(f"the axes of {name} must be a dictionary of axes by name, got {type(axes).__name__}")
    if len(axes) > MOST_AXES:
        raise ModelError(f"{name} has {len(axes)} axes; at most {MOST_AXES}")
    for axis, value in axes.items():
        if problem := name_problem(axis):
            raise ModelError(f"the axis {str(axis)[:60]!r} of {name} {problem}")
        if not isinstance(value, Float | Int | Categorical):
            raise ModelError(f"the axis {axis!r} of {name} must be a Float, Int or Categorical of engine.space")
    return dict(axes)


def length_of(params: Mapping[str, Value], length: int) -> int:
    """The tokens of a text that a class reads at once: its axis sequence_length, or *length* where it has none."""
    return int(params.get(SEQUENCE, length))


def own_params(params: Mapping[str, Value]) -> dict[str, Value]:
    """The values of a point that belong to the class."""
    return {name: value for name, value in params.items() if name not in RESERVED}
