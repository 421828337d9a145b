"""Steering a sweep: what its owner, or an administrator, may want of it while it waits or runs.

Each wish is written to the sweep's document, where its engine looks for it several times a second, and told to all who
watch. A wish for another search is an edit: a new version of the configuration.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from engine.config import SweepConfig, parse
from engine.domain import ENDED, Edit, SweepState, TrialState
from engine.errors import ConfigError, NotFound, Problem, SpaceError, StateError
from engine.events import EventType
from engine.settings import Settings
from engine.space import Categorical, Int, Params, SearchSpace, point_of
from engine.store import Store
from engine.store.sweeps import WISHES, public
from webapp.errors import Forbidden
from webapp.filters import figure
from webapp.services.accounts import Account
from webapp.services.classes import settled
from webapp.services.monitor import axis_label
from webapp.services.plain import plain
from webapp.services.processes import members

Document = dict[str, Any]

MOST_POINTS = 1000
MOST_STORED = 1_000_000
"""Characters that all edits of a sweep may take: they are a part of its document."""
MOST_PRIORITY = 1000

LIVE = tuple(
    key
    for key, field in SweepConfig.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["live"]
)
"""The keys that may be changed while a sweep runs."""


@dataclass(frozen=True, slots=True)
class PointAxis:
    """An axis of a point that may be asked for: what it is called, may be, and begins with. *layer*: it exists in
    networks of so many layers or more; 0: in all.
    """

    name: str
    label: str
    value: str
    bounds: str = ""
    choices: Sequence[str] = ()
    layer: int = 0


def stop(store: Store, account: Account, sweep_id: str, now: datetime) -> None:
    """Ask a sweep to end; its results are kept.

    Raises:
        NotFound, StateError: there is no such sweep, or it has ended by itself.
        Forbidden: it belongs to somebody else.
    """
    must_steer(store, account, sweep_id)
    store.sweeps.stop(sweep_id, now)
    announce(store, sweep_id, now)


def finish(store: Store, account: Account, sweep_id: str, now: datetime) -> None:
    """Ask a sweep to propose no more trials, and to confirm the best of those it has. Raises as `stop`."""
    must_steer(store, account, sweep_id)
    store.sweeps.finish_early(sweep_id)
    announce(store, sweep_id, now)


def pause(store: Store, account: Account, sweep_id: str, pause: bool, now: datetime) -> None:
    """Ask a sweep to hold its trials at their next report, or to go on. Raises as `stop`."""
    must_steer(store, account, sweep_id)
    store.sweeps.pause(sweep_id, pause)
    announce(store, sweep_id, now)


def end_trial(store: Store, account: Account, sweep_id: str, number: int) -> None:
    """Ask for the early end of a trial in training; it is then pruned. Raises as `stop`."""
    must_steer(store, account, sweep_id)
    if not store.trials.some(sweep_id, [number]):
        raise NotFound(f"the sweep has no trial {number}")
    store.sweeps.cancel_trial(sweep_id, number)


def restart_process(store: Store, account: Account, sweep_id: str, name: str) -> None:
    """Ask for a process to be replaced; what it trains is tried again. Raises as `stop`."""
    sweep = must_steer(store, account, sweep_id)
    known = members(sweep)
    if name not in known:
        raise NotFound(f"the sweep has no process {name[:60]!r}; it has {', '.join(known) or 'none yet'}")
    store.sweeps.restart_process(sweep_id, name)


def prioritise(store: Store, account: Account, sweep_id: str, priority: int, now: datetime) -> None:
    """Set a waiting sweep's priority, 0 at first; the highest is claimed first. Raises as `stop`; ConfigError."""
    must_steer(store, account, sweep_id)
    if abs(priority) > MOST_PRIORITY:
        raise ConfigError([Problem("priority", f"must lie between -{MOST_PRIORITY:,} and {MOST_PRIORITY:,}")])
    store.sweeps.prioritise(sweep_id, priority)
    announce(store, sweep_id, now)


