"""The databases that the history can show: an administrator adds and removes them."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from engine.errors import ConfigError
from webapp.extensions import settings, store
from webapp.history.blueprint import blueprint
from webapp.services import connections


@blueprint.get("/databases")
def databases() -> ResponseReturnValue:
    """The connections, and the form that adds another."""
    return render_template("history/databases.html", page=connections.page(store()))


@blueprint.post("/databases")
def connect() -> ResponseReturnValue:
    """Test a connection and keep it, or show the form again with what is wrong; its address is not repeated."""
    typed = {field: request.form.get(field, "") for field in ("name", "database", "prefix")}
    chosen = {**typed, "read_only": "read_only" in request.form}
    try:
        found = connections.add(
            store(), settings(), g.viewer, {**chosen, "uri": request.form.get("uri", "")}, datetime.now(UTC)
        )
    except ConfigError as error:
        problems = {problem.key: problem.message for problem in error.problems}
        return render_template(
            "history/databases.html", page=connections.page(store(), typed=chosen, problems=problems)
        ), 400
    g.detail = f"{' '.join(typed['name'].split())}: {found}"
    flash(f"Added: {found}.")
    return redirect(url_for("history.databases"), 303)


@blueprint.post("/databases/<name>/remove")
def disconnect(name: str) -> ResponseReturnValue:
    """Forget a connection."""
    connections.drop(store(), name)
    g.detail = name
    flash("Removed: the database itself is as it was.")
    return redirect(url_for("history.databases"), 303)
