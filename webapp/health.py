"""GET /healthz: for programs that watch this installation; no login, no secrets."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from webapp.extensions import store
from webapp.services.health import health

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """200 while the database answers, else 503."""
    report, answers = health(store(), datetime.now(UTC))
    return jsonify(report), 200 if answers else 503
