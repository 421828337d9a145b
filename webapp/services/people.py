"""The accounts of a team: who has one, inviting by a one-time link, roles, deactivating, new passwords."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engine.errors import ConfigError, NotFound, Problem, StateError
from engine.store import Store
from webapp.errors import AccountError
from webapp.services import accounts, sessions
from webapp.services.accounts import ROLES, Account

INVITE, RESET = "invite", "reset"
RESET_LASTS = timedelta(days=1)
LASTS: Mapping[str, str] = {"1": "a day", "7": "a week", "30": "30 days"}
"""For how many days an invitation is open, in words."""
LONGEST_NOTE = 60
WHAT: Mapping[str, str] = {
    "viewer": "looks at everything",
    "editor": "starts and steers sweeps",
    "admin": "may do everything",
}
"""What a role may do, in words."""


@dataclass(frozen=True, slots=True)
class Person:
    """An account in the list; *seen*: when it last asked for something, as far as its sessions tell."""

    id: str
    name: str
    role: str
    active: bool
    outside: bool
    created: datetime | None
    sessions: int
    seen: datetime | None


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link that is open."""

    id: str
    kind: str
    account: str | None
    role: str | None
    note: str
    by: str
    ends: datetime


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """What templates/auth/people.html shows. *new* is the token of a link just made, told this once, *of* what it is;
    *typed* and *problems* are of the form, by field."""

    people: Sequence[Person]
    links: Sequence[Link]
    new: str = ""
    of: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    roles: Sequence[str] = ROLES
    what: Mapping[str, str] = field(default_factory=lambda: WHAT)
    lasts: Mapping[str, str] = field(default_factory=lambda: LASTS)


def page(store: Store, now: datetime, **rest: Any) -> PeoplePage:
    """All accounts and all open links."""
    found: dict[str, list[datetime]] = {}
    for session in store.sessions.all(now - sessions.LASTS):
        found.setdefault(session["account"], []).append(session["seen"])
    people = [
        Person(
            id=account["_id"],
            name=account["name"],
            role=account["role"],
            active=account.get("active", True),
            outside="subject" in account,
            created=account.get("created"),
            sessions=len(found.get(account["_id"], ())),
            seen=max(found.get(account["_id"], ()), default=None),
        )
        for account in store.users.all()
    ]
    links = [
        Link(id=link["_id"], **{key: link[key] for key in ("kind", "account", "role", "note", "by", "ends")})
        for link in store.links.open(now)
    ]
    return PeoplePage(people, links, **rest)


def invite(store: Store, by: Account, role: str, days: str, note: str, now: datetime) -> str:
    """Make the link by which somebody makes an account of this role.

    Args:
        days: a key of LASTS.
        note: for whom it is.

    Returns:
        its token, which nobody can be told again.

    Raises:
        ConfigError: with every problem, at `role`, `days` or `note`.
    """
    note, problems = note.strip(), []
    if role not in ROLES:
        problems.append(Problem("role", "choose viewer, editor or admin"))
    if days not in LASTS:
        problems.append(Problem("days", "choose one of the times that are offered"))
    if len(note) > LONGEST_NOTE or not note.isprintable():
        problems.append(Problem("note", f"at most {LONGEST_NOTE} characters, on one line"))
    if problems:
        raise ConfigError(problems)
    return _link(store, INVITE, None, role, note, by, now, now + timedelta(days=int(days)))


def reset(store: Store, by: Account, name: str, now: datetime) -> str:
    """Make the link by which the owner of an account chooses a new password; returns its token.

    Raises:
        NotFound: there is no such account.
        StateError: it has no password here.
    """
    found = _find(store, name)
    if found.get("subject"):
        raise StateError(f"{found['name']} logs in elsewhere; there is no password to replace here")
    return _link(store, RESET, found["_id"], None, "", by, now, now + RESET_LASTS)


def set_role(store: Store, name: str, role: str) -> str:
    """Give an account another role and end its sessions; returns a sentence about it.

    Raises:
        NotFound, StateError: there is no such account; it is the only administrator's.
        AccountError: there is no such role.
    """
    found = _find(store, name)
    if role not in ROLES:
        raise AccountError("the role must be viewer, editor or admin")
    if role == found["role"]:
        return f"{found['name']} is {role} already."
    _change_leaving_one(store, found, role=role)
    return f"{found['name']} was {found['role']} and is {role} now. {found['name']} is logged out and logs in again."


