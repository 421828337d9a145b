"""Work on many runs at once: tags, notes, the archive, deleting and having back, and the list as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from flask import Response, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from webapp.extensions import store
from webapp.history.blueprint import blueprint, histories, history_shown
from webapp.services import history as listing
from webapp.services import run_export, run_work
from webapp.services.runs import counted

UNDO = "undo"
"""What the session keeps for the next list: {did: archived or deleted, database, count, batch, left}."""
TOLD = 20
"""Runs that the audit log names."""


@blueprint.post("/mark")
def mark() -> ResponseReturnValue:
    """Add `tags`, remove the tags in `without`, append `note`."""
    keys = chosen()
    count = run_work.mark(store(), history_shown(), g.viewer, keys, request.form, _now())
    flash(f"Tags and notes of {counted(count)} are saved.")
    return _back()


@blueprint.post("/archive")
def archive() -> ResponseReturnValue:
    """Put runs into the archive, or with `back` take them out: those that are chosen, or of `batch`."""
    batch = request.form.get("batch", "")[:40]
    keys = run_work.archived_with(store(), history_shown(), batch) if batch else chosen()
    if batch or "back" in request.form:
        g.detail = f"took out {told(keys)}"
        count = run_work.take_out(store(), history_shown(), g.viewer, keys, _now())
        flash(f"{counted(count)} back from the archive.")
    else:
        g.detail = f"archived {told(keys)}"
        _offer_undo("archived", run_work.archive(store(), history_shown(), g.viewer, keys, _now()))
    return _back()


@blueprint.post("/delete")
def delete() -> ResponseReturnValue:
    """Delete runs, which can be had back for 7 days."""
    _offer_undo("deleted", run_work.delete(store(), history_shown(), g.viewer, chosen(), _now()))
    return _back()


@blueprint.get("/deleted")
def deleted() -> ResponseReturnValue:
    """The deleted runs that can still be had back."""
    return render_template("history/deleted.html", runs=run_work.deleted(store(), history_shown()))


@blueprint.post("/restore")
def restore() -> ResponseReturnValue:
    """Have deleted runs back: each `id`, or all of `batch`."""
    ids = request.form.getlist("id")
    g.detail = told(ids) if ids else ""
    count = run_work.restore(store(), history_shown(), g.viewer, ids, request.form.get("batch", "")[:40], _now())
    g.detail = told(ids, count)
    session.pop(UNDO, None)
    flash(f"{counted(count)} back.")
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
    g.detail = told(keys)
    return keys


def told(keys: Sequence[str], count: int | None = None) -> str:
    """What the audit log says of runs: how many, of which database, and the first of them."""
    where = f" of {g.database}" if g.database else ""
    rest = f" and {len(keys) - TOLD} more" if len(keys) > TOLD else ""
    named = f": {', '.join(key[:40] for key in keys[:TOLD])}{rest}" if keys else ""
    return f"{counted(len(keys) if count is None else count)}{where}{named}"


def _offer_undo(did: str, undo: run_work.Undo) -> None:
    session[UNDO] = {"did": did, "database": g.database, **asdict(undo)}


def _asked() -> listing.Asked:
    asked = listing.asked_by(store(), g.viewer, request.args.to_dict())
    listing.all_of_it(histories().get(asked.database), asked, _now())
    return asked


def _back() -> ResponseReturnValue:
    """To the list that the form was in."""
    asked = listing.Asked.of(dict(parse_qsl(request.form.get("query", "").removeprefix("?"))))
    where = url_for("history.index", database=None)
    return redirect(f"{where}?{asked.address(database=g.database)}".removesuffix("?"), 303)


def _saved(pieces: Iterator[bytes], name: str, kind: str) -> Response:
    answer = Response(pieces, content_type=f"{kind}; charset=utf-8")
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer


def _now() -> datetime:
    return datetime.now(UTC)
