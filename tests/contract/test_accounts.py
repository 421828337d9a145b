"""Sessions, one-time links and the audit log, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def session(digest: str, account: str = "ada", created: datetime = NOW) -> dict[str, Any]:
    return {
        "_id": digest,
        "account": account,
        "epoch": 0,
        "created": created,
        "seen": created,
        "address": "",
        "browser": "",
    }


def link(digest: str, account: str | None = None) -> dict[str, Any]:
    about = {"kind": "invite", "account": account, "role": "viewer", "note": "", "by": "ada"}
    return {"_id": digest, **about, "created": NOW, "ends": NOW + timedelta(days=1)}


def test_sessions_are_found_and_ended_one_by_one_by_account_and_by_age(store: Store) -> None:
    for digest, account in (("a", "ada"), ("b", "ada"), ("c", "eve")):
        store.sessions.create(session(digest, account))
    store.sessions.create(session("old", "eve", NOW - timedelta(days=20)))
    assert {found["_id"] for found in store.sessions.some(["a", "c", "x"])} == {"a", "c"}
    assert store.sessions.end("eve", "a") is False, "not hers"
    assert store.sessions.end("ada", "a") is True
    assert store.sessions.find("a") is None
    assert [found["_id"] for found in store.sessions.of_account("ada")] == ["b"]
    assert {found["account"] for found in store.sessions.all(NOW - timedelta(days=1))} == {"ada", "eve"}
    store.sessions.end_old(NOW - timedelta(days=14))
    assert store.sessions.find("old") is None
    store.sessions.end_all("eve")
    assert store.sessions.of_account("eve") == []
    assert store.sessions.find("b") is not None


def test_a_link_is_spent_by_exactly_one_of_eight_and_forgotten_when_it_has_ended(store: Store) -> None:
    store.links.create(link("a"))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: store.links.use("a"), range(8))).count(True) == 1
    store.links.create(link("b"))
    assert [found["_id"] for found in store.links.open(NOW)] == ["b"]
    assert store.links.open(NOW + timedelta(days=2)) == []
    assert store.links.find("b") is None


def test_a_new_link_for_a_password_ends_the_one_before(store: Store) -> None:
    store.links.create(link("a", "eve"))
    store.links.create(link("b", "ada"))
    store.links.create(link("c", "eve"))
    assert {found["_id"] for found in store.links.open(NOW)} == {"b", "c"}


def test_the_audit_log_is_filtered_letter_by_letter(store: Store) -> None:
    about = {"at": NOW, "target": "/x", "detail": "", "refused": False}
    store.audit.add({"_id": "1", "who": "Ada", "what": "one (1)", "where": "10.0.0.1", **about})
    store.audit.add({"_id": "2", "who": "ada.b", "what": "two", "where": "10.0.0.2", **about})
    assert [found["_id"] for found in store.audit.page(5)] == ["2", "1"]
    assert [found["_id"] for found in store.audit.page(5, before="2")] == ["1"]
    assert [found["_id"] for found in store.audit.page(5, who="ADA")] == ["1"]
    assert [found["_id"] for found in store.audit.page(5, text="(1)")] == ["1"]
    assert [found["_id"] for found in store.audit.page(5, where="10.0.0.2")] == ["2"]


def test_accounts_change_and_the_last_administrator_is_known(store: Store) -> None:
    store.users.create("Ada", "hash", "admin", NOW)
    store.users.create("Eve", "hash", "admin", NOW)
    assert store.users.change("EVE", active=False) is True
    assert store.users.change("nobody", active=False) is False
    assert store.users.administrators() == ["ada"]
    assert [(found["_id"], found["epoch"]) for found in store.users.all()] == [("ada", 0), ("eve", 1)]
    assert "password_hash" not in store.users.some(["Eve"])[0]