def set_active(store: Store, name: str, active: bool) -> str:
    """Deactivate an account and end its sessions, or let it in again; returns a sentence about it.

    Raises:
        NotFound, StateError: there is no such account; it is the only administrator's.
    """
    found = _find(store, name)
    _change_leaving_one(store, found, active=active)
    return f"{found['name']} is {'let in again' if active else 'deactivated: nobody is let in by this account'}."


def change_password(store: Store, account: Account, old: str, new: str) -> Account:
    """Replace one's own password and end all one's sessions; returns the account, for which a new one may begin.

    Raises:
        AccountError: the old one is wrong, or the new one will not do.
    """
    if accounts.check(store, account.name, old) is None:
        raise AccountError("the present password is wrong")
    _change(store, account.id, password_hash=accounts.hashed(new, account.name))
    changed = accounts.find(store, account.id)
    if changed is None:
        raise AccountError("this account has ended meanwhile")
    return changed


def opened(store: Store, token: str, now: datetime) -> Link | None:
    """The link that this token opens; None when it is spent or has ended."""
    found = store.links.find(_digest(token)) if token else None
    if found is None or found["ends"] <= now:
        return None
    return Link(id=found["_id"], **{key: found[key] for key in ("kind", "account", "role", "note", "by", "ends")})


def accept(store: Store, token: str, name: str, password: str, now: datetime) -> Account:
    """Spend a link: on a new account called *name*, or on a new password of the account that it is for.

    Raises:
        AccountError: the link is spent or has ended; or name or password will not do (the link then stays).
    """
    link = opened(store, token, now)
    if link is None:
        raise AccountError("this link has been used, taken back, or has ended; ask an administrator for another")
    if link.kind == INVITE:
        accounts.check_name(store, name.strip())
    hashed = accounts.hashed(password, link.account or name)
    kept = store.links.find(link.id)
    if kept is None or not store.links.use(link.id):
        raise AccountError("this link has been used just now")
    if link.kind == INVITE:
        try:
            return accounts.create_hashed(store, name.strip(), hashed, link.role or "viewer", now)
        except AccountError:  # the name was taken just now
            store.links.create(kept)
            raise
    _change(store, link.account or "", password_hash=hashed)
    account = accounts.find(store, link.account or "")
    if account is None:
        raise AccountError("the password is replaced, but this account is deactivated; ask an administrator")
    return account


def revoke(store: Store, link_id: str) -> None:
    """Take a link back.

    Raises:
        NotFound: there is none.
    """
    if not store.links.use(link_id):
        raise NotFound("there is no such link; it may have been used")


def _link(
    store: Store,
    kind: str,
    account: str | None,
    role: str | None,
    note: str,
    by: Account,
    now: datetime,
    ends: datetime,
) -> str:
    token = secrets.token_urlsafe(24)
    about = {"kind": kind, "account": account, "role": role, "note": note, "by": by.name, "created": now, "ends": ends}
    store.links.create({"_id": _digest(token), **about})
    return token


def _find(store: Store, name: str) -> dict[str, Any]:
    found = store.users.get(name)
    if found is None:
        raise NotFound(f"there is no account {name[:100]}")
    return found


def _change_leaving_one(store: Store, found: Mapping[str, Any], **fields: Any) -> None:
    """Change an account, unless nobody would be an administrator then; also if two do so to each other at once."""
    before = {"role": found["role"], "active": found.get("active", True)}
    after = {**before, **fields}
    if after["role"] == "admin" and after["active"]:
        _change(store, found["_id"], **fields)
        return
    only = StateError("this is the only administrator; make somebody else one first")
    if set(store.users.administrators()) == {found["_id"]}:
        raise only
    _change(store, found["_id"], **fields)
    if not store.users.administrators():
        _change(store, found["_id"], **before)
        raise only


def _change(store: Store, account_id: str, **fields: Any) -> None:
    store.users.change(account_id, **fields)
    store.sessions.end_all(account_id)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
