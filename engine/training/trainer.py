"""What the local and the distributed way of training have in common: one trial at a time, from start to end."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine.training.job import Job, Progress
from engine.training.models import network_of
from engine.training.network import VECTOR, Data, Graph, Network, constants
from engine.training.pace import Pace
from engine.training.update import RULES, Rule

MEASURING = 0.05
"""The part of the time that measuring on the validation part may take, but for the first and last time."""

UNITS = {"loss": 2, "mae": 1}
"""The power of the target's unit that a figure has; 0 for others. Targets are standardised for training."""


class Begun(Protocol):
    """A trial in training."""

    def advance(self, stop: int) -> tuple[int, float, bool]:
        """Train up to step *stop*; returns (the step reached, the smoothed training loss, whether it converged)."""


class Trainer:
    """Trains the trials of one sweep, one after the other.

    Args:
        data: what is trained on.
        device: where the network is measured, as TensorFlow names it; None for this process.
    """

    def __init__(self, data: Data, device: str | None = None) -> None:
        self._data = data
        self._device = device
        self._measures: dict[tuple[Hashable, str], Any] = {}
        self._costs: dict[Hashable, float] = {}
        self._parts: dict[str, list[Graph]] = {}

    def train(self, job: Job) -> Iterator[Progress]:
        """Train *job*, reporting after every chunk of steps; stop by not asking for more."""
        network = network_of(job)
        rule = RULES[str(job.params["train_optimizer"])]
        fixed = (
            rule.vector(float(job.params["learning_rate"])),
            np.int32(job.params["batch_size"]),
            np.int32(job.seed),
        )
        begun = self._begin(network, job, rule, fixed)
        pace = Pace()
        step, measured = 0, float("-inf")
        while True:
            now = time.monotonic()
            reached, train, still = begun.advance(step + pace.next(job.steps - step))
            pace.took(max(1, reached - step), time.monotonic() - now)
            step = reached
            done = still or step >= job.steps
            val: float | None = None
            figures: dict[str, float] = {}
            cost = self._costs.get(network.key, 0.0)
            if done or time.monotonic() - measured > cost / MEASURING:
                now = time.monotonic()
                figures = {
                    name: value for name, value in self._measure(network, "val").items() if isinstance(value, float)
                }
                val = figures.pop("loss")
                measured = time.monotonic()
                is_first = network.key not in self._costs  # most of the first's time is tracing
                self._costs[network.key] = 0.0 if is_first else measured - now
            test = self._measure(network, "test") if done and job.test else None
            yield Progress(step, train * self._data.target_scale**2, val, done, figures, test)
            if done:
                return

    def parameters(self) -> NDArray[np.float32]:
        """The parameters of the trial in training, or last trained, as they are; flat."""
        raise NotImplementedError

    def _begin(self, network: Network, job: Job, rule: Rule, fixed: tuple[Any, ...]) -> Begun:
        """Start a trial; *fixed* is (rule, batch, seed), as arguments of traced functions."""
        raise NotImplementedError

    def _current(self) -> Any:
        """The parameters as a traced function takes them."""
        return self.parameters()

    def _measure(self, network: Network, part: str) -> dict[str, Any]:
        """The figures of a part of the data with the parameters as they are now, in the target's units; numbers, and
        lists of them."""
        with tf.device(self._device):
            measured = self._measuring(network, part)(self._current(), *network.arguments)
        scale = self._data.target_scale
        return {name: (value.numpy() * scale ** UNITS.get(name, 0)).tolist() for name, value in measured.items()}

    def _measuring(self, network: Network, part: str) -> Any:
        if (network.key, part) not in self._measures:
            if part not in self._parts:
                self._parts[part] = constants(network.tables(self._data, part))
            tables = self._parts[part]

            @tf.function(autograph=False, input_signature=[VECTOR, *network.specs])
            def measure(flat, *arguments):  # type: ignore[no-untyped-def]
                return network.measure(flat, arguments, tables)

            self._measures[network.key, part] = measure
        return self._measures[network.key, part]
