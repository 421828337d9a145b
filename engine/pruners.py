"""Pruners: with which losses a trial goes on beyond its rungs, the steps at which it is compared with others. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import defaultdict
from itertools import accumulate
from typing import Protocol

LEAST_PART = 30
"""The smallest automatic rung lies at no less than 1/LEAST_PART of a trial's steps. Measured on trials of 1,000 steps:
at 1/27 three in four of the final best tenth are among the best third, at 1/9 all; earlier losses tell little."""
GOLDEN = 0x9E3779B97F4A7C15
"""2⁶⁴ divided by the golden ratio: the multiples of it, modulo 2⁶⁴, are spread evenly from the first few on."""


class Pruner(Protocol):
    """Compares the losses of trials of equally many steps. Order-free: the same reports give the same limits."""

    def limits(self, number: int, steps: int) -> list[tuple[int, float]]:
        """What trial *number* of *steps* steps is measured by: (rung, the largest loss with which it goes on beyond).

        The rungs rise and lie below *steps*; a limit is infinite where too little is known. The trial's own reports
        do not count.
        """
        ...

    def report(self, number: int, steps: int, step: int, loss: float) -> None:
        """Learn that trial *number* of *steps* steps had *loss* at the rung *step*; replaces an earlier report of it.

        A step that is none of its rungs is ignored; a loss that is not a number counts as infinite.
        """
        ...


def make(name: str, eta: int = 3, min_steps: int = 0, startup: int = 5) -> Pruner:
    """The pruner *name*.

    Args:
        name: none, median, asha or hyperband.
        eta: of asha and hyperband: one in *eta* trials goes on beyond a rung.
        min_steps: no rung lies below; 0: the pruner's own choice.
        startup: of median: the other trials that must have reached a rung before it has a limit.
    """
    if eta < 2:
        raise ValueError(f"eta must be at least 2, got {eta}")
    if min_steps < 0:
        raise ValueError(f"min_steps must be at least 0, got {min_steps}")
    if startup < 1:
        raise ValueError(f"startup must be at least 1, got {startup}")
    match name:
        case "none":
            return NoPruner()
        case "median":
            return MedianPruner(min_steps, startup)
        case "asha":
            return AshaPruner(eta, min_steps)
        case "hyperband":
            return HyperbandPruner(eta, min_steps)
    raise ValueError(f"there is no pruner {name!r}")


class NoPruner:
    """Lets every trial train to its end."""

    def limits(self, number: int, steps: int) -> list[tuple[int, float]]:
        return []

    def report(self, number: int, steps: int, step: int, loss: float) -> None:
        """There are no rungs."""


class _Rung:
    """The losses of the trials at one rung."""

    def __init__(self) -> None:
        self._losses: dict[int, float] = {}
        self._sorted: list[float] = []

    def put(self, number: int, loss: float) -> None:
        if number in self._losses:
            del self._sorted[bisect_left(self._sorted, self._losses[number])]
        self._losses[number] = loss
        insort(self._sorted, loss)

    def others(self, number: int) -> int:
        """How many trials are there beside trial *number*."""
        return len(self._losses) - (number in self._losses)

    def smallest(self, rank: int, number: int) -> float:
        """The loss at *rank*, from 1, among those of the others than trial *number*."""
        own = number in self._losses and bisect_left(self._sorted, self._losses[number]) < rank
        return self._sorted[rank - 1 + own]


class MedianPruner:
    """Ends the trials that are worse than half of the others.

    After two tenths of the steps there is a rung every tenth. As in Golovin et al., *Google Vizier: A Service for
    Black-Box Optimization*, KDD 2017, trials that ended before a rung count there with what they had: with those alone
    that went on, every rung would halve the trials anew. What counts is the latest loss, as at a trial's end.
    """

    def __init__(self, min_steps: int, startup: int) -> None:
        self._min_steps = max(1, min_steps)
        self._startup = startup
        self._rungs: defaultdict[tuple[int, int], _Rung] = defaultdict(_Rung)
        self._reached: defaultdict[tuple[int, int], set[int]] = defaultdict(set)

    def limits(self, number: int, steps: int) -> list[tuple[int, float]]:
        return [(step, self._limit(number, (steps, step))) for step in self._steps(steps)]

    def report(self, number: int, steps: int, step: int, loss: float) -> None:
        rungs = self._steps(steps)
        if step not in rungs:
            return
        self._reached[steps, step].add(number)
        for rung in rungs[rungs.index(step) :]:
            if rung > step and number in self._reached[steps, rung]:
                return
            self._rungs[steps, rung].put(number, _ordered(loss))

    def _steps(self, steps: int) -> list[int]:
        tenths = {steps * tenth // 10 for tenth in range(2, 10)}
        return sorted(step for step in tenths if step >= self._min_steps)

    def _limit(self, number: int, key: tuple[int, int]) -> float:
        reached, rung = self._reached[key], self._rungs[key]
        if len(reached) - (number in reached) < self._startup:
            return math.inf
        count = rung.others(number)
        return (rung.smallest((count + 1) // 2, number) + rung.smallest(count // 2 + 1, number)) / 2


class AshaPruner:
    """Asynchronous successive halving: of all that have reached a rung, the best in *eta* go on.

    Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020, in the form that ends trials where
    the paper's would leave them waiting. Rungs lie at steps/eta, steps/eta², …; where fewer than *eta* trials have
    come, the best of them goes on.
    """

    def __init__(self, eta: int, min_steps: int) -> None:
        self._eta = eta
        self._min_steps = min_steps
        self._rungs: defaultdict[tuple[int, int, int], _Rung] = defaultdict(_Rung)

    def limits(self, number: int, steps: int) -> list[tuple[int, float]]:
        bracket = self._bracket(number, steps)
        rungs = self._steps(steps)[bracket:]
        return [(step, self._limit(number, self._rungs[steps, bracket, step])) for step in rungs]

    def report(self, number: int, steps: int, step: int, loss: float) -> None:
        self._rungs[steps, self._bracket(number, steps), step].put(number, _ordered(loss))

    def _steps(self, steps: int) -> list[int]:
        """The rungs of trials of *steps* steps, rising."""
        least = self._min_steps or max(1, steps // LEAST_PART)
        rungs = []
        while (steps := steps // self._eta) >= least:
            rungs.append(steps)
        return rungs[::-1]

    def _bracket(self, number: int, steps: int) -> int:
        """How many of the smallest rungs trial *number* goes by; it is compared only with trials of its bracket."""
        return 0

    def _limit(self, number: int, rung: _Rung) -> float:
        others = rung.others(number)
        return rung.smallest(max(1, (others + 1) // self._eta), number) if others else math.inf


class HyperbandPruner(AshaPruner):
    """Successive halving in several brackets, each with one rung less than the one before; the last has none.

    Li et al., *Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization*, JMLR 18 (2018). The share of
    trials of each bracket is the paper's: as many as cost, with its rungs, as much as those of any other.
    """

    def _bracket(self, number: int, steps: int) -> int:
        count = len(self._steps(steps)) + 1
        shares = [math.ceil(count * self._eta**rungs / (rungs + 1)) for rungs in reversed(range(count))]
        place = number * GOLDEN % 2**64 * sum(shares) >> 64
        return next(bracket for bracket, end in enumerate(accumulate(shares)) if place < end)


def _ordered(loss: float) -> float:
    """A loss that can be sorted."""
    return math.inf if math.isnan(loss) else loss
