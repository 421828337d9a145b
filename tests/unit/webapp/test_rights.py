"""The table of rights: complete, and what it says is what happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine.settings import Settings
from engine.store import Store
from tests.unit.webapp.conftest import token
from webapp.extensions import socketio
from webapp.services import datasets
from webapp.services.accounts import Account
from webapp.services.rights import ADMIN, ANYBODY, EDITOR, EVENTS, OWNER, ROUTES, VIEWER, Right

NOW = datetime(2026, 1, 1, tzinfo=UTC)

PEOPLE: dict[str, tuple[str, Right]] = {
    "anonymous": ("", ANYBODY),
    "vera": ("viewer", VIEWER),
    "eddie": ("editor", EDITOR),
    "olga": ("editor", OWNER),
    "ada": ("admin", ADMIN),
}
"""Name → role, and the right that this person has: the sweep and the data set are olga's."""


BODIES: dict[str, dict[str, Any]] = {
    "steering.change": {"values": {}},
    "steering.enqueue": {"points": [{}]},
    "steering.prioritise": {"priority": 1},
    "api.change_sweep": {"values": {}},
    "api.add_points": {"points": [{}]},
    "api.set_priority": {"priority": 1},
}
"""What routes want to be sent before they look for the sweep."""


@pytest.fixture
def world(store: Store, settings: Settings) -> dict[str, Any]:
    """Things of olga, as parts of addresses."""
    olga = Account("olga", "olga", "editor", 0)
    store.runs.create({"status": "RUNNING"})
    store.imports.create({"_id": "begun", "by": "olga", "at": NOW, "kind": "database", "source": "x", "runs": []}, NOW)
    datasets.upload(store, settings, olga, BytesIO(b"a,b,c\n" + b"1,2,3\n4,5,6\n" * 20), "table.csv", "table", NOW)
    return {
        "sweep_id": store.sweeps.create("x", "olga", {}, 1, 1, 1, NOW),
        "number": 1,
        "name": "table",
        "kind": "history",
        "run_id": "x",
        "token_id": "x",
        "view_id": "x",
        "session_id": "x",
        "link_id": "x",
        "import_id": "begun",
        "board_id": "x",
        "part": "x",
        "filename": "css/nhop.css",
    }


def routes(app: Flask) -> set[tuple[str, str]]:
    return {
        (rule.endpoint, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def handlers() -> set[str]:
    return {event for namespace in socketio.server.handlers.values() for event in namespace}


def test_every_route_and_every_socket_event_is_decided(app: Flask) -> None:
    assert routes(app) - set(ROUTES) == set(), "without a line in webapp/services/rights.py"
    assert set(ROUTES) - routes(app) == set(), "lines without a route"
    assert handlers() == set(EVENTS)
    assert set(EVENTS.values()) <= set(Right)


def test_every_route_that_is_no_get_says_whether_it_changes_something() -> None:
    reading = {endpoint for (endpoint, method), rule in ROUTES.items() if method != "GET" and not rule.change}
    assert reading == {"sweeps.check", "sweeps.fill", "sweeps.as_text", "sweeps.read_axes", "models.predict",
                       "history.open_board", "history.pass_question_on"}  # fmt: skip


@pytest.mark.parametrize("person", PEOPLE)
def test_each_role_gets_what_the_table_says_on_every_route(
    app: Flask, login: Callable[[str, str], FlaskClient], world: dict[str, Any], person: str
) -> None:
    role, has = PEOPLE[person]
    browser = login(person, role) if role else app.test_client()
    headers = {"X-CSRFToken": token(browser, "/" if role else "/login")}
    addresses = app.url_map.bind("localhost")
    wrong = []
    last = {"auth.logout", "auth.enter", "account.password", "account.end"}  # these may end the session
    for endpoint, method in sorted(routes(app), key=lambda route: (route[0] in last, route)):
        path = addresses.build(endpoint, world, method=method)
        answer = browser.open(path, method=method, headers=headers, json=BODIES.get(endpoint))
        assert answer.status_code < 500, (endpoint, method)
        refused = (
            answer.status_code == 403
            or (answer.status_code == 401 and path.startswith("/api/"))
            or answer.headers.get("Location", "").startswith("/login?next=")
        )
        if refused != (has < ROUTES[endpoint, method].least):
            wrong.append((endpoint, method, answer.status_code, answer.get_data(as_text=True)[:200]))
        answer.close()
    assert wrong == []


@pytest.mark.parametrize("person", PEOPLE)
def test_each_role_gets_what_the_table_says_of_every_socket_event(
    app: Flask, login: Callable[[str, str], FlaskClient], world: dict[str, Any], person: str
) -> None:
    role, has = PEOPLE[person]
    browser = login(person, role) if role else app.test_client()
    socket = socketio.test_client(app, flask_test_client=browser)
    assert socket.is_connected() == (has >= EVENTS["connect"])
    if not socket.is_connected():
        return
    for event in EVENTS.keys() - {"connect", "disconnect"}:
        answer = socket.emit(event, {"sweep": world["sweep_id"], "after": 0, "run": "1", "output": 0}, callback=True)
        assert ("error" in answer) == (has < EVENTS[event]), event
    assert socket.emit("forgotten", {}, callback=True) is None
    socket.disconnect()


def test_a_route_without_a_line_is_refused_to_everybody(
    app: Flask, login: Callable[[str, str], FlaskClient], visitor: FlaskClient
) -> None:
    app.add_url_rule("/forgotten", "forgotten", lambda: "secret", methods=["GET", "DELETE"])
    ada = login("ada", "admin")
    for browser in (visitor, ada):
        for method in ("GET", "HEAD", "DELETE"):
            answer = browser.open("/forgotten", method=method)
            assert answer.status_code in (303, 403), method
            assert "secret" not in answer.get_data(as_text=True)


def test_methods_that_no_route_has_do_nothing(app: Flask, ada: FlaskClient, world: dict[str, Any]) -> None:
    addresses = app.url_map.bind("localhost")
    for endpoint, method in routes(app):
        path = addresses.build(endpoint, world, method=method)
        for other in ("OPTIONS", "TRACE", "PATCH"):
            with ada.open(path, method=other) as answer:
                assert answer.status_code in (403, 405), (other, path)
