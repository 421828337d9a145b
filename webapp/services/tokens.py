"""Tokens: what a program shows in place of a password. Each is told once, when it is made; a digest of it is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from engine.errors import ConfigError, NotFound, Problem
from engine.store import Store
from webapp.services import accounts
from webapp.services.accounts import Account

PREFIX = "nhop_"
TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
BYTES = 32
SCOPES: Mapping[str, str] = {
    "read": "Read only",
    "write": "Read and write, as this account may",
}
LASTS: Mapping[str, str] = {"30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}
"""For how many days, in words."""
MOST = 50
"""Tokens of one account."""
LONGEST_NAME = 60
NOTED = timedelta(minutes=1)
"""How precisely the last use is kept."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token in the list; *used*: when it last opened something."""

    id: str
    name: str
    scope: str
    created: datetime
    expires: datetime | None
    used: datetime | None
    expired: bool


@dataclass(frozen=True, slots=True)
class TokensPage:
    """What templates/auth/tokens.html shows. *new* is a token just made, told this once; *typed* and *problems* are of
    the form, by field."""

    tokens: Sequence[Token]
    scopes: Mapping[str, str]
    new: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    lasts: Mapping[str, str] = field(default_factory=lambda: LASTS)


def page(store: Store, account: Account, now: datetime, **rest: Any) -> TokensPage:
    """The tokens of an account."""
    tokens = [
        Token(
            id=found["_id"],
            **{key: found[key] for key in ("name", "scope", "created", "expires", "used")},
            expired=_expired(found, now),
        )
        for found in store.tokens.of_account(account.id)
    ]
    scopes = SCOPES if account.may_edit else {"read": SCOPES["read"]}
    return TokensPage(tokens, scopes, **rest)


def create(store: Store, account: Account, name: str, scope: str, days: str, now: datetime) -> str:
    """Make a token of an account.

    Args:
        days: a key of LASTS.

    Returns:
        the token itself, which nobody can be told again.

    Raises:
        ConfigError: with every problem, at `name`, `scope` or `days`.
    """
    name, problems = name.strip(), []
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        problems.append(Problem("name", f"give it a name of 1 to {LONGEST_NAME} characters, by which you will know it"))
    if scope not in SCOPES:
        problems.append(Problem("scope", "choose read or write"))
    elif scope == "write" and not account.may_edit:
        problems.append(Problem("scope", "this account may only look; so may its tokens"))
    if days not in LASTS:
        problems.append(Problem("days", "choose one of the times that are offered"))
    if len(store.tokens.of_account(account.id)) >= MOST:
        problems.append(Problem("name", f"this account has {MOST} tokens already; revoke one first"))
    if problems:
        raise ConfigError(problems)
    token = PREFIX + secrets.token_urlsafe(BYTES)
    store.tokens.create(
        {
            "_id": uuid.uuid4().hex[:12],
            "digest": _digest(token),
            "account": account.id,
            "name": name,
            "scope": scope,
            "created": now,
            "expires": now + timedelta(days=int(days)) if days else None,
            "used": None,
        }
    )
    return token


def revoke(store: Store, account: Account, token_id: str) -> str:
    """End a token of an account, at once; its name.

    Raises:
        NotFound: it has no such token.
    """
    name = next((str(found["name"]) for found in store.tokens.of_account(account.id) if found["_id"] == token_id), "")
    if not store.tokens.revoke(account.id, token_id):
        raise NotFound("there is no such token; it may have been revoked already")
    return name


def account_of(store: Store, token: str, now: datetime) -> Account | None:
    """The account that a token opens, which may do no more than the token's scope; None: it opens none."""
    found = store.tokens.find(_digest(token)) if TOKEN.fullmatch(token) else None
    if found is None or _expired(found, now):
        return None
    account = accounts.find(store, found["account"])
    if account is None:
        return None
    if found["used"] is None or now - found["used"] >= NOTED:
        store.tokens.used(found["_id"], now)
    return account if found["scope"] == "write" else replace(account, role="viewer")


def _expired(found: Mapping[str, Any], now: datetime) -> bool:
    return found["expires"] is not None and bool(found["expires"] <= now)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
