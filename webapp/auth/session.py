"""Sessions: who sends this request, and the gate that lets nobody else in."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import UserMixin, current_user, login_user

from engine.store.audit import IN
from webapp.auth import bearer, header
from webapp.errors import Forbidden, Unauthenticated, for_api, wants_json
from webapp.extensions import login_manager, settings, store
from webapp.origins import SAFE, same_origin
from webapp.services import accounts, audit, rights, sessions

FILES = frozenset({"static", "bootstrap.static", "health.healthz"})
"""What is the same for everybody, so that the database is not asked who asks."""
SECRET = "_user_id"  # noqa: S105 - where Flask-Login keeps it in the cookie
WAS = "was"
"""Where the cookie keeps account and role of its session, so that the login can say why that has ended."""


class Viewer(UserMixin):
    """An account and the secret of its session, as Flask-Login wants them."""

    def __init__(self, account: accounts.Account, secret: str) -> None:
        self.account = account
        self.secret = secret

    def get_id(self) -> str:
        return self.secret


@login_manager.user_loader
def load(secret: object) -> Viewer | None:
    """Asked at every request: a session may have ended since the last one."""
    if not isinstance(secret, str):
        return None
    account = sessions.account_of(store(), secret, request.remote_addr or "", datetime.now(UTC))
    return Viewer(account, secret) if account else None


def begin(account: accounts.Account, hint: bytes | None = None) -> None:
    """Log this browser in, with a session of its own whatever it had before; *hint* is for `outside.way_out`."""
    leave()
    browser = request.user_agent.string
    secret = sessions.begin(store(), account, request.remote_addr or "", browser, datetime.now(UTC), hint)
    login_user(Viewer(account, secret))
    session[WAS] = [account.id, account.role]
    g.viewer = account


def leave() -> None:
    """End the session of this browser, if it has one."""
    if current_user.is_authenticated:
        store().sessions.end(current_user.account.id, sessions.digest(current_user.secret))
    session.clear()


def own_secret() -> str:
    """The secret of the session that asks."""
    return str(session.get(SECRET, ""))


def why_out() -> str:
    """Why this browser, which was logged in, is so no longer; empty where it still is, never was, or has logged out."""
    if current_user.is_authenticated or not own_secret():
        return ""
    account_id, role = session.get(WAS, ("", ""))
    account = accounts.find(store(), account_id) if account_id else None
    what = "role has changed" if account and account.role != role else "session has ended"
    return f"Your {what}. Log in again."


def _of_browser() -> accounts.Account | None:
    """The account of this browser's session; that which a trusted proxy names goes over it, and gets one."""
    own: accounts.Account | None = current_user.account if current_user.is_authenticated else None
    named, told = header.account()
    if named is None or (own is not None and own.id == named.id):
        return own
    begin(named)
    detail = "; ".join(part for part in ("named by the proxy", told) if part)
    source = request.remote_addr or ""
    audit.record(store(), settings(), named.name, IN, source, datetime.now(UTC), target="/", detail=detail)
    return named


def gate() -> ResponseReturnValue | None:
    """Before every request: the table of rights decides who may pass. `g.viewer` is the account, or None."""
    g.viewer = None
    if request.endpoint in FILES and request.method in SAFE:
        return None
    g.viewer = (bearer.account() if for_api() else None) or _of_browser()
    if request.method not in SAFE and not same_origin(request.headers.get("Origin"), request.environ):
        raise Forbidden("this was sent from a page of another site, which may not do that")
    wanted = rights.rule(request.endpoint, request.method).least if request.endpoint else rights.VIEWER
    if wanted is rights.ANYBODY:
        return None
    if g.viewer is not None:
        rights.demand(g.viewer, wanted)
        return None
    if for_api():
        raise Unauthenticated("show a token, as Authorization: Bearer nhop_…; your page of tokens makes one")
    if wants_json() or request.method not in SAFE:
        raise Forbidden("log in first")
    return redirect(url_for("auth.login", next=request.full_path.rstrip("?")), 303)
