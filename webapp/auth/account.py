"""One's own account: its password, and where it is logged in."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.auth.session import begin, own_secret
from webapp.auth.throttle import throttle
from webapp.errors import AccountError
from webapp.extensions import store
from webapp.services import accounts, people, sessions

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The account, its sessions, and the form for another password."""
    return _page()


@blueprint.post("/password")
def password() -> ResponseReturnValue:
    """Replace the password; every session ends but this one, which begins anew."""
    source = request.remote_addr or ""
    if not throttle.tries(g.viewer.name, source):
        return _page(throttle.words(g.viewer.name, source), 429)
    try:
        account = people.change_password(store(), g.viewer, request.form.get("old", ""), request.form.get("new", ""))
    except AccountError as error:
        return _page(f"{str(error)[:1].upper()}{str(error)[1:]}.", 400)
    throttle.succeeded(g.viewer.name, source)
    begin(account)
    flash("The password is changed. Wherever else you were logged in, you are no longer.")
    return redirect(url_for("account.index"), 303)


@blueprint.post("/sessions/<session_id>/end")
def end(session_id: str) -> ResponseReturnValue:
    """End a session."""
    sessions.end(store(), g.viewer, session_id)
    flash("The session is ended.")
    return redirect(url_for("account.index"), 303)


def _page(problem: str = "", status: int = 200) -> ResponseReturnValue:
    found = sessions.of(store(), g.viewer, own_secret(), datetime.now(UTC))
    page = {
        "account": g.viewer,
        "outside": accounts.is_outside(store(), g.viewer),
        "what": people.WHAT[g.viewer.role],
        "sessions": found,
        "problem": problem,
        "least": accounts.LEAST_PASSWORD,
    }
    return render_template("auth/account.html", page=page), status
