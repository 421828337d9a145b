"""Slowing down whoever guesses passwords."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_TRIES = 8
WINDOW_SECONDS = 60.0
MOST_KEYS = 10_000


class Throttle:
    """At most MOST_TRIES failed tries a minute for one name from one address; kept in memory only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def tries(self, name: str, source: str) -> bool:
        """Count a try, which `succeeded` takes back; False when there were too many."""
        recent = self._recent(name, source)
        if len(recent) >= MOST_TRIES:
            return False
        self._tries[self._key(name, source)] = [*recent, self._clock()]
        while len(self._tries) > MOST_KEYS:
            self._tries.popitem(last=False)
        return True

    def succeeded(self, name: str, source: str) -> None:
        self._tries.pop(self._key(name, source), None)

    def _recent(self, name: str, source: str) -> list[float]:
        oldest = self._clock() - WINDOW_SECONDS
        return [moment for moment in self._tries.get(self._key(name, source), []) if moment > oldest]

    @staticmethod
    def _key(name: str, source: str) -> tuple[str, str]:
        return name.strip().casefold()[:100], source
