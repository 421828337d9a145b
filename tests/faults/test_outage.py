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

from bench.analysis import Browser
from engine.config import parse
from engine.store import embedded
from tests.browser.conftest import Server

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
    cookie = browser.cookies()
    store = server.store()
    config = parse({"seed": 1}).model_dump(mode="json")
    sweep = store.sweeps.create("a", "ada", config, 1, 9, 7100, datetime.now(UTC))
    store.database["runs"].insert_one({"_id": 1, "status": "COMPLETED", "experiment": {"name": "e"}, "config": {}})
    store.close()
    paths = ["/", "/sweeps/new", f"/sweeps/{sweep}", "/history", "/history/1", "/datasets", "/account",
             "/api/v1/sweeps", f"/api/v1/sweeps/{sweep}"]  # fmt: skip

    def ask(path: str) -> tuple[int, float]:
        request = urllib.request.Request(server.url + path, headers={"Cookie": cookie})  # noqa: S310
        begun = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own address
                answer.read()
                return answer.status, time.monotonic() - begun
        except urllib.error.HTTPError as error:
            return error.code, time.monotonic() - begun

    assert {ask(path)[0] for path in paths} == {200}
    running = embedded.recorded(server.data_dir)
    assert running is not None
    os.kill(running.pid, signal.SIGSTOP)
    try:
        one_by_one = dict(zip(paths, map(ask, paths), strict=True))
        with ThreadPoolExecutor(len(paths)) as threads:
            all_at_once = dict(zip(paths, threads.map(ask, paths), strict=True))
    finally:
        os.kill(running.pid, signal.SIGCONT)
    for answers in (one_by_one, all_at_once):
        assert {status for status, _ in answers.values()} == {503}, answers
        assert max(seconds for _, seconds in answers.values()) < LIMIT + BUSY, answers
    assert {ask(path)[0] for path in paths} == {200}
