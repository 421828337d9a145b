"""Steering a sweep from its page, with the real engine: every action is answered, and said to be taken up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from engine.config import parse
from engine.domain import ENDED
from engine.store import Store
from tests.browser.conftest import Server, server_with_daemon, show
from tests.waiting import wait_until

END_MS = 180_000
TAKEN = re.compile(r"taken up after [\d.]+ s")

LONG = {
    "opt_stages": [[3_000_000, 6]],
    "data_instances": 500,
    "batch_size": [20, 60],
    "hidden_layers": [2, 3],
    "nodes_per_layer": [3, 6],
    "learning_rate": [0.0001, 0.001],
    "activation": ["relu"],
    "opt_tolerance": 0,
    "confirm": 0,
    "ps_hosts": "localhost:2223",
    "worker_hosts": "localhost:2225,localhost:2226",
    "seed": 7,
}
"""A sweep whose trials train for minutes: what a test wants of it comes before their end."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_with_daemon(tmp_path_factory.mktemp("steering") / "data") as server:
        yield server


@pytest.fixture
def database(running: Server) -> Iterator[Store]:
    with closing(running.store()) as store:
        yield store


@pytest.fixture
def begin(database: Store, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """begin(**values) queues a sweep of LONG with *values* over it; it is stopped after the test."""
    begun: list[str] = []

    def create(**values: Any) -> str:
        config = parse({**LONG, "train_log_dir": str(tmp_path / "logs"), "name": "steered", **values})
        sweep_id = database.sweeps.create(
            "steered", "ada", config.model_dump(mode="json"), 7, config.total_trials, config.total_steps,
            datetime.now(UTC),
        )  # fmt: skip
        begun.append(sweep_id)
        return sweep_id

    yield create
    for sweep_id in begun:
        if database.sweeps.get(sweep_id)["state"] not in ENDED:
            database.sweeps.stop(sweep_id, datetime.now(UTC))
        wait_until(lambda one=sweep_id: database.sweeps.get(one)["state"] in ENDED, 60, "the end of the sweep")  # type: ignore[misc]


@pytest.fixture
def live(
    enter: Callable[[Server], Page], running: Server, database: Store, begin: Callable[..., str]
) -> Callable[..., Page]:
    """live(**values) opens the page of such a sweep, both workers in training."""

    def visit(**values: Any) -> Page:
        sweep_id = begin(**values)
        page = enter(running)
        page.set_default_timeout(60_000)
        page.goto(f"{running.url}/sweeps/{sweep_id}#trials")
        expect(page.locator("[data-trial-rows] .state-running")).to_have_count(2, timeout=END_MS)
        return page

    return visit


def sweep_of(page: Page, store: Store) -> dict[str, Any]:
    return store.sweeps.get(page.url.rpartition("/")[2].partition("#")[0])


def taken(page: Page, what: str) -> None:
    """Wait until the page says that the engine has taken *what* up."""
    expect(page.locator("[data-taken] li").filter(has_text=what)).to_contain_text(TAKEN, timeout=END_MS)


def test_pausing_and_resuming_are_taken_up(live: Callable[..., Page]) -> None:
    page = live()
    page.get_by_role("button", name="Pause", exact=True).click()
    taken(page, "Pause")
    expect(page.locator("[data-state]")).to_have_text("Paused")
    page.get_by_role("button", name="Resume", exact=True).click()
    taken(page, "Resume")
    expect(page.locator("[data-state]")).to_have_text("Running")


def test_the_search_is_changed_and_extended_with_its_history(live: Callable[..., Page], database: Store) -> None:
    page = live()
    page.get_by_role("button", name="Change the search…").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("#batch_size-1").fill("10")
    dialog.get_by_role("button", name="Change it").click()
    expect(dialog.locator("#batch_size-problem")).to_contain_text("exchange them")
    expect(dialog.locator("#batch_size-1")).to_have_value("10")
    dialog.locator("#batch_size-1").fill("40")
    dialog.get_by_text("TPE (Bayesian)", exact=True).click()
    dialog.get_by_role("button", name="Change it").click()
    expect(dialog).to_be_hidden()
    taken(page, "version 2")

    page.get_by_role("button", name="More trials…").click()
    expect(dialog.get_by_label("Stage 1: number of trials")).to_be_focused()
    dialog.get_by_label("Stage 1: number of trials").fill("8")
    dialog.get_by_role("button", name="Add a stage").click()
    dialog.get_by_label("Stage 2: steps of each trial").fill("100")
    dialog.get_by_label("Stage 2: number of trials").fill("5")
    dialog.get_by_role("button", name="Change it").click()
    taken(page, "version 3")
    show(page, "Overview")
    expect(page.locator("[data-trials-done]")).to_have_text("0 of 13")
    expect(page.locator("[data-space-head]")).to_contain_text("TPE (Bayesian)")
    show(page, "Configuration")
    versions = page.locator("[data-versions] > li")
    expect(versions).to_have_count(2)
    expect(versions.last).to_contain_text("Version 2 by ada")
    expect(versions.last).to_contain_text("Batch size: 20 – 60 → 20 – 40")
    expect(versions.last).to_contain_text(TAKEN)
    expect(page.locator("[data-config=batch_size]")).to_have_text("20 – 40")
    sweep = sweep_of(page, database)
    assert (sweep["version"], sweep["applied"], sweep["config"]["hyperparam_opt"]) == (3, 3, "TPE")
    page.reload()
    expect(versions.last).to_contain_text("taken up")


def test_a_point_is_tried_next_once_it_is_right(live: Callable[..., Page]) -> None:
    page = live()
    page.get_by_role("button", name="Try a point…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Layers", exact=True).fill("2")
    expect(dialog.get_by_label("Nodes of layer 3")).to_be_hidden()
    dialog.get_by_label("Batch size").fill("7")
    dialog.get_by_role("button", name="Try it next").click()
    expect(dialog.locator("#point-batch_size-problem")).to_contain_text("must lie between 20 and 60, got 7")
    expect(dialog.get_by_label("Batch size")).to_be_focused()
    dialog.get_by_label("Batch size").fill("33")
    dialog.get_by_role("button", name="Try it next").click()
    expect(dialog).to_be_hidden()
    taken(page, "Try a point")
    page.get_by_role("button", name="End trial 1").click()  # a worker is free for it
    taken(page, "End trial 1")
    row = page.locator("[data-trial-rows] tr[data-number='3']")
    expect(row).to_contain_text("asked for", timeout=END_MS)
    expect(row).to_contain_text("batch 33")
    expect(page.locator("[data-trial-rows] tr[data-number='1']")).to_contain_text("Pruned")


def test_a_trial_is_ended_from_its_page(live: Callable[..., Page]) -> None:
    page = live()
    page.locator("[data-trial-rows]").get_by_role("link", name="trial 2", exact=True).click()
    expect(page.get_by_role("heading", name="Trial 2")).to_contain_text("Running")
    page.get_by_role("button", name="End trial 2").click()
    taken(page, "End trial 2")
    expect(page.get_by_role("heading", name="Trial 2")).to_contain_text("Pruned")
    expect(page.get_by_role("button", name="End trial 2")).to_be_hidden()


def test_a_worker_is_restarted_when_it_is_sure_and_its_log_is_shown(live: Callable[..., Page], database: Store) -> None:
    page = live()
    show(page, "Cluster")
    row = page.locator("[data-processes] tr").filter(has_text="Worker 1")
    expect(row).to_contain_text(re.compile(r"\d+ % *\d+ MB"), timeout=END_MS)
    pid = sweep_of(page, database)["processes"]["worker_1"]["pid"]
    page.get_by_role("button", name="Restart… Worker 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    assert psutil.pid_exists(pid)
    page.get_by_role("button", name="Restart… Worker 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart Worker 1").click()
    taken(page, "Restart Worker 1")
    wait_until(lambda: not psutil.pid_exists(pid), 20, "the end of the process")
    expect(row.locator("td").nth(6)).to_have_text("1", timeout=END_MS)
    page.get_by_role("button", name="Log of the optimizer").click()
    expect(page.locator("[data-tail-lines]")).to_contain_text("worker_1 is replaced, as the user wished")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Log of the optimizer")).to_be_focused()
    show(page, "Trials")
    expect(page.locator("[data-trial-rows]")).to_contain_text("attempt 2", timeout=END_MS)


def test_failed_trials_are_tried_again(live: Callable[..., Page], database: Store) -> None:
    page = live(max_attempts=1)
    sweep = sweep_of(page, database)
    psutil.Process(sweep["processes"]["worker_0"]["pid"]).kill()
    failed = page.locator("[data-trial-rows] tr").filter(has=page.locator(".state-failed"))
    expect(failed).to_have_count(1, timeout=END_MS)
    number = failed.get_attribute("data-number")
    page.get_by_role("button", name=f"Retry trial {number}").click()
    taken(page, f"Retry trial {number}")
    page.get_by_role("button", name="Try failed ones again").click()
    expect(page.locator("[data-refused]")).to_contain_text("No trial has failed that is not tried again already")
    show(page, "Configuration")
    expect(page.locator("[data-versions]")).to_contain_text(f"Try again: trial {number}")
    show(page, "Trials")
    expect(page.locator("[data-trial-rows] .state-running")).to_have_count(2, timeout=END_MS)
    page.get_by_role("button", name=re.compile("^End trial")).first.click()
    expect(page.locator("[data-trial-rows]")).to_contain_text(f"retries #{number}", timeout=END_MS)


def test_a_sweep_finishes_with_its_running_trials_and_stops(live: Callable[..., Page], database: Store) -> None:
    page = live()
    page.get_by_role("button", name="Finish…").click()
    page.get_by_role("button", name="Go on searching").click()
    assert sweep_of(page, database)["finish_requested"] is False
    page.get_by_role("button", name="Finish…").click()
    page.get_by_role("button", name="Finish the sweep").click()
    taken(page, "Finish")
    expect(page.locator("[data-state]")).to_have_text("Finishing")
    show(page, "Overview")
    expect(page.locator("[data-ended-because]")).to_contain_text("the user wished it to end")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Stop the sweep").click()
    taken(page, "Stop")
    expect(page.locator("[data-state]")).to_have_text("Stopped")
    expect(page.locator("[data-connection]")).to_have_text("ended")
    expect(page.locator("[data-steering]")).to_be_hidden()
