"""Training one trial within one process: whole chunks of steps inside one graph."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine.data import Parts
from engine.training import update
from engine.training.convergence import SMOOTHING, STILL_STEPS
from engine.training.job import Job, Progress
from engine.training.models import network_of
from engine.training.network import NUMBER, RULE, VECTOR, WHOLE, Network, constants, random_key, sample, tables_of
from engine.training.pace import Pace
from engine.training.update import RULES


class LocalTrainer:
    """Trains the trials of one process, one after the other.

    Args:
        device: where, as TensorFlow names it; None for this process.
    """

    def __init__(self, data: Parts, device: str | None = None) -> None:
        self._device = device
        self._loss_scale = data.target_scale**2
        with tf.device(device):
            self._train = constants(tables_of(data, "train"))
            self._val = constants(tables_of(data, "val"))
        self._chunks: dict[Hashable, Any] = {}
        self._flat: Any = None

    def train(self, job: Job) -> Iterator[Progress]:
        """Train *job*, reporting at every chunk boundary; stop by not asking for more."""
        network = network_of(job)
        rule = RULES[str(job.params["train_optimizer"])]
        flat = network.initial(job.seed)
        state = (flat, np.zeros_like(flat), np.full_like(flat, rule.start_v), np.float32(-1), np.int32(0), np.int32(0))
        fixed = (
            rule.vector(float(job.params["learning_rate"])),
            np.int32(job.params["batch_size"]),
            np.int32(job.seed),
            np.float32(job.tolerance),
            *network.arguments,
        )
        chunk = self._chunk(network)
        pace = Pace()
        step = 0
        while step < job.steps:
            begun = time.monotonic()
            stop = step + pace.next(job.steps - step)
            with tf.device(self._device):
                *state_out, train, val = chunk(*state, np.int32(stop), *fixed)
            state = tuple(state_out)
            self._flat = state[0]
            still, reached = int(state[4]), int(state[5])
            pace.took(max(1, reached - step), time.monotonic() - begun)
            step = reached
            done = step >= job.steps or still >= STILL_STEPS
            yield Progress(step, float(train) * self._loss_scale, float(val) * self._loss_scale, done)
            if done:
                return

    def parameters(self) -> NDArray[np.float32]:
        """The parameters of the trial in training, or last trained, as they are; flat."""
        return np.asarray(self._flat)

    def _chunk(self, network: Network) -> Any:
        """The traced function of networks with this key:

        (flat, m, v, smooth, still, step, stop, rule, batch, seed, tolerance, *arguments of the network)
        → (flat, m, v, smooth, still, step, mean training loss, validation loss)

        *smooth* is the exponentially smoothed training loss (negative: not begun), *still* counts the steps in
        a row in which it changed by no more than *tolerance*; the chunk ends at STILL_STEPS of them.
        """
        if network.key not in self._chunks:
            self._chunks[network.key] = self._trace(network)
        return self._chunks[network.key]

    def _trace(self, network: Network) -> Any:
        state = [VECTOR, VECTOR, VECTOR, NUMBER, WHOLE, WHOLE]

        @tf.function(autograph=False, input_signature=[*state, WHOLE, RULE, WHOLE, WHOLE, NUMBER, *network.specs])
        def chunk(  # type: ignore[no-untyped-def]
            flat, m, v, smooth, still, first, stop, rule, batch, seed, tolerance, *arguments
        ):
            key = random_key(seed)
            rates = update.rates(rule, first, stop)

            def body(step, flat, m, v, smooth, still, total):  # type: ignore[no-untyped-def]
                loss, slope = network.gradient(flat, arguments, sample(self._train, batch, key, step))
                flat, m, v = update.apply(rule, tf.gather(rates, step - first), flat, m, v, slope)
                smoother = tf.where(smooth < 0, loss, smooth + SMOOTHING * (loss - smooth))
                still = tf.where(tf.abs(smoother - smooth) <= tolerance, still + 1, 0)
                return step + 1, flat, m, v, smoother, still, total + loss

            step, flat, m, v, smooth, still, total = tf.while_loop(
                lambda step, flat, m, v, smooth, still, total: (step < stop) & (still < STILL_STEPS),
                body,
                (first, flat, m, v, smooth, still, tf.constant(0.0)),
                parallel_iterations=1,
            )
            val = network.loss(flat, arguments, self._val)
            mean = tf.math.divide_no_nan(total, tf.cast(step - first, tf.float32))
            return flat, m, v, smooth, still, step, mean, val

        return chunk
