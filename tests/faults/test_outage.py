"""While the database is silent, every request is answered within its limit, and says why it cannot be served."""

from __future__ import annotations

import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.analysis import NAME, Browser
from engine.config import parse
from engine.store import embedded
from tests.browser.conftest import Server
from webapp.services import tokens
from webapp.services.accounts import Account

LIMIT = 3.0
"""Seconds that a request may take to be refused, by docs/reliability.md."""
BUSY = 1.5
"""What a busy machine may add."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "data")
    running.start()
    yield running
    running.stop()


def test_no_request_waits_longer_than_three_seconds_for_a_silent_database(server: Server) -> None:
    browser = Browser(server.port)
    browser.log_in()
    store, now = server.store(), datetime.now(UTC)
    config = parse({"seed": 1}).model_dump(mode="json")
    sweep = store.sweeps.create("a", "ada", config, 1, 9, 7100, now)
    store.database["runs"].insert_one({"_id": 1, "status": "COMPLETED", "experiment": {"name": "e"}, "config": {}})
    user = store.users.get(NAME)
    assert user is not None
    token = tokens.create(store, Account.of(user), "a program", "write", "30", now)
    store.close()
    pages = ["/", "/sweeps/new", f"/sweeps/{sweep}", "/history", "/history/1", "/datasets", "/account",
             "/api/v1/sweeps", f"/api/v1/sweeps/{sweep}"]  # fmt: skip
    wanted = [*((page, None) for page in pages), ("/api/v1/sweeps", b'{"name": "made in an outage"}')]

    def ask(path: str, body: bytes | None) -> tuple[int, str, float]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        headers = headers if body else {"Cookie": browser.cookies()}
        request = urllib.request.Request(server.url + path, body, headers)  # noqa: S310 - our own address
        begun = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return answer.status, answer.read().decode(), time.monotonic() - begun
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), time.monotonic() - begun

    assert {ask(page, None)[0] for page in pages} == {200}
    running = embedded.recorded(server.data_dir)
    assert running is not None
    os.kill(running.pid, signal.SIGSTOP)
    try:
        answers = [ask(*one) for one in wanted]
        with ThreadPoolExecutor(len(wanted)) as threads:
            answers += threads.map(lambda one: ask(*one), wanted)
    finally:
        os.kill(running.pid, signal.SIGCONT)
    for status, text, seconds in answers:
        assert status == 503, text
        assert "The database does not answer" in text
        assert seconds < LIMIT + BUSY, text
    assert {ask(page, None)[0] for page in pages} == {200}
