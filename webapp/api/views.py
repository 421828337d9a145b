"""The operations of the API, over the same services as the pages."""

from __future__ import annotations

import hashlib
import math
import tempfile
import time
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qsl

from flask import Response, current_app, g, request, send_file

from webapp.api import schemas
from webapp.api.operations import blueprint, cursor_of, operation, place_of
from webapp.extensions import HISTORIES, settings, store
from webapp.services import (
    classes,
    datasets,
    exports,
    history,
    home,
    monitor,
    run_metrics,
    runs,
    steering,
    sweeps,
    trials,
)
from webapp.services.histories import Histories
from webapp.services.history import Asked
from webapp.services.plain import plain

__all__ = ["blueprint"]

SWEEPS, TRIALS, RUNS, DATASETS, MODELS, MACHINES = "Sweeps", "Trials", "Runs", "Data sets", "Models", "Machines"

SWEEP, TRIAL = "/sweeps/<sweep_id>", "/sweeps/<sweep_id>/trials/<int:number>"
MOST_METRICS = 60
BLOCK = 2**18
TURN = 0.0001
"""Seconds that other requests get between blocks of an upload: with zero, gevent would look at no socket."""


@operation("GET", "/sweeps", SWEEPS, query=schemas.SweepQuery, answer=schemas.Sweeps)
def list_sweeps(query: schemas.SweepQuery) -> schemas.Sweeps:
    """List sweeps, the newest first."""
    before = None
    if query.cursor:
        created, sweep_id = place_of(query.cursor)
        before = datetime.fromisoformat(created), sweep_id
    found, more = sweeps.page(store(), query.limit, query.state, query.owner, before)
    following = cursor_of(found[-1]["created"], found[-1]["id"]) if more else None
    return schemas.Sweeps(items=[schemas.Sweep.model_validate(one) for one in found], next=following)


@operation("POST", "/sweeps", SWEEPS, body=schemas.NewSweep, answer=schemas.SweepDetail, status=201, once=True)
def create_sweep(body: schemas.NewSweep, made: str) -> schemas.SweepDetail:
    """Create a sweep.

    It waits for a machine, which takes it within seconds where one is free. Keys that are not given have the defaults
    of the form.
    """
    values = {**sweeps.defaults(), **body.root}
    return _sweep(sweeps.create(store(), settings(), g.viewer, values, _now(), made))


@operation("GET", SWEEP, SWEEPS, answer=schemas.SweepDetail)
def get_sweep(sweep_id: str) -> schemas.SweepDetail:
    """Get a sweep with its configuration."""
    return _sweep(sweep_id)


@operation("POST", f"{SWEEP}/stop", SWEEPS, answer=schemas.SweepDetail, status=202, steers=True)
def stop_sweep(sweep_id: str) -> schemas.SweepDetail:
    """Ask a sweep to end; what it has found is kept."""
    steering.stop(store(), g.viewer, sweep_id, _now())
    return _sweep(sweep_id)


@operation("POST", f"{SWEEP}/finish", SWEEPS, answer=schemas.SweepDetail, status=202, steers=True)
def finish_sweep(sweep_id: str) -> schemas.SweepDetail:
    """Ask a sweep to propose no more trials; those in training end, and the best are confirmed."""
    steering.finish(store(), g.viewer, sweep_id, _now())
    return _sweep(sweep_id)


@operation("POST", f"{SWEEP}/pause", SWEEPS, answer=schemas.SweepDetail, status=202, steers=True)
def pause_sweep(sweep_id: str) -> schemas.SweepDetail:
    """Ask a sweep to hold its trials at their next report."""
    steering.pause(store(), g.viewer, sweep_id, True, _now())
    return _sweep(sweep_id)


@operation("POST", f"{SWEEP}/resume", SWEEPS, answer=schemas.SweepDetail, status=202, steers=True)
def resume_sweep(sweep_id: str) -> schemas.SweepDetail:
    """Let a paused sweep go on."""
    steering.pause(store(), g.viewer, sweep_id, False, _now())
    return _sweep(sweep_id)


@operation("POST", f"{SWEEP}/config", SWEEPS, body=schemas.Change, answer=schemas.Version, once=True, steers=True)
def change_sweep(sweep_id: str, body: schemas.Change, made: str) -> schemas.Version:
    """Change what a sweep searches while it waits or runs.

    Not all keys may be changed then; a key that may not is refused, and nothing is changed.
    """
    return schemas.Version(
        version=steering.change(store(), settings(), g.viewer, sweep_id, body.values, _now(), body.version, made)
    )