def change(
    store: Store,
    settings: Settings,
    account: Account,
    sweep_id: str,
    values: Mapping[str, Any],
    now: datetime,
    version: int | None = None,
    made: str = "",
) -> int:
    """Make *values* part of a sweep's configuration; returns its new version.

    Args:
        values: of keys in LIVE, as `engine.config.parse` takes them.
        version: that they were made for; None: whatever it is.
        made: an id of the request: what was done under it is not done again.

    Raises:
        ConfigError: with every problem, each at its key.
        StateError: the sweep has ended, or has another version by now.
        NotFound, Forbidden: as `stop`.
    """
    sweep = must_steer(store, account, sweep_id)
    if before := _made(sweep, made):
        return _tell(store, sweep_id, before, now)
    refused = [key for key in values if key not in LIVE]
    if refused:
        raise ConfigError([_refusal(key) for key in refused])
    config = parse({**sweep["config"], **values})
    if "model_space" in values and config.model_class:
        config = settled(store, settings, config)
    problems = _stage_problems(sweep, config)
    if problems:
        raise ConfigError(problems)
    new = config.model_dump(mode="json")
    old = parse(sweep["config"]).model_dump(mode="json")
    changes = {key: [old[key], new[key]] for key in new if new[key] != old[key]}
    if not changes:
        if edits := sweep.get("edits"):
            _tell(store, sweep_id, edits[-1], now)  # perhaps it was this one, and the database fell silent after it
        raise ConfigError([Problem("", "nothing was changed: these are the values that the sweep has")])
    return _edit(store, account, sweep, config, now, version, changes=changes, made=made)


def enqueue(
    store: Store,
    account: Account,
    sweep_id: str,
    points: Sequence[Mapping[str, Any]],
    now: datetime,
    made: str = "",
) -> int:
    """Have *points* of the sweep's space tried next; returns the new version of its configuration. *made* and errors as
    `change`; the key of a problem with an axis is "points.<place>.<axis>", places counted from 0."""
    sweep = must_steer(store, account, sweep_id)
    if before := _made(sweep, made):
        return _tell(store, sweep_id, before, now)
    config = parse(sweep["config"])
    if not 0 < len(points) <= MOST_POINTS:
        raise ConfigError([Problem("points", f"give 1 to {MOST_POINTS:,} points, got {len(points):,}")])
    taken, problems = _points(config.space(), points)
    if problems:
        raise ConfigError(problems)
    return _edit(store, account, sweep, config, now, points=taken, made=made)


def point_axes(store: Store, account: Account, sweep_id: str) -> tuple[list[PointAxis], str]:
    """The axes of a point that `enqueue` takes, filled with the best trial's values, or with the middle of the space
    where there is none; and which of these it was, in words. Raises as `stop`."""
    sweep = must_steer(store, account, sweep_id)
    space = parse(sweep["config"]).space()
    best = sweep.get("best")
    given = best["params"] if best else {}
    return [_point_axis(name, space, given) for name in space.axes], (
        f"filled with trial {best['number']}, the best so far" if best else "filled with the middle of the space"
    )


def _point_axis(name: str, space: SearchSpace, given: Mapping[str, Any]) -> PointAxis:
    axis = space.axes[name]
    value = given[name] if given.get(name) in axis else axis.at(0.5)
    layer = space.conditions[name][1] if name in space.conditions else 0
    label = axis_label(name)
    if isinstance(axis, Categorical):
        return PointAxis(name, label, str(value), choices=axis.choices, layer=layer)
    if isinstance(axis, Int):
        return PointAxis(name, label, str(int(value)), f"{axis.low:,} to {axis.high:,}", layer=layer)
    return PointAxis(
        name, label, figure(float(value), 6), f"{figure(axis.low, 6)} to {figure(axis.high, 6)}", layer=layer
    )


def retry(store: Store, account: Account, sweep_id: str, numbers: Sequence[int], now: datetime, made: str = "") -> int:
    """Have failed trials tried again, all where *numbers* is empty; returns the new version. *made* and errors as
    `change`."""
    sweep = must_steer(store, account, sweep_id)
    if before := _made(sweep, made):
        return _tell(store, sweep_id, before, now)
    trials = store.columns.of_sweep(sweep)
    failed = set(trials.number[trials.state.equal(TrialState.FAILED) & np.isnan(trials.confirms)].tolist())
    asked = {number for edit in sweep.get("edits") or [] for number in edit["retries"]}
    for number in numbers:
        if number not in failed:
            raise ConfigError([Problem("numbers", f"trial {number} has not failed")])
    chosen = list(dict.fromkeys(numbers)) or sorted(failed - asked)
    if not chosen:
        raise ConfigError([Problem("numbers", "no trial has failed that is not tried again already")])
    return _edit(store, account, sweep, parse(sweep["config"]), now, retries=chosen, made=made)


