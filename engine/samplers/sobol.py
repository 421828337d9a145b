"""Quasi-random search: points that fill the space more evenly than chance does.

The Sobol sequence, scrambled by the sweep's seed. Sobol, USSR Computational Mathematics and Mathematical Physics 7
(1967); Owen, *Randomly permuted (t,m,s)-nets and (t,s)-sequences* (1995).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import qmc

from engine.samplers.base import Cube, Distinct
from engine.space import Params


class SobolSampler(Distinct):
    """Point *n* is the one of its place in the sequence that begins with the stage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cube = Cube(self.space)
        self._tried: set[int] = set()
        self._sequence = qmc.Sobol(max(1, len(self._cube.names)), scramble=True, rng=np.random.default_rng(self.seed))

    def propose(self, rng: np.random.Generator, number: int) -> Params:
        index = number - self.start
        if number in self._tried or index < 0:  # its point has been proposed before
            return self.space.draw(rng)
        self._tried.add(number)
        if index < self._sequence.num_generated:
            self._sequence.reset()
        if skipped := index - self._sequence.num_generated:
            self._sequence.fast_forward(skipped)
        return self._cube.point(self._sequence.random(1)[0][: len(self._cube.names)])
