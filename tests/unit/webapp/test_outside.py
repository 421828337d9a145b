"""Logins that somebody else checks: a proxy's header from a listed address, and a real OpenID provider on loopback."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from joserfc.jwk import RSAKey
from markupsafe import escape
from werkzeug.test import TestResponse

from engine.settings import load
from engine.store import Store
from tests.provider import CLIENT, SECRET, Provider, provider
from tests.unit.webapp.conftest import PASSWORD, token
from webapp.factory import create_app
from webapp.services import accounts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def browser(store: Store, tmp_path: Path, **given: str) -> FlaskClient:
    environ = {"NHOP_DATA_DIR": str(tmp_path), **given}
    return create_app(load(environ, tmp_path / "none"), store, relay=False).test_client()


def behind_a_proxy(store: Store, tmp_path: Path, sender: str = "127.0.0.1", **given: str) -> FlaskClient:
    listed = {"NHOP_LOGIN_HEADER": "X-Remote-User", "NHOP_LOGIN_HEADER_FROM": sender}
    return browser(store, tmp_path, **listed, **given)


def test_whom_a_trusted_proxy_names_is_in(store: Store, tmp_path: Path) -> None:
    page = behind_a_proxy(store, tmp_path)
    assert page.get("/", headers={"X-Remote-User": "Vera"}).status_code == 200
    assert page.get("/").status_code == 200, "the session that it began goes on"
    (entry,) = store.audit.page(9)
    assert (entry["who"], entry["what"], entry["where"]) == ("Vera", "logged in", "127.0.0.1")
    assert entry["detail"] == "named by the proxy; the account was made, as viewer"
    found = store.users.get("vera")
    assert found is not None
    assert (found["name"], found["role"], found["password_hash"]) == ("Vera", "viewer", "")
    assert page.get("/sweeps/new", headers={"X-Remote-User": "Vera"}).status_code == 403
    assert page.get("/", headers={"X-Remote-User": "Otto"}).status_code == 200
    assert ">Otto</a>" in page.get("/").get_data(as_text=True), "another name goes over an older session"
    assert accounts.check(store, "vera", "") is None


def test_two_first_requests_at_once_make_one_account_and_are_both_let_in(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    create = store.users.create

    def late(*given: Any) -> bool:
        both.wait(10)
        return create(*given)

    monkeypatch.setattr(store.users, "create", late)
    pages = [behind_a_proxy(store, tmp_path) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda page: page.get("/", headers={"X-Remote-User": "vera"}).status_code, pages))
    assert answers == [200, 200]


def test_a_header_from_elsewhere_is_nothing(store: Store, tmp_path: Path) -> None:
    for page in (behind_a_proxy(store, tmp_path, "10.0.0.0/8, 192.0.2.7"), browser(store, tmp_path)):
        headers = {"X-Remote-User": "vera", "X-Forwarded-For": "10.0.0.1"}
        assert page.get("/", headers=headers).status_code == 303
    counted = behind_a_proxy(store, tmp_path, "10.0.0.0/8", NHOP_PROXIES="1")
    assert counted.get("/", headers={"X-Remote-User": "vera", "X-Forwarded-For": "10.0.0.1"}).status_code == 303
    assert store.users.get("vera") is None


def test_a_proxy_opens_no_account_with_a_password_and_none_that_is_deactivated(store: Store, tmp_path: Path) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", NOW)
    page = behind_a_proxy(store, tmp_path)
    answer = page.get("/", headers={"X-Remote-User": "ada"})
    assert answer.status_code == 400
    assert "belongs to another account" in answer.get_data(as_text=True)
    assert page.get("/", headers={"X-Remote-User": "vera"}).status_code == 200
    store.users.change("vera", active=False)
    assert page.get("/", headers={"X-Remote-User": "vera"}).status_code == 400
    assert page.get("/", headers={"X-Remote-User": "a b<script>"}).status_code == 400
    nobody = behind_a_proxy(store, tmp_path, NHOP_LOGIN_ROLE="none")
    assert nobody.get("/", headers={"X-Remote-User": "new"}).status_code == 400
    assert store.users.get("new") is None


@pytest.fixture
def known() -> Iterator[Provider]:
    with provider() as running:
        yield running


def of_provider(store: Store, tmp_path: Path, known: Provider, **given: str) -> FlaskClient:
    about = {"NHOP_OIDC_ISSUER": known.url, "NHOP_OIDC_CLIENT_ID": CLIENT, "NHOP_OIDC_CLIENT_SECRET": SECRET}
    return browser(store, tmp_path, **about, **given)


def way_back(page: FlaskClient, known: Provider, path: str = "/login/oidc") -> str:
    """Where the provider sends the browser, as a path."""
    asked = urlsplit(page.get(path).headers["Location"])
    assert asked.netloc == urlsplit(known.url).netloc
    connection = http.client.HTTPConnection(asked.netloc, timeout=30)
    connection.request("GET", f"{asked.path}?{asked.query}")
    back = urlsplit(str(connection.getresponse().getheader("Location")))
    connection.close()
    return f"{back.path}?{back.query}"


def test_whom_the_provider_has_checked_is_in_with_the_role_of_its_groups(
    store: Store, tmp_path: Path, known: Provider
) -> None:
    page = of_provider(store, tmp_path, known, NHOP_OIDC_ROLES="lab=editor, chiefs=admin")
    assert "single sign-on" in page.get("/login").get_data(as_text=True)
    known.claims = {"sub": "42", "preferred_username": "Vera", "groups": ["others", "lab"]}
    answer = page.get(way_back(page, known, "/login/oidc?next=/history"))
    assert (answer.status_code, answer.headers["Location"], known.problems) == (303, "/history", [])
    assert page.get("/sweeps/new").status_code == 200
    assert page.get("/accounts").status_code == 403
    first = store.audit.page(1)[0]
    assert (first["who"], first["what"], first["detail"]) == ("Vera", "logged in", "the account was made, as editor")
    known.claims = {"sub": "42", "preferred_username": "renamed", "groups": ["lab", "chiefs"]}
    other = page.application.test_client()
    assert other.get(way_back(other, known)).status_code == 303
    assert other.get("/accounts").status_code == 200
    assert page.get("/").status_code == 303, "another role ends the older sessions"
    assert "was editor and is admin now" in [entry["detail"] for entry in store.audit.page(9)]
    assert [found["name"] for found in store.users.all()] == ["Vera"], "the same subject is the same account"


def test_another_subject_gets_no_account_that_exists(store: Store, tmp_path: Path, known: Provider) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", NOW)
    page = of_provider(store, tmp_path, known)
    answer = page.get(way_back(page, known))
    assert answer.status_code == 403
    assert "belongs to another account" in answer.get_data(as_text=True)
    assert page.get("/").status_code == 303
    assert [(entry["who"], entry["what"]) for entry in store.audit.page(9)] == [("ada", "failed to log in")]


@pytest.mark.parametrize(
    ("claims", "forged"),
    [
        ({"aud": "another"}, False),
        ({"iss": "http://evil.example"}, False),
        ({"exp": 1_000_000_000}, False),
        ({"nonce": "guess"}, False),
        ({}, True),
    ],
    ids=["of another client", "of another issuer", "expired", "replayed", "signed by a stranger"],
)
def test_a_token_that_is_not_right_opens_nothing(
    store: Store, tmp_path: Path, known: Provider, claims: dict[str, Any], forged: bool
) -> None:
    known.claims |= claims
    known.key = RSAKey.generate_key(2048, {"kid": "one"}) if forged else None
    page = of_provider(store, tmp_path, known)
    answer = page.get(way_back(page, known))
    assert answer.status_code == 401
    assert "did not confirm" in answer.get_data(as_text=True)
    assert page.get("/").status_code == 303
    assert store.users.all() == []


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_signature_that_anybody_can_make_is_not_believed_though_the_provider_offers_it(
    store: Store, tmp_path: Path, known: Provider, algorithm: str
) -> None:
    known.algorithms = ["none", "HS256", "RS256"]
    known.algorithm = algorithm
    page = of_provider(store, tmp_path, known)
    assert page.get(way_back(page, known)).status_code == 401
    assert store.users.all() == []
    known.algorithm = "RS256"
    assert page.get(way_back(page, known)).status_code == 303


def test_a_callback_that_nobody_asked_for_opens_nothing(store: Store, tmp_path: Path, known: Provider) -> None:
    page, eve = of_provider(store, tmp_path, known), of_provider(store, tmp_path, known)
    planted = way_back(eve, known)
    state = parse_qs(urlsplit(planted).query)["state"][0]
    for path in (
        planted,
        f"/login/oidc/callback?code=x&state={state}",
        "/login/oidc/callback",
        "/login/oidc/callback?error=x",
    ):
        assert page.get(path).status_code == 401, path
    back = way_back(page, known)
    assert page.get(back).status_code == 303
    again = page.application.test_client()
    assert again.get(back).status_code == 401, "once"


def test_without_a_provider_there_is_no_such_page_and_a_silent_one_is_told(store: Store, tmp_path: Path) -> None:
    page = browser(store, tmp_path)
    assert page.get("/login/oidc").status_code == 404
    assert "single sign-on" not in page.get("/login").get_data(as_text=True)
    silent = browser(store, tmp_path, NHOP_OIDC_ISSUER="http://127.0.0.1:9", NHOP_OIDC_CLIENT_ID="x")
    assert silent.get("/login/oidc").status_code == 401
    assert accounts.create(store, "ada", PASSWORD, "admin", NOW)
    form = {"name": "ada", "password": PASSWORD, "csrf_token": token(silent, "/login")}
    assert silent.post("/login", data=form).status_code == 303, "passwords go on"


def leaves(page: FlaskClient) -> TestResponse:
    return page.post("/logout", data={"csrf_token": token(page, "/")})


def test_a_logout_ends_the_session_at_the_provider_too(store: Store, tmp_path: Path, known: Provider) -> None:
    known.ends = f"{known.url}/logout?ui=1"
    page = of_provider(store, tmp_path, known)
    page.get(way_back(page, known))
    answer = leaves(page)
    assert answer.status_code == 200
    address = answer.headers["Refresh"].removeprefix("0; url=")
    assert f'href="{escape(address)}"' in answer.get_data(as_text=True), "for browsers that do not go by themselves"
    assert ">ada</a>" not in answer.get_data(as_text=True)
    assert page.get("/").status_code == 303, "here it has ended, whatever the provider does"
    asked = urlsplit(address)
    connection = http.client.HTTPConnection(asked.netloc, timeout=30)
    connection.request("GET", f"{asked.path}?{asked.query}")
    back = connection.getresponse().getheader("Location")
    connection.close()
    assert back == "http://localhost/login"
    (told,) = known.left
    assert told == {"ui": "1", "client_id": CLIENT, "post_logout_redirect_uri": back, "sub": "42"}
    assert [entry["what"] for entry in store.audit.page(9)] == ["logged out", "logged in"]
    assert store.audit.page(1)[0]["who"] == "ada"


def test_no_token_of_the_provider_can_be_read_in_the_database(store: Store, tmp_path: Path, known: Provider) -> None:
    page = of_provider(store, tmp_path, known)
    page.get(way_back(page, known))
    (kept,) = store.database["sessions"].find()
    assert b"eyJ" not in kept["hint"], "what every token begins with"
    assert not any("eyJ" in str(value) for key, value in kept.items() if key != "hint")


@pytest.mark.parametrize(
    "ends", [None, "", "javascript:alert(1)", "/logout", "//", "data:text/html,x", "ftp://x/y", "http://[", 7, ["x"]]
)
def test_a_provider_that_ends_no_sessions_is_not_asked_to(
    store: Store, tmp_path: Path, known: Provider, ends: Any
) -> None:
    known.ends = ends
    page = of_provider(store, tmp_path, known)
    page.get(way_back(page, known))
    answer = leaves(page)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert page.get("/").status_code == 303


def test_who_logs_out_behind_a_strangers_back_is_sent_to_this_dashboard_alone(
    store: Store, tmp_path: Path, known: Provider
) -> None:
    known.ends = f"{known.url}/logout"
    page = of_provider(store, tmp_path, known)
    page.get(way_back(page, known))
    sent = {"next": "https://evil.example", "post_logout_redirect_uri": "https://evil.example"}
    csrf = token(page, "/")
    answer = page.post("/logout?post_logout_redirect_uri=https://evil.example", data={"csrf_token": csrf, **sent})
    assert "evil" not in answer.headers["Refresh"]
    assert "evil" not in answer.get_data(as_text=True)


def test_a_password_is_logged_out_here_and_a_silent_provider_holds_up_nobody(
    store: Store, tmp_path: Path, known: Provider
) -> None:
    known.ends = f"{known.url}/logout"
    page = of_provider(store, tmp_path, known)
    accounts.create(store, "eve", PASSWORD, "admin", NOW)
    page.post("/login", data={"name": "eve", "password": PASSWORD, "csrf_token": token(page, "/login")})
    assert leaves(page).headers["Location"] == "/login", "nobody checked that but this server"
    page.get(way_back(page, known))
    about = {"NHOP_OIDC_ISSUER": "http://127.0.0.1:9", "NHOP_OIDC_CLIENT_ID": CLIENT}
    later = browser(store, tmp_path, **about)
    cookie = page.get_cookie("nhop")
    assert cookie is not None
    later.set_cookie("nhop", cookie.value)
    answer = leaves(later)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert later.get("/").status_code == 303
