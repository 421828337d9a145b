"""All combinations of the values of a space's axes, counted and numbered without being listed."""

from __future__ import annotations

from functools import cache

from engine.errors import SpaceError
from engine.space import Params, SearchSpace, Value


class Lattice:
    """The combinations of at most *most* evenly spaced values of every axis; None: of all values.

    Attributes:
        count: how many there are; None: infinitely many.
    """

    def __init__(self, space: SearchSpace, most: int | None) -> None:
        self._space = space
        self._names = list(space.axes)
        self._parents = {parent for parent, _ in space.conditions.values()}
        self.count: int | None
        try:
            self._values = [space.axes[name].levels(most) for name in self._names]
        except SpaceError:
            self.count = None
        else:
            self._below = cache(self._count)
            self.count = self._below(0, ())

    def at(self, index: int) -> Params:
        """Combination *index*, counted from 0."""
        point: Params = {}
        parents: dict[str, Value] = {}
        for depth, name in enumerate(self._names):
            if not self._space.is_active(name, parents):
                continue
            if name not in self._parents:
                each = self._below(depth + 1, tuple(parents.items()))
                point[name] = self._values[depth][index // each]
                index %= each
                continue
            for value in self._values[depth]:
                below = self._below(depth + 1, (*parents.items(), (name, value)))
                if index < below:
                    point[name] = parents[name] = value
                    break
                index -= below
        return point

    def _count(self, depth: int, parents: tuple[tuple[str, Value], ...]) -> int:
        """The combinations of the axes from *depth* on, where *parents* have these values."""
        if depth == len(self._names):
            return 1
        name = self._names[depth]
        if not self._space.is_active(name, dict(parents)):
            return self._below(depth + 1, parents)
        values = self._values[depth]
        if name in self._parents:
            return sum(self._below(depth + 1, (*parents, (name, value))) for value in values)
        return len(values) * self._below(depth + 1, parents)
