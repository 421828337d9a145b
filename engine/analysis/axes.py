"""The axes of a sweep as charts need them: bounds that hold every value, and places from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.columns import Column, Floats


@dataclass(frozen=True, slots=True)
class ChartAxis:
    """*kind* is float, int or categorical; bounds are of the first two, *log* of the first, *choices* of the last."""

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The axis as plain JSON."""
        if self.kind == "categorical":
            return {"name": self.name, "kind": self.kind, "choices": list(self.choices)}
        if self.kind == "int":
            return {"name": self.name, "kind": self.kind, "low": int(self.low), "high": int(self.high)}
        return {"name": self.name, "kind": self.kind, "low": self.low, "high": self.high, "log": self.log}

    def values(self, column: Column | None, rows: int) -> Floats:
        """The values of *rows* trials: a categorical axis's as places in *choices*; NaN where there is none."""
        if column is None:
            return np.full(rows, np.nan)
        if (self.kind == "categorical") is (column.choices is None):
            return np.full(rows, np.nan)
        return column.numbers if column.choices is None else column.places(self.choices)

    def unit(self, values: Floats) -> Floats:
        """Where numbers lie between *low*, 0, and *high*, 1."""
        if self.low == self.high:
            return np.where(np.isnan(values), np.nan, 0.5)
        if self.log:
            return np.asarray(np.log(values / self.low) / np.log(self.high / self.low))
        return (values - self.low) / (self.high - self.low)

    def at(self, units: Floats) -> Floats:
        """The numbers at places from 0 to 1."""
        if self.log:
            return np.asarray(self.low * (self.high / self.low) ** units)
        return self.low + units * (self.high - self.low)


def chart_axes(spaces: Sequence[Mapping[str, Any]], params: Mapping[str, Column]) -> list[ChartAxis]:
    """The axes of all *spaces* (see `engine.space.SearchSpace.to_document`) in their order, then those that only
    *params* have. Bounds and choices are those of all spaces, and hold every value.
    """
    documents: dict[str, list[Mapping[str, Any]]] = {name: [] for space in spaces for name in space}
    for space in spaces:
        for name, document in space.items():
            documents[name].append(document)
    return [_axis(name, documents.get(name, []), params.get(name)) for name in dict.fromkeys([*documents, *params])]


def _axis(name: str, documents: Sequence[Mapping[str, Any]], column: Column | None) -> ChartAxis:
    kinds = {document.get("kind") for document in documents}
    if "categorical" in kinds or (column is not None and column.choices is not None):
        given = [choice for document in documents for choice in document.get("choices") or ()]
        return ChartAxis(
            name, "categorical", choices=tuple(dict.fromkeys([*given, *((column and column.choices) or ())]))
        )
    present = column.numbers[np.isfinite(column.numbers)] if column is not None else np.empty(0)
    bounds = [float(document[end]) for document in documents for end in ("low", "high")] + present.tolist()
    low, high = (min(bounds), max(bounds)) if bounds else (0.0, 0.0)
    whole = "float" not in kinds and ("int" in kinds or bool(np.all(present == np.round(present))))
    log = any(document.get("log") for document in documents) and low > 0
    return ChartAxis(name, "int", low, high) if whole else ChartAxis(name, "float", low, high, bool(log))
