"""How many steps to do before the next report. Pure; the clock is an argument."""

from __future__ import annotations

REPORT_SECONDS = 0.3
FIRST_STEPS = 1
"""Large networks may need seconds for a step, and must be heard of before they are taken for stuck."""


class Pace:
    """Sizes the chunks of a trial so that each takes about REPORT_SECONDS."""

    def __init__(self) -> None:
        self._steps = FIRST_STEPS

    def next(self, left: int) -> int:
        """Steps of the next chunk when *left* are left to do; a last short rest is taken along."""
        return left if left <= self._steps * 1.2 else self._steps

    def took(self, steps: int, seconds: float) -> None:
        """Learn from a chunk; grows at most tenfold at a time, since a first one is not typical."""
        rate = steps / max(seconds, 1e-6)
        self._steps = max(1, min(int(rate * REPORT_SECONDS), self._steps * 10))
