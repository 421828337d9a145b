"""The optimizer, the outer loop: suggest trials, hand them to the cluster, record what comes of them, narrow.

A sweep is a pure function of its configuration and seed, up to the timing of parallel results: what the journal
has is never trained again, and what it lacks is proposed again as it was.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sacred.utils import SacredInterrupt

from engine import pruners, samplers
from engine.cluster.cluster import Broken, Cancelled, Cluster, Happening, Pruned, Reached, Resumed
from engine.config import SweepConfig, parse
from engine.confirmation import confirmation, in_words
from engine.domain import Edit, SweepState, Trial, TrialState, Wishes
from engine.errors import LeaseLost, NhopError, StoreUnavailable, clipped
from engine.events import EventType
from engine.points import reached
from engine.pruners import Pruner
from engine.recorder import Recorder
from engine.samplers import Sampler
from engine.samplers.base import key_of
from engine.space import LAYERS, RESERVED, Params, SearchSpace, hidden_units, space_of
from engine.stages import best_of, ranked, space_after
from engine.store.sweeps import edits_of
from engine.training import checkpoint
from engine.training.job import Job

POLL_SECONDS = 0.1
CURVE_POINTS = 200
COUNTED = (TrialState.COMPLETED, TrialState.PRUNED, TrialState.FAILED)
"""The states that make a trial one of those that are done."""

FINISHED = "the user wished it to end with the trials in training"
EDITS_SECONDS = 900.0
"""How long a search that is over waits for a silent database, which may have taken another edit."""
SPENT_SECONDS = 2.0
"""Between two records of the time that was spent, where nothing else is to be recorded."""
REFRESH_SECONDS = 1.0
"""A trial that has been in training for so long gets the pruner's limits anew when another reaches a rung."""

MOST_CLASSES = 100
"""Whose confusion is told: of more it is too large to be stored many times, or to be looked at."""

NO_CURVE: list[list[float | None]] = []
NO_FIGURES: dict[str, float] = {}
"""What all trials have in memory that have ended; nothing is ever put into them."""

log = logging.getLogger("nhop.optimizer")


class NoTrialCompleted(NhopError):
    """Every trial of a stage failed, so there is nothing to narrow around."""


class SweepStopped(NhopError):
    """The user stopped the sweep."""


class TooManyFailures(NhopError):
    """So many trials in a row have failed that something is wrong with all of them."""


@dataclass(frozen=True, slots=True)
class Extra:
    """A trial that the user asked for, by the edit of a version: a point, or one more try of a failed trial's."""

    version: int
    params: Params
    retries: int | None = None


