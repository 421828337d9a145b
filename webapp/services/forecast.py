"""What a configuration will run, and how long that may take, judged by the sweeps that this machine has completed."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from engine.config import SweepConfig, examine
from engine.domain import TrialState
from engine.space import LAYERS, SEQUENCE, Float, Int, units_axis
from engine.store import Store
from webapp.services.plain import aware

LOOKED_AT = 50
"""Completed sweeps that are looked at, the newest."""
TRIALS = 40
"""Trials of each of them, the first."""
FRESH_SECONDS = 30.0
LIKE = 4.0
"""Networks of which one needs at most so many times the work of the other are alike in time."""
LEAST_WORK = 1e6
"""Multiplications of a step: smaller ones take no less time."""
LOCAL = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Basis:
    """What an estimate rests on: *sweeps* earlier ones, with the seconds of a step in training, least, median and most,
    and those before the first trial."""

    sweeps: int
    least: float
    median: float
    most: float
    before: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What will run. *seconds* are None, as is *basis*, where nothing is known to estimate from.

    *confirming* are trainings after the search; *grid* is how many points a grid has, None for other algorithms;
    *elsewhere* are processes on other machines.
    """

    stages: Sequence[tuple[int, int]]
    trials: int
    steps: int
    confirming: int
    grid: int | None
    servers: int
    workers: int
    chief: bool
    elsewhere: int
    seconds: float | None
    basis: Basis | None

    @property
    def processes(self) -> int:
        return self.servers + self.workers + self.chief


@dataclass(frozen=True, slots=True)
class _Past:
    """A completed sweep: its configuration, and what its first trials tell; None: nothing."""

    config: SweepConfig
    per_step: float
    before: float


_known: WeakKeyDictionary[Store, tuple[float, list[Mapping[str, Any]]]] = WeakKeyDictionary()
_told: WeakKeyDictionary[Store, dict[str, _Past | None]] = WeakKeyDictionary()


def forecast(store: Store, machine: str, config: SweepConfig) -> Forecast:
    """What *config* will run on *machine*."""
    found = _basis(store, machine, config)
    hosts = [*config.ps, *config.workers]
    return Forecast(
        stages=config.stages,
        trials=config.total_trials,
        steps=config.total_steps,
        confirming=min(config.confirm, config.total_trials) * config.confirm_seeds,
        grid=config.grid_points if config.hyperparam_opt == "grid" else None,
        servers=len(config.ps),
        workers=len(config.workers),
        chief=config.mode != "trials",
        elsewhere=sum(host.rpartition(":")[0].lower() not in LOCAL for host in hosts),
        seconds=_seconds(config, found) if found else None,
        basis=found,
    )


def work(config: SweepConfig) -> float:
    """About how many multiplications a step of the mean network of *config* needs."""
    space = config.space().axes
    if config.network == "class":
        return _middle(space["batch_size"])
    layers, units = _middle(space[LAYERS]), _middle(space[units_axis(1)])
    if config.network == "lstm":
        return _middle(space["batch_size"]) * _middle(space[SEQUENCE]) * layers * 8 * units**2
    return _middle(space["batch_size"]) * (config.nn_dimensions[0] * units + (layers - 1) * units**2 + units)


def _middle(axis: Any) -> float:
    return (axis.low + axis.high) / 2 if isinstance(axis, Int | Float) else 1.0


def _seconds(config: SweepConfig, basis: Basis) -> float:
    """Stage by stage: the next one begins when the last trial of this one has ended."""
    at_once = len(config.workers) if config.mode == "trials" else 1
    searching = sum(math.ceil(trials / at_once) * steps for steps, trials in config.stages) * basis.median
    if config.max_seconds:
        searching = min(searching, float(config.max_seconds))
    confirming = math.ceil(min(config.confirm, config.total_trials) * config.confirm_seeds / at_once)
    return basis.before + searching + confirming * config.stages[-1][0] * basis.median


def _basis(store: Store, machine: str, config: SweepConfig) -> Basis | None:
    here = [sweep for sweep in _completed(store) if _machine(sweep) == machine]
    pasts = [_past(store, sweep) for sweep in here]
    like = [past for past in pasts if past is not None and _alike(past.config, config)]
    if not like:
        return None
    paces = [past.per_step for past in like]
    before = statistics.median(past.before for past in like)
    return Basis(len(like), min(paces), statistics.median(paces), max(paces), before)


def _machine(sweep: Mapping[str, Any]) -> str:
    """Where a sweep ran, under a daemon or from the command line."""
    return str((sweep.get("lease") or {}).get("machine")).partition(",")[0]


def _alike(past: SweepConfig, config: SweepConfig) -> bool:
    """Whether a step of both takes about the same time."""
    return (
        (past.network, _class(past)) == (config.network, _class(config))
        and (past.mode, past.folds) == (config.mode, config.folds)
        and len(past.workers) == len(config.workers)
        and abs(math.log(max(work(past), LEAST_WORK) / max(work(config), LEAST_WORK))) <= math.log(LIKE)
    )


def _class(config: SweepConfig) -> str:
    """A user's class, whichever version of its file."""
    file, colon, name = config.model_class.partition(":")
    return file.partition("@")[0] + colon + name


def _completed(store: Store) -> list[Mapping[str, Any]]:
    at, sweeps = _known.get(store, (float("-inf"), []))
    if time.monotonic() - at > FRESH_SECONDS:
        sweeps = list(store.sweeps.completed(LOOKED_AT))
        _known[store] = (time.monotonic(), sweeps)
    return sweeps


def _past(store: Store, sweep: Mapping[str, Any]) -> _Past | None:
    told = _told.setdefault(store, {})
    if sweep["_id"] not in told:
        if len(told) > 20 * LOOKED_AT:
            told.clear()
        told[sweep["_id"]] = _tell(store, sweep)
    return told[sweep["_id"]]


def _tell(store: Store, sweep: Mapping[str, Any]) -> _Past | None:
    """What a completed sweep tells. One that was edited or began again tells nothing."""
    if sweep.get("restarts") or sweep.get("version", 1) > 1 or not sweep.get("started"):
        return None
    config, _ = examine(sweep["config"])
    trials = [
        trial
        for trial in store.trials.of_sweep(sweep["_id"], limit=TRIALS)
        if trial["state"] == TrialState.COMPLETED
        and trial.get("seconds")
        and trial.get("step")
        and trial.get("started")
    ]
    if not trials:
        return None
    first = min(aware(trial["started"]) for trial in trials)
    per_step = sum(trial["seconds"] for trial in trials) / sum(trial["step"] for trial in trials)
    return _Past(config, per_step, max(0.0, (first - aware(sweep["started"])).total_seconds()))
