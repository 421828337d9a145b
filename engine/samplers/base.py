"""The interface of all samplers, and what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.domain import Trial, TrialState
from engine.lattice import Lattice
from engine.space import Params, SearchSpace

TRIES = 20
"""How often a sampler may propose what has been proposed before, until another way is taken."""


class Sampler(Protocol):
    """Proposes points of one search space. Pure: the same seed, number and history give the same proposal."""

    def suggest(self, numbers: Sequence[int]) -> list[Params]:
        """The points for the trials of these numbers, each different from all before while there are such; fewer when
        nothing is left to try."""
        ...

    def update(self, finished: Sequence[Trial], running: Sequence[Trial]) -> None:
        """Learn what has *finished* since the last call, in the order in which it did, and what is *running*."""
        ...


class Distinct:
    """A sampler that proposes no point twice. Those below say how a point is drawn, and what they learn.

    Args:
        space: where to search. Trials outside it are not learned from, but not proposed either.
        seed: of the sweep.
        start: the number of the first trial of the stage.
        steps: that each trial of the stage trains.
    """

    def __init__(self, space: SearchSpace, seed: int, start: int = 1, steps: int = 0) -> None:
        self.space = space
        self.seed = seed
        self.start = start
        self.steps = steps
        self.running: list[Trial] = []
        self._taken: set[int] = set()

    def suggest(self, numbers: Sequence[int]) -> list[Params]:
        """The points for the trials of these numbers, each different from all before while there are such; fewer when
        nothing is left to try."""
        points: list[Params] = []
        for number in numbers:
            point = self.next(number)
            if point is None:
                break
            self._taken.add(key_of(point))
            points.append(point)
        return points

    def update(self, finished: Sequence[Trial], running: Sequence[Trial]) -> None:
        """Learn what has *finished* since the last call, in the order in which it did, and what is *running*."""
        self._taken.update(key_of(trial.params) for trial in (*finished, *running))
        self.running = [trial for trial in running if trial.params in self.space]
        self.learn([trial for trial in finished if trial.params in self.space])

    def learn(self, finished: Sequence[Trial]) -> None:
        """Learn from these trials of the space. Where nothing is learned, nothing is to be done."""

    def propose(self, rng: np.random.Generator, number: int) -> Params:
        """A point for trial *number*."""
        raise NotImplementedError

    def is_taken(self, point: Params) -> bool:
        """Whether *point* has been proposed."""
        return key_of(point) in self._taken

    def next(self, number: int) -> Params | None:
        """The point for trial *number*; when all have been proposed one of them again, or None, and the stage ends."""
        point: Params = {}
        for attempt in range(2 * TRIES):
            rng = np.random.default_rng([self.seed, number, attempt] if attempt else [self.seed, number])
            point = self.propose(rng, number) if attempt < TRIES else self.space.draw(rng)
            if not self.is_taken(point):
                return point
        return self._left(number) or point

    def _left(self, number: int) -> Params | None:
        """A point that was not proposed yet, of a space that is nearly exhausted; None where there is none."""
        lattice = Lattice(self.space, None)
        if lattice.count is None:
            return None
        for index in range(min(lattice.count, len(self._taken) + 1)):
            point = lattice.at((index + number) % lattice.count)
            if not self.is_taken(point):
                return point
        return None


def key_of(params: Params) -> int:
    """What two equal points have in common, and of a million different ones none, but once in 40 million times."""
    return hash(tuple(sorted((name, repr(value)) for name, value in params.items())))


def is_judged(trial: Trial) -> bool:
    """Whether a trial's end says something about its point."""
    if trial.state is TrialState.PRUNED:
        return trial.step > 0 and (trial.val_loss is not None or trial.train_loss is not None)
    return trial.state in (TrialState.COMPLETED, TrialState.FAILED)


def standing(trial: Trial, steps: int) -> tuple[int, int, float]:
    """What sorts trials from the best to the worst: those that completed *steps* by their loss, then those that ended
    earlier (were pruned, or belong to a stage of fewer steps) by how far they got, then those that failed."""
    if trial.state is TrialState.FAILED:
        return 2, 0, 0.0
    if trial.state is TrialState.COMPLETED and trial.loss is not None:
        return (0, 0, trial.loss) if trial.steps >= steps else (1, -trial.steps, trial.loss)
    loss = trial.rungs[-1][1] if trial.rungs else trial.val_loss if trial.val_loss is not None else trial.train_loss
    return 1, -trial.step, loss if loss is not None else float("inf")


class Cube:
    """A space as the unit cube: every axis that has more than one value is a coordinate, 0 to 1."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.names = [name for name, axis in space.axes.items() if not is_fixed(axis)]

    def point(self, units: Sequence[float] | NDArray[np.float64]) -> Params:
        """The point of the space at these coordinates; those of axes that it does not have are ignored."""
        at = dict(zip(self.names, units, strict=True))
        point: Params = {}
        for name, axis in self._space.axes.items():
            if self._space.is_active(name, point):
                point[name] = axis.at(float(at.get(name, 0.5)))
        return point

    def units(self, point: Params) -> NDArray[np.float64]:
        """The coordinates of a point; not a number for the axes that it does not have."""
        return np.array([self._space.axes[name].unit(point[name]) if name in point else np.nan for name in self.names])


def is_fixed(axis: object) -> bool:
    """Whether an axis has a single value."""
    low, high = getattr(axis, "low", None), getattr(axis, "high", None)
    return len(getattr(axis, "choices", ())) == 1 or (low is not None and low == high)
