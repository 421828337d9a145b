"""Sessions: a browser that is logged in. Its cookie holds a secret that is drawn at the login, the database a digest of
it, so that each can be seen and ended.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engine.errors import NotFound
from engine.store import Store
from webapp.services import accounts
from webapp.services.accounts import Account

LASTS = timedelta(days=14)
"""After its login a session ends."""
NOTED = timedelta(minutes=1)
"""How precisely it is kept when a session was last seen."""
LONGEST_BROWSER = 300

BROWSERS = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True)
class Session:
    """A session in the list of its account; *here*: it is the one that asks."""

    id: str
    created: datetime
    seen: datetime
    address: str
    browser: str
    here: bool


def begin(store: Store, account: Account, address: str, browser: str, now: datetime, hint: bytes | None = None) -> str:
    """Begin a session; returns the secret that its cookie holds. Those that have run out are forgotten. *hint* is kept
    until its end."""
    store.sessions.end_old(now - LASTS)
    secret = secrets.token_urlsafe(32)
    store.sessions.create(
        {
            "_id": digest(secret),
            "account": account.id,
            "epoch": account.epoch,
            "created": now,
            "seen": now,
            "address": address,
            "browser": browser[:LONGEST_BROWSER],
            "hint": hint,
        }
    )
    return secret


def account_of(store: Store, secret: str, address: str, now: datetime) -> Account | None:
    """The account of a session, which has now been seen at this address; None when it has ended."""
    found = store.sessions.find(digest(secret))
    if found is None:
        return None
    account = accounts.find(store, found["account"])
    if account is None or not _goes_on(found, account, now):
        return None
    if found["seen"] < now - NOTED:
        store.sessions.seen(found["_id"], now, address, NOTED)
    return account


def hint_of(store: Store, secret: str) -> bytes | None:
    """What was to be kept of a session; None where it has ended, or nothing was."""
    return (store.sessions.find(digest(secret)) or {}).get("hint")


def alive(store: Store, digests: Iterable[str], now: datetime) -> set[str]:
    """Which of these sessions have not ended."""
    found = store.sessions.some(sorted(set(digests)))
    owners = accounts.some(store, sorted({session["account"] for session in found}))
    return {
        session["_id"]
        for session in found
        if (account := owners.get(session["account"])) and _goes_on(session, account, now)
    }


def of(store: Store, account: Account, here: str, now: datetime) -> Sequence[Session]:
    """The sessions of an account; *here* is the secret of the one that asks."""
    return [
        Session(
            id=found["_id"],
            browser=called(found["browser"]),
            here=found["_id"] == digest(here),
            **{key: found[key] for key in ("created", "seen", "address")},
        )
        for found in store.sessions.of_account(account.id)
        if _goes_on(found, account, now)
    ]


def end(store: Store, account: Account, session_id: str) -> None:
    """End a session of an account.

    Raises:
        NotFound: it has no such session.
    """
    if not store.sessions.end(account.id, session_id):
        raise NotFound("there is no such session; it may have ended already")


def called(browser: str) -> str:
    """What a person calls the browser that calls itself this."""
    name = next((name for mark, name in BROWSERS if mark in browser), "")
    system = next((name for mark, name in SYSTEMS if mark in browser), "")
    return " on ".join(word for word in (name, system) if word) or browser[:60] or "unknown"


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _goes_on(found: Mapping[str, Any], account: Account, now: datetime) -> bool:
    return bool(found["epoch"] == account.epoch and found["created"] > now - LASTS)
