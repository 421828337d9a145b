"""The state of one sweep at one event number: what the live page starts from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.config import SweepConfig
from engine.domain import TrialState
from engine.events import EventType
from engine.store import Store
from engine.store import sweeps as sweep_store
from engine.store import trials as trial_store
from webapp.services.plain import aware, plain

Document = dict[str, Any]
Points = list[list[float | None]]

ROWS = 500
"""Trials whose rows come with the page; those before come when asked for, so that 10,000 are no burden."""

LOG_EVENTS = 60
LOG_LINES = 400
PROGRESS_EVENTS = 60
CURVES = 6
"""Learning curves shown when nothing runs: those of the trials that finished last."""


def snapshot(store: Store, sweep_id: str) -> Document:
    """Everything the live page shows: {seq, sweep, config, stages, trials, older, curves, processes, edits,
    log}.

    *trials* are the rows of the newest ROWS trials; *older* are [number, stage, state, loss] of those before.

    The number is read first: events above it may already be in what is read after it, and since every event
    carries whole values, applying them again changes nothing.

    Raises:
        NotFound: there is no such sweep.
    """
    seq = store.events.last(sweep_id)
    sweep = store.sweeps.get(sweep_id)
    losses = store.trials.losses(sweep_id)
    older, newest = losses[:-ROWS], losses[-ROWS:]
    trials = store.trials.of_sweep(sweep_id, after=newest[0]["number"] - 1, limit=2 * ROWS) if newest else []
    curves = _curves(store, sweep_id, losses, (sweep.get("best") or {}).get("number"))
    return {
        "seq": seq,
        "sweep": plain(sweep_store.public(sweep)),
        "config": plain(sweep["config"]),
        "stages": plain(_stages(sweep)),
        "trials": rows(trials),
        "older": [[trial["number"], trial["stage"], trial["state"], plain(trial.get("loss"))] for trial in older],
        "curves": {str(number): plain(points) for number, points in curves.items()},
        "processes": plain(sweep.get("processes") or {}),
        "edits": [plain({**edit, "config": None}) for edit in sweep.get("edits") or []],
        "log": _log(store, sweep_id),
    }


def older_rows(store: Store, sweep_id: str, before: int) -> list[Document]:
    """The rows of the ROWS trials below number *before*, oldest first.

    Raises:
        NotFound: there is no such sweep.
    """
    store.sweeps.get(sweep_id)
    return rows(store.trials.of_sweep(sweep_id, after=before - ROWS - 1, limit=ROWS)) if before > 1 else []


def rows(trials: list[Document]) -> list[Document]:
    """Trials as the table shows them."""
    return [plain(trial_store.public(trial)) for trial in trials]


def _stages(sweep: Mapping[str, Any]) -> list[Document]:
    """Every stage of the configuration; those that have begun with their space and best."""
    begun = {stage["index"]: stage for stage in sweep.get("stages") or [] if isinstance(stage, Mapping)}
    configured = sweep["config"].get("opt_stages") or [
        [sweep["config"].get("train_epoch"), sweep["config"].get("opt_epoch")]
    ]
    return [
        {"index": index, "steps": steps, "trials": trials, "space": None, "best": None, **begun.get(index, {})}
        for index, (steps, trials) in enumerate(configured)
    ]


def _curves(store: Store, sweep_id: str, trials: list[Document], best: int | None) -> dict[int, Points]:
    """The learning curves of the best trial, of the running ones, brought up to date, and of the last that finished."""
    running = [trial["number"] for trial in trials if trial["state"] == TrialState.RUNNING]
    ended = [trial for trial in trials if trial["state"] == TrialState.COMPLETED and not trial.get("confirms")]
    finished = [trial["number"] for trial in ended][-CURVES:]
    found = store.trials.some(sweep_id, [*running, *finished, *([best] if best is not None else [])])
    shown: dict[int, Points] = {trial["number"]: list(trial.get("curve") or []) for trial in found}
    begun: dict[int, datetime | None] = {
        trial["number"]: trial.get("started") for trial in found if trial["number"] in running
    }
    for event in store.events.newest(sweep_id, EventType.PROGRESS, PROGRESS_EVENTS):
        for number, progress in event.data.get("trials", {}).items():
            start = begun.get(int(number))
            if int(number) in begun and not (start and aware(event.at) < aware(start)):
                extend(shown[int(number)], progress.get("points", []))
    return shown


def extend(curve: Points, points: Points) -> None:
    """Add to *curve* those *points* that lie beyond its last step."""
    for point in points:
        if point and point[0] is not None and (not curve or point[0] > (curve[-1][0] or 0)):
            curve.append(point)


def _log(store: Store, sweep_id: str) -> list[Document]:
    """The newest lines of the sweep's log, oldest first."""
    lines: list[Document] = []
    for event in store.events.newest(sweep_id, EventType.LOG, LOG_EVENTS):
        lines.extend(plain(event.data.get("lines", [])))
    return lines[-LOG_LINES:]


TITLES = {name: field.title or name for name, field in SweepConfig.model_fields.items()}
"""The title of every configuration key."""

AXES = {
    "layers": "layers",
    "batch_size": "batch size",
    "learning_rate": "learning rate",
    "train_optimizer": "optimizer",
}


def axis_label(name: str) -> str:
    """What a page calls an axis of the search space."""
    return AXES.get(name, name.replace("units_", "nodes of layer ").replace("_", " "))
