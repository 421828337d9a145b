"""The live page of a sweep, and the page of each of its trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from engine.domain import ENDED, TrialState
from webapp.extensions import store
from webapp.services import analysis, monitor, processes, queue, trials

blueprint = Blueprint("monitor", __name__)


@dataclass(frozen=True, slots=True)
class LivePage:
    """What templates/monitor/live.html shows: the snapshot, and what this viewer may do.

    *columns* are those of the table of trials that it can be sorted by: (key, heading, whether they hold numbers).
    """

    snapshot: dict[str, Any]
    may_stop: bool
    may_edit: bool
    titles: Mapping[str, str] = field(default_factory=lambda: monitor.TITLES)
    trial_states: tuple[TrialState, ...] = tuple(TrialState)
    columns: tuple[tuple[str, str, bool], ...] = tuple(
        (key, title, key != "state") for key, title in trials.SORTED.items()
    )

    @property
    def sweep(self) -> dict[str, Any]:
        return dict(self.snapshot["sweep"])

    @property
    def steers(self) -> bool:
        """Whether this viewer may still act on the sweep."""
        return self.may_stop and self.sweep["state"] not in ENDED


@dataclass(frozen=True, slots=True)
class TrialPage:
    """What templates/monitor/trial.html shows: the snapshot, whose `trials` are this one and those about it."""

    snapshot: dict[str, Any]
    number: int
    may_stop: bool

    @property
    def sweep(self) -> dict[str, Any]:
        return dict(self.snapshot["sweep"])

    @property
    def trial(self) -> dict[str, Any]:
        return dict(self.snapshot["trials"][0])

    @property
    def steers(self) -> bool:
        """Whether this viewer may still act on the sweep."""
        return self.may_stop and self.sweep["state"] not in ENDED


@blueprint.get("/sweeps/<sweep_id>")
def live(sweep_id: str) -> ResponseReturnValue:
    """Everything about one sweep, kept up to date by its events."""
    snapshot = monitor.snapshot(store(), sweep_id, datetime.now(UTC))
    may_stop = g.viewer.may_stop(snapshot["sweep"]["owner"])
    return render_template("monitor/live.html", page=LivePage(snapshot, may_stop, g.viewer.may_edit))


@blueprint.get("/sweeps/<sweep_id>/trials/<int:number>")
def trial(sweep_id: str, number: int) -> ResponseReturnValue:
    """Everything about one trial, kept up to date while it trains."""
    snapshot = monitor.trial_snapshot(store(), sweep_id, number)
    may_stop = g.viewer.may_stop(snapshot["sweep"]["owner"])
    return render_template("monitor/trial.html", page=TrialPage(snapshot, number, may_stop))


@blueprint.get("/sweeps/<sweep_id>/trials")
def some_trials(sweep_id: str) -> ResponseReturnValue:
    """The rows of the trials of these `?numbers=`, separated by commas, as JSON."""
    asked = request.args.get("numbers", "").split(",")
    numbers = [int(number) for number in asked if number.isascii() and number.isdigit() and len(number) < 10]
    return jsonify(trials.rows(store(), sweep_id, numbers))


@blueprint.get("/sweeps/<sweep_id>/trials/order.json")
def order(sweep_id: str) -> ResponseReturnValue:
    """The numbers of the trials that are asked for, in the order asked for."""
    return jsonify(trials.order(store(), sweep_id, request.args))


@blueprint.get("/sweeps/<sweep_id>/queue.json")
def waiting(sweep_id: str) -> ResponseReturnValue:
    """Why a sweep waits: {text}."""
    return jsonify(text=queue.why(store(), store().sweeps.get(sweep_id), datetime.now(UTC)))


@blueprint.get("/sweeps/<sweep_id>/processes/<name>/log.json")
def process_log(sweep_id: str, name: str) -> ResponseReturnValue:
    """The end of a process's log: {name, where, lines}."""
    return jsonify(processes.tail(store(), sweep_id, name))


@blueprint.get("/sweeps/<sweep_id>/analysis/<kind>.json")
def analyse(sweep_id: str, kind: str) -> ResponseReturnValue:
    """What a chart of the sweep's trials draws, as JSON."""
    return jsonify(analysis.answer(store(), sweep_id, kind, request.args, datetime.now(UTC)))
