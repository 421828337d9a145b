"""The interface of all samplers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.domain import Trial
from engine.space import Params


class Sampler(Protocol):
    """Proposes points of one search space. Pure: the same history and seed give the same proposals."""

    def suggest(self, count: int) -> list[Params]:
        """The next *count* points to try."""
        ...

    def update(self, finished: Sequence[Trial], running: Sequence[Trial]) -> None:
        """Learn from what has *finished* since the last call, and know what is *running*."""
        ...
