"""Random search: every axis drawn from its own distribution, each point independent of all others.

Bergstra & Bengio, *Random Search for Hyper-Parameter Optimization*, JMLR 13 (2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.domain import Trial
from engine.space import Params, SearchSpace


class RandomSampler:
    """Point *n* depends on (seed, n) alone, so that a resumed search proposes what it would have proposed.

    Args:
        space: where to draw.
        seed: of the sweep.
        start: number of the first point, counted over the whole sweep.
    """

    def __init__(self, space: SearchSpace, seed: int, start: int) -> None:
        self._space = space
        self._seed = seed
        self._next = start

    def suggest(self, count: int) -> list[Params]:
        numbers = range(self._next, self._next + count)
        self._next += count
        return [self._space.draw(np.random.default_rng([self._seed, number])) for number in numbers]

    def update(self, finished: Sequence[Trial], running: Sequence[Trial]) -> None:
        """Random search learns nothing."""
