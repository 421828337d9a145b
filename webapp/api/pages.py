"""The OpenAPI document, the page that shows it, and the Python client."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, render_template, request, send_file
from flask.typing import ResponseReturnValue

from engine.settings import ROOT
from webapp.api import reading
from webapp.api.openapi import document
from webapp.api.operations import blueprint as api

blueprint = Blueprint("api_pages", __name__, url_prefix="/docs")


@api.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI 3.1 document."""
    return jsonify(document())


@blueprint.get("/api")
def page() -> ResponseReturnValue:
    """The API, to be read."""
    return render_template("api/index.html", page=reading.page(request.host_url))


@blueprint.get("/nhop_client.py")
def client() -> Response:
    """The Python client, one file."""
    return send_file(ROOT / "nhop_client.py", mimetype="text/x-python", as_attachment=True)
