"""What a database would take for an operator or a path, and addresses that lead elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine.store import Store
from tests.unit.webapp.conftest import PASSWORD, token
from webapp.services import accounts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "otter-6c1e"
OPERATORS: list[Any] = [
    {"$ne": None},
    {"$gt": ""},
    {"$regex": ".*"},
    {"$where": "sleep(9)"},
    {"a.b": 1},
    {"$set": {"x": 1}},
]


def test_an_operator_opens_no_account(visitor: FlaskClient, store: Store) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", NOW)
    csrf = token(visitor, "/login")
    forms: list[dict[str, str]] = [
        {"name[$ne]": "", "password[$ne]": ""},
        {"name": '{"$ne": null}', "password": '{"$ne": null}'},
        {"name": "ada", "password[$gt]": ""},
        {"name": "ada\0", "password": PASSWORD},
    ]
    for form in forms:
        assert visitor.post("/login", data={**form, "csrf_token": csrf}).status_code == 401
    sent = visitor.post(
        "/login", json={"name": {"$ne": None}, "password": {"$ne": None}}, headers={"X-CSRFToken": csrf}
    )
    assert sent.status_code == 401
    assert visitor.get("/link?token[$ne]=x").status_code == 410
    assert visitor.get("/").status_code == 303


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_operators_in_the_body_of_a_request_stay_values(ada: FlaskClient, store: Store, operator: Any) -> None:
    sweep_id = store.sweeps.create("x", "ada", {}, 1, 1, 1, NOW)
    before = store.sweeps.get(sweep_id)
    headers = {"X-CSRFToken": token(ada, "/"), "Accept": "application/json"}
    bodies: dict[str, Any] = {
        "config": {"values": operator},
        "points": {"points": [operator]},
        "retry": {"numbers": operator},
        "priority": {"priority": operator},
    }
    for path, body in bodies.items():
        assert ada.post(f"/sweeps/{sweep_id}/{path}", json=body, headers=headers).status_code in (400, 409, 422), path
    nested = {"values": {"name": operator, "learning_rate": operator, "$set": {"owner": "eve"}, "owner.x": "eve"}}
    assert ada.post(f"/sweeps/{sweep_id}/config", json=nested, headers=headers).status_code in (400, 422)
    assert store.sweeps.get(sweep_id) == before


@pytest.mark.parametrize(
    "path",
    [
        "/history/run?id={%22$ne%22:null}",
        "/history/run?id={%22$where%22:%22sleep(9)%22}",
        "/history?before={%22$gt%22:%22%22}",
        "/sweeps/$where",
        "/sweeps/x/trials/order.json?sort=$where",
        "/sweeps/x/trials/order.json?sort=lease.fence",
        "/sweeps/x/trials/order.json?text=$where:1",
        "/datasets/$ne",
        "/datasets/x?version[$ne]=1",
        "/audit?who=.*&text=(a%2B)%2B$&where=[&before={%22$gt%22:1}",
        "/api/v1/sweeps?state[$ne]=x",
        "/api/v1/sweeps?owner={%22$ne%22:1}",
    ],
)
def test_operators_in_an_address_are_text(ada: FlaskClient, store: Store, path: str) -> None:
    store.sweeps.create(SECRET, "eve", {}, 1, 1, 1, NOW)
    answer = ada.get(path)
    assert answer.status_code in (200, 400, 404, 422)
    assert SECRET not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "evil",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/%0d%0aLocation:https://evil.example",
        "//[",
        "/x\r\nSet-Cookie: a=b",
        "https://localhost@evil.example",
    ],
)
def test_the_way_back_after_the_login_leads_to_this_server(visitor: FlaskClient, store: Store, evil: str) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", NOW)
    form = {"name": "ada", "password": PASSWORD, "next": evil, "csrf_token": token(visitor, "/login")}
    location = visitor.post("/login", data=form).headers["Location"]
    assert location == "/" or location == "/%0d%0aLocation:https://evil.example"
    assert "\n" not in location