@operation("POST", f"{SWEEP}/points", SWEEPS, body=schemas.Points, answer=schemas.Version, once=True, steers=True)
def add_points(sweep_id: str, body: schemas.Points, made: str) -> schemas.Version:
    """Have points tried next."""
    return schemas.Version(version=steering.enqueue(store(), g.viewer, sweep_id, body.points, _now(), made))


@operation("POST", f"{SWEEP}/retry", SWEEPS, body=schemas.Retry, answer=schemas.Version, once=True, steers=True)
def retry_trials(sweep_id: str, body: schemas.Retry, made: str) -> schemas.Version:
    """Have failed trials tried again."""
    return schemas.Version(version=steering.retry(store(), g.viewer, sweep_id, body.numbers, _now(), made))


@operation(
    "POST",
    f"{SWEEP}/priority",
    SWEEPS,
    body=schemas.Priority,
    answer=schemas.SweepDetail,
    status=202,
    steers=True,
)
def set_priority(sweep_id: str, body: schemas.Priority) -> schemas.SweepDetail:
    """Set the place of a sweep that waits."""
    steering.prioritise(store(), g.viewer, sweep_id, body.priority, _now())
    return _sweep(sweep_id)


@operation("POST", f"{SWEEP}/processes/<name>/restart", SWEEPS, answer=schemas.SweepDetail, status=202, steers=True)
def restart_process(sweep_id: str, name: str) -> schemas.SweepDetail:
    """Have a process of a sweep replaced; what it trains is tried again."""
    steering.restart_process(store(), g.viewer, sweep_id, name)
    return _sweep(sweep_id)


@operation("GET", f"{SWEEP}/trials", TRIALS, query=schemas.TrialQuery, answer=schemas.Trials)
def list_trials(sweep_id: str, query: schemas.TrialQuery) -> schemas.Trials:
    """List the trials of a sweep.

    While the sweep runs, a list that is sorted otherwise than by number may repeat or miss some between two pages.
    """
    shown, last = place_of(query.cursor) if query.cursor else (0, 0)
    asked = query.model_dump(exclude={"limit", "cursor"}, exclude_none=True) | {"down": int(query.down)}
    numbers = trials.order(store(), sweep_id, {key: str(value) for key, value in asked.items()})["numbers"]
    if query.sort == "number" and not query.down:
        shown = bisect_right(numbers, last)
    chosen = numbers[max(0, shown) :][: query.limit]
    found = {row["number"]: row for row in trials.rows(store(), sweep_id, chosen)}
    shown += len(chosen)
    return schemas.Trials(
        items=[schemas.Trial.model_validate(found[number]) for number in chosen if number in found],
        next=cursor_of(shown, chosen[-1]) if chosen and shown < len(numbers) else None,
    )


@operation("GET", TRIAL, TRIALS, answer=schemas.TrialDetail)
def get_trial(sweep_id: str, number: int) -> schemas.TrialDetail:
    """Get a trial with its learning curve."""
    found = monitor.trial_snapshot(store(), sweep_id, number)
    return schemas.TrialDetail.model_validate({**found["trials"][0], "curve": found["curves"][str(number)]})


@operation("POST", f"{TRIAL}/end", TRIALS, answer=schemas.SweepDetail, status=202, steers=True)
def end_trial(sweep_id: str, number: int) -> schemas.SweepDetail:
    """End a trial in training early; it counts as pruned."""
    steering.end_trial(store(), g.viewer, sweep_id, number)
    return _sweep(sweep_id)


@operation("GET", f"{TRIAL}/model", TRIALS, gives="application/zip")
def download_model(sweep_id: str, number: int) -> Response:
    """Download the model of a trial: a SavedModel with what it takes to use it elsewhere."""
    path, name = exports.zip_of(store(), settings(), sweep_id, number)
    return send_file(path, mimetype="application/zip", as_attachment=True, download_name=name)


@operation("GET", "/runs", RUNS, query=schemas.RunQuery, answer=schemas.Runs)
def list_runs(query: schemas.RunQuery) -> schemas.Runs:
    """List the runs of the history, of this and any other Sacred experiment."""
    columns = ("experiment", "started", "active", "host", "result")
    after = place_of(query.cursor)[0] if query.cursor else ""
    asked = Asked(query.where, query.text, query.sort, ",".join(columns), query.limit, after)
    page = history.page(_histories().get(), asked, _now())
    following = dict(parse_qsl(page.older)).get("after") if len(page.rows) == query.limit else None
    return schemas.Runs(
        items=[
            schemas.Run(
                id=line.id, name=line.name, state=line.state,
                **{name: cell.value for name, cell in zip(columns, line.cells, strict=True)},
            )
            for line in page.rows
        ],
        next=cursor_of(following) if following else None,
    )  # fmt: skip


@operation("GET", "/runs/<path:run_id>", RUNS, answer=schemas.RunDetail)
def get_run(run_id: str) -> schemas.RunDetail:
    """Get a run with its configuration."""
    document = runs.find(store().run_parts, run_id)
    info = document.get("info")
    kept = {key: value for key, value in info.items() if key != "metrics"} if isinstance(info, Mapping) else info
    recorded = {
        "config": plain(document.get("config")),
        "info": plain(kept),
        "result": plain(runs.unwrap(document.get("result"))),
    }
    return schemas.RunDetail.model_validate({**asdict(runs.row(document, _now())), **recorded})


@operation("GET", "/runs/<path:run_id>/metrics", RUNS, answer=schemas.Metrics)
def get_metrics(run_id: str) -> schemas.Metrics:
    """Get the metrics of a run, thinned; of a run with very many the first 60."""
    parts = store().run_parts
    document = runs.find(parts, run_id)
    names = [metric.name for metric in run_metrics.listed(parts, document["_id"])][:MOST_METRICS]
    lines = [run_metrics.chart(parts, document, name, "step", 0.0, -math.inf, math.inf) for name in names]
    return schemas.Metrics(
        items=[
            schemas.Metric(name=line["name"], total=line["total"], steps=line["x"], values=line["y"]) for line in lines
        ]
    )


@operation("GET", "/datasets", DATASETS, query=schemas.Paged, answer=schemas.Datasets)
def list_datasets(query: schemas.Paged) -> schemas.Datasets:
    """List the data sets, those built in first."""
    built_in, name = place_of(query.cursor) if query.cursor else (True, "")
    found, more = _page(datasets.after(store(), built_in, name, query.limit + 1), query)
    following = cursor_of(found[-1]["built_in"], found[-1]["name"]) if more else None
    return schemas.Datasets(items=[schemas.Dataset.model_validate(one) for one in found], next=following)


@operation("GET", "/datasets/<name>", DATASETS, query=schemas.VersionQuery, answer=schemas.DatasetDetail)
def get_dataset(name: str, query: schemas.VersionQuery) -> schemas.DatasetDetail:
    """Get an uploaded data set: its columns or classes."""
    return _dataset(name, query.version)


@operation(
    "PUT",
    "/datasets/<name>",
    DATASETS,
    query=schemas.UploadQuery,
    takes=("text/csv", "application/zip", "application/octet-stream"),
    answer=schemas.DatasetDetail,
)
def upload_dataset(name: str, query: schemas.UploadQuery) -> schemas.DatasetDetail:
    """Upload a data set, or a new version of one.

    The body is the file: a CSV table, or a ZIP file with a folder of texts for each class. The same file is not stored
    twice.
    """
    with tempfile.TemporaryFile() as file:
        digest = hashlib.sha256()
        while block := request.stream.read(BLOCK):
            file.write(block)
            digest.update(block)
            time.sleep(TURN)
        name, _ = datasets.upload(store(), settings(), g.viewer, file, query.filename or name, name, _now())
    return _dataset(name, digest.hexdigest())


@operation("GET", "/models", MODELS, query=schemas.Paged, answer=schemas.Models)
def list_models(query: schemas.Paged) -> schemas.Models:
    """List the uploaded Python files with models of one's own."""
    found, more = _page(classes.after(store(), _name_of(query), query.limit + 1), query)
    items = [schemas.ModelFile.model_validate(plain(asdict(file))) for file in found]
    return schemas.Models(items=items, next=cursor_of(items[-1].name) if more else None)


@operation("GET", "/machines", MACHINES, query=schemas.Paged, answer=schemas.Machines)
def list_machines(query: schemas.Paged) -> schemas.Machines:
    """List the machines that run sweeps."""
    found, more = _page(home.machines(store(), _name_of(query), query.limit + 1, _now()), query)
    items = [schemas.Machine.model_validate(one) for one in found]
    return schemas.Machines(items=items, next=cursor_of(items[-1].name) if more else None)


def _page(found: list[Any], query: schemas.Paged) -> tuple[list[Any], bool]:
    """The rows of a page, and whether one after them was found."""
    return found[: query.limit], len(found) > query.limit


def _name_of(query: schemas.Paged) -> str:
    """The name after which a list that is by name goes on."""
    return str(place_of(query.cursor)[0]) if query.cursor else ""


def _histories() -> Histories:
    return cast(Histories, current_app.extensions[HISTORIES])


def _sweep(sweep_id: str) -> schemas.SweepDetail:
    return schemas.SweepDetail.model_validate(sweeps.detail(store(), sweep_id))


def _dataset(name: str, version: str) -> schemas.DatasetDetail:
    return schemas.DatasetDetail.model_validate(plain(asdict(datasets.page(store(), g.viewer, name, version))))


def _now() -> datetime:
    return datetime.now(UTC)
