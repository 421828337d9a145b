"""Training one trial within one process: whole chunks of steps inside one graph."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine.training import update
from engine.training.checkpoint import State
from engine.training.convergence import SMOOTHING, STILL_STEPS
from engine.training.job import Job
from engine.training.network import NUMBER, RULE, VECTOR, WHOLE, Data, Graph, Network, random_key, specs_of
from engine.training.trainer import Trainer


class LocalTrainer(Trainer):
    """Trains in this process, or in the one whose *device* is given."""

    def __init__(self, data: Data, device: str | None = None) -> None:
        super().__init__(data, device)
        self._chunks: dict[Hashable, Any] = {}
        self._trial: _LocalTrial | None = None

    def parameters(self) -> NDArray[np.float32]:
        return np.asarray(self._current())

    def _current(self) -> Any:
        assert self._trial is not None  # noqa: S101 - somebody has begun one
        return self._trial.state[0]

    def _begin(self, network: Network, job: Job, state: State, fixed: tuple[Any, ...], fold: int) -> _LocalTrial:
        tables = self._tables(network, fold, "train")
        arguments = (*fixed, np.float32(job.tolerance), *network.arguments, *tables)
        self._trial = _LocalTrial(self._chunk(network, tables), state, arguments, self._device)
        return self._trial

    def _forget(self, key: Hashable) -> None:
        super()._forget(key)
        self._chunks.pop(key, None)

    def _chunk(self, network: Network, tables: list[Graph]) -> Any:
        """The traced function of networks with this key:

        (flat, m, v, smooth, still, step, stop, rule, batch, seed, tolerance, *arguments of the network, *tables)
        → (flat, m, v, smooth, still, step)

        *smooth* is the exponentially smoothed training loss (negative: not begun), *still* counts the steps in
        a row in which it changed by no more than *tolerance*; the chunk ends at STILL_STEPS of them.
        """
        if network.key not in self._chunks:
            self._chunks[network.key] = _trace(network, tables)
        return self._chunks[network.key]


class _LocalTrial:
    """A trial in training: its state, and the function that carries it on."""

    def __init__(self, chunk: Any, state: State, fixed: tuple[Any, ...], device: str | None) -> None:
        self.state: tuple[Any, ...] = (
            state.flat, state.m, state.v, np.float32(state.smooth), np.int32(state.still), np.int32(state.step)
        )  # fmt: skip
        self._chunk = chunk
        self._fixed = fixed
        self._device = device

    def advance(self, stop: int) -> tuple[int, float, bool]:
        with tf.device(self._device):
            self.state = self._chunk(*self.state, np.int32(stop), *self._fixed)
        *_, smooth, still, step = self.state
        return int(step), float(smooth), int(still) >= STILL_STEPS

    def now(self) -> State:
        flat, m, v, smooth, still, step = self.state
        return State(np.asarray(flat), np.asarray(m), np.asarray(v), float(smooth), int(still), int(step))


def _trace(network: Network, tables: list[Graph]) -> Any:
    state = [VECTOR, VECTOR, VECTOR, NUMBER, WHOLE, WHOLE]

    given = [*state, WHOLE, RULE, WHOLE, WHOLE, NUMBER, *network.specs, *specs_of(tables)]
    own = len(network.arguments)

    @tf.function(autograph=False, input_signature=given)
    def chunk(  # type: ignore[no-untyped-def]
        flat, m, v, smooth, still, first, stop, rule, batch, seed, tolerance, *others
    ):
        arguments, rows = others[:own], others[own:]
        key = random_key(seed)
        rates = update.rates(rule, first, stop)

        def body(step, flat, m, v, smooth, still):  # type: ignore[no-untyped-def]
            loss, slope = network.gradient(flat, arguments, network.rows(rows, batch, key, step, arguments))
            flat, m, v = update.apply(rule, tf.gather(rates, step - first), flat, m, v, slope)
            smoother = tf.where(smooth < 0, loss, smooth + SMOOTHING * (loss - smooth))
            still = tf.where(tf.abs(smoother - smooth) <= tolerance, still + 1, 0)
            return step + 1, flat, m, v, smoother, still

        step, flat, m, v, smooth, still = tf.while_loop(
            lambda step, flat, m, v, smooth, still: (step < stop) & (still < STILL_STEPS),
            body,
            (first, flat, m, v, smooth, still),
            parallel_iterations=1,
        )
        return flat, m, v, smooth, still, step

    return chunk
