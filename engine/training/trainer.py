"""What the local and the distributed way of training have in common: one trial at a time, from start to end."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine.points import reached as reached_point
from engine.training import checkpoint as checkpoints
from engine.training.checkpoint import Checkpoint, State
from engine.training.job import Job, Progress
from engine.training.models import network_of
from engine.training.network import VECTOR, Data, Graph, Network, constants, specs_of
from engine.training.pace import Pace
from engine.training.update import RULES

MEASURING = 0.05
"""The part of the time that measuring on the validation part may take, but for the first and last time."""

KEPT_KEYS = 8
"""Keys of networks that do not last whose traced functions are kept."""


class Begun(Protocol):
    """A trial in training."""

    def advance(self, stop: int) -> tuple[int, float, bool]:
        """Train up to step *stop*; returns (the step reached, the smoothed training loss, whether it converged)."""

    def now(self) -> State:
        """Where it stands."""


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
        self._parts: dict[tuple[int, str], list[Graph]] = {}
        self._passing: list[Hashable] = []
        self._kept = 0.0

    def train(self, job: Job, checkpoint: Checkpoint | None = None) -> Iterator[Progress]:
        """Train *job*, from its *checkpoint* on if there is one, reporting after every chunk of steps and at its rungs;
        stop by not asking for more.

        With cross-validation it is trained on one fold after the other; what is reported are means over the folds, and
        of its steps as many as if there were one fold. The rungs are the first fold's.
        """
        folds = len(self._data.folds)
        ended = list(checkpoint.ended) if checkpoint else []
        state = checkpoint.state if checkpoint else None
        self._kept = time.monotonic()
        for fold in range(len(ended), folds):
            begin, state = state, None
            for progress in self._train_fold(job, fold, begin, ended):
                if progress.done:
                    ended.append(progress)
                so_far = [*ended, *([] if progress.done else [progress])]
                done = len(ended) == folds
                step = (fold * job.steps + progress.step) // folds
                yield mean_of(so_far, job.steps if done and folds > 1 else step, done)

    def _train_fold(self, job: Job, fold: int, state: State | None, ended: Sequence[Progress]) -> Iterator[Progress]:
        """Train *job* on one fold, from *state* on, after those that have *ended*; stop over at its rungs on the
        first."""
        network = network_of(job, self._data)
        if not network.lasting:
            self._make_room(network.key)
        rule = RULES[str(job.params["train_optimizer"])]
        fixed = (
            rule.vector(float(job.params["learning_rate"])),
            np.int32(job.params["batch_size"]),
            np.int32(job.seed),
        )
        fresh = State.fresh(network.initial(job.seed), rule.start_v)
        if state is None or state.flat.shape != fresh.flat.shape:
            state = fresh
        begun = self._begin(network, job, state, fixed, fold)
        rungs = [rung for rung, _ in job.limits if rung < job.steps and fold == 0]
        pace = Pace()
        step, measured = state.step, float("-inf")
        while True:
            now = time.monotonic()
            if job.checkpoint and now - self._kept > job.checkpoint_seconds:
                with suppress(OSError):  # a full disk, say: the one before still serves
                    whole = (fold * job.steps + step) // len(self._data.folds)
                    checkpoints.write(job, Checkpoint(begun.now(), whole, ended))
                    reached_point("checkpoint-written", number=job.number, step=step)
                now = self._kept = time.monotonic()
            end = next((rung for rung in rungs if rung > step), job.steps)
            reached, train, still = begun.advance(step + pace.next(end - step))
            pace.took(max(1, reached - step), time.monotonic() - now)
            step = reached
            done = still or step >= job.steps
            at_rung = end < job.steps and step >= end
            val: float | None = None
            figures: dict[str, float] = {}
            cost = self._costs.get(network.key, 0.0)
            wanted = done or (at_rung and job.objective == "val_loss")
            if wanted or time.monotonic() - measured > cost / MEASURING:
                now = time.monotonic()
                found = self._measure(network, fold, "val")
                figures = {name: value for name, value in found.items() if isinstance(value, float)}
                val = figures.pop("loss")
                measured = time.monotonic()
                is_first = network.key not in self._costs  # most of the first's time is tracing
                self._costs[network.key] = 0.0 if is_first else measured - now
            test = self._measure(network, fold, "test") if done and job.test else None
            scaled = train * self._data.target_scale ** network.units.get("loss", 0)
            loss = scaled if job.objective == "train_loss" else val
            rung = (end, loss) if at_rung and loss is not None else None
            yield Progress(step, scaled, val, done, figures, test, rung)
            if done:
                return

    def parameters(self) -> NDArray[np.float32]:
        """The parameters of the trial in training, or last trained, as they are; flat."""
        raise NotImplementedError

    def _begin(self, network: Network, job: Job, state: State, fixed: tuple[Any, ...], fold: int) -> Begun:
        """Start a trial on a fold from *state*; *fixed* is (rule, batch, seed), as arguments of traced functions."""
        raise NotImplementedError

    def _current(self) -> Any:
        """The parameters as a traced function takes them."""
        return self.parameters()

    def _tables(self, network: Network, fold: int, part: str) -> list[Graph]:
        """A part of the data, where the network is."""
        if (fold, part) not in self._parts:
            with tf.device(self._device):
                self._parts[fold, part] = constants(network.tables(self._data.folds[fold], part))
        return self._parts[fold, part]

    def _make_room(self, key: Hashable) -> None:
        """Let the traced functions go of the keys that were used longest ago: there may be one for each trial."""
        self._passing = [*(other for other in self._passing if other != key), key]
        while len(self._passing) > KEPT_KEYS:
            self._forget(self._passing.pop(0))

    def _forget(self, key: Hashable) -> None:
        """Let the traced functions of a key go."""
        for name in [name for name in self._measures if name[0] == key]:
            del self._measures[name]
        self._costs.pop(key, None)

    def _measure(self, network: Network, fold: int, part: str) -> dict[str, Any]:
        """The figures of a part of the data with the parameters as they are now, in the target's units; numbers, and
        lists of them."""
        tables = self._tables(network, fold, part)
        if (network.key, part) not in self._measures:
            self._measures[network.key, part] = _measuring(network, len(network.arguments), tables)
        with tf.device(self._device):
            measured = self._measures[network.key, part](self._current(), *network.arguments, *tables)
        scale, units = self._data.target_scale, network.units
        return {name: (value.numpy() * scale ** units.get(name, 0)).tolist() for name, value in measured.items()}


def _measuring(network: Network, arguments: int, tables: list[Graph]) -> Any:
    """The traced function (flat, *arguments, *tables) → figures."""

    @tf.function(autograph=False, input_signature=[VECTOR, *network.specs, *specs_of(tables)])
    def measure(flat, *given):  # type: ignore[no-untyped-def]
        return network.measure(flat, given[:arguments], given[arguments:])

    return measure


def mean_of(folds: Sequence[Progress], step: int, done: bool) -> Progress:
    """What the progress on several folds comes to; where a fold has not been measured, the others count."""
    if len(folds) == 1:
        return replace(folds[0], step=step, done=done)
    measured = [fold for fold in folds if fold.val is not None]
    return Progress(
        step,
        float(np.mean([fold.train for fold in folds])),
        float(np.mean([fold.val for fold in measured])) if measured else None,
        done,
        {name: float(np.mean([fold.figures[name] for fold in measured])) for name in measured[0].figures}
        if measured
        else {},
        _mean_test([fold.test for fold in folds if fold.test]) if done else None,
    )


def _mean_test(tests: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    return {name: np.mean([test[name] for test in tests], axis=0).tolist() for name in tests[0]} if tests else None
