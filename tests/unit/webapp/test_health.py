"""What programs are told, and what happens while the database is silent."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from flask import Flask
from flask.testing import FlaskClient

from engine.store import Store, connect
from webapp.extensions import STORE


def silent(app: Flask) -> Store:
    """Give the application a store that does not answer."""
    app.extensions[STORE] = connect("mongodb://user:hunter2@127.0.0.1:9/?directConnection=true", seconds=0.2)
    return app.extensions[STORE]


def test_health_needs_no_login_and_names_the_parts(visitor: FlaskClient, store: Store) -> None:
    answer = visitor.get("/healthz")
    assert answer.status_code == 200
    report = answer.get_json()
    assert report["status"] == "degraded"  # no daemon yet
    assert report["database"] == {"ok": True}
    store.machines.beat("turing", 1, 2, [], datetime.now(UTC))
    report = visitor.get("/healthz").get_json()
    assert report["status"] == "ok"
    assert report["daemons"][0]["machine"] == "turing"


def test_an_outage_is_told_with_503_and_without_secrets(app: Flask, ada: FlaskClient, visitor: FlaskClient) -> None:
    store = silent(app)
    answer = visitor.get("/healthz")
    assert answer.status_code == 503
    assert answer.get_json()["status"] == "degraded"
    page = ada.get("/")
    assert page.status_code == 503
    assert "database does not answer" in page.get_data(as_text=True)
    assert page.headers["Retry-After"] == "5"
    program = ada.get("/", headers={"Accept": "application/json"})
    assert program.content_type == "application/problem+json"
    assert json.loads(program.data)["status"] == 503
    assert "hunter2" not in answer.get_data(as_text=True) + page.get_data(as_text=True)
    store.close()


def test_a_missing_page_is_a_page(ada: FlaskClient) -> None:
    answer = ada.get("/nothing")
    assert answer.status_code == 404
    assert "Nothing here" in answer.get_data(as_text=True)
