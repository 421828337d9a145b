"""Samplers: how the points of the search space are drawn. One interface of two methods, `Sampler`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from engine.samplers.base import Sampler
from engine.samplers.random import RandomSampler
from engine.space import SearchSpace

__all__ = ["RandomSampler", "Sampler", "make"]

PLACES: Mapping[str, tuple[str, str]] = {
    "RS": ("random", "RandomSampler"),
    "sobol": ("sobol", "SobolSampler"),
    "grid": ("grid", "GridSampler"),
    "TPE": ("tpe", "TPESampler"),
    "CMA-ES": ("cmaes", "CMAESSampler"),
    "NSGA-II": ("genetic", "GeneticSampler"),
}
"""Where the sampler of each name is; scipy and cmaes are imported by the sweeps that use them alone."""


def make(name: str, space: SearchSpace, seed: int, start: int, steps: int, levels: int = 3) -> Sampler:
    """The sampler that the configuration calls *name*, of a stage whose trials train *steps* steps.

    Args:
        start: the number of the stage's first trial.
        levels: of each numeric axis, for a grid.
    """
    module, class_name = PLACES[name]
    own: dict[str, Any] = {"levels": levels} if name == "grid" else {}
    sampler: Sampler = getattr(importlib.import_module(f"engine.samplers.{module}"), class_name)(
        space, seed, start, steps, **own
    )
    return sampler
