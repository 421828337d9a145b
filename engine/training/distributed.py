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

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import raw_ops as raw

from engine.training import update
from engine.training.checkpoint import State
from engine.training.convergence import STILL_STEPS, smoothed
from engine.training.job import Job
from engine.training.network import RULE, WHOLE, Data, Graph, Network, Table, constants, random_key
from engine.training.trainer import Trainer

UNROLLED = 10
"""Steps in one call from the chief. More make a step cheaper and a new kind of network dearer: measured, 5 and 20 are
slower over a sweep."""
GROWTH = 2
"""How much larger than needed the variables are made, so that a larger network seldom needs new ones."""

Shard = tuple[Any, Any, Any]
"""A part of the parameters, and its two slots m and v."""
Call = tuple[Any, tuple[Any, ...]]
"""A traced function and its arguments."""
Share = tuple[str | None, Callable[..., Sequence[Graph]]]
"""A device, and what gives there, for a step and the shards' values, the loss and each shard's gradient."""


class ClusterTrainer(Trainer):
    """The chief's side, whichever way the workers are used.

    Args:
        data: what is trained on.
        jobs: the cluster's addresses by role, the chief's own included: workers fetch from it what it computed.
    """

    alone = False
    """Whether nobody else changes the parameters during a call, so that they need not be stored within it."""

    def __init__(self, data: Data, jobs: Mapping[str, Sequence[str]]) -> None:
        super().__init__(data)
        self._servers = len(jobs["ps"])
        self._workers = len(jobs["worker"])
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(dict(jobs)), rpc_layer="grpc"
        )
        self._strategy = tf.distribute.ParameterServerStrategy(resolver)
        self._update = tf.function(update.apply, autograph=False)
        self._rows: Sequence[Table] | None = None
        self._shards: list[Shard] = []
        self._shard_size = 0
        self._traced: dict[tuple[Hashable, int], Any] = {}
        self._used = 0

    def parameters(self) -> NDArray[np.float32]:
        return self._values(0)

    def slots(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The optimizer's slots m and v, as the parameters are."""
        return self._values(1), self._values(2)

    def _values(self, index: int) -> NDArray[np.float32]:
        return np.concatenate([shard[index].numpy() for shard in self._shards])[: self._used]

    def _begin(self, network: Network, job: Job, state: State, fixed: tuple[Any, ...], fold: int) -> _ClusterTrial:
        if self._rows is None:
            self._rows = network.tables(self._data, "train")
        self._set(state)
        fixed = (*fixed, np.int32(len(state.flat)), *network.arguments)
        return _ClusterTrial(self, network, job.tolerance, state, fixed)

    def _forget(self, key: Hashable) -> None:
        super()._forget(key)
        for name in [name for name in self._traced if name[0] == key]:
            del self._traced[name]

    def steps(self, network: Network, step: int, stop: int, fixed: tuple[Any, ...]) -> NDArray[np.float32]:
        """Do steps *step* to *stop*; returns their training losses."""
        return np.concatenate(self._do(list(self._calls(network, step, stop, fixed))))

    def _do(self, calls: Sequence[Call]) -> list[NDArray[np.float32]]:
        """Do the steps of *calls*; returns the training losses of each."""
        raise NotImplementedError

    def _shares(
        self, network: Network, batch: Graph, seed: Graph, used: Graph, arguments: Sequence[Graph]
    ) -> list[Share]:
        """Who computes the gradient of a step."""
        raise NotImplementedError

    def _calls(self, network: Network, step: int, stop: int, fixed: tuple[Any, ...]) -> Iterator[Call]:
        """The calls that do steps *step* to *stop*."""
        while step < stop:
            count = UNROLLED if stop - step >= UNROLLED else 1
            if (network.key, count) not in self._traced:
                self._traced[network.key, count] = self._trace(network, count)
            yield self._traced[network.key, count], (np.int32(step), *fixed)
            step += count

    def _set(self, state: State) -> None:
        """Set the variables to the state of a trial, making them anew where they are too small."""
        self._used = len(state.flat)
        size = -(-self._used // self._servers)
        if size > self._shard_size:
            self._shard_size = size * GROWTH
            self._traced.clear()
            with self._strategy.scope():
                self._shards = [self._make_shard() for _ in range(self._servers)]
        for index, values in enumerate((state.flat, state.m, state.v)):
            padded = np.zeros(self._shard_size * self._servers, dtype=np.float32)
            padded[: self._used] = values
            for part, shard in zip(np.split(padded, self._servers), self._shards, strict=True):
                shard[index].assign(part)

    def _make_shard(self) -> Shard:
        """One shard of the parameters and its two slots, all on the parameter server whose turn it is."""
        w = tf.Variable(tf.zeros([self._shard_size]), trainable=False)
        with self._strategy.extended.colocate_vars_with(w):
            slots = [tf.Variable(tf.zeros([self._shard_size]), trainable=False) for _ in range(2)]
        return w, slots[0], slots[1]

    def _trace(self, network: Network, count: int) -> Any:
        """The traced function that does *count* steps of networks with this key; returns their losses, [count].

        A loop would send its condition and counters to every process in every step, which costs more than the
        arithmetic. Unrolled, only parameters and gradients travel.
        """

        @tf.function(autograph=False, input_signature=[WHOLE, RULE, WHOLE, WHOLE, WHOLE, *network.specs])
        def steps(first, rule, batch, seed, used, *arguments):  # type: ignore[no-untyped-def]
            shares = self._shares(network, batch, seed, used, arguments)
            rates, values = [], []
            for shard in self._shards:
                with tf.device(shard[0].device):
                    rates.append(update.rates(rule, first, first + count))
                    values.append([_read(variable) for variable in shard])
            losses: list[list[Graph]] = [[] for _ in shares]
            for number in range(count):
                slopes: list[Sequence[Graph]] = []
                for (device, gradient_at), lost in zip(shares, losses, strict=True):
                    with tf.device(device):
                        loss, *parts = gradient_at(first + number, *[shard[0] for shard in values])
                        lost.append(loss)
                        slopes.append(parts)
                last = number == count - 1
                for server, shard in enumerate(self._shards):
                    with tf.device(shard[0].device):
                        slope = tf.add_n([parts[server] for parts in slopes])
                        values[server] = self._update(rule, rates[server][number], *values[server], slope)
                        if last or not self.alone:
                            for variable, value in zip(shard, values[server], strict=True):
                                variable.assign(value, read_value=False)
                        if not (last or self.alone):
                            values[server] = [_read(variable) for variable in shard]
            return tf.add_n([tf.stack(lost) for lost in losses])

        return steps

    def _share(
        self,
        network: Network,
        device: str | None,
        part: tuple[int, int],
        batch: Graph,
        seed: Graph,
        used: Graph,
        arguments: Sequence[Graph],
    ) -> Share:
        """What a worker gives to a step: the gradient of part i of n of each mini-batch."""
        index, parts = part
        width = self._shard_size * self._servers
        with tf.device(device):  # copies there, made once a call
            tables = constants(self._rows or ())
            batch, used, *arguments = (tf.identity(value) for value in (batch, used, *arguments))
            key = random_key(seed)

        @tf.function(autograph=False)
        def gradient_at(step, tables, key, batch, used, arguments, *shards):  # type: ignore[no-untyped-def]
            rows = network.rows(tables, batch, key, step, arguments)
            if parts > 1:
                rows = [row[batch * index // parts : batch * (index + 1) // parts] for row in rows]
            loss, slope = network.gradient(tf.concat(shards, 0)[:used], arguments, rows, batch)
            return loss, *tf.split(tf.pad(slope, [[0, width - used]]), self._servers)

        return device, lambda step, *shards: gradient_at(step, tables, key, batch, used, arguments, *shards)


class _ClusterTrial:
    """A trial in training on the cluster."""

    def __init__(
        self, trainer: ClusterTrainer, network: Network, tolerance: float, state: State, fixed: tuple[Any, ...]
    ) -> None:
        self._trainer = trainer
        self._network = network
        self._tolerance = tolerance
        self._fixed = fixed
        self._step, self._smooth, self._still = state.step, np.float32(state.smooth), state.still

    def advance(self, stop: int) -> tuple[int, float, bool]:
        losses = self._trainer.steps(self._network, self._step, stop, self._fixed)
        self._smooth, self._still = smoothed(losses, self._smooth, self._still, self._tolerance)
        self._step = stop
        return stop, float(self._smooth), self._still >= STILL_STEPS

    def now(self) -> State:
        m, v = self._trainer.slots()
        return State(self._trainer.parameters(), m, v, float(self._smooth), self._still, self._step)


def _read(variable: Any) -> Graph:
    """The value of a variable where it lies; `read_value` would fetch it to the chief first."""
    return raw.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)


class AsyncTrainer(ClusterTrainer):
    """Each call on whichever worker is free."""

    def __init__(self, data: Data, jobs: Mapping[str, Sequence[str]]) -> None:
        super().__init__(data, jobs)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(self._strategy)

    def _do(self, calls: Sequence[Call]) -> list[NDArray[np.float32]]:
        closures = [self._coordinator.schedule(function, args=arguments) for function, arguments in calls]
        self._coordinator.join()
        return [closure.fetch() for closure in closures]

    def _shares(self, network: Network, *given: Any) -> list[Share]:
        return [self._share(network, None, (0, 1), *given)]


class SyncTrainer(ClusterTrainer):
    """Each step on all workers, each with its share of the mini-batch."""

    alone = True

    def _do(self, calls: Sequence[Call]) -> list[NDArray[np.float32]]:
        return [function(*arguments).numpy() for function, arguments in calls]

    def _shares(self, network: Network, *given: Any) -> list[Share]:
        return [
            self._share(network, f"/job:worker/task:{worker}", (worker, self._workers), *given)
            for worker in range(self._workers)
        ]


TRAINERS = {"async": AsyncTrainer, "sync": SyncTrainer}
