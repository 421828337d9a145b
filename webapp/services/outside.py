"""Accounts of people whom somebody else has checked: a reverse proxy, or an OpenID provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.settings import Settings
from engine.store import Store
from webapp.errors import AccountError
from webapp.services import accounts
from webapp.services.accounts import NAME, ROLES, Account

LONGEST_SUBJECT = 300


def enter(
    store: Store, settings: Settings, subject: str, name: str, role: str | None, now: datetime
) -> tuple[Account, str]:
    """The account of a *subject*, made when it comes for the first time, and what of it was changed, in words. With
    another *role* than it had, if one is given, its older sessions end. An account with a password belongs to whoever
    knows that, whatever *name* is said.

    Raises:
        AccountError: no account can be made of it, or it is deactivated.
    """
    found, told = store.users.of_subject(subject[:LONGEST_SUBJECT]), ""
    if found is None:
        role = role or settings.login_role
        if not role:
            raise AccountError(f"{name[:50]} has no account here, and none is made; ask an administrator")
        if not NAME.fullmatch(name):
            raise AccountError("the name must be 1 to 50 letters, digits or . @ + - _")
        if store.users.create(name, "", role, now, subject[:LONGEST_SUBJECT]):
            told = f"the account was made, as {role}"
        elif (found := store.users.of_subject(subject[:LONGEST_SUBJECT])) is None:  # not by a request at the same time
            raise AccountError(f"the name {name} belongs to another account; ask an administrator")
    elif role and role != found["role"]:
        store.users.change(found["_id"], role=role)
        store.sessions.end_all(found["_id"])
        told = f"was {found['role']} and is {role} now"
    account = accounts.find(store, found["_id"] if found else name.casefold())
    if account is None:
        raise AccountError("this account is deactivated; ask an administrator")
    return account, told


def role_of(settings: Settings, claims: Mapping[str, Any]) -> str | None:
    """The highest role that the setting `oidc_roles` gives to what the provider says of somebody; None where it gives
    none, and the account keeps the one that it has."""
    said = claims.get(settings.oidc_claim)
    values = said if isinstance(said, Sequence) and not isinstance(said, str) else [said]
    given = [role for value, role in settings.oidc_mapping.items() if value in values]
    return max(given, key=ROLES.index, default=None)


def name_of(claims: Mapping[str, Any]) -> str:
    """What somebody is called: the first of the usual claims that can be a name here."""
    said = (claims.get(claim) for claim in ("preferred_username", "email", "nickname", "sub"))
    return next((name for name in said if isinstance(name, str) and NAME.fullmatch(name)), "")
