"""Logging in and out; the one-time link that makes the administrator."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import logout_user

from webapp.auth import outside, trail
from webapp.auth.safe_next import safe_next
from webapp.auth.session import begin, gate, leave, own_secret, why_out
from webapp.auth.throttle import throttle
from webapp.errors import AccountError
from webapp.extensions import settings, store
from webapp.services import accounts, sessions

blueprint = Blueprint("auth", __name__)


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """The form."""
    return render_template("auth/login.html", page=_login_page("", ""))


@blueprint.post("/login")
def enter() -> ResponseReturnValue:
    """Let in whoever knows the password."""
    name, source = request.form.get("name", ""), request.remote_addr or ""
    if not throttle.tries(name, source):  # counted before the check, which lets other requests in between
        return _login_again(name, throttle.words(name, source), 429)
    try:
        account = accounts.check(store(), name, request.form.get("password", ""))
    except AccountError as error:
        return _login_again(name, f"{str(error)[:1].upper()}{str(error)[1:]}.", 401)
    if account is None:
        return _login_again(name, "The name or the password is wrong.", 401)
    throttle.succeeded(name, source)
    begin(account)
    return redirect(safe_next(), 303)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """End this session, and what a provider knows of it. The browser goes there from a page, since the policy of the
    pages lets no form lead to another site."""
    g.left, g.viewer = g.viewer, None
    hint = sessions.hint_of(store(), own_secret())
    address = outside.way_out(hint) if hint else ""
    leave()  # after that, since the open page then goes to the login by itself
    logout_user()
    if not address:
        return redirect(url_for("auth.login"), 303)
    return render_template("auth/left.html", page={"address": address}), 200, {"Refresh": f"0; url={address}"}


@blueprint.get("/setup")
def setup() -> ResponseReturnValue:
    """The form behind the link that the first start prints."""
    token = request.args.get("token", "")
    is_open = accounts.setup_open(store(), token)
    return render_template("auth/setup.html", page=_setup_page(token, is_open)), 200 if is_open else 410


@blueprint.post("/setup")
def make_administrator() -> ResponseReturnValue:
    """Spend the link."""
    token, name = request.form.get("token", ""), request.form.get("name", "")
    try:
        account = accounts.setup(store(), token, name, request.form.get("password", ""), datetime.now(UTC))
    except AccountError as error:
        page = _setup_page(token, accounts.setup_open(store(), token), name, str(error))
        return render_template("auth/setup.html", page=page), 400
    begin(account)
    return redirect(url_for("sweeps.home"), 303)


def _login_page(name: str, problem: str) -> dict[str, object]:
    told = "" if problem else why_out()
    elsewhere = bool(settings().oidc_issuer)
    return {"name": name, "next": safe_next(), "problem": problem, "told": told, "elsewhere": elsewhere}


def _login_again(name: str, problem: str, status: int) -> ResponseReturnValue:
    return render_template("auth/login.html", page=_login_page(name, problem)), status


def _setup_page(token: str, is_open: bool, name: str = "", problem: str = "") -> dict[str, object]:
    return {"token": token, "open": is_open, "name": name, "problem": problem, "least": accounts.LEAST_PASSWORD}


blueprint.before_app_request(gate)
blueprint.after_app_request(trail.record)
