"""Accounts: making them, checking passwords, and what each role may do."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from engine.store import Store
from webapp.errors import AccountError

ROLES = ("viewer", "editor", "admin")
LEAST_PASSWORD = 8
LONGEST_PASSWORD = 1024
NAME = re.compile(r"[\w.@+-]{1,50}")

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
    check_name(store, name)
    return create_hashed(store, name, hashed(password, name), role, now)


def create_hashed(store: Store, name: str, password_hash: str, role: str, now: datetime) -> Account:
    """Add an account whose name has been checked. Raises AccountError: the name is taken."""
    if not store.users.create(name, password_hash, role, now):
        raise AccountError(f"the name {name} is taken")
    return Account(name.casefold(), name, role, 0)


def check_name(store: Store, name: str) -> None:
    """
    Raises:
        AccountError: no account can be called this, or one is already.
    """
    if not NAME.fullmatch(name):
        raise AccountError("the name must be 1 to 50 letters, digits or . @ + - _")
    if store.users.get(name) is not None:
        raise AccountError(f"the name {name} is taken")


def hashed(password: str, name: str) -> str:
    """What is kept of a password.

    Raises:
        AccountError: it is too short or too long, the name of the account, or one that many have.
    """
    if not LEAST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccountError(f"the password must have {LEAST_PASSWORD} to {LONGEST_PASSWORD} characters")
    if password.casefold() == name.strip().casefold():
        raise AccountError("the password must not be the name")
    if _is_common(password):
        raise AccountError("this password is one of those that are guessed first; choose another")
    return _hasher.hash(password)


def _is_common(password: str) -> bool:
    """Whether it is among the 30,000 passwords that are known to be the most frequent."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # 13 MB, for whoever chooses a password

    return password.casefold() in FREQUENCY_LISTS["passwords"]


def check(store: Store, name: str, password: str) -> Account | None:
    """The account that *name* and *password* open; None when they do not. A hash is worked out in any case, so that the
    time tells nobody which names there are.

    Raises:
        AccountError: they do, but the account is deactivated.
    """
    found = store.users.get(name.strip()[:100]) if name.strip() else None
    kept = found["password_hash"] if found else ""
    try:
        _hasher.verify(kept or _NOBODY, password[:LONGEST_PASSWORD])
    except (Argon2Error, InvalidHashError):
        return None
    if not kept or len(password) > LONGEST_PASSWORD:
        return None
    if found and not found.get("active", True):
        raise AccountError("this account is deactivated; ask an administrator")
    return Account.of(found) if found else None


def find(store: Store, account_id: str) -> Account | None:
    """An account that is let in; None where there is none of this id, or it is deactivated."""
    return some(store, [account_id]).get(account_id)


def some(store: Store, account_ids: Sequence[str]) -> dict[str, Account]:
    """Those of these accounts that are let in, by id."""
    return {found["_id"]: Account.of(found) for found in store.users.some(account_ids) if found.get("active", True)}


def is_outside(store: Store, account: Account) -> bool:
    """Whether somebody else checks who this is, so that there is no password here."""
    return bool((store.users.get(account.id) or {}).get("subject"))


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
    name = name.strip()
    check_name(store, name)
    kept = hashed(password, name)
    if not store.users.use_setup_token(_digest(token)):
        raise AccountError("this link has been used just now")
    return create_hashed(store, name, kept, "admin", now)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
