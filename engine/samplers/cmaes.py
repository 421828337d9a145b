"""CMA-ES, evolution of a normal distribution: its mean and covariance follow the better half of every generation.

Hansen, *The CMA Evolution Strategy: A Tutorial* (arXiv 1604.00772, 2016), as the library `cmaes` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cmaes import CMA

from engine.domain import Trial
from engine.samplers.base import Cube, Distinct, is_judged, standing
from engine.space import Params

SPREAD = 0.3
"""The deviation it begins with, as a part of every axis."""


class CMAESSampler(Distinct):
    """A generation is complete when so many trials have finished as it has members, whenever they were proposed: no
    worker waits for a slower one. What matters of a loss is its rank, so that pruned and failed trials teach, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cube = Cube(self.space)
        self._axes = len(self._cube.names)
        self._begun = 0
        self._search = self._begin()
        self._waiting: list[Trial] = []

    def _begin(self) -> CMA:
        """The distribution over the whole cube; once one has shrunk to nothing, another around a random place."""
        axes = max(2, self._axes)  # the library knows no single axis
        middle = np.full(axes, 0.5)
        if self._begun:
            middle = np.random.default_rng([self.seed, self._begun]).random(axes)
        self._begun += 1
        return CMA(mean=middle, sigma=SPREAD, bounds=np.tile([0.0, 1.0], (axes, 1)), seed=self.seed)

    def learn(self, finished: Sequence[Trial]) -> None:
        self._waiting += filter(is_judged, finished)
        size = self._search.population_size
        while len(self._waiting) >= size:
            generation, self._waiting = self._waiting[:size], self._waiting[size:]
            generation.sort(key=lambda trial: (standing(trial, self.steps), trial.number))
            self._search.tell([(self._known(trial.params), float(rank)) for rank, trial in enumerate(generation)])
            if self._search.should_stop():
                self._search = self._begin()

    def _known(self, point: Params) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The coordinates of a point; the mean's where it has none."""
        known = np.array(self._search.mean)
        units = self._cube.units(point)
        known[: self._axes] = np.where(np.isnan(units), known[: self._axes], units)
        return known

    def propose(self, rng: np.random.Generator, number: int) -> Params:
        self._search.reseed_rng(int(rng.integers(2**32)))
        return self._cube.point(self._search.ask()[: self._axes])