class Optimizer:
    """Runs the stages of one sweep.

    Args:
        sweep_id: whose trials these are.
        config: with `seed` set.
        cluster: started.
        recorder: where all of it is recorded, and what the user wants is known.
        known: the trials that an earlier process of this sweep has recorded.
        ended_stages: the stages that an earlier process has finished.
        on_result: called with each trial that has ended, the best loss before it, and how many have completed.
        models: the folder that keeps the parameters of every completed trial.
        checkpoints: the folder for the checkpoints of trials in training.
        interrupted: when the process before this one was last heard of, if there was one.
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
        checkpoints: Path | None = None,
        interrupted: datetime | None = None,
    ) -> None:
        if config.seed is None:
            raise ValueError("a sweep needs a seed before it runs")
        before = recorder.sweep
        self._id = sweep_id
        self._config = config
        self._seed = config.seed
        self._cluster = cluster
        self._recorder = recorder
        self._clock = clock
        self._on_result = on_result
        self._models = models
        self._checkpoints = checkpoints
        self._interrupted = interrupted
        self._began: dict[int, float] = {}
        self._on_stage = on_stage
        self._dimensions = dimensions or (config.nn_dimensions[0], config.nn_dimensions[1])
        self._trials: dict[int, Trial] = {}
        self._confirming: list[Trial] = []
        self._asked: list[Trial] = []
        self._proposed: Counter[int] = Counter()
        for trial in known:
            self._add(trial)
        self._closed = set(ended_stages)
        self._best = best_of(list(self._trials.values()))
        self._stages: list[dict[str, Any]] = [dict(stage) for stage in before.get("stages") or []]
        searched = [trial for trial in self._trials.values() if trial.confirms is None]
        self._ended = Counter(trial.state for trial in searched)
        ended = [trial for trial in searched if trial.state in COUNTED and trial.finished]
        self._finished = sorted(ended, key=lambda trial: (trial.finished, trial.number))
        self._steps = sum(trial.steps for trial in ended)
        self._steps_trained = sum(trial.step for trial in ended)
        self._steps_before = self._steps
        """What earlier processes have trained."""
        self._inherited = {trial.number for trial in searched if trial.state not in COUNTED}
        """Trials whose first checkpoint here is an earlier process's."""
        self._failures, self._idle_trials = in_a_row(self._finished)
        self._next = 1
        self._paused = False
        self._held: str | None = None
        self._cancelled: set[int] = set()
        self._spent: float = (before.get("progress") or {}).get("seconds", 0.0)
        self._spent_before = self._spent_told = self._spent
        self._ticked: float | None = None
        self._version: int = before.get("applied", 1)
        self._restarted = len(before.get("restart_requested") or [])
        self._extras: deque[Extra] = deque()
        self._ask_for(edit for edit in edits_of(before) if edit.version <= self._version)
        self._enough: str | None = FINISHED if before.get("finish_requested") else before.get("ended_because")
        self._done: set[int] = set()
        self._sampler: Sampler | None = None
        self._told = 0
        self._pruner = self._make_pruner()

    def run(self) -> Trial:
        """All stages; returns the best trial.

        Raises:
            SweepStopped: the user stopped it.
            NoTrialCompleted: no trial of a stage completed.
            TooManyFailures: as many trials in a row have failed as may.
            ClusterError: the processes cannot be kept running.
            LeaseLost: another optimizer owns the sweep.
        """
        try:
            return self._run()
        except (LeaseLost, StoreUnavailable, SweepStopped, SacredInterrupt):  # another goes on, or all has ended
            raise
        except BaseException:
            self._end_open()
            raise

    def _run(self) -> Trial:
        if self._recorder.wishes.stop:  # an earlier process may have died when it had ended the trials
            self._stop()
        if self._best is not None:  # an earlier process may have died before the database knew of it
            self._record_best(self._best)
        if self._recorder.sweep.get("held"):
            self._recorder.set(held=None)
        while True:
            if self._recorder.lost.is_set():
                raise LeaseLost("another optimizer owns the sweep")
            while (index := self._next_stage()) is not None:
                self._run_stage(index)
                self._done.add(index)
            last = len(self._stages) - 1
            if self._extras:
                self._train_all(last, deque())
            if self._best is None:
                raise NoTrialCompleted(
                    _why_none(f"the search ended before a trial completed ({self._enough})", self._finished)
                )
            self._confirm(last)
            if self._recorder.wishes.stop:
                self._stop()
            is_over = not self._extras and self._next_stage() is None
            if is_over and self._recorder.close_edits(self._version, EDITS_SECONDS):
                return self._best
            self._heed(self._recorder.wishes, None, {})

    def _next_stage(self) -> int | None:
        """The stage that is to be begun, or gone on with; None: there is none."""
        stages = range(len(self._config.stages))
        index = next((stage for stage in stages if stage not in self._done), None)
        if index is None or self._enough is None or index < max(1, len(self._stages)):
            return index
        return None

    def _confirm(self, index: int) -> None:
        """Train the best configurations again from other seeds, and measure them on the test part."""
        config = self._config
        chosen = ranked(self._trials.values())[: config.confirm]
        if not chosen:
            return
        log.info("confirming: the best trials (%s) are trained again, each from %d other seeds",
                 ", ".join(str(trial.number) for trial in chosen), config.confirm_seeds)  # fmt: skip
        waiting: deque[Trial] = deque()
        for trial in chosen:
            confirming = [other for other in self._confirming if other.confirms == trial.number]
            for _ in range(config.confirm_seeds - len(confirming)):
                number = self._next_number()
                again = Trial(
                    self._id, number, index + 1, trial.params, trial.steps, trial_seed(self._seed, number),
                    created=self._clock(), confirms=trial.number,
                )  # fmt: skip
                self._add(again)
                confirming.append(again)
            waiting += [other for other in confirming if self._take_up(other)]
        self._train_all(None, waiting)
        confirmed = [confirmation(trial, self._trials.values(), not config.model_class) for trial in chosen]
        self._recorder.set(confirmed=confirmed)
        for one in confirmed:
            log.info("trial %d: on the test part, %s", one["trial"], in_words(one))

    def _run_stage(self, index: int) -> None:
        """Begin a stage or go on with it, and end it."""
        self._begin_stage(index)
        if index not in self._closed:
            self._look_whether_enough()
        self._train_all(index, deque(trial for trial in self._of_stage(index) if self._take_up(trial)))
        if self._enough is None:
            self._close(index)
        trials = self._of_stage(index)
        best = best_of(trials)
        if best is None and self._best is None and self._enough is None:
            raise NoTrialCompleted(_why_none(f"no trial of stage {index + 1} completed", trials))
        self._stages[index].update(best=best and best.number, ended=len(trials))
        self._recorder.set(stages=self._stage_documents())
        if best is None:
            log.info("stage %d: no trial completed", index + 1)
            return
        log.info("stage %d: best loss %.6g, trial %d: %s", index + 1, best.loss, best.number, describe(best))
        self._on_stage(index, best)

    def _close(self, index: int) -> None:
        """No more is proposed in a stage, not by a resumed search either."""
        if index not in self._closed:
            self._closed.add(index)
            self._recorder.stage_ended(index)
            self._stages[index]["closed"] = True
            self._recorder.set(stages=self._stage_documents())

    def _begin_stage(self, index: int) -> None:
        """Tell of a stage, with the space that it searches."""
        steps, count = self._config.stages[index]
        if index == len(self._stages):
            space = self._space_of(index).to_document()
            self._stages.append({"index": index, "steps": steps, "trials": count, "space": space})
            self._stages[index].update(best=None, ended=None, **self._how())
        self._sampler = None
        self._tell_stage(index)
        log.info("stage %d of %d: %d trials of %d steps", index + 1, len(self._config.stages), count, steps)

    def _tell_stage(self, index: int) -> None:
        stage = self._stages[index]
        self._recorder.set(stages=self._stage_documents(), progress=self._progress(index))
        told = ("index", "steps", "trials", "space", "sampler", "pruner")
        self._recorder.event(EventType.STAGE, {key: stage[key] for key in told if key in stage})

    def _how(self) -> dict[str, str]:
        """What a stage is searched with."""
        return {"sampler": self._config.hyperparam_opt, "pruner": self._config.pruner}

    def _stage_documents(self) -> list[dict[str, Any]]:
        return [dict(stage) for stage in self._stages]

    def _space_of(self, index: int) -> SearchSpace:
        """What stage *index* is to search, by the stage before it and the user's bounds as they are now."""
        if index == 0:
            return self._config.space()
        return space_after(self._config, space_of(self._stages[index - 1]["space"]), self._of_stage(index - 1))

    def _of_stage(self, index: int) -> list[Trial]:
        return [trial for trial in self._trials.values() if trial.stage == index and trial.confirms is None]

    def _next_number(self) -> int:
        """The smallest number that no trial has."""
        while self._next in self._trials:
            self._next += 1
        return self._next

    def _has_next(self, index: int | None) -> bool:
        """Whether there is something to begin, in stage *index*; None: while trials are confirmed."""
        if index is None:
            return False
        if self._has_extra(index):
            return True
        if index in self._closed or self._enough is not None:
            return False
        return self._proposed[index] < int(self._stages[index]["trials"])

    def _has_extra(self, index: int) -> bool:
        """Whether there is something that the user asked for, to be tried in the newest stage."""
        return bool(self._extras) and index >= len(self._stages) - 1

    def _propose(self, index: int, running: Iterable[Trial]) -> Trial | None:
        """The next trial of stage *index*; None where nothing is left to try, and the stage ends."""
        number = self._next_number()
        extra = self._extras.popleft() if self._has_extra(index) else None
        if extra is None:
            if self._sampler is None:
                self._sampler, self._told = self._make_sampler(index), 0
            self._sampler.update(self._finished[self._told :], list(running))
            self._told = len(self._finished)
            points = self._sampler.suggest([number])
            if not points:
                log.info("stage %d: nothing is left to try; it ends", index + 1)
                self._close(index)
                return None
            extra = Extra(0, points[0])
        steps, seed = self._stages[index]["steps"], trial_seed(self._seed, number)
        trial = Trial(
            self._id, number, index, extra.params, steps, seed, created=self._clock(),
            edit=extra.version or None, retries=extra.retries,
        )  # fmt: skip
        self._add(trial)
        return trial

    def _add(self, trial: Trial) -> None:
        self._trials[trial.number] = trial
        if trial.confirms is not None:
            self._confirming.append(trial)
        elif trial.edit is not None:
            self._asked.append(trial)
        else:
            self._proposed[trial.stage] += 1

    def _make_sampler(self, index: int) -> Sampler:
        stage, config = self._stages[index], self._config
        first = min([self._next_number(), *(trial.number for trial in self._of_stage(index))])
        space = space_of(stage["space"])
        return samplers.make(config.hyperparam_opt, space, self._seed, first, stage["steps"], config.grid_levels)

    def _make_pruner(self) -> Pruner:
        """The pruner, with what it can know."""
        pruner = pruners.make(self._config.pruner, self._config.pruner_eta, self._config.pruner_min_steps)
        for trial in self._trials.values():
            for step, loss in trial.rungs if trial.confirms is None else ():
                pruner.report(trial.number, trial.steps, int(step), loss)
        return pruner

    def _take_up(self, trial: Trial) -> bool:
        """Whether a trial that an earlier process has recorded is to be trained: those that it was training, or stopped
        with the sweep, begin again."""
        if trial.state is TrialState.RUNNING:
            self._lose(trial, "the optimizer was restarted", counted=not self._recorder.sweep.get("given_back"))
        elif trial.state is TrialState.LOST:
            trial.move(TrialState.QUEUED)
        return trial.state is TrialState.QUEUED

    def _train_all(self, index: int | None, waiting: deque[Trial]) -> None:
        """Train those *waiting*, and all that there is to propose in stage *index*; None: no others."""
        running: dict[int, Trial] = {}
        while running or waiting or self._has_next(index):
            if self._recorder.lost.is_set():
                raise LeaseLost("another optimizer owns the sweep")
            if self._tick():
                self._recorder.set(progress=self._progress(index, running.values()))
            self._heed(self._recorder.wishes, index, running)
            self._hold(self._recorder.held)
            for name in self._cluster.idle():
                trial = waiting.popleft() if waiting else None
                if trial is None and index is not None and self._has_next(index):
                    trial = self._propose(index, running.values())
                if trial is None:
                    break
                self._start(trial, name, running)
            for happening in self._cluster.poll(POLL_SECONDS):
                trial = running.get(happening.number)
                if trial is None or trial.attempt != happening.attempt:
                    continue
                better = self._take(trial, happening, running)
                if trial.state is TrialState.RUNNING:
                    continue
                del running[trial.number]
                if trial.state is TrialState.QUEUED:
                    waiting.appendleft(trial)
                elif index is not None and self._is_satisfied(better):
                    self._close(index)
                self._recorder.set(progress=self._progress(index, running.values()))
                if index is not None:
                    self._look_whether_enough()

    def _tick(self) -> bool:
        """Count the time since the first trial began that is not paused; whether it is to be recorded again."""
        now = time.monotonic()
        if self._ticked is not None and not self._paused and self._held is None:
            self._spent += now - self._ticked
        self._ticked = now if self._ticked is not None else None
        if self._spent - self._spent_told <= SPENT_SECONDS:
            return False
        self._spent_told = self._spent
        return True

    def _heed(self, wishes: Wishes, index: int | None, running: dict[int, Trial]) -> None:
        """Do what the user wants."""
        if wishes.stop:
            self._stop()
        if wishes.pause is not self._paused:
            self._paused = wishes.pause
            self._cluster.pause(wishes.pause or self._held is not None)
            self._recorder.set(state=str(SweepState.PAUSED if wishes.pause else SweepState.RUNNING))
            log.info("paused; the trials in training wait at their next report" if wishes.pause else "resumed")
        if wishes.version > self._version:
            self._apply(wishes, index)
        for name in wishes.restart[self._restarted :]:
            log.info("%s is replaced, as the user wished", name)
            self._cluster.restart(name)
        self._restarted = max(self._restarted, len(wishes.restart))
        searching = index is not None and index not in self._closed
        if searching and wishes.finish:
            self._end_search(FINISHED)
        if searching and self._is_over_time():
            self._end_search(f"the time budget of {self._config.max_seconds} s is used up")
            self._cancel(trial for trial in running.values() if trial.edit is None)
        self._cancel(running[number] for number in wishes.cancel & running.keys())

    def _hold(self, why: str | None) -> None:
        """Have the trials in training wait while there is a reason, and tell of it."""
        if why == self._held:
            return
        self._held = why
        self._cluster.pause(self._paused or why is not None)
        self._recorder.set(held=why)
        log.warning("%s", why or "the trials go on")

    def _cancel(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            if trial.number not in self._cancelled:
                self._cancelled.add(trial.number)
                self._cluster.cancel(str(trial.worker))

    def _apply(self, wishes: Wishes, index: int | None) -> None:
        """Take up the newest version of the configuration; what is in training goes on as it began."""
        edits = [edit for edit in wishes.edits if edit.version > self._version]
        self._config = parse(wishes.config)
        self._version = wishes.version
        self._ask_for(edits)
        for edit in edits:
            log.info("version %d, by %s: %s", edit.version, edit.by, edit_in_words(edit))
        if any(edit.changes for edit in edits):
            self._pruner = self._make_pruner()
            self._sampler = None
            self._enough = FINISHED if wishes.finish else None
            self._done &= self._closed
            self._look_whether_enough()
            self._recorder.set(ended_because=self._enough)
            if index is not None and index not in self._closed and index < len(self._config.stages):
                space, count = self._space_of(index).to_document(), self._config.stages[index][1]
                self._stages[index].update(space=space, trials=count, **self._how())
        self._recorder.set(applied=self._version)
        self._recorder.run({"info.edits": [_plain(edit) for edit in wishes.edits]})
        if index is not None:
            self._tell_stage(index)

    def _ask_for(self, edits: Iterable[Edit]) -> None:
        """Queue what these edits want tried, but for what has been begun."""
        begun = Counter((trial.edit, trial.retries, key_of(trial.params)) for trial in self._asked)
        for edit in edits:
            wanted = [Extra(edit.version, dict(point)) for point in edit.points]
            failed = [number for number in edit.retries if number in self._trials]
            wanted += [Extra(edit.version, self._trials[number].params, number) for number in failed]
            for extra in wanted:
                key = extra.version, extra.retries, key_of(extra.params)
                if begun[key]:
                    begun[key] -= 1
                else:
                    self._extras.append(extra)

    def _is_over_time(self) -> bool:
        return 0 < self._config.max_seconds <= self._spent

    def _look_whether_enough(self) -> None:
        """End the search where one of the user's conditions is met."""
        config, best = self._config, self._best
        if self._enough is not None:
            return
        if 0 < config.max_failures <= self._failures:
            error = self._finished[-1].error or ""
            raise TooManyFailures(
                f"{self._failures} trials in a row have failed, and max_failures is {config.max_failures}; the last "
                f"error: {error.strip().splitlines()[-1] if error.strip() else 'unknown'}"
            )
        loss = best.loss if best is not None else None
        if config.target_loss is not None and loss is not None and loss <= config.target_loss:
            self._end_search(f"the target loss {config.target_loss:g} is reached")
        if 0 < config.patience <= self._idle_trials:
            self._end_search(f"{config.patience} trials in a row brought no better loss")
        if self._is_over_time():
            self._end_search(f"the time budget of {config.max_seconds} s is used up")

    def _end_search(self, why: str) -> None:
        if self._enough is None:
            self._enough = why
            log.info("the search ends: %s", why)
            self._recorder.set(ended_because=why)

    def _start(self, trial: Trial, worker: str, running: dict[int, Trial]) -> None:
        trial.move(TrialState.RUNNING)
        trial.worker, trial.started, trial.step, trial.figures = worker, self._clock(), 0, {}
        running[trial.number] = trial
        self._began[trial.number] = time.monotonic()
        self._tell_resumed()
        self._ticked = self._ticked or time.monotonic()
        self._recorder.begun(trial)
        reached("trial-begun")
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
            checkpoint=str(self._checkpoint(trial)) if self._checkpoints and config.checkpoint_seconds else "",
            checkpoint_seconds=config.checkpoint_seconds,
            objective=config.objective,
            limits=self._pruner.limits(trial.number, trial.steps) if trial.confirms is None else (),
        )
        self._cluster.train(worker, job)
        reached("trial-given")

    def _tell_resumed(self) -> None:
        """The search goes on after the end of an earlier process."""
        if self._interrupted is not None:
            now = self._clock()
            seconds = max(0.0, round((now - self._interrupted).total_seconds(), 1))
            self._interrupted = None
            self._recorder.set(resumed={"at": now.isoformat(), "seconds": seconds})
            log.info("resumed after %.0f s", seconds)

    def _checkpoint(self, trial: Trial) -> Path:
        return (self._checkpoints or Path()) / f"{trial.number}.npz"

    def _take(self, trial: Trial, happening: Happening, running: Mapping[int, Trial]) -> float | None:
        """Bring *trial* to where it now stands; returns how much a new best improves on the best before."""
        if isinstance(happening, Broken):
            if happening.lost:
                self._inherited.discard(trial.number)
                self._lose(trial, happening.error, happening.counted)
            else:
                self._end(trial, TrialState.FAILED, happening.error)
                log.warning("trial %d failed: %s", trial.number, happening.error.strip().splitlines()[-1])
            return None
        if isinstance(happening, Resumed):
            trial.step = happening.step
            if trial.number in self._inherited:
                self._steps_before += happening.step
            log.info("trial %d goes on from its checkpoint, step %d", trial.number, trial.step)
            return None
        if isinstance(happening, Cancelled):
            trial.step = happening.step
            self._end(trial, TrialState.PRUNED, None)
            if not isinstance(happening, Pruned):
                why = "with the search" if self._is_over_time() else "by hand"
                log.info("trial %d: ended %s at step %d", trial.number, why, trial.step)
            return None
        self._reach(trial, happening)
        if happening.rung is not None:
            self._report(trial, happening.rung, running.values())
        if not happening.done:
            return None
        trial.loss = trial.val_loss if self._config.objective == "val_loss" else happening.train
        trial.test = _told(happening.test) if happening.test else None
        if self._models:
            self._recorder.model(trial.number, self._models / f"{trial.number}.npy")
        self._end(trial, TrialState.COMPLETED, None)
        return self._compare(trial) if trial.confirms is None else None

    def _report(self, trial: Trial, rung: tuple[int, float], running: Iterable[Trial]) -> None:
        """Tell the pruner what a trial had at a rung, and the longer of the others by what they are measured now."""
        trial.rungs = [[*other] for other in trial.rungs if other[0] < rung[0]] + [[*rung]]
        if trial.confirms is not None:
            return
        self._pruner.report(trial.number, trial.steps, *rung)
        now = time.monotonic()
        for other in running:
            lasts = now - self._began.get(other.number, now) > REFRESH_SECONDS
            if lasts and other is not trial and other.confirms is None:
                self._cluster.limit(str(other.worker), self._pruner.limits(other.number, other.steps))

    def _reach(self, trial: Trial, reached: Reached) -> None:
        trial.step = reached.step
        trial.train_loss = reached.train
        if reached.val is not None:
            trial.val_loss, trial.figures = reached.val, dict(reached.figures)
        if trial.curve and (trial.curve[-1][0] or 0) >= reached.step:  # an earlier attempt had come further
            trial.curve = [point for point in trial.curve if (point[0] or 0) < reached.step]
        trial.curve.append([reached.step, reached.train, reached.val])
        if len(trial.curve) > CURVE_POINTS:
            trial.curve = trial.curve[:-1][::2] + trial.curve[-1:]
        self._recorder.reached(trial)

    def _end(self, trial: Trial, state: TrialState, error: str | None) -> None:
        trial.move(state)
        trial.finished, trial.error = self._clock(), error and clipped(error)
        if trial.confirms is None:
            self._ended[state] += 1
            if state in COUNTED:
                self._finished.append(trial)
                self._steps += trial.steps
                self._steps_trained += trial.step
                self._failures = self._failures + 1 if state is TrialState.FAILED else 0
                self._idle_trials += 1
        if trial.started:
            began = self._began.pop(trial.number, None)  # by a clock that does not jump
            taken = (trial.finished - trial.started).total_seconds() if began is None else time.monotonic() - began
            trial.seconds = round(taken, 3)
        self._recorder.ended(trial)
        if self._checkpoints:
            checkpoint.remove(self._checkpoint(trial))
        trial.curve, trial.figures = NO_CURVE, NO_FIGURES  # recorded; thousands of them need not stay in memory
        if trial.confirms is not None:
            return
        best = self._best.loss if self._best and self._best.loss is not None else math.inf
        self._on_result(trial, best, self._ended[TrialState.COMPLETED])

    def _lose(self, trial: Trial, why: str, counted: bool = True) -> None:
        """The trial's process died: queue it again, or give it up after the last attempt, if this one is *counted*."""
        trial.move(TrialState.LOST)
        trial.attempts.append(
            {"attempt": trial.attempt, "worker": trial.worker, "step": trial.step, "error": clipped(why)}
        )
        self._cancelled.discard(trial.number)
        if counted and trial.attempt >= self._config.max_attempts:
            self._end(trial, TrialState.FAILED, f"{why}; given up after {trial.attempt} attempts")
            log.error("trial %d: %s", trial.number, trial.error)
            return
        trial.move(TrialState.QUEUED)
        trial.attempt += counted
        log.warning("trial %d: %s; attempt %d of %d", trial.number, why, trial.attempt, self._config.max_attempts)
        self._recorder.ended(trial)

    def _compare(self, trial: Trial) -> float | None:
        """Take *trial* as the best where it is; returns the improvement, infinite for the first."""
        before = self._best
        if trial.loss is None:
            return None
        if before is not None and before.loss is not None and (trial.loss, trial.number) > (before.loss, before.number):
            return None
        self._best = trial
        self._idle_trials = 0
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

    def _stop(self) -> None:
        self._end_open()
        raise SweepStopped("stopped by the user")

    def _end_open(self) -> None:
        """The sweep ends while trials train or wait."""
        for trial in self._trials.values():
            if trial.state in (TrialState.RUNNING, TrialState.QUEUED):
                self._end(trial, TrialState.STOPPED, "stopped with the sweep")

    def _progress(self, index: int | None, running: Iterable[Trial] = ()) -> dict[str, Any]:
        trained = self._steps + sum(trial.step for trial in running if trial.confirms is None)
        fresh = trained - self._steps_before
        asked = enumerate(self._config.stages)
        stages = [(steps, max(count, self._proposed[stage])) for stage, (steps, count) in asked]
        steps_total = sum(steps * count for steps, count in stages) + sum(trial.steps for trial in self._asked)
        steps_total += len(self._extras) * stages[max(0, len(self._stages) - 1)][0]
        elapsed = self._spent - self._spent_before
        return {
            "done": sum(self._ended[state] for state in COUNTED),
            "failed": self._ended[TrialState.FAILED],
            "pruned": self._ended[TrialState.PRUNED],
            "total": sum(count for _, count in stages) + len(self._asked) + len(self._extras),
            "steps_done": self._steps,
            "steps_trained": self._steps_trained,
            "steps_total": steps_total,
            "stage": len(self._config.stages) if index is None else index,
            "confirmed": sum(trial.state in COUNTED for trial in self._confirming),
            "to_confirm": len(self._confirming),
            "seconds": round(self._spent, 1),
            "seconds_left": round(max(0, steps_total - trained) / fresh * elapsed, 1) if fresh > 0 else None,
        }


