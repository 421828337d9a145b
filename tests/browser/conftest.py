"""The real server (gunicorn, gevent, embedded database) on a free port, and a browser that is logged in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page

from engine.cluster.ports import free_ports
from engine.settings import ROOT
from engine.store import Store, connect, embedded
from tests.waiting import wait_until

CHROMIUM = Path("/usr/bin/chromium")
NAME, PASSWORD = "ada", "correct horse"


def pytest_configure(config: pytest.Config) -> None:
    """pytest-playwright 0.10.0 defines its `base_url` in a way that pytest 9.2 warns about."""
    config.addinivalue_line(
        "filterwarnings", "ignore:Session-scoped fixtures defined as instance methods:pytest.PytestRemovedIn10Warning"
    )


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    installed = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
    return {**browser_type_launch_args, **installed, "args": ["--no-sandbox"]}


class Server:
    """`gunicorn wsgi:app` with a data directory of its own."""

    def __init__(self, data_dir: Path, **environ: str) -> None:
        self.data_dir = data_dir
        self.port = free_ports(1)[0]
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("NHOP_")},
            "NHOP_DATA_DIR": str(data_dir),
            "NHOP_PORT": str(self.port),
            "NHOP_ADMIN_USER": NAME,
            "NHOP_ADMIN_PASSWORD": PASSWORD,
            "NHOP_NO_DAEMON": "1",
            **environ,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.data_dir.parent / f"{self.data_dir.name}.log").read_text()

    def start(self) -> None:
        with (self.data_dir.parent / f"{self.data_dir.name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "gunicorn"), "wsgi:app"],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self.answers, 60, "the server")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.log}"
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C, as a terminal sends it: to the whole group."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, sign)
        return self.process.wait(timeout=30)

    def store(self) -> Store:
        running = embedded.recorded(self.data_dir)
        assert running is not None
        return connect(running.uri, seconds=10)


@contextmanager
def server_with_daemon(data_dir: Path) -> Iterator[Server]:
    """A server with a daemon, as `make run` starts it; both end afterwards."""
    server = Server(data_dir, NHOP_NO_DAEMON="")
    server.start()
    yield server
    with closing(server.store()) as store:
        daemons = [machine["pid"] for machine in store.database["machines"].find({})]
    for pid in daemons:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in daemons), 30, "the end of the daemon")
    server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server") / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    opened = server.store()
    kept = (
        "sweeps",
        "trials",
        "events",
        "runs",
        "metrics",
        "machines",
        "datasets",
        "models",
        "reports",
        "notices",
        "run_notes",
        "fs.files",
        "fs.chunks",
    )
    for name in kept:
        opened.database[name].delete_many({})
    yield opened
    opened.close()


def show(page: Page, part: str) -> None:
    """Open a part of the live page."""
    page.get_by_role("tab", name=part).click()
    page.get_by_role("tabpanel", name=part).wait_for()


@pytest.fixture
def faults(page: Page) -> Iterator[list[str]]:
    """What a page may not have: script errors, and anything the content-security policy had to stop."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(f"{error} {error.stack}"))
    page.on("console", lambda message: found.append(message.text) if "Content Security" in message.text else None)
    yield found
    assert found == []


@pytest.fixture
def enter(page: Page, faults: list[str]) -> Callable[[Server], Page]:
    def log_in(server: Server) -> Page:
        page.set_default_timeout(15_000)
        page.goto(f"{server.url}/login")
        page.get_by_label("Name").fill(NAME)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{server.url}/")
        return page

    return log_in


@pytest.fixture
def ada(enter: Callable[[Server], Page], server: Server, store: Store) -> Page:
    """A browser that is logged in, on an empty database."""
    return enter(server)
