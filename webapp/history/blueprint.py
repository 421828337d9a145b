"""The blueprint that the views of the history share, and the databases that they show."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, current_app, g, request

from webapp.extensions import HISTORIES
from webapp.services.histories import OWN, Histories, History

blueprint = Blueprint("history", __name__, url_prefix="/history")


def histories() -> Histories:
    """The histories of the current application."""
    return cast(Histories, current_app.extensions[HISTORIES])


@blueprint.before_request
def choose_database() -> None:
    """`?database=` names the one that a page is of."""
    g.database = request.args.get("database", OWN)


@blueprint.url_defaults
def keep_database(_: str, values: dict[str, Any]) -> None:
    """The links of such a page stay with it."""
    if g.get("database"):
        values.setdefault("database", g.database)


def history_shown() -> History:
    """The history of the database that the page is of.

    Raises:
        NotFound: there is no such database.
    """
    return histories().get(g.database)
