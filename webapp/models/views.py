"""Downloading a trial's model, and trying it."""

from __future__ import annotations

from flask import Blueprint, render_template, request, send_file
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from webapp.extensions import settings, store
from webapp.services import exports, tryout

blueprint = Blueprint("models", __name__, url_prefix="/sweeps/<sweep_id>/trials/<int:number>")


@blueprint.get("/model.zip")
def download(sweep_id: str, number: int) -> ResponseReturnValue:
    """The model with what it takes to use it elsewhere."""
    path, name = exports.zip_of(store(), settings(), sweep_id, number)
    return send_file(path, mimetype="application/zip", as_attachment=True, download_name=name)


@blueprint.get("/try")
def form(sweep_id: str, number: int) -> ResponseReturnValue:
    """The form, filled with an example."""
    return render_template("models/try.html", page=tryout.page(store(), sweep_id, number))


@blueprint.post("/try")
def predict(sweep_id: str, number: int) -> ResponseReturnValue:
    """The form again, with predictions or with what is to be fixed."""
    given = request.files.get("file")
    filename, content = (given.filename or "", given.read()) if given else ("", b"")
    page = tryout.predicted(store(), settings(), sweep_id, number, request.form, filename, content)
    return render_template("models/try.html", page=page), page.status


@blueprint.errorhandler(RequestEntityTooLarge)
def too_large(_: RequestEntityTooLarge) -> ResponseReturnValue:
    """The form again, for what is larger than the server takes."""
    path = request.view_args or {}
    page = tryout.too_large(store(), path["sweep_id"], path["number"], request.max_content_length or 0)
    return render_template("models/try.html", page=page), page.status
