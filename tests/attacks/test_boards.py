"""TensorBoards: of somebody else, ways past their addresses, and what travels to them and back."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine.settings import ROOT
from tests.unit.webapp.conftest import token
from tests.waiting import wait_until
from webapp.extensions import BOARDS
from webapp.services import boards as service

ASKING = "experiment/x/data/plugin/timeseries/timeSeries"


@pytest.fixture
def address(app: Flask, ada: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where ada's TensorBoard is: a stand-in (tests/boards.py), which tells what it was asked."""
    monkeypatch.setattr(service, "COMMAND", (sys.executable, str(ROOT / "tests" / "boards.py")))
    request = {"id": "1", "csrf_token": token(ada, "/account")}
    waiting = ada.post("/history/tensorboard", data=request).headers["Location"]
    wait_until(lambda: ada.get(waiting).status_code == 303, 20, "the stand-in")
    yield f"/history/tensorboard/{waiting.rpartition('=')[2]}/"
    app.extensions[BOARDS].close()


def test_nobody_else_reaches_it_not_even_an_administrator(
    address: str, login: Callable[[str, str], FlaskClient], visitor: FlaskClient
) -> None:
    board = address.split("/")[3]
    mallory = login("mallory", "admin")
    for path in (address, f"{address}data/runs", f"/history/tensorboard?board={board}",
                 f"/history/tensorboard.json?board={board}"):  # fmt: skip
        for method in ("GET", "HEAD"):
            assert mallory.open(path, method=method).status_code == 404, path
            assert visitor.open(path, method=method).status_code in (303, 403), path
    assert mallory.post(f"{address}{ASKING}").status_code == 404
    assert visitor.post(f"{address}{ASKING}").status_code == 403


def test_nothing_of_the_visitor_goes_to_it(ada: FlaskClient, address: str) -> None:
    headers = {
        "Authorization": "Bearer secret",
        "Proxy-Authorization": "secret",
        "X-Forwarded-For": "192.0.2.1",
        "X-CSRFToken": "secret",
        "Referer": "http://localhost/secret",
        "Accept": "application/json",
        "Connection": "X-CSRFToken",
    }
    for method in ("GET", "POST"):
        answer = ada.open(f"{address}{ASKING}", method=method, headers=headers, data={"requests": "[]"})
        told = answer.get_json()
        assert told["method"] == method
        assert set(told["headers"]) <= {
            "Host",
            "Accept",
            "Accept-Encoding",
            "Content-Type",
            "Content-Length",
            "Connection",
        }
        assert told["headers"]["Host"] == "tensorboard"
        assert "secret" not in str(told)
    assert told["body"] == "requests=%5B%5D"


def test_of_what_it_answers_no_cookie_no_policy_and_no_way_elsewhere_comes_back(ada: FlaskClient, address: str) -> None:
    for path in (address, f"{address}data/runs"):
        answer = ada.get(path)
        assert answer.status_code == 200
        for name in ("Set-Cookie", "Location", "Access-Control-Allow-Origin"):
            assert name not in answer.headers, name
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert len(answer.headers.getlist("Content-Security-Policy")) == 1
        assert "evil" not in answer.headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in ada.get(address).headers["Content-Security-Policy"].split(";"))
    own = f"http://localhost{address}"
    assert rules["connect-src"] == f"{own} data:"
    assert rules["script-src"] == f"{own} 'unsafe-eval' 'sha256-Zm9v'"
    assert rules["sandbox"] == "allow-scripts allow-same-origin allow-downloads"
    assert {rules[name] for name in ("default-src", "frame-src", "form-action", "base-uri", "frame-ancestors")} == {
        "'none'"
    }
    still = ada.get(f"{address}data/runs").headers["Content-Security-Policy"]
    assert "script-src" not in still
    assert still.endswith("; sandbox")
    assert ada.get(f"{address}moved").status_code == 404


@pytest.mark.parametrize("part", [
    "../../../etc/passwd", "..%2f..%2fetc/passwd", "%2e%2e/%2e%2e/x", "data/%2e%2e/%2e%2e/x", "a%5c..%5cx", "a%00b",
    "a%0d%0aX-Evil:%201", "a%20b", "a%3fb", "a%23b", "a@b", "http://evil.example/", "%c0%ae%c0%ae/x", "ü", "x" * 600,
])  # fmt: skip
def test_no_other_address_is_asked_for(ada: FlaskClient, address: str, part: str) -> None:
    for method in ("GET", "POST"):
        answer = ada.open(f"{address}{part}", method=method)
        assert answer.status_code in (303, 308, 404, 405), (method, part)
        text = answer.get_data(as_text=True)
        assert '"path"' not in text, (method, part)
        assert "root:" not in text


def test_a_query_stays_a_query(ada: FlaskClient, address: str) -> None:
    for query in ("a=1%0d%0aX-Evil:%201", "a=\xc3\xbc\x00 b", "a=b c\r\nX-Evil: 1", "a=%2e%2e/#x"):
        told = ada.open(f"{address}data/runs", environ_overrides={"QUERY_STRING": query}).get_json()
        assert "X-Evil" not in told["headers"]
        assert re.fullmatch(r"/data/runs\?[!-~]*", told["path"])


def test_only_what_reads_is_asked_by_post(ada: FlaskClient, address: str) -> None:
    for part in (
        "data/runs",
        "",
        "data/plugin",
        "x/data/plugin/a/b",
        "data/plugin/a/b/c",
        "experiment/x/y/data/plugin/a/b",
    ):
        assert ada.post(f"{address}{part}").status_code in (404, 405), part
    assert ada.post(f"{address}{ASKING}", headers={"Origin": "https://evil.example"}).status_code == 403
    assert ada.post(f"{address}{ASKING}", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert ada.open(f"{address}{ASKING}", method=method).status_code in (403, 405), method


def test_only_the_servers_user_may_enter_its_folder(app: Flask, address: str) -> None:
    (board,) = app.extensions[BOARDS]._boards.values()
    for folder in (board.folder, board.folder.parent, board.folder.parent.parent):
        assert folder.stat().st_mode & 0o077 == 0
    assert board.folder.stat().st_uid == os.geteuid()
