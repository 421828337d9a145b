"""Waiting for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 3
"""Limits are given for a quiet machine; a busy one gets so many times as long."""


def wait_until(
    condition: Callable[[], T], seconds: float = 10.0, what: str = "the condition", every: float = 0.02
) -> T:
    """The first true value of *condition*; fails, saying *what* did not come, after PATIENCE times *seconds*."""
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds:g} s")
        time.sleep(every)
