"""Random search: every axis drawn from its own distribution, each point independent of all others.

Bergstra & Bengio, *Random Search for Hyper-Parameter Optimization*, JMLR 13 (2012).
"""

from __future__ import annotations

import numpy as np

from engine.samplers.base import Distinct
from engine.space import Params


class RandomSampler(Distinct):
    """Point *n* depends on (seed, n) alone, so that a resumed search proposes what it would have proposed."""

    def propose(self, rng: np.random.Generator, number: int) -> Params:
        return self.space.draw(rng)
