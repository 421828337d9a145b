"""The history of all runs, and one of them."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp.extensions import store
from webapp.services import history

blueprint = Blueprint("history", __name__, url_prefix="/history")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """All runs by start, newest first; `?before=` is where an older page begins."""
    page = history.index(store(), request.args.get("before", ""), datetime.now(UTC))
    return render_template("history/index.html", page=page)


@blueprint.get("/<path:run_id>")
def run(run_id: str) -> ResponseReturnValue:
    """One run in full."""
    return render_template("history/run.html", page=history.run(store(), run_id, datetime.now(UTC)))
