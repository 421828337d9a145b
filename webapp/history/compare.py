"""Several runs of the history, compared."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from flask import jsonify, render_template, request
from flask.typing import ResponseReturnValue

from webapp.history.blueprint import blueprint, history_shown
from webapp.history.runs import number_asked
from webapp.services import runs_compare


@blueprint.get("/compare")
def compare() -> ResponseReturnValue:
    """The runs `?run=`, 2 to 50 of them."""
    page = runs_compare.page(history_shown().parts, request.args.getlist("run"), request.args, datetime.now(UTC))
    return render_template("history/compare.html", page=page)


@blueprint.get("/compare/metrics.json")
def compare_metrics() -> ResponseReturnValue:
    """The metric `?name=` of the runs `?run=`, or of groups by `?group=`, as /history/run/metrics.json has it."""
    parts = history_shown().parts
    documents, _ = runs_compare.found(parts, request.args.getlist("run"))
    asked = (request.args.get("name", ""), request.args.get("group", ""), request.args.get("x", "step"))
    between = (number_asked("low", -math.inf), number_asked("high", math.inf))
    return jsonify(lines=runs_compare.curves(parts, documents, *asked, number_asked("smooth", 0.0), *between))
