"""The axes of a user's class in the form of a new sweep: an input for each bound or choice of each axis.

Their names begin with `model_space.` and the axis: `.kind`, `.low`, `.high` and `.log` of numbers; of choices `.all`
for each there is and `.choices` for each that is ticked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from engine.config import MOST_AXES
from engine.space import Axis, Categorical, axis_document
from webapp.filters import figure
from webapp.sweeps.pictures import Picture

KEY = "model_space"
NAME = re.compile(rf"{KEY}\.([a-z][a-z0-9_]{{0,39}})\.kind")

Typed = MultiDict[str, str]


@dataclass(frozen=True, slots=True)
class AxisField:
    """One axis of the form. *kind*: int, float or categorical; *own* says what the class allows, where it is known."""

    key: str
    name: str
    kind: str
    log: bool
    parts: Sequence[str]
    choices: Sequence[str]
    chosen: Sequence[str]
    own: str
    problem: str
    picture: Picture | None = None

    @property
    def first_input(self) -> str:
        """The id of the input that the summary of problems leads to."""
        return f"{self.key}-0"


def names(typed: Typed) -> list[str]:
    """The axes that the form has inputs for."""
    return [found[1] for name in typed if (found := NAME.fullmatch(name))][:MOST_AXES]


def fields(
    typed: Typed, problems: Mapping[str, str], own: Mapping[str, Axis], pictures: Mapping[str, Picture]
) -> list[AxisField]:
    """The axes as they were typed; *problems* and *pictures* by key, the class's *own* axes where they are known."""
    return [
        _field(name, typed, problems.get(f"{KEY}.{name}", ""), own.get(name), pictures.get(f"{KEY}.{name}"))
        for name in names(typed)
    ]


def put(typed: Typed, space: Mapping[str, Any]) -> None:
    """Fill in the inputs of the axes of *space*, as `axis_document` writes each."""
    for name, document in space.items():
        prefix = f"{KEY}.{name}"
        typed[f"{prefix}.kind"] = document["kind"]
        if document["kind"] == "categorical":
            typed.setlist(f"{prefix}.all", document["choices"])
            typed.setlist(f"{prefix}.choices", document["choices"])
            continue
        for bound in ("low", "high"):
            typed[f"{prefix}.{bound}"] = f"{document[bound]:.12g}"
        if document.get("log"):
            typed[f"{prefix}.log"] = "true"


def read(typed: Typed, text: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    """The value of the key: what was typed for each axis; *text* reads one input."""
    space: dict[str, dict[str, Any]] = {}
    for name in names(typed):
        prefix = f"{KEY}.{name}"
        kind = text(f"{prefix}.kind")
        if kind == "categorical":
            space[name] = {"kind": kind, "choices": typed.getlist(f"{prefix}.choices")}
            continue
        space[name] = {"kind": kind, "low": text(f"{prefix}.low"), "high": text(f"{prefix}.high")}
        if kind == "float":
            space[name]["log"] = f"{prefix}.log" in typed
    return space


def with_own(typed: Typed, own: Mapping[str, Axis]) -> Typed:
    """The form with inputs for the axes of a class, filled with what it gives; what was typed for the same is kept."""
    kept = MultiDict([(name, value) for name, value in typed.items(multi=True) if not name.startswith(f"{KEY}.")])
    put(kept, {name: axis_document(axis) for name, axis in own.items()})
    for name, axis in own.items():
        prefix = f"{KEY}.{name}"
        if typed.get(f"{prefix}.kind") != axis_document(axis)["kind"]:
            continue
        if isinstance(axis, Categorical):
            kept.setlist(
                f"{prefix}.choices", [one for one in typed.getlist(f"{prefix}.choices") if one in axis.choices]
            )
        else:
            for bound in ("low", "high"):
                kept[f"{prefix}.{bound}"] = typed.get(f"{prefix}.{bound}", "")
    return kept


def _field(name: str, typed: Typed, problem: str, own: Axis | None, picture: Picture | None) -> AxisField:
    prefix = f"{KEY}.{name}"
    kind = typed.get(f"{prefix}.kind", "")
    allowed = ""
    if isinstance(own, Categorical):
        allowed = "Each trial draws one of those chosen."
    elif own is not None:
        allowed = f"The class allows {figure(own.low, 6)} to {figure(own.high, 6)}."
    return AxisField(
        key=f"{KEY}-{name}",
        name=name,
        kind=kind,
        log=f"{prefix}.log" in typed,
        parts=[typed.get(f"{prefix}.{bound}", "") for bound in ("low", "high")],
        choices=typed.getlist(f"{prefix}.all"),
        chosen=typed.getlist(f"{prefix}.choices"),
        own=allowed,
        problem=problem,
        picture=picture,
    )
