"""Who gets in, and with what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine.settings import load
from engine.store import Store
from tests.unit.webapp.conftest import PASSWORD, token
from webapp.auth.throttle import Throttle
from webapp.factory import create_app
from webapp.services import accounts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_post_without_a_token_is_refused(ada: FlaskClient, store: Store) -> None:
    answer = ada.post("/sweeps/new", data={"name": "x"})
    assert answer.status_code == 400
    assert "form has expired" in answer.get_data(as_text=True)
    assert store.sweeps.recent(10) == []


def test_a_wrong_password_lets_nobody_in(visitor: FlaskClient, store: Store) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", NOW)
    answer = visitor.post("/login", data={"name": "ada", "password": "no", "csrf_token": token(visitor, "/login")})
    assert answer.status_code == 401
    assert "is wrong" in answer.get_data(as_text=True)
    assert visitor.get("/").status_code == 303


def test_a_password_counts_as_it_was_sent_to_its_last_character(store: Store) -> None:
    longest = "horse " * 170 + "last"
    assert len(longest) == accounts.LONGEST_PASSWORD
    accounts.create(store, "ada", longest, "admin", datetime.now(UTC))
    assert accounts.check(store, "ada", longest) is not None
    for other in (f"{longest}x", longest[:-1], f" {longest}", longest.upper()):
        assert accounts.check(store, "ada", other) is None


def test_the_time_of_a_login_does_not_tell_which_names_there_are(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now, worked = datetime.now(UTC), []
    accounts.create(store, "ada", PASSWORD, "admin", now)
    accounts.create(store, "gone", PASSWORD, "admin", now)
    store.users.change("gone", active=False)
    store.users.create("vera", "", "viewer", now, "provider|42")
    hasher = accounts._hasher

    class Watched:
        def verify(self, kept: str, password: str) -> bool:
            assert kept.startswith("$argon2id$"), "else it is refused at once"
            worked.append(password)
            return hasher.verify(kept, password)

    monkeypatch.setattr(accounts, "_hasher", Watched())
    for name in ("ada", "gone", "vera", "nobody", ""):
        assert accounts.check(store, name, "a wrong one") is None
        assert accounts.check(store, name, "x" * 5000) is None
    assert len(worked) == 10


def test_guessing_passwords_is_slowed_down(visitor: FlaskClient, store: Store) -> None:
    form = {"name": "ada", "password": "no", "csrf_token": token(visitor, "/login")}
    statuses = [visitor.post("/login", data=form).status_code for _ in range(9)]
    assert statuses == [401] * 8 + [429]


def test_a_session_ends_with_a_change_of_password(ada: FlaskClient, store: Store) -> None:
    assert ada.get("/").status_code == 200
    store.users.set_password("ada", "x")
    assert ada.get("/").status_code == 303


def test_logging_out_ends_the_session(ada: FlaskClient) -> None:
    assert ada.post("/logout", data={"csrf_token": token(ada, "/")}).status_code == 303
    assert ada.get("/").status_code == 303


@pytest.mark.parametrize(
    "evil", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_the_login_never_leads_elsewhere(visitor: FlaskClient, store: Store, evil: str) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", NOW)
    form = {"name": "ada", "password": PASSWORD, "next": evil, "csrf_token": token(visitor, "/login")}
    assert visitor.post("/login", data=form).headers["Location"] == "/"


def test_the_login_leads_where_one_wanted_to_go(visitor: FlaskClient, store: Store) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", NOW)
    form = {"name": "ADA", "password": PASSWORD, "next": "/history?before=x", "csrf_token": token(visitor, "/login")}
    assert visitor.post("/login", data=form).headers["Location"] == "/history?before=x"


def test_the_setup_link_makes_one_administrator_once(visitor: FlaskClient, store: Store) -> None:
    link = f"/setup?token={accounts.new_setup_token(store, NOW)}"
    form = {"token": link.split("=")[1], "name": "ada", "password": PASSWORD, "csrf_token": token(visitor, link)}
    assert visitor.post("/setup", data={**form, "password": "short"}).status_code == 400
    assert visitor.post("/setup", data=form).status_code == 303
    assert visitor.get("/").status_code == 200
    assert store.users.get("ada")["role"] == "admin"  # type: ignore[index]
    assert visitor.get(link).status_code == 410
    assert visitor.post("/setup", data={**form, "name": "eve", "csrf_token": token(visitor, "/")}).status_code == 400
    assert store.users.get("eve") is None


def test_a_made_up_setup_link_opens_nothing(visitor: FlaskClient, store: Store) -> None:
    assert visitor.get("/setup?token=guess").status_code == 410
    accounts.new_setup_token(store, NOW)
    assert visitor.get("/setup?token=guess").status_code == 410
    assert visitor.get("/setup").status_code == 410


def test_a_viewer_may_look_but_not_create(login: Callable[[str, str], FlaskClient], store: Store) -> None:
    viewer = login("vera", "viewer")
    assert viewer.get("/").status_code == 200
    assert viewer.get("/sweeps/new").status_code == 403
    assert viewer.post("/sweeps/new", data={"csrf_token": token(viewer, "/")}).status_code == 403
    assert store.sweeps.recent(1) == []


def test_every_page_carries_the_security_headers(visitor: FlaskClient, ada: FlaskClient) -> None:
    for answer in (visitor.get("/login"), ada.get("/"), ada.get("/nothing"), visitor.get("/healthz")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in answer.headers, "not over http"


def test_the_session_cookie_is_closed_to_scripts_and_other_sites(visitor: FlaskClient) -> None:
    cookie = visitor.get("/login").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_pages_hold_no_inline_script_or_style(ada: FlaskClient) -> None:
    for path in ("/", "/sweeps/new", "/history", "/nothing"):
        html = ada.get(path).get_data(as_text=True)
        assert " style=" not in html
        assert " onclick" not in html
        scripts = [part.split(">", 1)[0] for part in html.split("<script")[1:]]
        assert all("src=" in script or "application/json" in script for script in scripts)


def test_the_secret_key_is_readable_by_its_owner_alone(app: Flask, settings: object) -> None:
    path = settings.data_dir / "secret_key"  # type: ignore[attr-defined]
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == 32


def test_passwords_are_not_guessed_by_many_at_once() -> None:
    throttle = Throttle(clock=lambda: 0.0)
    assert [throttle.tries("ada", "here") for _ in range(10)] == [True] * 8 + [False] * 2
    assert throttle.tries("ada", "elsewhere")
    throttle.succeeded("ada", "here")
    assert throttle.tries("ada", "here")


def test_one_name_is_not_guessed_from_many_addresses_nor_its_owner_locked_out() -> None:
    throttle = Throttle(clock=lambda: 0.0)
    assert throttle.tries("ada", "home")
    throttle.succeeded("ada", "home")
    assert [throttle.tries("Ada", f"address {number}") for number in range(31)] == [True] * 30 + [False]
    assert throttle.words("ada", "address 40") == "Too many tries. Wait 15 minutes, then try again."
    assert throttle.tries("ada", "home"), "she has logged in from there"


def test_one_address_does_not_guess_the_passwords_of_many_names() -> None:
    throttle = Throttle(clock=lambda: 0.0)
    assert [throttle.tries(f"name {number}", "here") for number in range(101)] == [True] * 100 + [False]


def test_a_lock_out_ends_by_itself() -> None:
    now = [0.0]
    throttle = Throttle(clock=lambda: now[0])
    assert [throttle.tries("ada", "here") for _ in range(9)][-1] is False
    now[0] = 61.0
    assert throttle.tries("ada", "here")


def test_an_address_that_cannot_be_read_leads_home(visitor: FlaskClient) -> None:
    assert visitor.get("/login?next=//[").status_code == 200


def behind_a_proxy(store: Store, tmp_path: Path, proxies: str) -> FlaskClient:
    given = {"NHOP_DATA_DIR": str(tmp_path), "NHOP_PROXIES": proxies}
    return create_app(load(given, tmp_path / "none"), store, relay=False).test_client()


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.9.8.7", "X-Forwarded-Host": "localhost"}


def test_what_a_proxy_says_counts_when_there_is_one(store: Store, tmp_path: Path) -> None:
    answer = behind_a_proxy(store, tmp_path, "1").get("/login", headers=FORWARDED)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-nhop=")
    assert "Secure" in cookie


def test_what_a_stranger_says_of_itself_does_not_count(store: Store, tmp_path: Path) -> None:
    browser = behind_a_proxy(store, tmp_path, "0")
    answer = browser.get("/login", headers=FORWARDED)
    assert "Strict-Transport-Security" not in answer.headers
    assert "Secure" not in answer.headers["Set-Cookie"]
    form = {"name": "x", "password": "y", "csrf_token": token(browser, "/login")}
    browser.post("/login", data=form, headers=FORWARDED)
    assert store.audit.page(1)[0]["where"] == "127.0.0.1"


def test_an_address_behind_two_proxies_is_the_one_that_the_outer_saw(store: Store, tmp_path: Path) -> None:
    browser = behind_a_proxy(store, tmp_path, "2")
    form = {"name": "x", "password": "y", "csrf_token": token(browser, "/login")}
    browser.post("/login", data=form, headers={"X-Forwarded-For": "6.6.6.6, 10.9.8.7, 10.0.0.1"})
    assert store.audit.page(1)[0]["where"] == "10.9.8.7", "what the visitor put before it does not count"


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        *((host, True) for host in ("localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "10.1.2.3")),
        *((host, True) for host in ("nhop.example", "NHOP.example:8443", "nhop.example.", "a.lab.example", "gpu.own")),
        *(
            (host, False)
            for host in ("evil.example", "localhost.evil.example", "xlab.example", "nhop.example.evil", "")
        ),
        *(
            (host, False)
            for host in ("localhost/x", "evil@localhost", "localhost:80:80", "localhost evil", "[::1", "127.1")
        ),
    ],
)
def test_only_names_of_the_installation_are_answered(
    store: Store, tmp_path: Path, host: str, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "gpu.own")
    given = {
        "NHOP_TRUSTED_HOSTS": ".lab.example",
        "NHOP_PUBLIC_URL": "https://nhop.example",
        "NHOP_DATA_DIR": str(tmp_path),
    }
    app = create_app(load(given, tmp_path / "none"), store, relay=False)
    answer = app.test_client().get("/healthz", headers={"Host": host})
    assert answer.status_code == (200 if trusted else 400)
    if not trusted:
        assert "does not belong to NHOP" in answer.get_data(as_text=True)
