"""Slowing down whoever guesses passwords."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

LIMITS = {"pair": (8, 60.0), "name": (30, 900.0), "source": (100, 900.0)}
"""Failed tries, and in how many seconds: for one name from one address; for one name from anywhere, but for addresses
from which it has logged in before, so that nobody can lock somebody else out; and from one address for whatever names.
"""
MOST_KEYS = 10_000

Key = tuple[str, str, str]


class Throttle:
    """Failed tries by name and address; kept in memory only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[Key, list[float]] = OrderedDict()
        self._known: OrderedDict[Key, None] = OrderedDict()

    def tries(self, name: str, source: str) -> bool:
        """Count a try, which `succeeded` takes back; False when there were too many."""
        if self.seconds(name, source) > 0:
            return False
        for key in self._keys(name, source):
            self._tries[key] = [*self._recent(key), self._clock()]
            self._tries.move_to_end(key)
        while len(self._tries) > MOST_KEYS:
            self._tries.popitem(last=False)
        return True

    def seconds(self, name: str, source: str) -> float:
        """For how long the next try would be refused; 0 when it would not."""
        waits = [0.0]
        for key in self._keys(name, source):
            most, window = LIMITS[key[0]]
            recent = self._recent(key)
            if len(recent) >= most:
                waits.append(recent[-most] + window - self._clock())
        return max(waits)

    def words(self, name: str, source: str) -> str:
        """What is said to whom it is refused."""
        minutes = max(1, math.ceil(self.seconds(name, source) / 60))
        return f"Too many tries. Wait {'a minute' if minutes == 1 else f'{minutes} minutes'}, then try again."

    def succeeded(self, name: str, source: str) -> None:
        pair, *others = self._keys(name, source)
        self._tries.pop(pair, None)
        for key in others:
            self._tries[key] = self._recent(key)[:-1]
        self._known[pair] = None
        while len(self._known) > MOST_KEYS:
            self._known.popitem(last=False)

    def _keys(self, name: str, source: str) -> Iterator[Key]:
        name = name.strip().casefold()[:100]
        pair = "pair", name, source
        yield pair
        if name and pair not in self._known:
            yield "name", name, ""
        yield "source", "", source

    def _recent(self, key: Key) -> list[float]:
        oldest = self._clock() - LIMITS[key[0]][1]
        return [moment for moment in self._tries.get(key, []) if moment > oldest]


throttle = Throttle()
"""Of wrong passwords."""