def announce(store: Store, sweep_id: str, now: datetime, whole: bool = False) -> None:
    """Tell everybody who watches a sweep what is wished of it now; *whole*: all of a sweep that has just been made.

    An optimizer tells the rest, and may have told more of it than was read here; what has ended stays as it is.
    """
    told = public(store.sweeps.get(sweep_id))
    if not whole and told["state"] == SweepState.QUEUED:
        told = {key: value for key, value in told.items() if key in {*WISHES, "progress"}}
    elif told["state"] not in {*ENDED, SweepState.QUEUED}:
        told = {key: value for key, value in told.items() if key in WISHES}
    store.events.append(sweep_id, [(EventType.SWEEP, plain(told), now)])


def _edit(
    store: Store,
    account: Account,
    sweep: Mapping[str, Any],
    config: SweepConfig,
    now: datetime,
    version: int | None = None,
    **what: Any,
) -> int:
    stored = len(json.dumps([plain(edit) for edit in sweep.get("edits") or []])) + len(json.dumps(what))
    if stored > MOST_STORED:
        raise ConfigError([Problem(next(iter(what)), "the edits of this sweep take no more; clone the sweep instead")])
    current = int(sweep.get("version", 1))
    edit = Edit(current + 1, account.name, now, **what)
    if version not in (None, current) or not store.sweeps.edit(
        sweep["_id"], edit, config.model_dump(mode="json"), config.total_trials, config.total_steps
    ):
        raise StateError("somebody else has changed the sweep in the meantime; look at it again, and then decide")
    return _tell(store, sweep["_id"], asdict(edit), now)


def _made(sweep: Mapping[str, Any], made: str) -> Document | None:
    """The edit that was made for a request before, whose answer did not arrive."""
    return next((edit for edit in sweep.get("edits") or [] if made and edit.get("made") == made), None)


def _tell(store: Store, sweep_id: str, edit: Mapping[str, Any], now: datetime) -> int:
    """Tell everybody who watches a sweep of its *edit*, whose version is returned; twice does no harm."""
    store.events.append(sweep_id, [(EventType.EDIT, plain(edit), now)])
    announce(store, sweep_id, now)
    return int(edit["version"])


def must_steer(store: Store, account: Account, sweep_id: str) -> Document:
    """The sweep, if the account may steer it."""
    sweep = store.sweeps.get(sweep_id)
    if not account.may_stop(sweep["owner"]):
        raise Forbidden("only the owner of a sweep or an administrator may steer it")
    return sweep


def _refusal(key: str) -> Problem:
    if key in SweepConfig.model_fields:
        return Problem(key, "cannot be changed while the sweep runs; clone the sweep and change it there")
    return Problem(key[:80], "there is no such key")


def _stage_problems(sweep: Mapping[str, Any], config: SweepConfig) -> list[Problem]:
    """What the stages that have begun do not allow."""
    begun, stages = sweep.get("stages") or [], config.stages
    key = "opt_stages" if config.opt_stages else "train_epoch"
    if len(stages) < len(begun):
        return [Problem(key, f"{len(begun)} stages have begun; they cannot be taken away")]
    problems = []
    for number, (stage, (steps, trials)) in enumerate(zip(begun, stages, strict=False), start=1):
        if steps != stage["steps"]:
            problems.append(Problem(key, f"stage {number} has begun; its trials keep their {stage['steps']:,} steps"))
        if (stage["ended"] is not None or stage.get("closed")) and trials != stage["trials"]:
            problems.append(Problem(key, f"stage {number} has ended with {stage['trials']:,} trials; add a stage"))
    return problems


def _points(space: SearchSpace, points: Sequence[Mapping[str, Any]]) -> tuple[list[Params], list[Problem]]:
    taken, problems = [], []
    for place, given in enumerate(points):
        try:
            taken.append(point_of(given, space))
        except SpaceError as error:
            axis, _, what = str(error).partition(": ")
            problems.append(Problem(f"points.{place}.{axis}", what))
    return taken, problems
