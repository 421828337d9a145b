"""What the local and the distributed way of training have in common: one trial at a time, from start to end."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
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


class Begun(Protocol):
    """A trial in training."""

    def advance(self, stop: int) -> tuple[int, float, bool]:
        """Train up to step *stop*; returns (the step reached, mean training loss on the way, whether it converged)."""


class Trainer:
    """Trains the trials of one sweep, one after the other.

    Args:
        data: what is trained on.
        device: where the network is measured, as TensorFlow names it; None for this process.
    """

    def __init__(self, data: Data, device: str | None = None) -> None:
        self._data = data
        self._device = device
        self._loss_scale = data.target_scale**2
        self._measures: dict[Hashable, Any] = {}
        self._costs: dict[Hashable, float] = {}
        self._val: list[Graph] | None = None

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
            val, figures = None, {}
            cost = self._costs.get(network.key, 0.0)
            if done or time.monotonic() - measured > cost / MEASURING:
                now = time.monotonic()
                figures = self._measure(network)
                val = figures.pop("loss") * self._loss_scale
                measured = time.monotonic()
                is_first = network.key not in self._costs  # most of the first's time is tracing
                self._costs[network.key] = 0.0 if is_first else measured - now
            yield Progress(step, train * self._loss_scale, val, done, figures)
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

    def _measure(self, network: Network) -> dict[str, float]:
        """The figures of the validation part with the parameters as they are now, those that are one number."""
        measured = self._measuring(network)(self._current(), *network.arguments)
        return {name: float(value) for name, value in measured.items() if value.shape.rank == 0}

    def _measuring(self, network: Network) -> Any:
        if network.key not in self._measures:
            tables = self._validation(network)

            @tf.function(autograph=False, input_signature=[VECTOR, *network.specs])
            def measure(flat, *arguments):  # type: ignore[no-untyped-def]
                return network.measure(flat, arguments, tables)

            self._measures[network.key] = measure
        return self._measures[network.key]

    def _validation(self, network: Network) -> Sequence[Graph]:
        if self._val is None:
            with tf.device(self._device):
                self._val = constants(network.tables(self._data, "val"))
        return self._val
