"""One run of the history."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from webapp.extensions import store
from webapp.history.blueprint import blueprint
from webapp.services import run_page


@blueprint.get("/run", defaults={"run_id": None})
@blueprint.get("/<path:run_id>")
def run(run_id: str | None) -> ResponseReturnValue:
    """One run in full; `?id=` for an id that cannot stand in a path."""
    wanted = request.args.get("id") if run_id is None else run_id
    if wanted is None:
        abort(404)
    return render_template("history/run.html", page=run_page.run(store(), wanted, datetime.now(UTC)))
