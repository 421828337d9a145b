"""Who sends a request that shows a token."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import g, request

from webapp.auth.throttle import Throttle
from webapp.errors import TooManyTries, Unauthenticated
from webapp.extensions import store
from webapp.services import tokens
from webapp.services.accounts import Account

throttle = Throttle()
"""Of wrong tokens. A right one is taken whatever else came from its address, which may be that of many programs."""


def account() -> Account | None:
    """The account of the token in the header Authorization; None where there is no such header. `g.token` says whether
    there was one: such a request needs no protection against forgery, since no browser adds the header by itself.

    Raises:
        Unauthenticated: the token opens nothing.
        TooManyTries: and there were many such.
    """
    shown = request.headers.get("Authorization")
    g.token = shown is not None
    if shown is None:
        return None
    scheme, _, token = shown.partition(" ")
    found = tokens.account_of(store(), token.strip(), datetime.now(UTC)) if scheme.lower() == "bearer" else None
    if found is None:
        if not throttle.tries("", request.remote_addr or ""):
            raise TooManyTries("too many wrong tokens came from this address; wait a minute, then try again")
        raise Unauthenticated("this token opens nothing: it is mistyped, has expired or was revoked")
    return found
