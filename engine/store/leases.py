"""How long values that others keep changing have stood still, by this process's own clock.

A lease is renewed by writing it anew. Whether it has run out is not read off the clock of the machine that wrote it,
nor off this one's, which may jump: whoever wants to know looks again and again, and counts the time in which he saw
the lease unchanged.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

MOST_GAP = 5.0
"""Seconds between two looks that count at most. In a longer gap nothing was seen: the database was silent, or this
process stopped, and perhaps the owner could not renew anything either."""


class Watch:
    """Remembers what was seen, and for how long it has been the same."""

    def __init__(self) -> None:
        self._looked = 0.0
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def ages(self, values: Mapping[str, Hashable], now: float) -> dict[str, float]:
        """The seconds for which each of *values* has been seen as it is.

        Args:
            now: a monotonic clock's, in seconds.
        """
        passed = min(now - self._looked, MOST_GAP)
        self._looked = now
        seen: dict[str, tuple[Hashable, float]] = {}
        for key, value in values.items():
            before, age = self._seen.get(key, (None, 0.0))
            seen[key] = value, age + passed if before == value else 0.0
        self._seen = seen
        return {key: age for key, (_, age) in seen.items()}
