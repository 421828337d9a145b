"""The metrics of a sweep's Sacred run, as they grow: what is new waits here, and is appended to what is stored.

One document for each name, as Sacred has them. It holds at most MOST_POINTS points, so that none nears the 16 MB that a
document may have: where there would be more, every second one is left out, of those to come as well.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.points import reached
from engine.store.runs import Runs

MOST_POINTS = 100_000

log = logging.getLogger("nhop.metrics")

Point = tuple[int, float, datetime]
"""Step, value, and when."""


@dataclass(slots=True)
class _Metric:
    waiting: list[Point] = field(default_factory=list)
    stored: int | None = None
    """Points in the database; None: what waits replaces them."""
    sent: int = 0
    """Points of a call whose answer has not arrived."""
    seen: int = 0
    every: int = 1
    """One of so many points is kept."""
    id: str = ""


class Metrics:
    """The metrics of one run, written under *fence*. Several threads may use it."""

    def __init__(self, runs: Runs, fence: int) -> None:
        self._runs = runs
        self._fence = fence
        self._lock = threading.Lock()
        self._metrics: dict[str, _Metric] = {}

    def restore(self, metrics: Mapping[str, Sequence[Point]]) -> None:
        """Begin anew with these points, instead of those that are stored."""
        with self._lock:
            self._metrics = {}
        for name, points in metrics.items():
            self.add(name, points)

    def add(self, name: str, points: Sequence[Point]) -> None:
        """Append to a metric."""
        with self._lock:
            metric = self._metrics.setdefault(name, _Metric())
            for point in points:
                if metric.seen % metric.every == 0:
                    metric.waiting.append(point)
                metric.seen += 1
            while metric.stored is None and len(metric.waiting) > MOST_POINTS:
                metric.waiting, metric.every = metric.waiting[::2], metric.every * 2

    def flush(self, run_id: int) -> list[dict[str, Any]] | None:
        """Write what waits; returns {name, id} of all metrics if there is a new one.

        Raises:
            StoreUnavailable: the database does not answer; it all waits for the next call.
            LeaseLost: an optimizer of a later fence has written them.
        """
        new = False
        for name, metric in list(self._metrics.items()):
            with self._lock:
                points = metric.waiting[: metric.sent or None]
                metric.sent = len(points) if metric.stored is not None else 0
            if points:
                new |= not metric.id
                self._write(run_id, name, metric, points)
                reached("metrics-stored")
                with self._lock:
                    del metric.waiting[: len(points)]
                    metric.sent = 0
            if metric.stored is not None and metric.stored > MOST_POINTS:
                metric.stored = self._runs.thin_metric(run_id, name, self._fence)
                metric.every *= 2
        if not new:
            return None
        return [{"name": name, "id": metric.id} for name, metric in self._metrics.items() if metric.id]

    def _write(self, run_id: int, name: str, metric: _Metric, points: Sequence[Point]) -> None:
        columns = [list(column) for column in zip(*points, strict=True)]
        if metric.stored is None:
            metric.id = self._runs.put_metric(run_id, name, columns[0], columns[1], columns[2], self._fence)
            metric.stored = len(points)
            return
        there = self._runs.append_metric(run_id, name, metric.stored, columns, self._fence)
        if there != metric.stored + len(points):
            log.warning("the metric %s has %d points, of %d; the next start completes it", name, there,
                        metric.stored + len(points))  # fmt: skip
        metric.stored = there
