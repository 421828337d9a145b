"""Starting and stopping the real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from engine.cluster.ports import free_ports
from engine.settings import ROOT
from engine.store import embedded
from tests.browser.conftest import Server
from tests.browser.writer import Writer
from tests.waiting import wait_until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server that this test may stop."""
    running = Server(tmp_path / "data")
    yield running
    if running.process is not None:
        running.stop()


def test_ctrl_c_ends_it_within_two_seconds_with_an_open_page(own: Server, enter: Callable[[Server], Page]) -> None:
    own.start()
    page = enter(own)
    expect(page.locator("[data-connection]")).to_have_text("live")
    began = time.monotonic()
    assert own.stop() == 0
    assert time.monotonic() - began < 3  # two seconds, and some for a busy machine
    database = embedded.recorded(own.data_dir)
    assert database is not None
    assert not database.alive()
    assert "Traceback" not in own.log


def test_the_first_start_prints_a_link_that_makes_the_administrator(tmp_path: Path, page: Page) -> None:
    server = Server(tmp_path / "data", NHOP_ADMIN_USER="", NHOP_ADMIN_PASSWORD="")
    server.start()
    try:
        link = re.search(r"http://\S+/setup\?token=\S+", server.log)
        assert link
        page.goto(link[0])
        page.get_by_label("Name").fill("grace")
        page.get_by_label("Password").fill("long enough")
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_role("heading", name="See a sweep in one minute")).to_be_visible()
        page.goto(link[0])
        expect(page.get_by_role("heading", name="This link has ended")).to_be_visible()
    finally:
        server.stop()


def test_a_dead_database_is_told_and_started_again(own: Server, enter: Callable[[Server], Page]) -> None:
    own.start()
    store = own.store()
    writer = Writer(store, opt_stages=[[100, 5]])
    page = enter(own)
    page.goto(f"{own.url}/sweeps/{writer.id}")
    expect(page.locator("[data-connection]")).to_have_text("live")
    database = embedded.recorded(own.data_dir)
    assert database is not None
    psutil.Process(database.pid).kill()
    wait_until(lambda: (found := embedded.recorded(own.data_dir)) and found.pid != database.pid, 40, "the database")
    expect(page.locator("[data-connection]")).to_have_text("live", timeout=20_000)
    store.close()
    store = own.store()
    writer.store = store
    writer.claim()
    expect(page.locator("[data-state]")).to_have_text("Running")
    store.close()


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"NHOP_PORT": "many"}, "NHOP_PORT: must be a whole number"),
        ({"NHOP_DATA_DIR": "/proc/nhop"}, "the data directory /proc/nhop cannot be written"),
        ({"NHOP_HOST": "192.0.2.1"}, "192.0.2.1"),
        ({"NHOP_ADMIN_USER": "ada"}, "must be set together"),
        ({"NHOP_ADMIN_USER": "ada", "NHOP_ADMIN_PASSWORD": "short"}, "the password must have 8 to 1024 characters"),
        ({"NHOP_MONGO_URI": "mongodb://me:hunter2@127.0.0.1:9/x"}, "the database at 127.0.0.1:9 does not answer"),
        ({"NHOP_MONGO_URI": "nonsense"}, "does not answer"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(tmp_path: Path, environ: dict[str, str], sentence: str) -> None:
    status, errors = start_in_vain(tmp_path, **environ)
    assert status == 1
    assert sentence in errors
    assert errors.count("\n") == 1
    assert "hunter2" not in errors
    database = embedded.recorded(tmp_path)
    assert database is None or not database.alive()


def test_a_port_in_use_is_told_with_its_number(server: Server, tmp_path: Path) -> None:
    status, errors = start_in_vain(tmp_path, NHOP_PORT=str(server.port))
    assert status == 1
    assert f"port {server.port} on 127.0.0.1 is in use; stop the other program or set NHOP_PORT" in errors


def test_a_second_server_on_the_same_data_is_refused(server: Server) -> None:
    status, errors = start_in_vain(server.data_dir)
    assert status == 1
    assert "another NHOP runs with the data directory" in errors
    assert server.answers()


def test_the_worker_stays_small(server: Server) -> None:
    assert server.process is not None
    (worker,) = psutil.Process(server.process.pid).children()
    assert worker.memory_info().rss < 200 * 2**20


def start_in_vain(data_dir: Path, **environ: str) -> tuple[int, str]:
    """Exit status and error output of a start that fails."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NHOP_")}
    ours = {"NHOP_DATA_DIR": str(data_dir), "NHOP_PORT": str(free_ports(1)[0]), "NHOP_NO_DAEMON": "1"}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "gunicorn"), "wsgi:app"],
        cwd=ROOT,
        env={**inherited, **ours, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr
