"""The history of all runs."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import render_template, request
from flask.typing import ResponseReturnValue

from webapp.extensions import store
from webapp.history.blueprint import blueprint
from webapp.services import history


@blueprint.get("")
def index() -> ResponseReturnValue:
    """All runs by start, newest first; `?before=` is where an older page begins."""
    page = history.index(store(), request.args.get("before", ""), datetime.now(UTC))
    return render_template("history/index.html", page=page)
