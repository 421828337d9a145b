"""Training one trial on the whole cluster: variables on the parameter servers, gradients from all workers.

The flat parameter vector is cut into one shard for each parameter server, with the optimizer's slots beside it;
the update of a shard is computed where the shard lies. The variables are made once, as large as the largest
network so far, and used by every trial.

Asynchronously (Dean et al., *Large Scale Distributed Deep Networks*, 2012) each worker draws mini-batches of its own
and applies its gradients as they come. Synchronously (Chen et al., *Revisiting Distributed Synchronous SGD*, 2016)
each worker takes its share of one mini-batch, and the sum of all shares is applied: the same as one process with the
whole mini-batch, up to the order of additions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine.data import Parts
from engine.models.regressor import Architecture
from engine.training import update
from engine.training.job import Job, Progress
from engine.training.pace import Pace
from engine.training.regression import (
    STILL_STEPS,
    gradient,
    sample,
    signature,
    smoothed,
    squared_error,
    unpack,
)
from engine.training.update import RULES, Rule

CLOSURE_STEPS = 20
"""Steps a worker does for each call from the chief."""
GROWTH = 2
"""How much larger than needed the variables are made, so that a larger network seldom needs new ones."""

Shard = tuple[Any, Any, Any]
"""A part of the parameters, and its two slots m and v."""
Fixed = tuple[Any, ...]
"""What stays the same through a trial: sizes, shapes, rule, batch, seed."""


class ClusterTrainer:
    """The chief's side, whichever way the workers are used.

    Args:
        data: what is trained on.
        jobs: the cluster's addresses by role, the chief's own included: workers fetch from it what it computed.
    """

    def __init__(self, data: Parts, jobs: Mapping[str, Sequence[str]]) -> None:
        self._data = data
        self._servers = len(jobs["ps"])
        self._workers = len(jobs["worker"])
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(dict(jobs)), rpc_layer="grpc"
        )
        self._strategy = tf.distribute.ParameterServerStrategy(resolver)
        self._shards: list[Shard] = []
        self._shard_size = 0
        self._traced: dict[tuple[int, str], Any] = {}
        self._validations: dict[tuple[int, str], Any] = {}

    def train(self, job: Job) -> Iterator[Progress]:
        """Train *job*, reporting after every round of steps; stop by not asking for more."""
        network = job.architecture
        rule = RULES[str(job.params["train_optimizer"])]
        self._begin(network.initial(job.seed, job.weight_init), rule)
        key = (network.layers, network.activation)
        if key not in self._traced:
            self._traced[key] = self._trace(*key)
        fixed = (
            network.sizes,
            network.shapes,
            rule.vector(float(job.params["learning_rate"])),
            np.int32(job.params["batch_size"]),
            np.int32(job.seed),
        )
        scale = self._data.target_scale**2
        pace = Pace()
        step, smooth, still = 0, np.float32(-1), 0
        while step < job.steps:
            begun = time.monotonic()
            stop = step + pace.next(job.steps - step)
            losses = self._steps(self._traced[key], step, stop, fixed)
            smooth, still = smoothed(losses, smooth, still, job.tolerance)
            pace.took(stop - step, time.monotonic() - begun)
            step = stop
            done = step >= job.steps or still >= STILL_STEPS
            val = float(self._validate(network))
            yield Progress(step, float(np.mean(losses)) * scale, val * scale, done)
            if done:
                return

    def _trace(self, layers: int, activation: str) -> Any:
        """The traced function that does some steps of networks of this depth."""
        raise NotImplementedError

    def _steps(self, traced: Any, step: int, stop: int, fixed: Fixed) -> NDArray[np.float32]:
        """Do steps *step* to *stop*; returns the training loss of each, [stop - step]."""
        raise NotImplementedError

    def _begin(self, flat: NDArray[np.float32], rule: Rule) -> None:
        """Set the variables to the start of a trial, making them anew where they are too small."""
        size = -(-len(flat) // self._servers)
        if size > self._shard_size:
            self._shard_size = size * GROWTH
            self._traced.clear()
            with self._strategy.scope():
                self._shards = [self._make_shard() for _ in range(self._servers)]
        padded = np.zeros(self._shard_size * self._servers, dtype=np.float32)
        padded[: len(flat)] = flat
        for part, (w, m, v) in zip(np.split(padded, self._servers), self._shards, strict=True):
            w.assign(part)
            m.assign(np.zeros_like(part))
            v.assign(np.full_like(part, rule.start_v))

    def _make_shard(self) -> Shard:
        """One shard of the parameters and its two slots, all on the parameter server whose turn it is."""
        w = tf.Variable(tf.zeros([self._shard_size]), trainable=False)
        with self._strategy.extended.colocate_vars_with(w):
            slots = [tf.Variable(tf.zeros([self._shard_size]), trainable=False) for _ in range(2)]
        return w, slots[0], slots[1]

    def _read(self, used: Any) -> Any:
        """The parameters as they are on the parameter servers, flat; the first *used* of them."""
        return tf.concat([w.read_value() for w, _, _ in self._shards], 0)[:used]

    def _apply(self, rule: Any, step: Any, slope: Any, used: Any) -> list[Any]:
        """The operations that apply a gradient, each shard's where the shard lies."""
        width = self._shard_size * self._servers
        applied = []
        parts = tf.split(tf.pad(slope, [[0, width - used]]), self._servers)
        for part, (w, m, v) in zip(parts, self._shards, strict=True):
            with tf.device(w.device):
                new = update.apply(rule, step, w.read_value(), m.read_value(), v.read_value(), part)
                applied += [variable.assign(value) for variable, value in zip((w, m, v), new, strict=True)]
        return applied

    def _loop(self, first: Any, count: Any, rule: Any, used: Any, one: Callable[[Any], tuple[Any, Any]]) -> Any:
        """Do *count* steps from *first*, each with the loss and gradient that *one* gives; returns the losses."""

        def body(step: Any, losses: Any) -> tuple[Any, Any]:
            loss, slope = one(step)
            with tf.control_dependencies(self._apply(rule, step, slope, used)):
                return step + 1, losses.write(step - first, loss)

        losses = tf.TensorArray(tf.float32, size=count)
        _, losses = tf.while_loop(lambda step, _: step < first + count, body, (first, losses), parallel_iterations=1)
        return losses.stack()

    def _signature(self, layers: int) -> list[Any]:
        """(first, count, sizes, shapes, rule, batch, seed)"""
        whole: Any = ([], tf.int32)
        return signature(
            whole, whole, ([2 * layers], tf.int32), ([layers, 2], tf.int32), ([7], tf.float32), whole, whole
        )

    def _validate(self, network: Architecture) -> Any:
        """The loss on the validation part with the parameters as they are now, computed here."""
        key = (network.layers, network.activation)
        if key not in self._validations:
            layers, activation = key
            x_val, y_val = tf.constant(self._data.x_val), tf.constant(self._data.y_val)

            @tf.function(
                autograph=False,
                input_signature=signature(([None], tf.float32), ([2 * layers], tf.int32), ([layers, 2], tf.int32)),
            )
            def validate(flat, sizes, shapes):  # type: ignore[no-untyped-def]
                return squared_error(unpack(flat, sizes, shapes, layers), x_val, y_val, activation)

            self._validations[key] = validate
        flat = np.concatenate([w.numpy() for w, _, _ in self._shards])[: int(network.sizes.sum())]
        return self._validations[key](flat, network.sizes, network.shapes)


