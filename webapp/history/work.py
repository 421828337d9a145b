"""Work on many runs at once: tags, notes, the archive, deleting and having back, and the list as a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from flask import Response, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from webapp.extensions import store
from webapp.history.blueprint import blueprint, histories, history_shown
from webapp.services import history as listing
from webapp.services import run_export, run_work

UNDO = "undo"
"""What the session keeps for the next list: {database, count, batch, left} of what was just deleted."""
TOLD = 20
"""Runs that the audit log names."""


@blueprint.post("/mark")
def mark() -> ResponseReturnValue:
    """Add `tags`, remove the tags in `without`, append `note`."""
    keys = chosen()
    count = run_work.mark(store(), history_shown(), g.viewer, keys, request.form, _now())
    flash(f"Tags and notes of {_runs(count)} are saved.")
    return _back()


@blueprint.post("/archive")
def archive() -> ResponseReturnValue:
    """Put runs into the archive, or with `back` take them out."""
    away = "back" not in request.form
    count = run_work.archive(store(), history_shown(), g.viewer, chosen(), away, _now())
    flash(f"{_runs(count)} archived; lists leave them out." if away else f"{_runs(count)} back from the archive.")
    return _back()


@blueprint.post("/delete")
def delete() -> ResponseReturnValue:
    """Delete runs, which can be had back for 7 days."""
    undo = run_work.delete(store(), history_shown(), g.viewer, chosen(), _now())
    session[UNDO] = {"database": g.database, "count": undo.count, "batch": undo.batch, "left": undo.left}
    return _back()


@blueprint.get("/deleted")
def deleted() -> ResponseReturnValue:
    """The deleted runs that can still be had back."""
    return render_template("history/deleted.html", runs=run_work.deleted(store(), history_shown()))


@blueprint.post("/restore")
def restore() -> ResponseReturnValue:
    """Have deleted runs back: each `id`, or all of `batch`."""
    ids = request.form.getlist("id")
    g.detail = _told(ids) or f"batch {request.form.get('batch', '')[:20]}"
    count = run_work.restore(store(), history_shown(), g.viewer, ids, request.form.get("batch", "")[:40], _now())
    session.pop(UNDO, None)
    flash(f"{_runs(count)} back.")
    return redirect(url_for("history.index"), 303)


@blueprint.get("/export.csv")
def export_csv() -> ResponseReturnValue:
    """The filtered list as CSV."""
    asked = _asked()
    return _saved(run_export.csv_of(histories().get(asked.database), asked, _now()), "runs.csv", "text/csv")


@blueprint.get("/export.json")
def export_json() -> ResponseReturnValue:
    """The filtered list as JSON."""
    asked = _asked()
    return _saved(run_export.json_of(histories().get(asked.database), asked, _now()), "runs.json", "application/json")


def chosen() -> list[str]:
    form = request.form
    query = form.get("query", "").removeprefix("?")
    keys = run_work.chosen(history_shown(), form.getlist("id"), bool(form.get("all")), query, _now())
    g.detail = _told(keys)
    return keys


def _told(keys: list[str]) -> str:
    rest = f" and {len(keys) - TOLD} more" if len(keys) > TOLD else ""
    return f"runs {', '.join(key[:40] for key in keys[:TOLD])}{rest}" if keys else ""


def _asked() -> listing.Asked:
    asked = listing.asked_by(store(), g.viewer, request.args.to_dict())
    asked.query, asked.shown  # noqa: B018 - says whether they are understood, before anything is sent
    histories().get(asked.database).refresh(_now())
    return asked


def _back() -> ResponseReturnValue:
    """To the list that the form was in."""
    asked = listing.Asked.of(dict(parse_qsl(request.form.get("query", "").removeprefix("?"))))
    where = url_for("history.index", database=None)
    return redirect(f"{where}?{asked.address(database=g.database)}".removesuffix("?"), 303)


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


def _saved(pieces: Iterator[bytes], name: str, kind: str) -> Response:
    answer = Response(pieces, content_type=f"{kind}; charset=utf-8")
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


def _now() -> datetime:
    return datetime.now(UTC)
