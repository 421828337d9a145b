"""The list of runs in a real browser: filters by clicking, columns, views, and runs of a script that follow live."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from engine.settings import ROOT
from engine.store import Store, embedded
from tests.browser.conftest import Server

NOW = datetime.now(UTC)


def insert(store: Store, count: int = 6) -> None:
    store.database["runs"].insert_many(
        [
            {
                "_id": n,
                "status": "FAILED" if n % 3 == 0 else "COMPLETED",
                "start_time": NOW - timedelta(hours=count - n),
                "config": {"opt": {"lr": n / 10}, "tags": ["keep"] if n == 5 else []},
                "experiment": {"name": f"exp{n}"},
                "host": {"hostname": "lab"},
                "result": n,
            }
            for n in range(1, count + 1)
        ]
    )


def expect_runs(page: Page, *numbers: int) -> None:
    expect(page.locator("tr[data-n] a.row-link")).to_have_text([f"exp{n}" for n in numbers], timeout=20_000)


def test_runs_are_filtered_by_clicking_and_the_address_says_so(ada: Page, server: Server, store: Store) -> None:
    insert(store)
    ada.goto(f"{server.url}/history")
    expect_runs(ada, 6, 5, 4, 3, 2, 1)
    ada.get_by_role("button", name="Filter", exact=True).click()
    dialog = ada.get_by_role("dialog", name="Filter")
    dialog.get_by_label("Field").fill("opt")
    expect(ada.locator("#field-names option[value='config.opt.lr']")).to_be_attached()
    dialog.get_by_label("Field").fill("config.opt.lr")
    dialog.get_by_label("Comparison").select_option("<")
    dialog.get_by_label("Value").fill("0.25")
    dialog.get_by_role("button", name="or…").click()
    dialog.get_by_label("Field").nth(1).fill("tag")
    dialog.get_by_label("Value").nth(1).fill("keep")
    dialog.get_by_role("button", name="Apply").click()
    expect_runs(ada, 5, 2, 1)
    assert "where=config.opt.lr" in ada.url

    chip = ada.get_by_role("button", name="config.opt.lr < 0.25 or tag = keep", exact=True)
    expect(chip).to_be_visible()
    ada.locator("[data-legend] [data-key='completed']").click()
    expect_runs(ada, 5, 2, 1)
    ada.locator("[data-legend] [data-key='failed']").click()
    expect_runs(ada, 5, 2, 1)
    shared = ada.url
    ada.get_by_role("button", name="Remove the condition config.opt.lr < 0.25 or tag = keep").click()
    expect_runs(ada, 6, 5, 4, 3, 2, 1)
    ada.goto(shared)
    expect_runs(ada, 5, 2, 1)
    ada.locator("th[data-column='name'] .sort").click()
    expect_runs(ada, 1, 2, 5)


def test_columns_are_chosen_ordered_resized_and_kept(ada: Page, server: Server, store: Store) -> None:
    insert(store)
    ada.goto(f"{server.url}/history")
    ada.get_by_role("button", name="Columns…").click()
    dialog = ada.get_by_role("dialog", name="Columns")
    dialog.get_by_label("Add a column").fill("config.opt.lr")
    dialog.get_by_role("button", name="Add", exact=True).click()
    for name in ("host", "active", "started"):
        dialog.get_by_role("checkbox", name=name, exact=True).uncheck()
    move = dialog.get_by_role("button", name="Move result up")
    for _ in range(3):
        move.click()
    dialog.get_by_role("button", name="Show").click()
    shown = ["name", "state", "experiment", "result", "config.opt.lr"]
    expect(ada.locator("th[data-column]")).to_have_count(len(shown))
    kept = lambda: [head.get_attribute("data-column") for head in ada.locator("th[data-column]").all()]  # noqa: E731
    assert sorted(kept()) == sorted(shown)
    assert kept().index("result") < kept().index("config.opt.lr")

    edge = ada.get_by_role("separator", name="Width of experiment")
    edge.focus()
    before = ada.locator("th[data-column='experiment']").bounding_box()
    with ada.expect_response(lambda answer: answer.url.endswith("/history/columns")):
        for _ in range(5):
            edge.press("ArrowRight")
    after = ada.locator("th[data-column='experiment']").bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > before["width"] + 40
    assert "experiment:" in ada.url
    address = ada.url
    ada.wait_for_load_state("networkidle")
    ada.goto(f"{server.url}/history")
    assert sorted(kept()) == sorted(shown)
    ada.goto(address)
    assert sorted(kept()) == sorted(shown)
    store.views.put_columns("ada", "")


def test_a_view_is_saved_and_shared_by_its_address(ada: Page, server: Server, store: Store) -> None:
    insert(store)
    ada.goto(f"{server.url}/history?where=state=failed&sort=result")
    expect_runs(ada, 3, 6)
    ada.locator("[data-views] summary").click()
    ada.get_by_label("Save this view as").fill("what failed")
    ada.get_by_role("checkbox", name="share it with everybody").check()
    ada.get_by_role("button", name="Save", exact=True).click()
    ada.wait_for_url("**/history?view=*")
    expect_runs(ada, 3, 6)
    ada.goto(f"{server.url}/history")
    ada.locator("[data-views] summary").click()
    ada.get_by_role("link", name="what failed").click()
    expect_runs(ada, 3, 6)
    store.database["views"].delete_many({})


@contextmanager
def script(server: Server) -> Iterator[subprocess.Popen[str]]:
    """A Sacred experiment as anybody may write one, in a process of its own, that beats every second."""
    running = embedded.recorded(server.data_dir)
    assert running is not None
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.plain_experiment", running.uri, "nhop", "--beat-interval=1"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def test_a_run_of_a_plain_script_is_followed_live(ada: Page, server: Server, store: Store) -> None:
    ada.goto(f"{server.url}/history?columns=name,state,config.lr,metrics.loss.last,info.epoch,result")
    expect(ada.locator("[data-connection]")).to_have_text("live")
    ada.mouse.move(5, 5)
    with script(server) as process:
        row = ada.locator("tr[data-n]", has_text="plain")
        expect(row).to_have_count(1, timeout=60_000)
        expect(row.locator(".state")).to_have_text("Running")
        ada.evaluate("() => { window.stayed = true; }")
        for epoch, loss in ((1, 0.5), (2, 0.25)):
            say(process, f"info epoch {epoch}")
            say(process, f"log loss {epoch} {loss}")
            expect(row.locator("[data-label='last loss']")).to_have_text(str(loss), timeout=30_000)
            expect(row.locator("[data-label='info.epoch']")).to_have_text(str(epoch), timeout=30_000)
        assert process.stdin is not None
        process.stdin.close()
        expect(row.locator(".state")).to_have_text("Completed", timeout=30_000)
        expect(row.locator("[data-label=Result]")).to_have_text("0.1", timeout=30_000)
    assert ada.evaluate("() => window.stayed")
    expect(ada.locator("[data-key='completed'] .count")).to_have_text("1")

    store.database["runs"].delete_many({})
    expect(row).to_have_count(0, timeout=60_000)


def test_a_new_run_waits_while_somebody_reads(ada: Page, server: Server, store: Store) -> None:
    insert(store, 40)
    ada.goto(f"{server.url}/history")
    expect(ada.locator("tr[data-n]")).to_have_count(40)
    expect(ada.locator("[data-connection]")).to_have_text("live")
    link = ada.locator("a.row-link", has_text="exp30")
    link.hover()
    before = link.bounding_box()
    store.runs.create({"status": "RUNNING", "start_time": NOW, "heartbeat": NOW, "experiment": {"name": "fresh"}})
    show = ada.get_by_role("button", name="Show 1 run that is new or changed")
    expect(show).to_be_visible(timeout=30_000)
    assert link.bounding_box() == before
    expect(ada.locator("tr[data-n]")).to_have_count(40)
    show.click()
    expect(ada.locator("tr[data-n]")).to_have_count(41)


def test_the_pages_say_that_the_database_is_silent(ada: Page, server: Server, store: Store) -> None:
    insert(store)
    store.database["runs"].update_one({"_id": 6}, {"$set": {"status": "RUNNING", "heartbeat": datetime.now(UTC)}})
    running = embedded.recorded(server.data_dir)
    assert running is not None
    other = ada.context.new_page()
    other.goto(f"{server.url}/history/6")
    ada.goto(f"{server.url}/history")
    for page in (ada, other):
        expect(page.locator("[data-connection]")).to_have_text("live", timeout=20_000)
    os.kill(running.pid, signal.SIGSTOP)
    try:
        for page in (ada, other):
            expect(page.locator("[data-connection]")).to_have_text("the database does not answer…", timeout=30_000)
    finally:
        os.kill(running.pid, signal.SIGCONT)
    for page in (ada, other):
        expect(page.locator("[data-connection]")).to_have_text("live", timeout=30_000)
