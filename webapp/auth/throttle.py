"""Slowing down whoever guesses passwords."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_TRIES = 8
WINDOW_SECONDS = 60.0
MOST_KEYS = 10_000


class Throttle:
    """At most MOST_TRIES failures a minute for one name from one address; kept in memory only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def allowed(self, name: str, source: str) -> bool:
        return len(self._recent(name, source)) < MOST_TRIES

    def failed(self, name: str, source: str) -> None:
        self._failures[self._key(name, source)] = [*self._recent(name, source), self._clock()]
        while len(self._failures) > MOST_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, name: str, source: str) -> None:
        self._failures.pop(self._key(name, source), None)

    def _recent(self, name: str, source: str) -> list[float]:
        oldest = self._clock() - WINDOW_SECONDS
        return [moment for moment in self._failures.get(self._key(name, source), []) if moment > oldest]

    @staticmethod
    def _key(name: str, source: str) -> tuple[str, str]:
        return name.strip().casefold()[:100], source
