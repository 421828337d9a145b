"""Sessions: who sends this request, and the gate that lets nobody else in."""

from __future__ import annotations

from flask import g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import UserMixin, current_user

from webapp.errors import Forbidden, wants_json
from webapp.extensions import login_manager, store
from webapp.services import accounts

OPEN = frozenset(
    {
        "static",
        "bootstrap.static",
        "auth.login",
        "auth.enter",
        "auth.setup",
        "auth.make_administrator",
        "health.healthz",
    }
)
"""The endpoints that need no login; every other one does."""


class Viewer(UserMixin):
    """An account, as Flask-Login wants it."""

    def __init__(self, account: accounts.Account) -> None:
        self.account = account

    def get_id(self) -> str:
        return self.account.session_id


@login_manager.user_loader
def load(session_id: str) -> Viewer | None:
    """Asked at every request: a session ends when its account's epoch rises."""
    account = accounts.of_session(store(), session_id)
    return Viewer(account) if account else None


def gate() -> ResponseReturnValue | None:
    """Before every request: nobody gets in without an account. `g.viewer` is the account, or None."""
    g.viewer = None
    if request.endpoint in ("static", "bootstrap.static", "health.healthz"):
        return None
    g.viewer = current_user.account if current_user.is_authenticated else None
    if g.viewer is not None or request.endpoint in OPEN:
        return None
    if wants_json() or request.method not in ("GET", "HEAD"):
        raise Forbidden("log in first")
    return redirect(url_for("auth.login", next=request.full_path.rstrip("?")), 303)
