"""The optimizer, the outer loop: suggest trials, hand them to the cluster, record what comes of them, narrow.

A sweep is a pure function of its configuration and seed, up to the timing of parallel results: what the journal
has is never trained again, and what it lacks is proposed again as it was.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.cluster.cluster import Broken, Cancelled, Cluster, Happening, Reached
from engine.config import SweepConfig
from engine.confirmation import confirmation, in_words
from engine.domain import SweepState, Trial, TrialState, Wishes
from engine.errors import LeaseLost, NhopError
from engine.events import EventType
from engine.recorder import Recorder
from engine.samplers import RandomSampler
from engine.space import LAYERS, RESERVED, SearchSpace, hidden_units
from engine.stages import best_of, narrow, ranked
from engine.training.job import Job

POLL_SECONDS = 0.1
CURVE_POINTS = 200
COUNTED = (TrialState.COMPLETED, TrialState.PRUNED, TrialState.FAILED)
"""The states that make a trial one of those that are done."""

log = logging.getLogger("nhop.optimizer")


class NoTrialCompleted(NhopError):
    """Every trial of a stage failed, so there is nothing to narrow around."""


class SweepStopped(NhopError):
    """The user stopped the sweep."""


class Optimizer:
    """Runs the stages of one sweep.

    Args:
        sweep_id: whose trials these are.
        config: with `seed` set.
        cluster: started.
        recorder: where all of it is recorded.
        known: the trials that an earlier process of this sweep has recorded.
        ended_stages: the stages that an earlier process has finished.
        on_result: called with each trial that has ended, the best loss before it, and how many have completed.
        models: the folder that keeps the parameters of every completed trial.
        dimensions: inputs and outputs of the networks; what the configuration says where it is not given.
        on_stage: called with the number of each stage that has ended, from 0, and its best trial.
    """

    def __init__(
        self,
        sweep_id: str,
        config: SweepConfig,
        cluster: Cluster,
        recorder: Recorder,
        clock: Callable[[], datetime],
        known: Iterable[Trial] = (),
        ended_stages: Iterable[int] = (),
        on_result: Callable[[Trial, float, int], None] = lambda trial, best, completed: None,
        models: Path | None = None,
        dimensions: tuple[int, int] | None = None,
        on_stage: Callable[[int, Trial], None] = lambda index, best: None,
    ) -> None:
        if config.seed is None:
            raise ValueError("a sweep needs a seed before it runs")
        self._id = sweep_id
        self._config = config
        self._seed = config.seed
        self._cluster = cluster
        self._recorder = recorder
        self._clock = clock
        self._on_result = on_result
        self._models = models
        self._on_stage = on_stage
        self._dimensions = dimensions or (config.nn_dimensions[0], config.nn_dimensions[1])
        self._trials = {trial.number: trial for trial in known}
        self._ended_stages = set(ended_stages)
        self._best = best_of(list(self._trials.values()))
        self._stages: list[dict[str, Any]] = []
        searched = [trial for trial in self._trials.values() if trial.confirms is None]
        self._ended = Counter(trial.state for trial in searched)
        self._steps = sum(trial.steps for trial in searched if trial.state in COUNTED)
        self._paused = False
        self._cancelled: set[int] = set()
        self._began = time.monotonic()
        self._steps_before = self._steps

    def run(self) -> Trial:
        """All stages; returns the best trial.

        Raises:
            SweepStopped: the user stopped it.
            NoTrialCompleted: no trial of a stage completed.
            ClusterError: the processes cannot be kept running.
            LeaseLost: another optimizer owns the sweep.
        """
        if self._best is not None:  # an earlier process may have died before the database knew of it
            self._record_best(self._best)
        space = user = self._config.space()
        for index, (steps, count) in enumerate(self._config.stages):
            self._begin_stage(index, steps, count, space)
            self._run_stage(index, steps, count, space)
            trials = [trial for trial in self._trials.values() if trial.stage == index]
            best = best_of(trials)
            if best is None:
                raise NoTrialCompleted(_why_none(index, trials))
            self._stages[-1].update(best=best.number, ended=len(trials))
            self._recorder.set(stages=[dict(stage) for stage in self._stages])
            log.info("stage %d: best loss %.6g, trial %d: %s", index + 1, best.loss, best.number, describe(best))
            self._on_stage(index, best)
            space = narrow(space, best.params, user, tied=self._config.tied)
        self._confirm()
        assert self._best is not None  # noqa: S101 - the last stage had a best
        return self._best

    def _confirm(self) -> None:
        """Train the best configurations again from other seeds, and measure them on the test part."""
        config, index = self._config, len(self._config.stages)
        chosen = ranked(self._trials.values())[: config.confirm]
        if not chosen:
            return
        log.info("confirming: the best trials (%s) are trained again, each from %d other seeds",
                 ", ".join(str(trial.number) for trial in chosen), config.confirm_seeds)  # fmt: skip
        number = 1 + max(trial.number for trial in self._trials.values() if trial.confirms is None)
        waiting: deque[Trial] = deque()
        for trial in [trial for trial in chosen for _ in range(config.confirm_seeds)]:
            if number not in self._trials:
                self._trials[number] = Trial(
                    self._id, number, index, trial.params, trial.steps, trial_seed(self._seed, number),
                    created=self._clock(), confirms=trial.number,
                )  # fmt: skip
            self._take_up(self._trials[number])
            if self._trials[number].state is TrialState.QUEUED:
                waiting.append(self._trials[number])
            number += 1
        self._train_all(index, waiting)
        confirmed = [confirmation(trial, self._trials.values(), not config.model_class) for trial in chosen]
        self._recorder.set(confirmed=confirmed)
        for one in confirmed:
            log.info("trial %d: on the test part, %s", one["trial"], in_words(one))

    def _begin_stage(self, index: int, steps: int, count: int, space: SearchSpace) -> None:
        stage = {"index": index, "steps": steps, "trials": count, "space": space.to_document()}
        self._stages.append({**stage, "best": None, "ended": None})
        self._recorder.set(stages=[dict(stage) for stage in self._stages], progress=self._progress(index))
        self._recorder.event(EventType.STAGE, stage)
        log.info("stage %d of %d: %d trials of %d steps", index + 1, len(self._config.stages), count, steps)

    def _run_stage(self, index: int, steps: int, count: int, space: SearchSpace) -> None:
        """Train the trials of a stage that are not yet known."""
        if index in self._ended_stages:
            return
        first = 1 + max((trial.number for trial in self._trials.values() if trial.stage < index), default=0)
        sampler = RandomSampler(space, self._seed, first)
        fresh = sampler.suggest(count)
        waiting: deque[Trial] = deque()
        for number, params in enumerate(fresh, start=first):
            if number not in self._trials:
                seed = trial_seed(self._seed, number)
                self._trials[number] = Trial(self._id, number, index, params, steps, seed, created=self._clock())
            self._take_up(self._trials[number])
            if self._trials[number].state is TrialState.QUEUED:
                waiting.append(self._trials[number])
        self._train_all(index, waiting)
        self._recorder.stage_ended(index)

    def _take_up(self, trial: Trial) -> None:
        """A trial that an earlier process was training, or stopped with the sweep, begins again."""
        if trial.state is TrialState.RUNNING:
            self._lose(trial, "the optimizer was restarted")
        elif trial.state is TrialState.LOST:
            trial.move(TrialState.QUEUED)

    def _train_all(self, index: int, waiting: deque[Trial]) -> None:
        running: dict[int, Trial] = {}
        satisfied = False
        while (waiting and not satisfied) or running:
            if self._recorder.lost.is_set():
                raise LeaseLost("another optimizer owns the sweep")
            self._heed(self._recorder.wishes, running)
            for name in self._cluster.idle():
                if waiting and not satisfied:
                    self._start(waiting.popleft(), name, running)
            for happening in self._cluster.poll(POLL_SECONDS):
                trial = running.get(happening.number)
                if trial is None or trial.attempt != happening.attempt:
                    continue
                better = self._take(trial, happening)
                if trial.state is TrialState.RUNNING:
                    continue
                del running[trial.number]
                if trial.state is TrialState.QUEUED:
                    waiting.appendleft(trial)
                satisfied = satisfied or self._is_satisfied(better)
                self._recorder.set(progress=self._progress(index))
        for trial in waiting:
            del self._trials[trial.number]

    def _heed(self, wishes: Wishes, running: dict[int, Trial]) -> None:
        """Do what the user wants."""
        if wishes.stop:
            self._stop(running.values())
        if wishes.pause is not self._paused:
            self._paused = wishes.pause
            self._cluster.pause(wishes.pause)
            self._recorder.set(state=str(SweepState.PAUSED if wishes.pause else SweepState.RUNNING))
            log.info("paused; the trials in training wait at their next report" if wishes.pause else "resumed")
        for number in wishes.cancel & running.keys():
            if number not in self._cancelled:
                self._cancelled.add(number)
                self._cluster.cancel(str(running[number].worker))

    def _start(self, trial: Trial, worker: str, running: dict[int, Trial]) -> None:
        trial.move(TrialState.RUNNING)
        trial.worker, trial.started, trial.step, trial.curve, trial.figures = worker, self._clock(), 0, [], {}
        running[trial.number] = trial
        self._recorder.begun(trial)
        config = self._config
        inputs, outputs = self._dimensions
        job = Job(
            number=trial.number,
            attempt=trial.attempt,
            params=trial.params,
            steps=trial.steps,
            seed=trial.seed,
            tolerance=config.train_tolerance,
            inputs=inputs,
            outputs=outputs,
            weight_init=config.weight_init,
            model=config.nn_model,
            model_class=config.model_class,
            length=config.rnn_max_seq_length,
            test=trial.confirms is not None,
            keep=str(self._models / f"{trial.number}.npy") if self._models else "",
        )
        self._cluster.train(worker, job)

    def _take(self, trial: Trial, happening: Happening) -> float | None:
        """Bring *trial* to where it now stands; returns how much a new best improves on the best before."""
        if isinstance(happening, Broken):
            if happening.lost:
                self._lose(trial, happening.error)
            else:
                self._end(trial, TrialState.FAILED, happening.error)
                log.warning("trial %d failed: %s", trial.number, happening.error.strip().splitlines()[-1])
            return None
        if isinstance(happening, Cancelled):
            self._end(trial, TrialState.PRUNED, None)
            log.info("trial %d: ended by hand at step %d", trial.number, trial.step)
            return None
        self._reach(trial, happening)
        if not happening.done:
            return None
        trial.loss = trial.val_loss if self._config.objective == "val_loss" else happening.train
        trial.test = dict(happening.test) if happening.test else None
        if self._models:
            self._recorder.model(trial.number, self._models / f"{trial.number}.npy")
        self._end(trial, TrialState.COMPLETED, None)
        return self._compare(trial) if trial.confirms is None else None

    def _reach(self, trial: Trial, reached: Reached) -> None:
        trial.step = reached.step
        trial.train_loss = reached.train
        if reached.val is not None:
            trial.val_loss, trial.figures = reached.val, dict(reached.figures)
        trial.curve.append([reached.step, reached.train, reached.val])
        if len(trial.curve) > CURVE_POINTS:
            trial.curve = trial.curve[:-1][::2] + trial.curve[-1:]
        self._recorder.reached(trial)

    def _end(self, trial: Trial, state: TrialState, error: str | None) -> None:
        trial.move(state)
        if trial.confirms is None:
            self._ended[state] += 1
            self._steps += trial.steps if state in COUNTED else 0
        trial.finished, trial.error = self._clock(), error
        if trial.started:
            trial.seconds = round((trial.finished - trial.started).total_seconds(), 3)
        self._recorder.ended(trial)
        trial.curve, trial.figures = [], {}  # recorded; thousands of them need not stay in memory
        if trial.confirms is not None:
            return
        best = self._best.loss if self._best and self._best.loss is not None else math.inf
        self._on_result(trial, best, self._ended[TrialState.COMPLETED])

    def _lose(self, trial: Trial, why: str) -> None:
        """The trial's process died: queue it again, or give it up after the last attempt."""
        trial.move(TrialState.LOST)
        trial.attempts.append({"attempt": trial.attempt, "worker": trial.worker, "step": trial.step, "error": why})
        self._cancelled.discard(trial.number)
        if trial.attempt >= self._config.max_attempts:
            self._end(trial, TrialState.FAILED, f"{why}; given up after {trial.attempt} attempts")
            log.error("trial %d: %s", trial.number, trial.error)
            return
        log.warning("trial %d: %s; attempt %d of %d", trial.number, why, trial.attempt + 1, self._config.max_attempts)
        trial.move(TrialState.QUEUED)
        trial.attempt += 1
        self._recorder.ended(trial)

    def _compare(self, trial: Trial) -> float | None:
        """Take *trial* as the best where it is; returns the improvement, infinite for the first."""
        before = self._best
        if trial.loss is None or (before is not None and before.loss is not None and trial.loss >= before.loss):
            return None
        self._best = trial
        self._record_best(trial)
        log.info("trial %d: best loss so far %.6g: %s", trial.number, trial.loss, describe(trial))
        return math.inf if before is None or before.loss is None else before.loss - trial.loss

    def _record_best(self, best: Trial) -> None:
        self._recorder.set(best={"number": best.number, "stage": best.stage, "loss": best.loss, "params": best.params})

    def _is_satisfied(self, improvement: float | None) -> bool:
        """Whether a new best improves so little that the stage may end."""
        if improvement is None or improvement > self._config.opt_tolerance:
            return False
        log.info("the best loss improved by only %.3g: the stage ends", improvement)
        return True

    def _stop(self, running: Iterable[Trial]) -> None:
        for trial in running:
            self._end(trial, TrialState.STOPPED, "stopped with the sweep")
        raise SweepStopped("stopped by the user")

    def _progress(self, index: int) -> dict[str, Any]:
        fresh = self._steps - self._steps_before
        left = self._config.total_steps - self._steps
        elapsed = time.monotonic() - self._began
        confirming = [trial for trial in self._trials.values() if trial.confirms is not None]
        return {
            "done": sum(self._ended[state] for state in COUNTED),
            "failed": self._ended[TrialState.FAILED],
            "total": self._config.total_trials,
            "steps_done": self._steps,
            "steps_total": self._config.total_steps,
            "stage": index,
            "confirmed": sum(trial.state in COUNTED for trial in confirming),
            "to_confirm": len(confirming),
            "seconds_left": round(left / fresh * elapsed, 1) if fresh else None,
        }


def trial_seed(seed: int, number: int) -> int:
    """The seed of trial *number*: of its weights and its mini-batches."""
    return (seed * 1_000_003 + number * 7_919) % (2**31 - 1)


def describe(trial: Trial) -> str:
    """The parameters of a trial in one line."""
    params = trial.params
    if LAYERS in params:
        units = "·".join(str(count) for count in hidden_units(params))
        network = f"{units} {params.get('activation', 'LSTM')}, "
    else:
        own = [(name, value) for name, value in params.items() if name not in RESERVED]
        network = "".join(
            f"{name} {value:.3g}, " if isinstance(value, float) else f"{name} {value}, " for name, value in own
        )
    rate = float(params["learning_rate"])
    return f"{network}{params['train_optimizer']} at {rate:.3g}, batch {params['batch_size']}"


def _why_none(index: int, trials: Sequence[Trial]) -> str:
    errors = [trial.error for trial in trials if trial.error]
    reason = errors[-1].strip().splitlines()[-1] if errors else "there was none"
    return f"no trial of stage {index + 1} completed; the last error: {reason}"
