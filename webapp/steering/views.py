"""What may be wanted of a sweep that waits or runs. Every route answers as soon as the wish is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, flash, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import QueryError, wants_json
from webapp.extensions import settings, store
from webapp.services import creations, steering

blueprint = Blueprint("steering", __name__, url_prefix="/sweeps/<sweep_id>")

DONE = "", 204


@blueprint.post("/stop")
def stop(sweep_id: str) -> ResponseReturnValue:
    """Ask the sweep to end."""
    steering.stop(store(), g.viewer, sweep_id, _now())
    if wants_json():
        return DONE
    flash("Stopping. What has been found so far is kept.")
    return redirect(url_for("monitor.live", sweep_id=sweep_id), 303)


@blueprint.post("/finish")
def finish(sweep_id: str) -> ResponseReturnValue:
    """Propose no more trials; those in training end, and the best are confirmed."""
    steering.finish(store(), g.viewer, sweep_id, _now())
    return DONE


@blueprint.post("/pause")
def pause(sweep_id: str) -> ResponseReturnValue:
    """Hold every trial at its next report."""
    steering.pause(store(), g.viewer, sweep_id, True, _now())
    return DONE


@blueprint.post("/resume")
def resume(sweep_id: str) -> ResponseReturnValue:
    """Let a paused sweep go on."""
    steering.pause(store(), g.viewer, sweep_id, False, _now())
    return DONE


@blueprint.post("/config")
def change(sweep_id: str) -> ResponseReturnValue:
    """Change the configuration: {values: {key: value}, version: that they were made for}; answers {version}."""
    body = _body()
    values, version = body.get("values"), body.get("version")
    if not isinstance(values, dict):
        raise QueryError("values must be an object: the keys to change, with their new values")
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise QueryError("version must be a whole number")
    return jsonify(version=steering.change(store(), settings(), g.viewer, sweep_id, values, _now(), version))


@blueprint.get("/points")
def point(sweep_id: str) -> ResponseReturnValue:
    """The fields of a point to be tried, as a part of the live page."""
    axes, origin = steering.point_axes(store(), g.viewer, sweep_id)
    return render_template("monitor/_points.html", sweep_id=sweep_id, axes=axes, origin=origin)


@blueprint.post("/points")
def enqueue(sweep_id: str) -> ResponseReturnValue:
    """Try points next: {points: [{axis: value}], made: a number of this wish's own}; answers {version}."""
    body = _body()
    points = body.get("points")
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise QueryError("points must be a list of objects: each axis with its value")
    made = creations.id_of(g.viewer, body) if body.get("made") else ""
    return jsonify(version=steering.enqueue(store(), g.viewer, sweep_id, points, _now(), made))


@blueprint.post("/retry")
def retry(sweep_id: str) -> ResponseReturnValue:
    """Try failed trials again: {numbers: [number]}, all of them without numbers; answers {version}."""
    numbers = _body().get("numbers", [])
    if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
        raise QueryError("numbers must be a list of whole numbers")
    return jsonify(version=steering.retry(store(), g.viewer, sweep_id, numbers, _now()))


@blueprint.post("/priority")
def prioritise(sweep_id: str) -> ResponseReturnValue:
    """Set a waiting sweep's priority: {priority: number}."""
    priority = _body().get("priority")
    if type(priority) is not int:
        raise QueryError("priority must be a whole number")
    steering.prioritise(store(), g.viewer, sweep_id, priority, _now())
    return DONE


@blueprint.post("/trials/<int:number>/end")
def end_trial(sweep_id: str, number: int) -> ResponseReturnValue:
    """End a trial in training early."""
    steering.end_trial(store(), g.viewer, sweep_id, number)
    return DONE


@blueprint.post("/processes/<name>/restart")
def restart_process(sweep_id: str, name: str) -> ResponseReturnValue:
    """Replace a process; what it trains is tried again."""
    steering.restart_process(store(), g.viewer, sweep_id, name)
    return DONE


def _now() -> datetime:
    return datetime.now(UTC)


def _body() -> dict[str, Any]:
    """The JSON object that was sent; an empty one where nothing was."""
    try:
        body = request.get_json(silent=True) if request.data else {}
    except RecursionError:  # lists in lists in lists
        body = None
    if not isinstance(body, dict):
        raise QueryError("send a JSON object, as application/json")
    return body
