"""Importing runs into our own database, and how far that is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import BinaryIO, cast

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from engine.errors import ConfigError
from webapp.extensions import settings, store
from webapp.history.blueprint import blueprint, history_shown
from webapp.history.work import chosen
from webapp.services import run_import


@blueprint.get("/import")
def imports() -> ResponseReturnValue:
    """The imports, and the forms that begin one."""
    return render_template("history/import.html", page=run_import.page(store(), settings()))


@blueprint.post("/import")
def import_runs() -> ResponseReturnValue:
    """Import runs of the database that is named: those that are chosen, or with `every` all."""
    keys = None if request.form.get("every") else chosen()
    if keys is None:
        g.detail = f"all runs of {g.database}"
    run_import.from_database(store(), history_shown(), g.viewer, keys, datetime.now(UTC))
    return redirect(url_for("history.imports", database=None), 303)


@blueprint.post("/import/folder")
def import_folder() -> ResponseReturnValue:
    """Import the runs of a ZIP file, or show the form again with what is wrong with it."""
    given = request.files.get("file")
    file, name = (cast(BinaryIO, given.stream), given.filename or "") if given else (None, "")
    try:
        g.detail = run_import.from_folder(store(), settings(), g.viewer, file, name, datetime.now(UTC))
    except ConfigError as error:
        page = run_import.page(store(), settings(), error.problems[0].message)
        return render_template("history/import.html", page=page), 400
    return redirect(url_for("history.imports", database=None), 303)


@blueprint.post("/import/<import_id>/cancel")
def cancel_import(import_id: str) -> ResponseReturnValue:
    """End an import."""
    run_import.cancel(store(), settings(), g.viewer, import_id, datetime.now(UTC))
    return redirect(url_for("history.imports", database=None), 303)