def in_a_row(finished: Sequence[Trial]) -> tuple[int, int]:
    """How many of the last of these trials have failed, and how many came after the best, each without a gap."""
    failures = next(
        (count for count, trial in enumerate(reversed(finished)) if trial.state is not TrialState.FAILED), len(finished)
    )
    best = best_of(finished)
    return failures, len(finished) - 1 - finished.index(best) if best is not None else len(finished)


def edit_in_words(edit: Edit) -> str:
    """What an edit wants, in one line."""
    parts = [f"{key} from {before} to {after}" for key, (before, after) in edit.changes.items()]
    if edit.points:
        parts.append(f"{len(edit.points)} more points")
    if edit.retries:
        parts.append(f"another try of the trials {', '.join(map(str, edit.retries))}")
    return "; ".join(parts)


def _plain(edit: Edit) -> dict[str, Any]:
    return {**asdict(edit), "at": edit.at}


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


def _why_none(what: str, trials: Sequence[Trial]) -> str:
    errors = [trial.error for trial in trials if trial.error]
    reason = errors[-1].strip().splitlines()[-1] if errors else "there was none"
    return f"{what}; the last error: {reason}"


def _told(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What of the *figures* of the test part is told: numbers, and tables that are not too large."""
    return {name: value for name, value in figures.items() if isinstance(value, float) or len(value) <= MOST_CLASSES}