class AsyncTrainer(ClusterTrainer):
    """Closures of a few steps on whichever worker is free."""

    def __init__(self, data: Parts, jobs: Mapping[str, Sequence[str]]) -> None:
        super().__init__(data, jobs)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(self._strategy)

    def _steps(self, traced: Any, step: int, stop: int, fixed: Fixed) -> NDArray[np.float32]:
        closures = [
            self._coordinator.schedule(
                traced, args=(np.int32(first), np.int32(min(CLOSURE_STEPS, stop - first)), *fixed)
            )
            for first in range(step, stop, CLOSURE_STEPS)
        ]
        self._coordinator.join()
        return np.concatenate([closure.fetch() for closure in closures])

    def _trace(self, layers: int, activation: str) -> Any:
        data = self._data

        @tf.function(autograph=False, input_signature=self._signature(layers))
        def closure(first, count, sizes, shapes, rule, batch, seed):  # type: ignore[no-untyped-def]
            x_train, y_train = tf.constant(data.x_train), tf.constant(data.y_train)
            used = tf.reduce_sum(sizes)

            def one(step: Any) -> tuple[Any, Any]:
                x, y = sample(x_train, y_train, batch, seed, step)
                return gradient(self._read(used), sizes, shapes, layers, activation, x, y)

            return self._loop(first, count, rule, used, one)

        return closure


class SyncTrainer(ClusterTrainer):
    """Every step on all workers, each with its share of the mini-batch."""

    def _steps(self, traced: Any, step: int, stop: int, fixed: Fixed) -> NDArray[np.float32]:
        parts = [
            traced(np.int32(first), np.int32(min(CLOSURE_STEPS, stop - first)), *fixed).numpy()
            for first in range(step, stop, CLOSURE_STEPS)
        ]
        return np.concatenate(parts)

    def _trace(self, layers: int, activation: str) -> Any:
        data, workers = self._data, self._workers

        @tf.function(autograph=False, input_signature=self._signature(layers))
        def steps(first, count, sizes, shapes, rule, batch, seed):  # type: ignore[no-untyped-def]
            used = tf.reduce_sum(sizes)

            def share(worker: int, step: Any) -> tuple[Any, Any]:
                """The loss and gradient of one worker's rows of the mini-batch, as parts of the whole batch's."""
                with tf.device(f"/job:worker/task:{worker}"):
                    x, y = sample(tf.constant(data.x_train), tf.constant(data.y_train), batch, seed, step)
                    rows = slice(batch * worker // workers, batch * (worker + 1) // workers)
                    return gradient(
                        self._read(used),
                        sizes,
                        shapes,
                        layers,
                        activation,
                        x[rows],
                        y[rows],
                        tf.cast(batch, tf.float32),
                    )

            def one(step: Any) -> tuple[Any, Any]:
                shares = [share(worker, step) for worker in range(workers)]
                return tf.add_n([part for part, _ in shares]), tf.add_n([part for _, part in shares])

            return self._loop(first, count, rule, used, one)

        return steps


TRAINERS = {"async": AsyncTrainer, "sync": SyncTrainer}
