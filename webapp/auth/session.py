"""Sessions: who sends this request, and the gate that lets nobody else in."""

from __future__ import annotations

from flask import g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import UserMixin, current_user

from webapp.auth import bearer
from webapp.errors import Forbidden, Unauthenticated, for_api, wants_json
from webapp.extensions import login_manager, store
from webapp.services import accounts, rights

FILES = frozenset({"static", "bootstrap.static", "health.healthz"})
"""What is the same for everybody, so that the database is not asked who asks."""


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
    """Before every request: the table of rights decides who may pass. `g.viewer` is the account, or None."""
    g.viewer = None
    if request.endpoint in FILES and request.method in ("GET", "HEAD"):
        return None
    g.viewer = (bearer.account() if for_api() else None) or (
        current_user.account if current_user.is_authenticated else None
    )
    wanted = rights.rule(request.endpoint, request.method).least if request.endpoint else rights.VIEWER
    if wanted is rights.ANYBODY:
        return None
    if g.viewer is not None:
        rights.demand(g.viewer, wanted)
        return None
    if for_api():
        raise Unauthenticated("show a token, as Authorization: Bearer nhop_…; your page of tokens makes one")
    if wants_json() or request.method not in ("GET", "HEAD"):
        raise Forbidden("log in first")
    return redirect(url_for("auth.login", next=request.full_path.rstrip("?")), 303)
