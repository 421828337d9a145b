"""The list of uploaded files with models, uploading one, deleting it."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from engine.errors import ConfigError
from webapp.extensions import settings, store
from webapp.services import classes

blueprint = Blueprint("classes", __name__, url_prefix="/models")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """All files with their classes, and the form to upload another."""
    return render_template("classes/index.html", page=classes.index(store()))


@blueprint.post("")
def upload() -> ResponseReturnValue:
    """Read and store a file, or show the form again with what is wrong with it."""
    given = request.files.get("file")
    filename, content = (given.filename or "", given.read()) if given else ("", b"")
    try:
        done = classes.upload(store(), settings(), g.viewer, filename, content, datetime.now(UTC))
    except ConfigError as error:
        return render_template("classes/index.html", page=classes.index(store(), error)), 400
    flash(done)
    return redirect(url_for("classes.index"), 303)


@blueprint.errorhandler(RequestEntityTooLarge)
def too_large(_: RequestEntityTooLarge) -> ResponseReturnValue:
    """The form again, for a file that is larger than the server takes."""
    return render_template("classes/index.html", page=classes.index(store(), classes.too_large())), 413


@blueprint.post("/<name>/delete")
def delete(name: str) -> ResponseReturnValue:
    """Delete a file with all its versions."""
    classes.delete(store(), name)
    flash(f"{name} and all its versions are deleted.")
    return redirect(url_for("classes.index"), 303)
