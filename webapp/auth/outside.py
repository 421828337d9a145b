"""Logging in by OpenID Connect."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Blueprint, Flask, abort, current_app, g, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from engine.settings import Settings
from webapp.auth.safe_next import SAFE_NEXT, safe_next
from webapp.auth.session import begin
from webapp.errors import AccountError
from webapp.extensions import settings, store
from webapp.services import outside
from webapp.services.sealing import seal, unseal

log = logging.getLogger(__name__)

blueprint = Blueprint("outside", __name__)

CLIENT = "nhop.oidc"
SECONDS = 10
"""For each request to the provider."""
LONGEST_HINT = 4000
"""Characters of a token that is shown to the provider again: longer ones would not fit into an address."""


def attach(app: Flask, configured: Settings) -> None:
    """Prepare for the provider, if there is one. Nothing is asked of it before somebody logs in."""
    if not configured.oidc_issuer:
        return
    from authlib.integrations.flask_client import OAuth  # 20 MB, where it is used

    app.extensions[CLIENT] = OAuth(app).register(
        "oidc",
        client_id=configured.oidc_client_id,
        client_secret=configured.oidc_client_secret,
        server_metadata_url=f"{configured.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256", "default_timeout": SECONDS},
    )


@blueprint.get("/login/oidc")
def ask() -> ResponseReturnValue:
    """Send the browser to the provider."""
    session[SAFE_NEXT] = safe_next()
    try:
        answer: ResponseReturnValue = _client().authorize_redirect(url_for("outside.come", _external=True))
    except Exception as error:  # whatever a provider may do
        return _refused(error)
    return answer


@blueprint.get("/login/oidc/callback")
def come() -> ResponseReturnValue:
    """Let in whom the provider has checked."""
    following = session.get(SAFE_NEXT, "")
    try:
        token = _client().authorize_access_token()
        claims = {**(token.get("userinfo") or {})}
        subject = f"{claims['iss']}|{claims['sub']}"
    except Exception as error:  # forged, expired, sent twice, or the provider does not answer
        return _refused(error)
    name, role = outside.name_of(claims), outside.role_of(settings(), claims)
    try:
        g.named = name
        account, g.detail = outside.enter(store(), settings(), subject, name, role, datetime.now(UTC))
    except AccountError as error:
        return _again(str(error), 403)
    begin(account, seal(settings().data_dir, str(token.get("id_token", ""))))
    return redirect(following or url_for("sweeps.home"), 303)


def way_out(hint: bytes) -> str:
    """Where the provider ends what it knows of the person of a session that had this *hint*, and sends the browser back
    to the login; empty where it offers nothing of that kind, or does not answer."""
    client = current_app.extensions.get(CLIENT)
    if client is None:
        return ""
    try:
        token = unseal(settings().data_dir, hint)
        address = str(client.load_server_metadata().get("end_session_endpoint") or "")
        parts = urlsplit(address)
    except Exception as error:  # whatever a provider may do: the session here has ended all the same
        log.warning("nobody is logged out at the provider: %s: %s", type(error).__name__, str(error)[:200])
        return ""
    if not parts.netloc or parts.scheme not in ("https", urlsplit(settings().oidc_issuer).scheme):
        return ""
    asked = {"client_id": settings().oidc_client_id, "post_logout_redirect_uri": url_for("auth.login", _external=True)}
    if 0 < len(token) <= LONGEST_HINT:
        asked["id_token_hint"] = token
    query = "&".join(part for part in (parts.query, urlencode(asked)) if part)
    return urlunsplit(parts._replace(query=query, fragment=""))


def _client() -> Any:
    found = current_app.extensions.get(CLIENT)
    if found is None:
        abort(404)
    return found


def _refused(error: Exception) -> ResponseReturnValue:
    if isinstance(error, HTTPException):
        raise error
    log.warning("a login by OpenID Connect failed: %s: %s", type(error).__name__, str(error)[:200])
    return _again("the provider did not confirm who you are; try again", 401)


def _again(problem: str, status: int) -> ResponseReturnValue:
    page = {"name": "", "next": "", "problem": f"{problem[:1].upper()}{problem[1:]}.", "told": "", "elsewhere": True}
    return render_template("auth/login.html", page=page), status
