"""The application on a real embedded database (tests/conftest.py), and browsers that are logged in."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine import settings as settings_module
from engine.settings import Settings
from engine.store import Store
from webapp.auth.views import throttle
from webapp.factory import create_app
from webapp.services import accounts

PASSWORD = "correct horse"


@pytest.fixture
def settings(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("NHOP_NO_DAEMON", "1")
    return settings_module.load(
        {"NHOP_DATABASE": store.database.name, "NHOP_DATA_DIR": str(tmp_path)}, tmp_path / "none"
    )


@pytest.fixture
def app(settings: Settings, store: Store) -> Flask:
    throttle.__init__()  # type: ignore[misc]
    return create_app(settings, store, relay=False)


@pytest.fixture
def visitor(app: Flask) -> FlaskClient:
    """A browser without a session."""
    return app.test_client()


@pytest.fixture
def login(app: Flask, store: Store) -> Callable[[str, str], FlaskClient]:
    """Make an account and log it in: login(name, role)."""

    def enter(name: str, role: str) -> FlaskClient:
        accounts.create(store, name, PASSWORD, role, datetime.now(UTC))
        client = app.test_client()
        answer = client.post("/login", data={"name": name, "password": PASSWORD, "csrf_token": token(client, "/login")})
        assert answer.status_code == 303
        return client

    return enter


@pytest.fixture
def ada(login: Callable[[str, str], FlaskClient]) -> FlaskClient:
    """The administrator."""
    return login("ada", "admin")


def token(client: FlaskClient, path: str) -> str:
    """The CSRF token of a page's form."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).get_data(as_text=True))
    assert found
    return found[1]
