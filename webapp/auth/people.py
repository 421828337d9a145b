"""The accounts of the team, for administrators; the page that a one-time link opens; the audit log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from engine.errors import ConfigError, StateError
from webapp.auth.session import begin
from webapp.errors import AccountError
from webapp.extensions import settings, store
from webapp.services import accounts, audit, people

blueprint = Blueprint("people", __name__)


@blueprint.get("/accounts")
def index() -> ResponseReturnValue:
    """All accounts, the links that are open, and the form to invite somebody."""
    return _page()


@blueprint.post("/accounts/invite")
def invite() -> ResponseReturnValue:
    """Make a link that invites, and show it this once; or show the form again with what is wrong."""
    typed = {key: request.form.get(key, "") for key in ("role", "days", "note")}
    try:
        token = people.invite(store(), g.viewer, **typed, now=_now())
    except ConfigError as error:
        problems = {problem.key: problem.message for problem in error.problems}
        return _page(typed=typed, problems=problems, status=400)
    g.detail = f"role {typed['role']}" + (f", for {typed['note'].strip()}" if typed["note"].strip() else "")
    return _page(new=_address(token), of=people.INVITE, status=201)


@blueprint.post("/accounts/<name>/reset")
def reset(name: str) -> ResponseReturnValue:
    """Make a link for a new password, and show it this once."""
    return _page(new=_address(people.reset(store(), g.viewer, name, _now())), of=people.RESET, status=201)


@blueprint.post("/accounts/links/<link_id>/revoke")
def revoke(link_id: str) -> ResponseReturnValue:
    """Take a link back."""
    people.revoke(store(), link_id)
    flash("The link opens nothing any more.")
    return redirect(url_for("people.index"), 303)


@blueprint.post("/accounts/<name>/role")
def set_role(name: str) -> ResponseReturnValue:
    """Give an account another role."""
    return _done(lambda: people.set_role(store(), name, request.form.get("role", "")))


@blueprint.post("/accounts/<name>/deactivate")
def deactivate(name: str) -> ResponseReturnValue:
    """Let nobody in by this account."""
    return _done(lambda: people.set_active(store(), name, False))


@blueprint.post("/accounts/<name>/activate")
def activate(name: str) -> ResponseReturnValue:
    """Let an account in again."""
    return _done(lambda: people.set_active(store(), name, True))


@blueprint.get("/link")
def link() -> ResponseReturnValue:
    """The form behind a one-time link."""
    return _link(request.args.get("token", ""))


@blueprint.post("/link")
def accept() -> ResponseReturnValue:
    """Spend a link: on a new account, or on a new password."""
    token, name = request.form.get("token", ""), request.form.get("name", "")
    try:
        account = people.accept(store(), token, name, request.form.get("password", ""), _now())
    except AccountError as error:
        return _link(token, name, str(error))
    begin(account)
    return redirect(url_for("sweeps.home"), 303)


@blueprint.get("/audit")
def log() -> ResponseReturnValue:
    """The audit log: `?who=`, `?text=` and `?where=` filter it; `?before=` is where an older page begins."""
    return render_template("auth/audit.html", page=audit.page(store(), settings(), request.args))


def _done(change: Callable[[], str]) -> ResponseReturnValue:
    try:
        g.detail = change()
    except StateError as error:
        return _page(problems={"people": str(error)}, status=409)
    flash(g.detail)
    return redirect(url_for("people.index"), 303)


def _page(status: int = 200, **rest: Any) -> ResponseReturnValue:
    return render_template("auth/people.html", page=people.page(store(), _now(), **rest)), status


def _link(token: str, name: str = "", problem: str = "") -> ResponseReturnValue:
    found = people.opened(store(), token, _now())
    page = {"token": token, "link": found, "name": name, "problem": problem, "least": accounts.LEAST_PASSWORD}
    return render_template("auth/link.html", page=page), 400 if found and problem else 200 if found else 410


def _address(token: str) -> str:
    return url_for("people.link", token=token, _external=True)


def _now() -> datetime:
    return datetime.now(UTC)
