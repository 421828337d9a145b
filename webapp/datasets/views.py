"""The list of data sets, uploading one, choosing its columns, deleting it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO, cast

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from engine.errors import ConfigError
from webapp.extensions import settings, store
from webapp.services import datasets

blueprint = Blueprint("datasets", __name__, url_prefix="/datasets")

TURN = 0.0001
"""Seconds that other requests get between parts of an upload: with zero, gevent would look at no socket."""

FORM_BYTES = 64 * 2**10
"""What a form has beside its file."""


@blueprint.before_app_request
def allow_uploads() -> None:
    """Before anything reads the request: an editor's upload may be larger than other requests."""
    if request.endpoint in ("datasets.upload", "history.import_folder"):
        request.environ["wsgi.input"] = _Patient(request.environ["wsgi.input"])
        request.max_content_length = settings().upload_mb * 2**20 + FORM_BYTES


class _Patient:
    """The body of a request, read so that other requests get their turn: what has arrived is else read in one go."""

    def __init__(self, body: BinaryIO) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        time.sleep(TURN)
        return self._body.read(size)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """All data sets, and the form to upload another."""
    name = request.args.get("name", "")
    return render_template("datasets/index.html", page=datasets.index(store(), settings(), name))


@blueprint.post("")
def upload() -> ResponseReturnValue:
    """Check and store a file, or show the form again with what is wrong with it."""
    name, given = request.form.get("name", ""), request.files.get("file")
    file, filename = (cast(BinaryIO, given.stream), given.filename or "") if given else (BytesIO(), "")
    try:
        name, done = datasets.upload(store(), settings(), g.viewer, file, filename, name, datetime.now(UTC))
    except ConfigError as error:
        page = datasets.index(store(), settings(), name, error.problems)
        return render_template("datasets/index.html", page=page), 400
    flash(done)
    return redirect(url_for("datasets.dataset", name=name), 303)


@blueprint.errorhandler(RequestEntityTooLarge)
def too_large(_: RequestEntityTooLarge) -> ResponseReturnValue:
    """The form again, for a file that is larger than the server takes."""
    page = datasets.index(store(), settings(), problems=[datasets.too_large(settings())])
    return render_template("datasets/index.html", page=page), 413


@blueprint.get("/<name>")
def dataset(name: str) -> ResponseReturnValue:
    """One data set; `?version=` is the beginning of a version's sha256."""
    page = datasets.page(store(), g.viewer, name, request.args.get("version", ""))
    return render_template("datasets/dataset.html", page=page)


@blueprint.post("/<name>")
def choose(name: str) -> ResponseReturnValue:
    """Set target and features, or show the columns again with what is wrong."""
    sha256, target = request.form.get("version", ""), request.form.get("target", "")
    features = request.form.getlist("features")
    try:
        datasets.choose(store(), g.viewer, name, sha256, target, features)
    except ConfigError as error:
        page = datasets.page(store(), g.viewer, name, sha256, (target, features), error.problems)
        return render_template("datasets/dataset.html", page=page), 400
    flash("Saved. New sweeps with this version use these columns.")
    return redirect(url_for("datasets.dataset", name=name, version=sha256[:12]), 303)


@blueprint.post("/<name>/delete")
def delete(name: str) -> ResponseReturnValue:
    """Delete a data set with all its versions."""
    datasets.delete(store(), g.viewer, name)
    flash(f"The data set {name} and all its versions are deleted.")
    return redirect(url_for("datasets.index"), 303)
