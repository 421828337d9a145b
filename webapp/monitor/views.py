"""The live page of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from engine.domain import ENDED
from webapp.extensions import store
from webapp.services import analysis, monitor

blueprint = Blueprint("monitor", __name__)


@dataclass(frozen=True, slots=True)
class LivePage:
    """What templates/monitor/live.html shows: the snapshot, and what this viewer may do."""

    snapshot: dict[str, Any]
    may_stop: bool
    may_edit: bool
    titles: dict[str, str]

    @property
    def sweep(self) -> dict[str, Any]:
        return dict(self.snapshot["sweep"])

    @property
    def ended(self) -> bool:
        return self.sweep["state"] in ENDED


@blueprint.get("/sweeps/<sweep_id>")
def live(sweep_id: str) -> ResponseReturnValue:
    """Everything about one sweep, kept up to date by its events."""
    snapshot = monitor.snapshot(store(), sweep_id)
    may_stop = g.viewer.may_stop(snapshot["sweep"]["owner"])
    return render_template("monitor/live.html", page=LivePage(snapshot, may_stop, g.viewer.may_edit, monitor.TITLES))


@blueprint.get("/sweeps/<sweep_id>/trials")
def trials(sweep_id: str) -> ResponseReturnValue:
    """The rows of older trials: those below number `?before=`, as JSON."""
    before = request.args.get("before", 0, type=int)
    return jsonify(monitor.older_rows(store(), sweep_id, max(0, min(before, 10**9))))


@blueprint.get("/sweeps/<sweep_id>/analysis/<kind>.json")
def analyse(sweep_id: str, kind: str) -> ResponseReturnValue:
    """What a chart of the sweep's trials draws, as JSON."""
    return jsonify(analysis.answer(store(), sweep_id, kind, request.args, datetime.now(UTC)))
