"""Grid search: every combination of a few values of each axis, once."""

from __future__ import annotations

import math
from typing import Any

from engine.lattice import Lattice
from engine.samplers.base import Distinct
from engine.space import Params


class GridSampler(Distinct):
    """Goes through the grid in a scattered order, so that a part of it covers the whole space.

    Args:
        levels: values of each numeric axis, evenly spaced; an axis that has fewer gives all it has.
    """

    def __init__(self, *args: Any, levels: int = 3, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lattice = Lattice(self.space, levels)
        self._count = self._lattice.count or 0
        golden = max(1, round(self._count * (math.sqrt(5) - 1) / 2))
        self._stride = next(stride for stride in range(golden, 2 * golden + 2) if math.gcd(stride, self._count) == 1)
        self._next = 0

    def next(self, number: int) -> Params | None:
        while self._next < self._count:
            point = self._lattice.at(self._next * self._stride % self._count)
            self._next += 1
            if not self.is_taken(point):
                return point
        return None
