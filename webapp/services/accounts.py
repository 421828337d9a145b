"""Accounts: making them, checking passwords, and what each role may do."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from engine.store import Store
from webapp.errors import AccountError, Forbidden

ROLES = ("viewer", "editor", "admin")
LEAST_PASSWORD = 8
LONGEST_PASSWORD = 1024

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's figures for argon2id
_NOBODY = _hasher.hash(secrets.token_hex(16))
"""Checked when there is no such account, so that the time of an answer does not tell."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who is logged in."""

    id: str
    name: str
    role: str
    epoch: int

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Account:
        return cls(document["_id"], document["name"], document["role"], int(document["epoch"]))

    @property
    def session_id(self) -> str:
        """What a session keeps: it ends when the account's epoch rises."""
        return f"{self.id}:{self.epoch}"

    @property
    def may_edit(self) -> bool:
        return self.role in ("editor", "admin")

    def may_stop(self, owner: str) -> bool:
        """Whether this account may stop a sweep of *owner*."""
        return self.role == "admin" or (self.may_edit and owner.casefold() == self.id)


def create(store: Store, name: str, password: str, role: str, now: datetime) -> Account:
    """Add an account.

    Raises:
        AccountError: the name or the password will not do, or the name is taken.
    """
    name = name.strip()
    if not re.fullmatch(r"[\w.@+-]{1,50}", name):
        raise AccountError("the name must be 1 to 50 letters, digits or . @ + - _")
    if not LEAST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccountError(f"the password must have at least {LEAST_PASSWORD} characters")
    if not store.users.create(name, _hasher.hash(password), role, now):
        raise AccountError(f"the name {name} is taken")
    return Account(name.casefold(), name, role, 0)


def check(store: Store, name: str, password: str) -> Account | None:
    """The account that *name* and *password* open; None when they do not."""
    found = store.users.get(name.strip()[:100]) if name.strip() else None
    try:
        _hasher.verify(found["password_hash"] if found else _NOBODY, password[:LONGEST_PASSWORD])
    except (Argon2Error, InvalidHashError):
        return None
    return Account.of(found) if found else None


def of_session(store: Store, session_id: str) -> Account | None:
    """The account of a session; None when it has ended."""
    name, _, epoch = session_id.rpartition(":")
    found = store.users.get(name) if name else None
    return Account.of(found) if found and str(found["epoch"]) == epoch else None


def must_edit(account: Account) -> None:
    """
    Raises:
        Forbidden: the account may only look.
    """
    if not account.may_edit:
        raise Forbidden("this account may look, not change; ask an administrator for the role editor")


def must_administer(account: Account) -> None:
    """
    Raises:
        Forbidden: the account is no administrator's.
    """
    if account.role != "admin":
        raise Forbidden("only an administrator may do this")


def new_setup_token(store: Store, now: datetime) -> str:
    """The token of a fresh one-time link; the one before ends."""
    token = secrets.token_urlsafe(24)
    store.users.set_setup_token(_digest(token), now)
    return token


def setup_open(store: Store, token: str) -> bool:
    """Whether *token* would make the administrator now."""
    expected = store.users.setup_token()
    return bool(expected) and secrets.compare_digest(str(expected), _digest(token)) and not store.users.any()


def setup(store: Store, token: str, name: str, password: str, now: datetime) -> Account:
    """Spend the one-time link on the administrator's account.

    Raises:
        AccountError: the link is spent, or the name or password will not do (the link then stays).
    """
    if not setup_open(store, token):
        raise AccountError("this link has been used or replaced; the server prints a new one when it starts")
    account = create(store, name, password, "admin", now)
    store.users.use_setup_token(_digest(token))
    return account


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
