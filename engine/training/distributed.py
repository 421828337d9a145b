"""Training one trial on the whole cluster, asynchronously: variables on the parameter servers, workers apply
their gradients as they come (Dean et al., *Large Scale Distributed Deep Networks*, 2012).

The flat parameter vector is cut into one shard for each parameter server, with the optimizer's slots beside it;
the update of a shard is computed where the shard lies. The variables are made once, as large as the largest
network so far, and used by every trial.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine.data import Parts
from engine.models.regressor import Architecture
from engine.training import update
from engine.training.job import Job, Progress
from engine.training.pace import Pace
from engine.training.regression import gradient, sample, signature, squared_error, unpack
from engine.training.update import RULES, Rule

CLOSURE_STEPS = 20
"""Steps a worker does for each call from the chief."""
GROWTH = 2


class AsyncTrainer:
    """The chief's side: schedules closures of a few steps on whichever worker is free."""

    def __init__(self, data: Parts, jobs: Mapping[str, Sequence[str]]) -> None:
        self._data = data
        self._servers = len(jobs["ps"])
        self._workers = len(jobs["worker"])
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({**jobs, "chief": ["localhost:0"]}), rpc_layer="grpc"
        )
        self._strategy = tf.distribute.ParameterServerStrategy(resolver)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(self._strategy)
        self._shards: list[tuple[Any, Any, Any]] = []
        self._shard_size = 0
        self._closures: dict[tuple[int, str], Any] = {}
        self._validations: dict[tuple[int, str], Any] = {}

    def train(self, job: Job) -> Iterator[Progress]:
        """Train *job*, reporting at every round of closures; stop by not asking for more."""
        network = job.architecture
        rule = RULES[str(job.params["train_optimizer"])]
        self._begin(network.initial(job.seed, job.weight_init), rule)
        closure = self._closure(network)
        fixed = (
            network.sizes,
            network.shapes,
            rule.vector(float(job.params["learning_rate"])),
            np.int32(job.params["batch_size"]),
            np.int32(job.seed),
        )
        scale = self._data.target_scale**2
        pace = Pace()
        step = 0
        while step < job.steps:
            begun = time.monotonic()
            stop = step + pace.next(job.steps - step)
            totals = [
                self._coordinator.schedule(
                    closure, args=(np.int32(first), np.int32(min(CLOSURE_STEPS, stop - first)), *fixed)
                )
                for first in range(step, stop, CLOSURE_STEPS)
            ]
            self._coordinator.join()
            train = sum(float(total.fetch()) for total in totals) / (stop - step)
            val = float(self._validate(network))
            pace.took(stop - step, time.monotonic() - begun)
            step = stop
            yield Progress(step, train * scale, val * scale, step >= job.steps)

    def _begin(self, flat: NDArray[np.float32], rule: Rule) -> None:
        """Set the variables to the start of a trial, making them anew where they are too small."""
        size = -(-len(flat) // self._servers)
        if size > self._shard_size:
            self._shard_size = size * GROWTH
            self._closures.clear()
            with self._strategy.scope():
                self._shards = [self._make_shard() for _ in range(self._servers)]
        padded = np.zeros(self._shard_size * self._servers, dtype=np.float32)
        padded[: len(flat)] = flat
        for part, (w, m, v) in zip(np.split(padded, self._servers), self._shards, strict=True):
            w.assign(part)
            m.assign(np.zeros_like(part))
            v.assign(np.full_like(part, rule.start_v))

    def _make_shard(self) -> tuple[Any, Any, Any]:
        """One shard of the parameters and its two slots, all on the parameter server whose turn it is."""
        w = tf.Variable(tf.zeros([self._shard_size]), trainable=False)
        with self._strategy.extended.colocate_vars_with(w):
            slots = [tf.Variable(tf.zeros([self._shard_size]), trainable=False) for _ in range(2)]
        return w, slots[0], slots[1]

    def _closure(self, network: Architecture) -> Any:
        key = (network.layers, network.activation)
        if key not in self._closures:
            self._closures[key] = self._trace(*key)
        return self._closures[key]

    def _trace(self, layers: int, activation: str) -> Any:
        shards = self._shards
        width = self._shard_size * self._servers
        data = self._data
        whole: Any = ([], tf.int32)

        @tf.function(
            autograph=False,
            input_signature=signature(
                whole, whole, ([2 * layers], tf.int32), ([layers, 2], tf.int32), ([7], tf.float32), whole, whole
            ),
        )
        def closure(first, count, sizes, shapes, rule, batch, seed):  # type: ignore[no-untyped-def]
            x_train, y_train = tf.constant(data.x_train), tf.constant(data.y_train)
            used = tf.reduce_sum(sizes)

            def body(step, total):  # type: ignore[no-untyped-def]
                flat = tf.concat([w.read_value() for w, _, _ in shards], 0)[:used]
                x, y = sample(x_train, y_train, batch, seed, step)
                loss, slope = gradient(flat, sizes, shapes, layers, activation, x, y)
                slope = tf.split(tf.pad(slope, [[0, width - used]]), len(shards))
                applied = []
                for part, (w, m, v) in zip(slope, shards, strict=True):
                    with tf.device(w.device):
                        new_w, new_m, new_v = update.apply(rule, step, w.read_value(), m.read_value(),
                                                           v.read_value(), part)  # fmt: skip
                        applied += [w.assign(new_w), m.assign(new_m), v.assign(new_v)]
                with tf.control_dependencies(applied):
                    return step + 1, total + loss

            _, total = tf.while_loop(
                lambda step, _: step < first + count, body, (first, tf.constant(0.0)), parallel_iterations=1
            )
            return total

        return closure

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
