"""The list of all runs, and what is chosen for it: columns and saved views."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from flask import g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.errors import QueryError
from webapp.extensions import store
from webapp.history.blueprint import blueprint, histories, history_shown
from webapp.services import connections, history


@blueprint.get("")
def index() -> ResponseReturnValue:
    """A page of the runs that are asked for; an address that is not understood shows what is wrong with it."""
    now, given = datetime.now(UTC), request.args.to_dict()
    problem, status = "", 200
    try:
        asked = history.asked_by(store(), g.viewer, given)
        g.database = asked.database
        page = history.page(histories().get(asked.database), asked, now)
    except QueryError as error:
        problem, status = str(error), 400
        page = history.page(history_shown(), history.Asked(database=g.database), now)
        typed = replace(page.asked, where=given.get("where", "")[: history.LONGEST_QUERY], text=given.get("text", ""))
        page = replace(page, asked=typed, rows=(), total=0, older="", newer="", groups=None)
    views, view = history.views(store(), g.viewer), given.get("view", "")
    databases = connections.everything(store())
    page = replace(page, problem=problem, views=views, view=view, databases=databases)
    return render_template("history/index.html", page=page), status


@blueprint.get("/fields.json")
def fields() -> ResponseReturnValue:
    """Fields whose names hold `?begin=`: [{name, title}]."""
    return jsonify(history.fields(history_shown(), request.args.get("begin", "")[:200]))


@blueprint.get("/values.json")
def values() -> ResponseReturnValue:
    """Values of `?field=` that hold `?begin=`, the most frequent first."""
    return jsonify(
        history.values(history_shown(), request.args.get("field", "")[:200], request.args.get("begin", "")[:200])
    )


@blueprint.post("/columns")
def keep_columns() -> ResponseReturnValue:
    """Remember the columns, in `columns`, for this account."""
    history.keep_columns(store(), g.viewer, request.form.get("columns", ""))
    return "", 204


@blueprint.post("/views")
def save_view() -> ResponseReturnValue:
    """Save what the address in `query` asks as a view, for oneself or shared, and show it."""
    form = request.form
    query = form.get("query", "").removeprefix("?")
    name = form.get("name", "")
    view = history.save_view(store(), g.viewer, name, bool(form.get("shared")), query, datetime.now(UTC))
    g.detail = f"{' '.join(name.split())}{', shared' if form.get('shared') else ''}"
    return redirect(url_for("history.index", view=view), 303)


@blueprint.post("/views/<view_id>/delete")
def drop_view(view_id: str) -> ResponseReturnValue:
    """Delete a view; the list stays as it is."""
    name = next((view.name for view in history.views(store(), g.viewer) if view.id == view_id), "")
    history.drop_view(store(), g.viewer, view_id)
    g.detail = name
    return redirect(url_for("history.index"), 303)
