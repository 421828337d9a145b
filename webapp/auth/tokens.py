"""The tokens of one's own account: making and revoking them. A session does this, never a token."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from engine.errors import ConfigError
from webapp.extensions import store
from webapp.services import tokens

blueprint = Blueprint("tokens", __name__, url_prefix="/account/tokens")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The tokens, and the form that makes another."""
    return render_template("auth/tokens.html", page=tokens.page(store(), g.viewer, _now()))


@blueprint.post("")
def create() -> ResponseReturnValue:
    """Make a token, and show it this once; or show the form again with what is wrong."""
    typed = {field: request.form.get(field, "") for field in ("name", "scope", "days")}
    try:
        new = tokens.create(store(), g.viewer, **typed, now=_now())
    except ConfigError as error:
        problems = {problem.key: problem.message for problem in error.problems}
        page = tokens.page(store(), g.viewer, _now(), typed=typed, problems=problems)
        return render_template("auth/tokens.html", page=page), 400
    g.detail = f"{typed['name'].strip()}, {tokens.SCOPES[typed['scope']].lower()}"
    return render_template("auth/tokens.html", page=tokens.page(store(), g.viewer, _now(), new=new)), 201


@blueprint.post("/<token_id>/revoke")
def revoke(token_id: str) -> ResponseReturnValue:
    """End a token."""
    g.detail = tokens.revoke(store(), g.viewer, token_id)
    flash("Revoked: the token opens nothing any more.")
    return redirect(url_for("tokens.index"), 303)


def _now() -> datetime:
    return datetime.now(UTC)
