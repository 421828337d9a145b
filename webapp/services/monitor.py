"""The state of one sweep at one event number: what the live page, and the page of a trial, start from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from engine.analysis import thinning
from engine.columns import TrialColumns
from engine.config import SweepConfig
from engine.domain import ENDED, TrialState
from engine.errors import NotFound
from engine.events import EventType
from engine.store import Store
from engine.store import sweeps as sweep_store
from webapp.services import queue
from webapp.services.plain import aware, plain
from webapp.services.trials import row

Document = dict[str, Any]
Points = list[list[float | None]]

ROWS = 500
"""Trials whose rows come with the page; those before come when asked for, so that 10,000 are no burden."""

LOG_EVENTS = 60
LOG_LINES = 400
LOG_EVENTS_OF_TRIAL = 2000
AROUND = timedelta(seconds=5)
"""Before and after a trial's time, in which lines about it are looked for."""
FOREVER = timedelta(days=3650)
PROGRESS_EVENTS = 60
CURVES = 6
"""Learning curves shown when nothing runs: those of the trials that finished last."""


def snapshot(store: Store, sweep_id: str, now: datetime) -> Document:
    """Everything the live page shows: {seq, sweep, config, titles, stages, trials, older, curves, processes, resources,
    edits, log, queue}.

    *trials* are the rows of the newest ROWS trials; *older* are [number, stage, state, loss] of those before, the loss
    with six digits. *queue* says why a waiting sweep waits.

    The number is read first: events above it may already be in what is read after it, and since every event
    carries whole values, applying them again changes nothing; of lines of the log, which would be there twice, only
    those up to it are read.

    Raises:
        NotFound: there is no such sweep.
    """
    seq = store.events.last(sweep_id)
    sweep = store.sweeps.get(sweep_id)
    columns = store.columns.of_sweep(sweep)
    older = columns.take(np.arange(max(0, len(columns) - ROWS)))
    trials = store.trials.of_sweep(sweep_id, after=int(older.number[-1]) if len(older) else 0, limit=2 * ROWS)
    curves = _curves(store, sweep_id, columns, (sweep.get("best") or {}).get("number"))
    return {
        **_frame(seq, sweep),
        "trials": [row(trial) for trial in trials],
        "older": _heads(older),
        "curves": {str(number): plain(points) for number, points in curves.items()},
        "resources": _resources(store, sweep),
        "log": _log(store, sweep_id, seq),
        "queue": queue.why(store, sweep, now),
    }


def _heads(trials: TrialColumns) -> list[list[Any]]:
    numbers, stages = thinning.whole(trials.number), thinning.whole(trials.stage)
    columns = numbers, stages, trials.state.texts(), thinning.plain(trials.loss)
    return [list(head) for head in zip(*columns, strict=True)]


def trial_snapshot(store: Store, sweep_id: str, number: int) -> Document:
    """What the page of a trial shows: as `snapshot`, but `trials` are this one, in full, and then those that it
    confirms or retries, or that confirm or retry it; `log` are the lines that tell of it; and `neighbours` are the
    numbers [before, after], null where there is none.

    Raises:
        NotFound: there is no such sweep, or no such trial.
    """
    seq = store.events.last(sweep_id)
    sweep = store.sweeps.get(sweep_id)
    found = store.trials.some(sweep_id, [number])
    if not found:
        raise NotFound(f"the sweep has no trial {number}")
    trial = found[0]
    columns = store.columns.of_sweep(sweep)
    place = int(np.searchsorted(columns.number, number))
    neighbours = [int(columns.number[at]) if 0 <= at < len(columns) else None for at in (place - 1, place + 1)]
    kin = [*columns.number[columns.confirms == number].tolist(), trial.get("confirms"), trial.get("retries")]
    kin += columns.number[columns.retries == number].tolist()
    about = store.trials.some(sweep_id, sorted({one for one in kin if one is not None}))
    curves = _curves(store, sweep_id, columns.take(columns.number == number), number)
    return {
        **_frame(seq, sweep),
        "trials": [row(one) for one in (trial, *about)],
        "older": [],
        "neighbours": neighbours,
        "curves": {str(number): plain(curves.get(number, []))},
        "log": _lines_about(store, sweep_id, trial),
    }


def _lines_about(store: Store, sweep_id: str, trial: Document) -> list[Document]:
    """The lines of the log, among those written while the trial trained, that name it."""
    named = re.compile(rf"\btrials? (?:\(?\d+, )*{trial['number']}\b")
    begun = trial.get("started") or trial.get("created")
    if begun is None:
        return []
    end = trial.get("finished") or begun + FOREVER
    events = store.events.between(sweep_id, EventType.LOG, begun - AROUND, end + AROUND, LOG_EVENTS_OF_TRIAL)
    lines = [line for event in events for line in event.data.get("lines", []) if named.search(str(line.get("text")))]
    return list(plain(lines[-LOG_LINES:]))


def _frame(seq: int, sweep: Mapping[str, Any]) -> Document:
    """What both pages know of their sweep."""
    return {
        "seq": seq,
        "sweep": plain(sweep_store.public(sweep)),
        "config": plain(sweep["config"]),
        "titles": {"keys": TITLES, **CHOICES},
        "stages": plain(_stages(sweep)),
        "processes": plain(sweep.get("processes") or {}),
        "edits": [plain(edit) for edit in sweep.get("edits") or []],
    }


def _resources(store: Store, sweep: Mapping[str, Any]) -> Document:
    """What the processes used when last told: {process: [CPU in per cent, MB]}."""
    if sweep["state"] in ENDED:
        return {}
    told = store.events.newest(sweep["_id"], EventType.RESOURCES, 1)
    return dict(plain(told[0].data["processes"])) if told else {}


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


def _curves(store: Store, sweep_id: str, trials: TrialColumns, best: int | None) -> dict[int, Points]:
    """The learning curves of the best trial, of the running ones, brought up to date, and of the last that finished."""
    running = trials.number[trials.state.equal(TrialState.RUNNING)].tolist()
    searched = trials.searched()
    finished = searched.number[searched.state.equal(TrialState.COMPLETED)][-CURVES:].tolist()
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


def _log(store: Store, sweep_id: str, upto: int) -> list[Document]:
    """The newest lines of the sweep's log that events up to this number tell of, oldest first."""
    lines: list[Document] = []
    for event in store.events.newest(sweep_id, EventType.LOG, LOG_EVENTS):
        if event.seq <= upto:
            lines.extend(plain(event.data.get("lines", [])))
    return lines[-LOG_LINES:]


TITLES = {name: field.title or name for name, field in SweepConfig.model_fields.items()}
"""The title of every configuration key."""

EXTRAS: dict[str, Any] = {key: field.json_schema_extra for key, field in SweepConfig.model_fields.items()}
CHOICES = {
    key: {value: title for value, (title, _) in extra["choices"].items()}
    for key, extra in EXTRAS.items()
    if extra["choices"]
}
"""The titles of the values of those keys that have some."""

AXES = {
    "layers": "layers",
    "batch_size": "batch size",
    "learning_rate": "learning rate",
    "train_optimizer": "optimizer",
}


def axis_label(name: str) -> str:
    """What a page calls an axis of the search space."""
    return AXES.get(name, name.replace("units_", "nodes of layer ").replace("_", " "))
