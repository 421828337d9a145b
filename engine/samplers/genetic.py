"""Genetic search: children of good trials, crossed and mutated.

NSGA-II: Deb, Pratap, Agarwal, Meyarivan, IEEE Transactions on Evolutionary Computation 6 (2002). With one objective its
ranking by dominance is the ranking by loss. The population is renewed with every trial that ends, not generation by
generation, so that no worker waits for a slower one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.domain import Trial
from engine.samplers.base import Cube, Distinct, is_judged, standing
from engine.space import Categorical, Params

POPULATION = 20
CROSSING = 0.9
"""How often a child has two parents."""
REACH = 0.15
"""The deviation of a numeric axis's mutation, as a part of it."""


class GeneticSampler(Distinct):
    """Random until there is a population: the best trials so far."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cube = Cube(self.space)
        self._population: list[Trial] = []

    def learn(self, finished: Sequence[Trial]) -> None:
        self._population += filter(is_judged, finished)
        self._population.sort(key=lambda trial: (standing(trial, self.steps), trial.number))
        del self._population[POPULATION:]

    def propose(self, rng: np.random.Generator, number: int) -> Params:
        if len(self._population) < POPULATION:
            return self.space.draw(rng)
        child = self._parent(rng)
        if rng.random() < CROSSING:
            other = self._parent(rng)
            child = np.where(rng.random(len(child)) < 0.5, child, other)
        fresh = rng.random(len(child))
        child = np.where(np.isnan(child), fresh, child)  # an axis that the parent had none of
        return self._cube.point(self._mutated(child, rng))

    def _parent(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """The better of two of the population."""
        chosen = self._population[int(rng.integers(len(self._population), size=2).min())]
        return self._cube.units(chosen.params)

    def _mutated(self, child: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """*child* with one axis changed, on average."""
        for index, name in enumerate(self._cube.names):
            if rng.random() >= 1 / len(child):
                continue
            if isinstance(self.space.axes[name], Categorical):
                child[index] = rng.random()
            else:
                moved = abs(child[index] + rng.normal(0, REACH))
                child[index] = 1 - abs(1 - moved % 2)  # reflected at both ends
        return child
