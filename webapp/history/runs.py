"""One run of the history: its page, output, metrics, files and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Response, abort, flash, g, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue

from webapp.errors import QueryError
from webapp.extensions import store
from webapp.filters import run_url
from webapp.history.blueprint import blueprint, history_shown
from webapp.history.work import told
from webapp.services import run_files, run_metrics, run_notes, run_output, run_page, run_work
from webapp.services.runs import find, row

MOST_LINES = 60
"""Metrics in one answer."""


@blueprint.get("/run", defaults={"run_id": None})
@blueprint.get("/<path:run_id>")
def run(run_id: str | None) -> ResponseReturnValue:
    """One run in full; `?id=` for an id that cannot stand in a path."""
    wanted = request.args.get("id") if run_id is None else run_id
    if wanted is None:
        abort(404)
    page = run_page.run(store(), history_shown(), wanted, datetime.now(UTC))
    deleted = run_work.deleted_one(store(), history_shown(), page.row)
    return render_template("history/run.html", page=page, deleted=deleted)


@blueprint.get("/run/output.json")
def output() -> ResponseReturnValue:
    """The part of a run's output that ends at `?before=`."""
    document = _document()
    part = run_output.before(history_shown().parts, document["_id"], _whole("before"))
    return jsonify(text=part.text, start=part.start, end=part.end, total=part.total)


@blueprint.get("/run/output.txt")
def whole_output() -> ResponseReturnValue:
    """All of a run's output, to be saved."""
    document = _document()
    name = run_files.plain_file_name(f"run-{row(document, datetime.now(UTC)).id}-output.txt")
    return _saved(run_output.pieces(history_shown().parts, document["_id"]), name, "text/plain; charset=utf-8")


@blueprint.get("/run/metrics.json")
def metrics() -> ResponseReturnValue:
    """Metrics `?name=` of the runs `?id=` as charts draw them: over `x`, step or time, `smooth`ed, from `low` to
    `high`."""
    names = request.args.getlist("name")
    ids = request.args.getlist("id")
    if len(names) * len(ids) > MOST_LINES:
        raise QueryError(f"at most {MOST_LINES} metrics at once")
    parts, axis = history_shown().parts, request.args.get("x", "step")
    weight, low, high = number_asked("smooth", 0.0), number_asked("low", -math.inf), number_asked("high", math.inf)
    lines = []
    for run_id in ids:
        document = find(parts, run_id)
        for name in names:
            line = run_metrics.chart(parts, document, name, axis, weight, low, high)
            lines.append({"run": run_id, **line})
    return jsonify(lines=lines)


@blueprint.get("/run/file")
def file() -> ResponseReturnValue:
    """A file of a run, shown: `?kind=` artifact or source, `?at=` its place in the list."""
    document = _document()
    kind, at = request.args.get("kind", "artifact"), _whole("at")
    name, stored = run_files.opened(history_shown().parts, document, kind, at)
    page = {
        "row": row(document, datetime.now(UTC)),
        "kind": kind,
        "at": at,
        "file": run_files.preview(name, stored, kind),
    }
    return render_template("history/file.html", page=page)


@blueprint.get("/run/content")
def content() -> ResponseReturnValue:
    """The bytes of a file of a run, to be saved; with `?view` as far as a browser may show them: pictures, and HTML in
    a sandbox, with its scripts if `?scripts`."""
    document = _document()
    name, stored = run_files.opened(history_shown().parts, document, request.args.get("kind", "artifact"), _whole("at"))
    pieces = iter(stored)
    first = next(pieces, b"")
    shown = run_files.type_of(name, first[: run_files.LOOKED_AT]) if "view" in request.args else ""
    answer = _saved(_chain(first, pieces), run_files.plain_file_name(name), "application/octet-stream")
    if shown.startswith("image/") or shown == "text/html":
        answer.headers["Content-Type"] = f"{shown}; charset=utf-8" if shown == "text/html" else shown
        answer.headers.set("Content-Disposition", "inline")
        if "scripts" in request.args:
            answer.headers["Content-Security-Policy"] = run_files.SCRIPTED
        answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    return answer


@blueprint.get("/run/files.zip")
def files() -> ResponseReturnValue:
    """All artifacts or sources of a run, `?kind=`, as a ZIP file that is made while it is sent."""
    document = _document()
    kind = request.args.get("kind", "artifact")
    if kind not in run_files.KINDS:
        raise QueryError("`kind` must be artifact or source")
    name = run_files.plain_file_name(f"run-{row(document, datetime.now(UTC)).id}-{kind}s.zip")
    return _saved(run_files.zipped(history_shown().parts, document, kind), name, "application/zip")


@blueprint.post("/run/notes")
def write_notes() -> ResponseReturnValue:
    """Replace the tags and notes of a run."""
    run_id = request.form.get("id", "")
    history = history_shown()
    g.detail = told([run_id])
    run_notes.write(store(), history, g.viewer, run_id, request.form, datetime.now(UTC))
    history.poke(run_id)
    flash("Tags and notes are saved.")
    return redirect(f"{run_url(run_id)}#notes", 303)


def _document() -> Mapping[str, Any]:
    return find(history_shown().parts, request.args.get("id", ""))


def _saved(pieces: Iterator[bytes], name: str, kind: str) -> Response:
    """An answer that a browser saves and never shows."""
    answer = Response(pieces, content_type=kind)
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    answer.headers["Content-Security-Policy"] = run_files.STILL
    return answer


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _whole(name: str) -> int:
    given = request.args.get(name, "")
    if not (given.isascii() and given.isdigit() and len(given) < 12):
        raise QueryError(f"`{name}` must be a whole number of at least 0")
    return int(given)


def number_asked(name: str, default: float) -> float:
    """The number that the address gives for *name*.

    Raises:
        QueryError: it is none.
    """
    given = request.args.get(name, "")
    if not given:
        return default
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise QueryError(f"`{name}` must be a number")
    return number
