"""`make bench-search`: what searches find with equally many training steps, and what their suggestions cost.

Every way trains with this engine's `LocalTrainer`, in one process, the same parts of the data; trial n has the same
initial weights and mini-batches in all of them. Ours are driven by the engine's own `Optimizer` with one worker, the
peers by their own ask and tell. What is counted is steps that were trained: those of a trial that ended early count as
far as it came. The best configuration by validation loss, of the trials that completed within the budget, is trained
again from other seeds and measured on the test part, which no search has seen.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import multiprocessing
import os
import platform
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np

from bench import GOAL
from engine import pruners, samplers
from engine.cluster.channel import Channel
from engine.cluster.cluster import Cluster, Happening, happening
from engine.cluster.process import ENVIRONMENT
from engine.config import LARGE_STAGES, parse
from engine.confirmation import confirmation
from engine.data import Texts, prepare
from engine.domain import Trial, TrialState, Wishes
from engine.optimizer import Optimizer, SweepStopped, trial_seed
from engine.recorder import Recorder
from engine.samplers.base import key_of
from engine.space import Categorical, Float, Params, SearchSpace
from engine.training.checkpoint import Checkpoint
from engine.training.job import Job, Progress

MANY = 100_000
"""Trials of a stage that the budget ends."""
CONFIRM_SEEDS = 3
FIRST_TO_CONFIRM = 1_000_000
"""The number of the first trial that confirms: its seed is the same whatever way has found what it confirms."""
COST_STEPS = 10_000
STARTUP = 10
"""Trials that KerasTuner draws at random first, as TPE and Optuna do by default; its own default is three an axis."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched: *steps* is a whole trial's, *budget* all that a search may train, in steps as well."""

    name: str
    values: Mapping[str, Any]
    steps: int
    budget: int
    figure: str

    def staged(self) -> list[list[int]]:
        """The 2017 program's large schedule, shrunk to the budget."""
        longest = LARGE_STAGES[-1][0]
        scaled = [(self.steps * steps // longest, trials) for steps, trials in LARGE_STAGES]
        fraction = self.budget / sum(steps * trials for steps, trials in scaled)
        return [[steps, max(1, round(trials * fraction))] for steps, trials in scaled]


TASKS = {
    task.name: task
    for task in (
        Task("synthetic", {}, 5000, 100_000, "rmse"),
        Task(
            "diabetes",
            {"dataset": "diabetes", "nn_dimensions": [10, 1], "hidden_layers": [1, 4], "nodes_per_layer": [2, 32],
             "batch_size": [16, 256], "learning_rate": [1e-4, 1e-1], "log_scale": True},
            1000, 40_000, "rmse",
        ),
        Task(
            "sources",
            {"nn_model": "Custom", "dataset": "installed-sources", "rnn_layers": [1, 2], "rnn_units": [4, 32],
             "rnn_seq_length": [5, 30], "batch_size": [8, 32], "learning_rate": [1e-4, 1e-1], "log_scale": True},
            200, 5_000, "error",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Completed:
    """A trial that has completed, when the search had trained *at* steps."""

    number: int
    params: Params
    steps: int
    loss: float
    at: int


@dataclass(slots=True)
class Search:
    """What a search has tried, and what came of it."""

    points: list[Params] = field(default_factory=list)
    completed: list[Completed] = field(default_factory=list)

    @property
    def repeated(self) -> int:
        """How many points have been suggested before."""
        return len(self.points) - len({key_of(point) for point in self.points})

    def best(self, budget: float = math.inf) -> Completed | None:
        """The trial with the least loss of those that completed within *budget* steps."""
        return min((one for one in self.completed if one.at <= budget), key=lambda one: one.loss, default=None)


class Place:
    """Where all searches of one task train."""

    def __init__(self, task: Task) -> None:
        from engine.training.local import LocalTrainer

        self._config = config = parse(task.values)
        data = prepare(config)
        self.task = task
        self.space = config.space()
        self.dimensions = (config.nn_dimensions[0], config.nn_dimensions[1])
        if isinstance(data, Texts):
            self.dimensions = data.token_count, len(data.classes)
        self.steps = 0
        """Steps that the present search has trained."""
        self.tests: dict[int, Mapping[str, Any]] | None = None
        """What each trial that completes measures on the test part; None: nothing is measured."""
        self._trainer = LocalTrainer(data)
        self._channel, theirs = (Channel(end) for end in socket.socketpair())
        self._job: Job | None = None
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()

    def trained(self, job: Job, checkpoint: Checkpoint | None = None) -> Iterator[Progress]:
        """Train *job*, and count its steps."""
        before = 0
        for progress in self._trainer.train(replace(job, test=job.test or self.tests is not None), checkpoint):
            self.steps += progress.step - before
            before = progress.step
            if progress.done and progress.test and self.tests is not None:
                self.tests[job.number] = progress.test
            yield progress if job.test else replace(progress, test=None)

    def job(self, number: int, params: Params, steps: int, seed: int, **more: Any) -> Job:
        """A trial, as the engine orders one."""
        config = self._config
        return Job(
            number, 1, params, steps, trial_seed(seed, number), config.train_tolerance, *self.dimensions,
            config.weight_init, config.nn_model, length=config.rnn_max_seq_length, **more,
        )  # fmt: skip

    def worth(self, best: Completed, seed: int) -> tuple[float, float]:
        """What the best network is worth on the test part, and what its configuration is: the mean of networks from
        other seeds, as the engine confirms it."""
        trial = Trial("", best.number, 0, best.params, best.steps, 0, TrialState.COMPLETED, loss=best.loss)
        measured = []
        for number in (best.number, *range(FIRST_TO_CONFIRM, FIRST_TO_CONFIRM + CONFIRM_SEEDS)):
            job = self.job(number, best.params, best.steps, seed, test=True)
            *_, last = self.trained(job)
            state = TrialState.COMPLETED if is_finite(last) else TrialState.FAILED
            measured.append(Trial("", number, 1, job.params, job.steps, job.seed, state, confirms=best.number))
            measured[-1].test = dict(last.test or {})
        figures = [confirmation(trial, part)["figures"] for part in (measured[:1], measured[1:])]
        own, others = (part[self.task.figure]["mean"] if part else math.nan for part in figures)
        return own, others

    # What the optimizer asks of a cluster; its one worker is a thread that does what a worker's process does.

    def _serve(self, channel: Channel) -> None:
        from engine.cluster.roles import train_all

        place = self

        class Trainer:
            train = staticmethod(place.trained)

        train_all(cast(Any, Trainer), channel)

    def idle(self) -> list[str]:
        return [] if self._job else ["worker_0"]

    def train(self, name: str, job: Job) -> bool:
        self._job = job
        return self._channel.send({"train": job.to_message()})

    def poll(self, seconds: float) -> list[Happening]:
        if self._job is None or not self._channel.waiting(seconds):
            return []
        job, messages = self._job, self._channel.receive() or []
        if any("progress" not in message for message in messages):
            self._job = None
        return [happening(job, "worker_0", message) for message in messages]


class Unrecorded:
    """In place of the recorder: keeps what was begun, and what the user wants, which is to stop."""

    def __init__(self) -> None:
        self.sweep: dict[str, Any] = {}
        self.wishes = Wishes()
        self.lost = threading.Event()
        self.held: str | None = None
        self.points: list[Params] = []

    def begun(self, trial: Trial) -> None:
        self.points.append(trial.params)

    def set(self, **fields: Any) -> None:
        self.sweep.update(fields)

    def close_edits(self, version: int, wait_seconds: float) -> bool:
        """Nobody edits the sweep."""
        return True

    def ignore(self, *_: Any) -> None:
        """It is nobody's to know."""

    event = reached = ended = stage_ended = run = ignore


def is_finite(progress: Progress) -> bool:
    """Whether a trial's losses are numbers still."""
    return math.isfinite(progress.train) and math.isfinite(progress.val or 0.0)


def ours(place: Place, seed: int, is_enough: Callable[[Search], bool], **search: Any) -> Search:
    """A search by this engine, until *is_enough* after a trial."""
    config = parse({**place.task.values, "opt_tolerance": 0, "confirm": 0, "seed": seed, **search})
    recorder, found = Unrecorded(), Search()

    def on_result(trial: Trial, best: float, completed: int) -> None:
        if trial.loss is not None:
            found.completed.append(Completed(trial.number, trial.params, trial.steps, trial.loss, place.steps))
        if is_enough(found):
            recorder.wishes = Wishes(stop=True)

    optimizer = Optimizer(
        place.task.name, config, cast(Cluster, place), cast(Recorder, recorder), lambda: datetime.now(UTC),
        on_result=on_result, dimensions=place.dimensions,
    )  # fmt: skip
    place.steps = 0
    with contextlib.suppress(SweepStopped):
        optimizer.run()
    found.points = recorder.points
    return found


def peer(
    place: Place,
    seed: int,
    is_enough: Callable[[Search], bool],
    ask: Callable[[], tuple[Any, Params]],
    tell: Callable[[Any, float | None], None],
    rungs: Sequence[int] = (),
    is_pruned: Callable[[Any, int, float], bool] = lambda trial, step, loss: False,
) -> Search:
    """A search by somebody else: *tell* is called with a trial's loss, None when it failed, unless it *is_pruned*."""
    found = Search()
    place.steps = 0
    while not is_enough(found):
        trial, params = ask()
        found.points.append(params)
        number, steps = len(found.points), place.task.steps
        job = place.job(number, params, steps, seed, limits=[(rung, math.inf) for rung in rungs])
        for progress in place.trained(job):
            if not is_finite(progress):
                tell(trial, None)
                break
            if progress.done:
                assert progress.val is not None
                found.completed.append(Completed(number, params, steps, progress.val, place.steps))
                tell(trial, progress.val)
            elif progress.rung and is_pruned(trial, *progress.rung):
                break
    return found


def optuna_search(place: Place, seed: int, is_enough: Callable[[Search], bool], halving: bool = False) -> Search:
    """Optuna's TPE as it is by default; *halving*: with its successive halving, at the rungs and with the reduction
    factor of ours."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rungs = [rung for rung, _ in pruners.make("asha").limits(1, place.task.steps)] if halving else []
    pruner = optuna.pruners.SuccessiveHalvingPruner(rungs[0], 3) if halving else optuna.pruners.NopPruner()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)

    def ask() -> tuple[Any, Params]:
        trial = study.ask()
        return trial, asked_of_optuna(trial, place.space)

    def tell(trial: Any, loss: float | None) -> None:
        study.tell(trial, loss, state=optuna.trial.TrialState.FAIL if loss is None else None)

    def is_pruned(trial: Any, step: int, loss: float) -> bool:
        trial.report(loss, step)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return True
        return False

    return peer(place, seed, is_enough, ask, tell, rungs, is_pruned)


def asked_of_optuna(trial: Any, space: SearchSpace) -> Params:
    """A point of *space*, axis by axis."""
    point: Params = {}
    for name, axis in space.axes.items():
        if not space.is_active(name, point):
            continue
        if isinstance(axis, Categorical):
            point[name] = trial.suggest_categorical(name, axis.choices)
        elif isinstance(axis, Float):
            point[name] = trial.suggest_float(name, axis.low, axis.high, log=axis.log)
        else:
            point[name] = trial.suggest_int(name, axis.low, axis.high)
    return point


def keras_tuner_search(place: Place, seed: int, is_enough: Callable[[Search], bool]) -> Search:
    """KerasTuner's Bayesian oracle, a Gaussian process."""
    import keras_tuner

    with tempfile.TemporaryDirectory() as folder:
        oracle = keras_tuner.oracles.BayesianOptimizationOracle(
            keras_tuner.Objective("val_loss", "min"), max_trials=MANY, num_initial_points=STARTUP, seed=seed,
            hyperparameters=hyperparameters(place.space), allow_new_entries=False, tune_new_entries=False,
        )  # fmt: skip
        oracle._set_project_dir(folder, "search")
        oracle.verbose = 0

        def ask() -> tuple[Any, Params]:
            trial = oracle.create_trial("tuner0")
            point: Params = {}
            for name in place.space.axes:
                if place.space.is_active(name, point):
                    point[name] = trial.hyperparameters.get(name)
            return trial, point

        def tell(trial: Any, loss: float | None) -> None:
            if loss is None:
                trial.status = "INVALID"
            else:
                oracle.update_trial(trial.trial_id, {"val_loss": loss})
                trial.status = "COMPLETED"
            oracle.end_trial(trial)

        return peer(place, seed, is_enough, ask, tell)


def hyperparameters(space: SearchSpace) -> Any:
    """*space* in KerasTuner's words."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    for name, axis in space.axes.items():
        condition = contextlib.nullcontext()
        if name in space.conditions:
            parent, least = space.conditions[name]
            condition = hp.conditional_scope(parent, list(range(least, space.axes[parent].high + 1)))
        with condition:
            if isinstance(axis, Categorical):
                hp.Choice(name, list(axis.choices))
            elif isinstance(axis, Float):
                hp.Float(name, axis.low, axis.high, sampling="log" if axis.log else "linear")
            else:
                hp.Int(name, axis.low, axis.high)
    return hp


Way = Callable[[Place, int, Callable[[Search], bool]], Search]


def whole(**search: Any) -> Way:
    """One stage of whole trials."""
    return lambda place, seed, enough: ours(place, seed, enough, opt_stages=[[place.task.steps, MANY]], **search)


WAYS: Mapping[str, Way] = {
    "random": whole(),
    "random, staged": lambda place, seed, enough: ours(place, seed, enough, opt_stages=place.task.staged()),
    "TPE": whole(hyperparam_opt="TPE"),
    "TPE + ASHA": whole(hyperparam_opt="TPE", pruner="asha"),
    "Optuna TPE": optuna_search,
    "Optuna TPE + halving": lambda place, seed, enough: optuna_search(place, seed, enough, halving=True),
    "KerasTuner Bayesian": keras_tuner_search,
}
SLOW = "KerasTuner Bayesian"
RACERS: Mapping[str, Way] = {
    "random, staged": lambda place, seed, enough: ours(place, seed, enough, opt_stages=LARGE_STAGES),
    "random": WAYS["random"],
    "random + ASHA": whole(pruner="asha"),
    "TPE": WAYS["TPE"],
    "TPE + ASHA": WAYS["TPE + ASHA"],
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a way has come to with one seed: *steps* that it trained, and the test figure of its *best* network, and of
    its configuration when it is *confirmed*."""

    task: str
    way: str
    seed: int
    steps: int
    trials: int
    repeated: int
    best: float
    confirmed: float


PLACES: dict[str, Place] = {}
"""One for all searches of a task in this process, so that a network is traced once."""


def place_of(task: Task) -> Place:
    """Where *task* is trained in this process."""
    if task.name not in PLACES:
        PLACES[task.name] = Place(task)
    place = PLACES[task.name]
    place.task, place.tests = task, None
    return place


def compare(task: Task, way: str, seed: int) -> Outcome:
    """What a way finds within the budget."""
    place = place_of(task)
    search = WAYS[way](place, seed, lambda search: place.steps >= task.budget)
    steps, best = place.steps, search.best(task.budget)
    worth = (math.nan, math.nan) if best is None else place.worth(best, seed)
    return Outcome(task.name, way, seed, steps, len(search.points), search.repeated, *worth)


def race(way: str, seed: int) -> Outcome:
    """The steps that a way takes until its best network, by the validation loss, has GOAL on the test part; -1: it does
    not get there with the steps of the whole large schedule."""
    place = place_of(replace(TASKS["synthetic"], steps=LARGE_STAGES[-1][0]))
    place.tests = {}
    most = sum(steps * trials for steps, trials in LARGE_STAGES)

    def is_there(search: Search) -> bool:
        best = search.best(most)
        return best is not None and math.sqrt(place.tests[best.number]["loss"]) <= GOAL

    search = RACERS[way](place, seed, lambda search: is_there(search) or place.steps >= most)
    steps, best = place.steps if is_there(search) else -1, search.best(most)
    place.tests = None
    worth = (math.nan, math.nan) if best is None else place.worth(best, seed)
    return Outcome("race", way, seed, steps, len(search.points), search.repeated, *worth)


def costs(sampler: str, count: int) -> list[float]:
    """The milliseconds of CPU time that the search takes for each of *count* trials of the default regressor: a
    suggestion, the limits of five rungs, a report at each, and learning of the end."""
    space = parse({}).space()
    search, pruner = samplers.make(sampler, space, 1, 1, COST_STEPS), pruners.make("asha", min_steps=COST_STEPS // 3**5)
    rng, times = np.random.default_rng(1), []
    for number in range(1, count + 1):
        losses = np.sort(rng.random(6))[::-1]
        begun = time.thread_time()
        (point,) = search.suggest([number])
        trial = Trial("", number, 0, point, COST_STEPS, number, TrialState.RUNNING)
        for (rung, _), loss in zip(pruner.limits(number, COST_STEPS), losses, strict=False):
            pruner.report(number, COST_STEPS, rung, loss)
        trial.state, trial.step, trial.loss = TrialState.COMPLETED, COST_STEPS, float(losses[-1])
        search.update([trial], [])
        times.append(1000 * (time.thread_time() - begun))
    return times


def optuna_costs(count: int) -> list[float]:
    """The same for Optuna's TPE with its successive halving."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.SuccessiveHalvingPruner(COST_STEPS // 3**5, 3)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1), pruner=pruner)
    space, rng, times = parse({}).space(), np.random.default_rng(1), []
    for _ in range(count):
        losses = np.sort(rng.random(6))[::-1]
        begun = time.thread_time()
        trial = study.ask()
        asked_of_optuna(trial, space)
        for place, loss in enumerate(losses[:5]):
            trial.report(float(loss), COST_STEPS // 3 ** (5 - place))
            trial.should_prune()
        study.tell(trial, float(losses[-1]))
        times.append(1000 * (time.thread_time() - begun))
    return times


def cost_table(count: int) -> str:
    """What suggestions cost, as Markdown."""
    ways = {"random": costs("RS", count), "TPE": costs("TPE", count), "Optuna TPE": optuna_costs(count // 4)}
    ends = [count // 4, count // 2, count]
    lines = [
        f"| CPU ms a trial, median / 99th percentile | {' | '.join(f'trials to {end:,}' for end in ends)} |",
        "|---|---|---|---|",
    ]
    for way, times in ways.items():
        blocks = [times[first:end] for first, end in zip([0, *ends], ends, strict=False)]
        cells = [f"{np.median(one):.2f} / {np.percentile(one, 99):.2f}" if one else "" for one in blocks]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float], form: str) -> str:
    """Median and range."""
    return f"{np.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def comparison(task: Task, found: Sequence[Outcome]) -> str:
    """What the ways have found in one task, as Markdown."""
    name = {"rmse": "test RMSE", "error": "test error"}[task.figure]
    lines = [
        f"| {task.name}: {task.budget:,} steps, whole trials of {task.steps:,} | seeds | trials | repeated "
        f"| {name} of the best network | confirmed from other seeds | against random |",
        "|---|---|---|---|---|---|---|",
    ]
    first: float | None = None
    for way in WAYS:
        own = [one for one in found if (one.task, one.way) == (task.name, way)]
        if not own:
            continue
        confirmed = [one.confirmed for one in own]
        first = first or float(np.median(confirmed))
        lines.append(
            f"| {way} | {len(own)} | {np.median([one.trials for one in own]):.0f} | {sum(one.repeated for one in own)} "
            f"| {spread([one.best for one in own], '.4g')} | {spread(confirmed, '.4g')} "
            f"| {np.median(confirmed) / first:.2f}× |"
        )
    return "\n".join(lines)


def race_table(found: Sequence[Outcome]) -> str:
    """Who has come to the goal after how many steps, as Markdown."""
    by = {(one.way, one.seed): one for one in found if one.task == "race"}
    seeds = sorted({seed for _, seed in by})
    lines = [f"| steps to a test RMSE of {GOAL} | {' | '.join(f'seed {seed}' for seed in seeds)} | median | "
             "part of the staged steps | its test RMSE | confirmed from other seeds |",
             "|---" * (len(seeds) + 5) + "|"]  # fmt: skip
    for way in RACERS:
        steps = [by[way, seed].steps if by[way, seed].steps >= 0 else math.inf for seed in seeds]
        parts = [own / by["random, staged", seed].steps for own, seed in zip(steps, seeds, strict=True)]
        best, confirmed = ([getattr(by[way, seed], name) for seed in seeds] for name in ("best", "confirmed"))
        lines.append(
            f"| {way} | {' | '.join(f'{own:,.0f}' for own in steps)} | {np.median(steps):,.0f} "
            f"| {spread(parts, '.3f')} | {spread(best, '.4f')} | {spread(confirmed, '.4f')} |"
        )
    return "\n".join(lines)


def set_up() -> None:
    """Make a process of the pool like a worker's."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=5, help="of each task and way")
    parser.add_argument("--slow", type=int, default=2, help="seeds of KerasTuner, whose suggestions take seconds each")
    parser.add_argument("--budget", type=float, default=1.0, help="times the steps of each search")
    parser.add_argument("--length", type=float, default=1.0, help="times the steps of a whole trial")
    parser.add_argument("--race", type=int, default=1, help="seeds of the race to the 2017 program's error")
    parser.add_argument("--costs", type=int, default=2000, help="trials whose suggestions are timed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    begun = time.monotonic()
    os.environ.update(ENVIRONMENT)
    tasks = [
        replace(task, budget=round(task.budget * arguments.budget), steps=round(task.steps * arguments.length))
        for task in (TASKS[name] for name in arguments.tasks)
    ]
    work: list[tuple[Callable[..., Outcome], tuple[Any, ...]]] = [
        (race, (way, seed)) for seed in range(1, arguments.race + 1) for way in RACERS
    ]
    work += [
        (compare, (task, way, seed))
        for task in tasks
        for seed in range(1, arguments.seeds + 1)
        for way in arguments.ways
        if way != SLOW or seed <= arguments.slow
    ]
    found: list[Outcome] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.processes, mp_context=spawn, initializer=set_up) as pool:
        for done in as_completed([pool.submit(function, *given) for function, given in work]):
            if done.exception() is not None:
                pool.shutdown(cancel_futures=True)
            found.append(done.result())
            print(found[-1], file=sys.stderr, flush=True)
        priced = pool.submit(cost_table, arguments.costs).result() if arguments.costs else ""
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores; medians (and ranges) over seeds\n"
    )
    for task in tasks:
        print(f"{comparison(task, found)}\n")
    if arguments.race:
        print(f"{race_table(found)}\n")
    if priced:
        print(f"{priced}\n")
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
