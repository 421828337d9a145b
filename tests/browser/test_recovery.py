"""What the live page says when processes die under it, in words, and that nothing else is needed."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from engine.config import parse
from engine.store import Store
from tests.browser.conftest import Server, server_with_daemon, show
from tests.installation import SMALL, kill
from tests.waiting import wait_until

END_MS = 120_000


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Server]:
    with server_with_daemon(tmp_path / "data") as server:
        yield server


def daemon_of(store: Store) -> psutil.Process:
    (machine,) = wait_until(lambda: list(store.database["machines"].find({})), 60, "the daemon")
    return psutil.Process(machine["pid"])


def training(store: Store, sweep_id: str) -> dict[str, Any] | None:
    processes = store.sweeps.get(sweep_id)["processes"].values()
    return next((one for one in processes if one["role"] == "worker" and one["state"] == "training"), None)


def test_the_page_tells_of_retries_resumption_and_a_silent_machine(
    enter: Callable[[Server], Page], running: Server, tmp_path: Path
) -> None:
    page = enter(running)
    config = parse(
        {**SMALL, "train_log_dir": str(tmp_path / "logs"), "opt_stages": [[50_000_000, 2]], "train_tolerance": 0}
    )
    with closing(running.store()) as store:
        now = datetime.now(UTC)
        sweep_id = store.sweeps.create("long", "ada", config.model_dump(mode="json"), 7, 2, 100_000_000, now)
        page.goto(f"{running.url}/sweeps/{sweep_id}")
        recovery, notice = page.locator("[data-recovery]"), page.locator("[data-waiting]")
        worker = wait_until(lambda: training(store, sweep_id), 60, "a worker at work")
        expect(recovery).to_be_hidden()
        kill(psutil.Process(worker["pid"]))
        expect(recovery).to_contain_text(re.compile(r"Retrying trial [12] \(attempt 2 of 3\)"), timeout=END_MS)
        show(page, "Trials")
        expect(page.locator("[data-trial-rows]")).to_contain_text("retrying: attempt 2 of 3", timeout=END_MS)
        show(page, "Overview")
        daemon = daemon_of(store)
        (optimizer,) = daemon.children()
        kill(optimizer)
        expect(recovery).to_contain_text(re.compile(r"Resumed after .+, at \d\d:\d\d:\d\d"), timeout=END_MS)
        (optimizer,) = daemon.children()
        stopped = [daemon, optimizer]
        for process in stopped:
            process.send_signal(signal.SIGSTOP)
        expect(notice).to_contain_text("is silent: the sweep goes on when it is heard of again", timeout=END_MS)
        for process in stopped:
            process.send_signal(signal.SIGCONT)
        expect(notice).to_be_hidden(timeout=END_MS)
        store.sweeps.stop(sweep_id, datetime.now(UTC))
        expect(page.locator("[data-state]")).to_have_text("Stopped", timeout=END_MS)
        expect(recovery).to_be_hidden()
