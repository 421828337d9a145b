"""Requests that other sites' pages make a browser send: without the token, from another origin, under another name."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine.store import Store
from tests.unit.webapp.conftest import token
from webapp.services.rights import ROUTES

NAMES = {"sweep_id": "x", "number": 1, "name": "x", "kind": "x", "run_id": "x", "filename": "x"}
CHANGING = sorted((endpoint, method) for endpoint, method in ROUTES if method != "GET")
TOKENLESS = {"history.pass_question_on"}
"""Sent by TensorBoard's page, which has no token; these only ask."""


def path_of(app: Flask, endpoint: str, method: str) -> str:
    wanted = next(rule for rule in app.url_map.iter_rules(endpoint) if method in (rule.methods or ()))
    values = {name: NAMES.get(name, "x") for name in wanted.arguments}
    return app.url_map.bind("localhost").build(endpoint, values, method=method)


def state(store: Store) -> dict[str, Any]:
    """All that is stored, but for when sessions were seen."""
    names = [name for name in store.database.list_collection_names() if name not in ("sessions", "audit")]
    return {name: list(store.database[name].find()) for name in sorted(names)}


def test_no_method_of_any_route_works_without_the_token_of_a_page(app: Flask, ada: FlaskClient, store: Store) -> None:
    before = state(store)
    for endpoint, method in CHANGING:
        for headers in ({}, {"X-CSRFToken": "guess"}):
            with ada.open(path_of(app, endpoint, method), method=method, headers=headers) as answer:
                assert answer.status_code == (404 if endpoint in TOKENLESS else 400), (endpoint, method)
    assert state(store) == before
    assert ada.get("/").status_code == 200, "not even the logout"


@pytest.mark.parametrize(
    "page",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_a_page_of_another_origin_changes_nothing_even_with_the_token(
    app: Flask, ada: FlaskClient, store: Store, page: dict[str, str]
) -> None:
    headers = {**page, "X-CSRFToken": token(ada, "/")}
    before = state(store)
    for endpoint, method in CHANGING:
        with ada.open(path_of(app, endpoint, method), method=method, headers=headers) as answer:
            assert answer.status_code == 403, (endpoint, method)
    assert state(store) == before


def test_a_page_of_this_origin_changes_what_it_may(ada: FlaskClient, store: Store) -> None:
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin", "X-CSRFToken": token(ada, "/")}
    assert ada.post("/sweeps/example", headers=headers).status_code == 303
    assert len(store.sweeps.recent(5)) == 1


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:5000", ""])
def test_a_strangers_name_that_leads_here_is_told_nothing(app: Flask, ada: FlaskClient, host: str) -> None:
    for endpoint, method in sorted(ROUTES):
        answer = ada.open(path_of(app, endpoint, method), method=method, headers={"Host": host})
        assert answer.status_code == 400, (endpoint, method)
        assert "does not belong" in answer.get_data(as_text=True)
        assert "Set-Cookie" not in answer.headers
