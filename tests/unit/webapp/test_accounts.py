"""Accounts of a team: invitations, roles, sessions, and the log of what was changed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine.errors import StateError
from engine.settings import Settings
from engine.store import Store
from engine.store import audit as stored_audit
from tests.unit.webapp.conftest import PASSWORD, token
from webapp.errors import AccountError
from webapp.extensions import socketio
from webapp.realtime.sockets import DOOR
from webapp.services import accounts, audit, people, sessions, tokens

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Login = Callable[[str, str], FlaskClient]


def post(browser: FlaskClient, path: str, **form: str) -> Any:
    return browser.post(path, data={**form, "csrf_token": token(browser, "/login")})


def link_in(answer: Any) -> str:
    found = re.search(r'value="(http[^"]*/link\?token=[^"]+)"', answer.get_data(as_text=True))
    assert found
    return found[1]


def entries(store: Store) -> list[tuple[str, str]]:
    return [(entry["who"], entry["what"]) for entry in reversed(store.audit.page(100))]


def test_an_invitation_makes_one_account_of_its_role_once(ada: FlaskClient, visitor: FlaskClient, store: Store) -> None:
    link = link_in(post(ada, "/accounts/invite", role="viewer", days="7", note="Vera"))
    spent = link.partition("token=")[2]
    assert spent not in str(list(store.database["links"].find())), "only a digest is kept"
    assert "ada invites you as viewer" in visitor.get(link).get_data(as_text=True)
    assert post(visitor, "/link", token=spent, name="vera", password="short").status_code == 400
    assert post(visitor, "/link", token=spent, name="ADA", password=PASSWORD).status_code == 400, "taken"
    assert post(visitor, "/link", token=spent, name="vera", password=PASSWORD).status_code == 303
    assert visitor.get("/").status_code == 200
    assert visitor.get("/sweeps/new").status_code == 403
    other = visitor.application.test_client()
    assert other.get(link).status_code == 410
    assert post(other, "/link", token=spent, name="eve", password=PASSWORD).status_code == 410
    assert store.users.get("eve") is None


def test_an_invitation_ends_by_itself_and_can_be_taken_back(store: Store) -> None:
    ada = accounts.create(store, "ada", PASSWORD, "admin", NOW)
    token = people.invite(store, ada, "editor", "1", "", NOW)
    assert people.opened(store, token, NOW + timedelta(hours=23))
    assert people.opened(store, token, NOW + timedelta(hours=25)) is None
    with pytest.raises(AccountError, match="has ended"):
        people.accept(store, token, "eve", PASSWORD, NOW + timedelta(hours=25))
    people.revoke(store, people.page(store, NOW).links[0].id)
    assert people.opened(store, token, NOW) is None
    assert store.users.get("eve") is None


def test_a_link_for_a_new_password_replaces_it_and_ends_all_sessions(
    ada: FlaskClient, login: Login, visitor: FlaskClient, store: Store
) -> None:
    vera = login("vera", "viewer")
    spent = link_in(post(ada, "/accounts/vera/reset")).partition("token=")[2]
    assert post(visitor, "/link", token=spent, password="another horse").status_code == 303
    assert visitor.get("/").status_code == 200
    assert vera.get("/").status_code == 303
    assert accounts.check(store, "vera", PASSWORD) is None
    assert accounts.check(store, "vera", "another horse")


@pytest.mark.parametrize(("change", "form"), [("role", {"role": "admin"}), ("deactivate", {})])
def test_a_change_of_an_account_ends_its_sessions_and_sockets(
    app: Flask, ada: FlaskClient, login: Login, change: str, form: dict[str, str]
) -> None:
    vera, ed = login("vera", "viewer"), login("ed", "editor")
    sockets = [socketio.test_client(app, flask_test_client=browser) for browser in (vera, ed)]
    app.extensions[DOOR].look()
    assert [socket.is_connected() for socket in sockets] == [True, True]
    assert post(ada, f"/accounts/vera/{change}", **form).status_code == 303
    assert vera.get("/").status_code == 303
    app.extensions[DOOR].look()
    assert [socket.is_connected() for socket in sockets] == [False, True], "others stay"
    assert ed.get("/").status_code == 200
    sockets[1].disconnect()


def test_a_deactivated_account_lets_nobody_in_by_password_or_token(
    ada: FlaskClient, visitor: FlaskClient, store: Store
) -> None:
    vera = accounts.create(store, "vera", PASSWORD, "viewer", NOW)
    shown = tokens.create(store, vera, "notebook", "read", "", NOW)
    assert tokens.account_of(store, shown, NOW)
    post(ada, "/accounts/vera/deactivate")
    assert tokens.account_of(store, shown, NOW) is None
    answer = post(visitor, "/login", name="vera", password=PASSWORD)
    assert answer.status_code == 401
    assert "deactivated" in answer.get_data(as_text=True)
    wrong = post(visitor, "/login", name="vera", password="guess").get_data(as_text=True)
    assert "deactivated" not in wrong, "only who knows the password is told"
    post(ada, "/accounts/vera/activate")
    assert post(visitor, "/login", name="vera", password=PASSWORD).status_code == 303


def test_the_login_says_why_one_is_logged_out(ada: FlaskClient, login: Login, visitor: FlaskClient) -> None:
    def told(browser: FlaskClient) -> str:
        page = browser.get("/", follow_redirects=True).get_data(as_text=True)
        found = re.search(r'class="notice mt-3" role="status">([^<]+)<', page)
        return found[1] if found else ""

    vera, eve = login("vera", "viewer"), login("eve", "editor")
    assert told(visitor) == ""
    post(ada, "/accounts/vera/role", role="editor")
    assert "vera is logged out and logs in again." in ada.get("/accounts").get_data(as_text=True)
    assert told(vera) == "Your role has changed. Log in again."
    post(vera, "/login", name="vera", password=PASSWORD)
    assert told(vera) == ""
    post(vera, "/logout")
    assert told(vera) == ""
    post(ada, "/accounts/eve/role", role="viewer")
    post(ada, "/accounts/eve/deactivate")
    assert told(eve) == "Your session has ended. Log in again.", "nothing of an account that is no more"
    post(visitor, "/login", name="ada", password=PASSWORD)
    post(ada, "/account/password", old=PASSWORD, new="another horse")
    assert told(visitor) == "Your session has ended. Log in again."


def test_the_only_administrator_stays_one(ada: FlaskClient, store: Store) -> None:
    for path, form in (("role", {"role": "viewer"}), ("deactivate", {})):
        answer = post(ada, f"/accounts/ada/{path}", **form)
        assert answer.status_code == 409
        assert "only administrator" in answer.get_data(as_text=True)
    assert ada.get("/accounts").status_code == 200
    assert post(ada, "/accounts/ada/role", role="emperor").status_code == 400


def test_two_administrators_cannot_take_it_from_each_other_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ada", "eve"):
        accounts.create(store, name, PASSWORD, "admin", NOW)
    both = threading.Barrier(2)
    change = store.users.change

    def late(name: str, **fields: Any) -> bool:
        if "viewer" in fields.values():
            both.wait(10)
        return change(name, **fields)

    monkeypatch.setattr(store.users, "change", late)

    def demote(name: str) -> None:
        with suppress(StateError):
            people.set_role(store, name, "viewer")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(demote, ("ada", "eve")))
    assert store.users.administrators()


def test_two_invitations_spent_on_one_name_at_once_make_one_account_and_leave_one_link(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = accounts.create(store, "ada", PASSWORD, "admin", NOW)
    tokens = [people.invite(store, ada, "viewer", "1", "", NOW) for _ in range(2)]
    both = threading.Barrier(2)
    use = store.links.use

    def late(digest: str) -> bool:
        both.wait(10)
        return use(digest)

    monkeypatch.setattr(store.links, "use", late)

    def come(token: str) -> bool:
        try:
            return bool(people.accept(store, token, "eve", PASSWORD, NOW))
        except AccountError:
            return False

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(come, tokens)) == [False, True]
    assert len(people.page(store, NOW).links) == 1


def test_a_new_password_ends_every_session_but_this_one(app: Flask, ada: FlaskClient, visitor: FlaskClient) -> None:
    post(visitor, "/login", name="ada", password=PASSWORD)
    assert visitor.get("/").status_code == 200
    assert post(ada, "/account/password", old="wrong", new="another horse").status_code == 400
    assert post(ada, "/account/password", old=PASSWORD, new="short").status_code == 400
    assert visitor.get("/").status_code == 200
    assert post(ada, "/account/password", old=PASSWORD, new="another horse").status_code == 303
    assert ada.get("/").status_code == 200
    assert visitor.get("/").status_code == 303


def test_one_sees_and_ends_the_own_sessions_and_nobody_elses(
    ada: FlaskClient, login: Login, visitor: FlaskClient, store: Store
) -> None:
    vera = login("vera", "viewer")
    post(visitor, "/login", name="vera", password=PASSWORD)
    other = next(
        session.id
        for session in sessions.of(store, accounts.Account("vera", "vera", "viewer", 0), "", datetime.now(UTC))
        if session.id != sessions.digest(secret_of(vera))
    )
    page = vera.get("/account").get_data(as_text=True)
    assert page.count(">this browser<") == 1
    assert f"/account/sessions/{other}/end" in page
    assert post(ada, f"/account/sessions/{other}/end").status_code == 404, "not hers"
    assert visitor.get("/").status_code == 200
    assert post(vera, f"/account/sessions/{other}/end").status_code == 303
    assert visitor.get("/").status_code == 303
    assert vera.get("/").status_code == 200


def secret_of(browser: FlaskClient) -> str:
    with browser.session_transaction() as session:
        return str(session["_user_id"])


def test_a_copied_cookie_ends_with_the_logout(ada: FlaskClient, visitor: FlaskClient) -> None:
    cookie = ada.get_cookie("nhop")
    assert cookie
    visitor.set_cookie("nhop", cookie.value)
    assert visitor.get("/").status_code == 200
    post(ada, "/logout")
    assert visitor.get("/").status_code == 303


def test_a_session_runs_out(store: Store) -> None:
    ada = accounts.create(store, "ada", PASSWORD, "admin", NOW)
    secret = sessions.begin(store, ada, "here", "x", NOW)
    assert sessions.account_of(store, secret, "here", NOW + timedelta(days=13)) == ada
    assert sessions.account_of(store, secret, "here", NOW + timedelta(days=15)) is None
    assert sessions.alive(store, [sessions.digest(secret)], NOW + timedelta(days=15)) == set()


def test_an_account_of_an_earlier_version_logs_in(visitor: FlaskClient, store: Store) -> None:
    old = {
        "name": "Old",
        "password_hash": accounts.hashed(PASSWORD, "old"),
        "role": "admin",
        "epoch": 3,
        "created": NOW,
    }
    store.database["users"].insert_one({"_id": "old", **old})
    assert post(visitor, "/login", name="old", password=PASSWORD).status_code == 303
    assert visitor.get("/accounts").status_code == 200
    assert "Old" in visitor.get("/accounts").get_data(as_text=True)


def test_every_change_is_in_the_audit_log(ada: FlaskClient, login: Login, visitor: FlaskClient, store: Store) -> None:
    vera = login("vera", "viewer")
    post(visitor, "/login", name="mallory", password="guess")
    post(ada, "/sweeps/example")
    post(vera, "/sweeps/example")
    ada.get("/history")
    post(ada, "/accounts/vera/role", role="editor")
    post(ada, "/logout")
    assert entries(store) == [
        ("ada", "logged in"),
        ("vera", "logged in"),
        ("mallory", "failed to log in"),
        ("ada", "queued the example"),
        ("vera", "queued the example"),
        ("ada", "changed a role"),
        ("ada", "logged out"),
    ]
    _, role, refused, example, *_ = store.audit.page(100)
    assert (role["target"], role["detail"], role["where"]) == (
        "/accounts/vera/role",
        "vera was viewer and is editor now. vera is logged out and logs in again.",
        "127.0.0.1",
    )
    assert (refused["refused"], example["refused"]) == (True, False)
    assert example["target"] == f"/sweeps/{store.sweeps.recent(1)[0]['_id']}"
    assert PASSWORD not in str(store.audit.page(100))


def test_the_audit_log_is_filtered_and_paged(
    ada: FlaskClient, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 3)
    for number in range(7):
        audit.record(store, settings, "eve", f"did thing {number}", "10.0.0.7", NOW, target="/x.*")
    seen, before = [], ""
    while True:
        page = audit.page(store, settings, {"who": "EVE", "where": "10.0", "before": before})
        seen += [entry["what"] for entry in page.entries]
        if not (before := page.before):
            break
    assert seen == [f"did thing {number}" for number in range(6, -1, -1)]
    assert audit.page(store, settings, {"text": "THING 4"}).entries[0]["what"] == "did thing 4"
    assert audit.page(store, settings, {"text": "x.*"}).entries, "letter by letter, no pattern"
    assert not audit.page(store, settings, {"text": "xyz.*"}).entries
    html = ada.get("/audit?who=eve&text=thing").get_data(as_text=True)
    assert "did thing 6" in html
    assert "before=" in html


def test_the_audit_log_forgets_what_is_old_and_what_is_too_much(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_audit, "MOST", 5)
    audit.record(store, settings, "eve", "old", "here", NOW - timedelta(days=400))
    for number in range(8):
        audit.record(store, settings, "eve", f"new {number}", "here", NOW)
    store.audit.forget(NOW - timedelta(days=365))
    assert [entry["what"] for entry in store.audit.page(100)] == [f"new {number}" for number in range(7, 2, -1)]


def test_whoever_fails_and_is_refused_a_lot_drives_no_change_out_of_the_log(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_audit, "MOST", 8)
    monkeypatch.setattr(stored_audit, "MOST_FRUITLESS", 3)
    audit.record(store, settings, "eve", "changed a role", "here", NOW)
    for number in range(10):
        audit.record(store, settings, f"mallory{number}", stored_audit.FAILED, "here", NOW)
        audit.record(store, settings, "vera", "queued a sweep", "here", NOW, refused=True)
        audit.record(store, settings, "vera", "logged in", "here", NOW)
    store.audit.forget(NOW - timedelta(days=365))
    assert [entry["what"] for entry in store.audit.page(100)] == [
        "logged in",
        "queued a sweep",
        stored_audit.FAILED,
        "changed a role",
    ]


def test_the_first_link_makes_one_administrator_though_two_come_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = accounts.new_setup_token(store, NOW)
    both = threading.Barrier(2)
    hashed = accounts.hashed

    def slow(password: str, name: str) -> str:
        both.wait(10)
        return hashed(password, name)

    monkeypatch.setattr(accounts, "hashed", slow)

    def come(name: str) -> str:
        try:
            return accounts.setup(store, link, name, PASSWORD, NOW).name
        except AccountError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(come, ("ada", "eve")))
    assert len(store.users.all()) == 1
    assert "this link has been used just now" in told


def test_names_of_browsers_are_readable() -> None:
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"
    edge = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 Edg/120.0"
    assert sessions.called(firefox) == "Firefox on Linux"
    assert sessions.called(edge) == "Edge on Windows"
    assert sessions.called("") == "unknown"


@pytest.mark.parametrize(
    ("password", "words"),
    [("short", "8 to 1024"), ("x" * 1025, "8 to 1024"), ("Password1", "guessed first"), ("Vera.Long", "the name")],
)
def test_a_password_that_is_guessed_first_is_refused(password: str, words: str) -> None:
    with pytest.raises(AccountError, match=words):
        accounts.hashed(password, "vera.long")
    assert accounts.hashed("correct horse", "vera").startswith("$argon2id$")
