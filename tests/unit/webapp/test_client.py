"""The Python client over real HTTP: pages, refusals, a server that does not answer, and where its token goes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, redirect, request
from werkzeug.serving import make_server

import nhop_client
from engine.cluster.ports import free_ports
from engine.config import parse
from engine.store import Store
from nhop_client import ApiError, Client
from tests.unit.webapp.conftest import PASSWORD
from webapp.services import accounts, tokens

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def nhop(app: Flask, store: Store) -> Iterator[Client]:
    account = accounts.create(store, "ada", PASSWORD, "editor", NOW)
    token = tokens.create(store, account, "test", "write", "", datetime.now(UTC))
    with served(app) as url:
        yield Client(url, token)


def test_all_pages_of_a_list_are_read(nhop: Client, store: Store) -> None:
    config = parse({}).model_dump(mode="json")
    made = {store.sweeps.create(f"s{n}", "ada", config, 1, 1, 1, NOW) for n in range(205)}
    assert {sweep.id for sweep in nhop.sweeps()} == made
    assert list(nhop.sweeps(state="RUNNING")) == []


def test_a_sweep_is_created_from_a_dict_and_from_names(nhop: Client) -> None:
    sweep = nhop.create({"name": "mine", "patience": 3}, opt_stages=[[10, 2]])
    assert (sweep.name, sweep.state, sweep.config["patience"], sweep.ended) == ("mine", "QUEUED", 3, False)
    assert sweep.best is None
    assert repr(sweep) == f"Sweep {sweep.id} 'mine': QUEUED, 0/2 trials"
    assert sweep.set_priority(5).data["priority"] == 5
    with pytest.raises(TimeoutError, match="it is QUEUED"):
        sweep.wait(0)
    assert sweep.stop().wait(10).state == "STOPPED"
    assert sweep.rows() == []


def test_a_refusal_says_what_is_wrong_at_which_key(nhop: Client) -> None:
    with pytest.raises(
        ApiError, match=r"What was sent has problems: .*batch_size: the lower bound 5 is above"
    ) as refused:
        nhop.create({"batch_size": [5, 1], "nonsense": 1})
    assert refused.value.status == 422
    assert set(refused.value.problems) == {"batch_size", "nonsense"}
    with pytest.raises(ApiError) as missing:
        nhop.sweep("../x")
    assert missing.value.status == 404


def test_a_file_is_uploaded(nhop: Client, tmp_path: Path) -> None:
    path = tmp_path / "squares.csv"
    path.write_text("a,y\n" + "".join(f"{n},{n * n}\n" for n in range(30)))
    assert nhop.upload(path)["version"]["reference"].startswith("squares@")
    assert "squares" in [row["name"] for row in nhop.datasets()]


def test_a_creation_is_sent_again_under_its_key_when_the_database_was_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    app, seen = Flask("silent"), []

    @app.post("/api/v1/sweeps")
    def create() -> Any:
        seen.append((request.headers["Idempotency-Key"], request.get_json()))
        return ({"title": "t", "detail": "d"}, 503) if len(seen) < 3 else ({"id": "x"}, 201)

    @app.post("/api/v1/sweeps/x/stop")
    def stop() -> Any:
        seen.append(("", None))
        return {"title": "t", "detail": "d"}, 503

    monkeypatch.setattr(nhop_client, "PAUSE", 0.01)
    with served(app) as url:
        sweep = Client(url, "nhop_x").create(name="a")
        assert sweep.id == "x"
        assert len(seen) == 3
        assert len(set(map(str, seen))) == 1
        with pytest.raises(ApiError, match="t: d"):
            sweep.stop()
        assert len(seen) == 4


def test_the_end_is_waited_for_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    app, seen = Flask("away"), []

    @app.get("/api/v1/sweeps/x")
    def get() -> Any:
        seen.append(1)
        away = len(seen) <= 2 * nhop_client.TRIES
        return (
            ({"title": "t", "detail": "d"}, 503) if away else {"id": "x", "name": "x", "state": "FAILED", "error": "e"}
        )

    monkeypatch.setattr(nhop_client, "PAUSE", 0.01)
    with served(app) as url, pytest.raises(ApiError, match="the sweep x has failed: e"):
        nhop_client.Sweep(Client(url, "nhop_x"), {"id": "x"}).wait(60)
    assert len(seen) == 2 * nhop_client.TRIES + 1


def test_a_token_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere, here, seen = Flask("elsewhere"), Flask("here"), []

    @elsewhere.get("/<path:_path>")
    def steal(_path: str) -> Any:
        seen.append(request.headers.get("Authorization"))
        return {}

    with served(elsewhere) as other, served(here) as url:
        here.add_url_rule("/api/v1/machines", view_func=lambda: redirect(f"{other}/x"))
        with pytest.raises(ApiError) as refused:
            Client(url, "nhop_x").machines()
    assert refused.value.status == 302
    assert seen == []


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nhop_client, "PAUSE", 0.01)
    with pytest.raises(ApiError, match=r"http://127\.0\.0\.1:.* cannot be reached"):
        Client(f"http://127.0.0.1:{free_ports(1)[0]}", "nhop_x").machines()


def test_a_client_needs_an_address_and_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NHOP_TOKEN", raising=False)
    with pytest.raises(ValueError, match="NHOP_TOKEN"):
        Client("http://127.0.0.1")
    with pytest.raises(ValueError, match="does not begin with http"):
        Client("file:///etc/passwd", "nhop_x")
