"""Cookies that are made up, changed, kept too long, or planted before the login."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient

from engine.store import Store
from tests.unit.webapp.conftest import PASSWORD, token
from webapp.services import accounts

Login = Callable[[str, str], FlaskClient]


def value(browser: FlaskClient) -> str:
    cookie = browser.get_cookie("nhop")
    assert cookie is not None
    return cookie.value


def with_cookie(app: Flask, cookie: str) -> FlaskClient:
    browser = app.test_client()
    browser.set_cookie("nhop", cookie)
    return browser


def test_a_made_up_or_changed_cookie_opens_nothing(app: Flask, ada: FlaskClient) -> None:
    right = value(ada)
    serializer = SecureCookieSessionInterface().get_signing_serializer(Flask("other"))
    assert serializer is None, "without the key nothing can be signed"
    other = Flask("other")
    other.secret_key = "guess"
    forged = SecureCookieSessionInterface().get_signing_serializer(other)
    assert forged is not None
    for cookie in (
        right[:-1] + ("a" if right[-1] != "a" else "b"),
        right.rpartition(".")[0],
        "",
        "." * 100,
        forged.dumps({"_user_id": "ada", "_fresh": True}),
        forged.dumps({"_user_id": "ada:0", "_fresh": True}),
    ):
        assert with_cookie(app, cookie).get("/").status_code == 303
    signed = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signed is not None
    for secret in ("ada", "ada:0", "", {"$ne": None}, ["ada"]):
        assert with_cookie(app, signed.dumps({"_user_id": secret})).get("/").status_code == 303, secret
    assert with_cookie(app, right).get("/").status_code == 200


def test_a_cookie_that_was_copied_is_stale_after_every_end(app: Flask, login: Login, store: Store) -> None:
    ada = login("ada", "admin")
    for ends in (
        lambda eve: eve.post("/logout", data={"csrf_token": token(eve, "/")}),
        lambda eve: ada.post("/accounts/eve/deactivate", data={"csrf_token": token(ada, "/")}),
        lambda eve: ada.post("/accounts/eve/role", data={"role": "viewer", "csrf_token": token(ada, "/")}),
        lambda eve: store.users.set_password("eve", accounts.hashed("another horse", "eve")),
        lambda eve: store.database["users"].delete_one({"_id": "eve"}),
    ):
        store.database["users"].delete_one({"_id": "eve"})
        eve = login("eve", "editor")
        kept = value(eve)
        assert with_cookie(app, kept).get("/").status_code == 200
        ends(eve)
        assert with_cookie(app, kept).get("/").status_code == 303


def test_a_session_planted_before_the_login_is_not_the_one_after_it(
    app: Flask, visitor: FlaskClient, store: Store
) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", datetime.now(UTC))
    csrf = token(visitor, "/login")
    planted = value(visitor)
    visitor.post("/login", data={"name": "ada", "password": PASSWORD, "csrf_token": csrf})
    assert visitor.get("/").status_code == 200
    assert with_cookie(app, planted).get("/").status_code == 303
