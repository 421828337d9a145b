"""The blueprint that the views of the history share, and the databases that they show."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, current_app

from webapp.services.histories import Histories

HISTORIES = "nhop.histories"

blueprint = Blueprint("history", __name__, url_prefix="/history")


def histories() -> Histories:
    """The histories of the current application."""
    return cast(Histories, current_app.extensions[HISTORIES])
