"""The page of a run in a real browser: followed while a plain Sacred script writes it, and harmed by nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from engine.settings import ROOT
from engine.store import Store, embedded
from engine.store.runs import run_id_text
from tests import hostile_runs
from tests.browser.conftest import Server
from tests.waiting import wait_until

expect.set_options(timeout=30_000)

NOW = datetime.now(UTC)


class Script:
    """The experiment of tests/plain_experiment.py, told line by line what to do."""

    def __init__(self, uri: str, database: str) -> None:
        command = [sys.executable, str(ROOT / "tests" / "plain_experiment.py"), uri, database]
        self.process = subprocess.Popen(
            [*command, "with", "lr=0.25", "-b", "0.3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )

    def do(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=30)


@pytest.fixture
def script(server: Server, store: Store) -> Iterator[Script]:
    running = embedded.recorded(server.data_dir)
    assert running is not None
    started = Script(running.uri, store.database.name)
    yield started
    with suppress(OSError):
        if started.process.stdin is not None:
            started.process.stdin.close()
    started.process.kill()
    started.process.wait()


def test_a_plain_sacred_script_is_followed(
    ada: Page, server: Server, store: Store, script: Script, tmp_path: Path
) -> None:
    wait_until(lambda: store.database["runs"].find_one({}, {"_id": 1}), 60, "the run of the script")
    script.do("print the first line", "log training.loss 1 0.5")
    wait_until(lambda: store.database["metrics"].find_one({}), 30, "the first metric")
    ada.goto(f"{server.url}/history/1")
    expect(ada.locator("[data-connection]")).to_have_text("live")
    output = ada.get_by_label("Captured output")
    expect(output).to_contain_text("the first line")
    script.do("print \\x1b[31mred words\\x1b[0m and plain", "log training.loss 2 0.25", "log training.loss 3 0.125")
    red = output.locator(".ansi-fg-1")
    expect(red).to_have_text("red words")
    assert "\x1b" not in output.inner_text()
    card = ada.locator("[data-metric='training.loss']")
    expect(card.locator("[data-place]")).to_have_attribute("data-points", "3")
    expect(card.locator("[data-place]")).to_have_attribute("aria-label", re.compile("last value 0.125"))
    expect(card.locator(".chart-about")).to_have_text("3 points, the last one 0.125.")
    kept = tmp_path / "kept.txt"
    kept.write_text("an artifact")
    script.do(f"keep {kept}", "info phase second")
    expect(ada.locator("[data-part='artifacts']")).to_contain_text("kept.txt")
    expect(ada.locator("[data-part='info']")).to_contain_text("second")
    script.do("log accuracy 1 0.5", "log accuracy 2 0.75")
    later = ada.locator("[data-metric='accuracy'] [data-place]")
    later.scroll_into_view_if_needed()
    expect(later).to_have_attribute("data-points", "2")
    script.do("log accuracy 3 0.8", "print the last line")
    expect(later).to_have_attribute("data-points", "3")
    assert script.end() == 0
    expect(ada.locator("[data-state]")).to_have_text("Completed")
    expect(ada.locator("[data-result]")).to_have_text("0.25")
    expect(output).to_contain_text("the last line")
    assert output.inner_text().count("the first line") == 1


def test_a_failure_is_told_while_the_page_is_open(ada: Page, server: Server, store: Store, script: Script) -> None:
    wait_until(lambda: store.database["runs"].find_one({}, {"_id": 1}), 60, "the run of the script")
    ada.goto(f"{server.url}/history/1")
    expect(ada.locator("[data-connection]")).to_have_text("live")
    script.do("fail the disk is full")
    expect(ada.locator("[data-part='failure']")).to_contain_text("the disk is full")
    expect(ada.locator("[data-state]")).to_have_text("Failed")


def test_forty_hostile_runs_are_opened_and_harm_nothing(ada: Page, server: Server, store: Store) -> None:
    ada.set_viewport_size({"width": 390, "height": 900})
    for run_id in hostile_runs.insert(store.database):
        answer = ada.goto(f"{server.url}/history/run?id={quote(run_id_text(run_id), safe='')}")
        assert answer is not None
        assert answer.status == 200, run_id
        expect(ada.get_by_role("heading", name="Tags and notes")).to_be_visible()
        assert ada.title() != "harmed"
        assert ada.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, run_id


@pytest.fixture
def artifacts(ada: Page, server: Server, store: Store) -> Page:
    hostile_runs.insert(store.database)
    ada.goto(f"{server.url}/history/7")
    return ada


@pytest.fixture
def refused(faults: list[str]) -> Iterator[None]:
    """Around a test whose files want something that their policy has to stop."""
    yield
    assert faults
    assert all("Content Security Policy" in fault for fault in faults), faults
    faults.clear()


def opened(page: Page, name: str) -> Any:
    row = page.locator("[data-part='artifacts'] li").filter(has_text=name)
    row.locator("summary").click()
    return row.locator("[data-preview-place]")


@pytest.mark.usefixtures("refused")
def test_files_are_shown_without_their_scripts(artifacts: Page, server: Server) -> None:
    frame = opened(artifacts, "plot.html").frame_locator("iframe")
    expect(frame.locator("#said")).to_have_text("plot")
    assert frame.locator("html").evaluate("() => document.title") == "x"
    assert frame.locator("html").evaluate("() => location.origin === 'null' || window.origin === 'null'")
    expect(opened(artifacts, "notes.txt")).to_contain_text("<script>")
    expect(opened(artifacts, "table.csv").get_by_role("cell").last).to_have_text("<b>0.25</b>")
    expect(opened(artifacts, "drawing.svg").get_by_role("img")).to_be_visible()
    assert artifacts.title() != "harmed"
    artifacts.goto(f"{server.url}/history/run/content?id=7&at=1&view=1")
    assert artifacts.title() != "harmed"


@pytest.mark.usefixtures("refused")
def test_scripts_of_a_file_run_only_apart_from_the_site(artifacts: Page, server: Server) -> None:
    artifacts.goto(f"{server.url}/history/run/content?id=7&at=0&view=1&scripts=1")
    assert artifacts.title() == "harmed"  # itself
    reached = artifacts.evaluate(
        """async (url) => {
            const tried = {};
            try { tried.cookie = document.cookie; } catch { tried.cookie = "refused"; }
            try { tried.page = (await fetch(url)).status; } catch { tried.page = "refused"; }
            return tried;
        }""",
        f"{server.url}/history/7",
    )
    assert reached == {"cookie": "refused", "page": "refused"}


def test_a_file_is_saved_under_a_plain_name(artifacts: Page) -> None:
    row = artifacts.locator("[data-part='artifacts'] li").filter(has_text="passwd")
    with artifacts.expect_download() as download:
        row.get_by_role("link").click()
    assert download.value.suggested_filename == "passwd"


def test_notes_are_written_and_harm_nothing(ada: Page, server: Server, store: Store) -> None:
    store.database["runs"].insert_one({"_id": 1, "status": "COMPLETED"})
    ada.goto(f"{server.url}/history/1")
    ada.get_by_text("Edit", exact=True).click()
    ada.get_by_role("textbox", name=re.compile("^Tags")).fill("good, <b>bad</b>")
    ada.get_by_role("textbox", name=re.compile("^Notes")).fill(
        f"# Kept\n\n{hostile_runs.SCRIPT} [link](javascript:alert(1)) **bold**"
    )
    ada.get_by_role("button", name="Save", exact=True).click()
    expect(ada.locator("[data-notes] strong")).to_have_text("bold")
    expect(ada.get_by_role("list", name="Tags").get_by_role("listitem")).to_have_text(["good", "<b>bad</b>"])
    assert ada.locator("[data-notes] a, [data-notes] script").count() == 0
    assert ada.title() != "harmed"


def test_earlier_output_is_loaded(ada: Page, server: Server, store: Store) -> None:
    lines = "".join(f"line {number}.\n" for number in range(12_000))
    store.database["runs"].insert_one({"_id": 1, "captured_out": lines, "status": "COMPLETED"})
    ada.goto(f"{server.url}/history/1")
    output = ada.get_by_label("Captured output")
    expect(output).to_contain_text("line 11999.")
    assert "line 0." not in output.inner_text()
    earlier = ada.get_by_role("button", name="Earlier output")
    while earlier.is_visible():
        before = len(output.text_content() or "")
        earlier.click()
        ada.wait_for_function(
            "(before) => document.querySelector('[data-output-text]').textContent.length > before", arg=before
        )
    assert output.text_content() == lines


def test_a_metric_of_200000_points_is_zoomed_into(ada: Page, server: Server, store: Store) -> None:
    count = 200_000
    values = [float(step % 1000) for step in range(count)]
    store.database["runs"].insert_one({"_id": 1, "status": "COMPLETED", "start_time": NOW})
    store.runs.put_metric(1, "loss", list(range(count)), values, [NOW] * count)
    ada.goto(f"{server.url}/history/1")
    card = ada.locator("[data-metric]")
    place = card.locator("[data-place]")
    card.scroll_into_view_if_needed()
    expect(card.locator("[data-chart]")).to_have_attribute("data-is", "drawn")
    whole = int(place.get_attribute("data-points") or 0)
    assert 500 < whole <= 1500
    card.get_by_role("button", name="Zoom in").click()
    expect(place).not_to_have_attribute("data-points", str(whole))
    assert int(place.get_attribute("data-points") or 0) > whole
    ada.get_by_label("over").select_option("time")
    expect(place).to_have_attribute("aria-label", re.compile("Over time"))
    ada.get_by_label("smoothing").select_option("0.9")
    ada.get_by_text("Draw together").click()
    ada.get_by_role("checkbox", name="loss").check()
    expect(ada.locator("[data-together] [data-chart]")).to_have_attribute("data-is", "drawn")


def test_the_configuration_is_searched(ada: Page, server: Server, store: Store) -> None:
    first = {"experiment": {"name": "x"}, "status": "COMPLETED"}
    store.database["runs"].insert_many(
        [
            {"_id": 1, **first, "config": {"lr": 0.1, "net": {"units": 8, "bias": True}}},
            {"_id": 2, **first, "config": {"lr": 0.1, "net": {"units": 9, "bias": True}}},
        ]
    )
    ada.goto(f"{server.url}/history/2")
    leaves = ada.get_by_role("group", name="Configuration").locator("[data-leaf]:visible")
    expect(leaves).to_have_count(3)
    ada.get_by_label("Search in configuration").fill("net b")
    expect(leaves).to_have_text([re.compile("bias")])
    ada.get_by_label("Search in configuration").fill("")
    ada.get_by_label(re.compile("only what differs from run 1")).check()
    expect(leaves).to_have_text([re.compile("units")])


def test_runs_are_compared(ada: Page, server: Server, store: Store) -> None:
    for run_id, lr in ((1, 0.1), (2, 0.1), (3, 0.2)):
        config = {"lr": lr, "seed": run_id, "same": 1}
        stored = {"_id": run_id, "status": "COMPLETED", "start_time": NOW, "config": config, "result": lr * run_id}
        store.database["runs"].insert_one({**stored, "captured_out": f"begin\nseed {run_id}\nend\n"})
        store.runs.put_metric(run_id, "loss", [1, 2, 3], [0.5 * run_id, 0.25, lr], [NOW] * 3)
    ada.goto(f"{server.url}/history")
    expect(ada.get_by_role("checkbox", name=re.compile("#[123]$"))).to_have_count(3)
    ada.reload()  # with what works on rows that were there from the start
    for name in ("#1", "#2"):
        ada.get_by_role("checkbox", name=re.compile(f"{name}$")).check()
    ada.get_by_role("link", name="Compare", exact=True).click()
    ada.wait_for_url(re.compile(r"/history/compare\?run="))
    ada.goto(f"{server.url}/history/compare?run=1&run=2&run=3")
    table = ada.get_by_role("group", name="Configuration")
    expect(table.get_by_role("rowheader")).to_have_text(["lr", "seed"])
    place = ada.locator("[data-metrics] [data-place]")
    place.scroll_into_view_if_needed()
    expect(place).to_have_attribute("data-points", "9")
    ada.get_by_role("button", name="Show the 1 that are the same").click()
    expect(table.get_by_role("rowheader")).to_have_text(["lr", "seed", "same"])
    ada.get_by_label("group by").select_option("lr")
    expect(ada.get_by_role("group", name="Groups").get_by_role("row").nth(1)).to_contain_text("0.15 ± 0.07071")
    place.scroll_into_view_if_needed()
    expect(place).to_have_attribute("aria-label", re.compile(r"lr = 0.1 \(2\), last value 0.1"))
    expect(ada.get_by_role("group", name="Differences")).to_contain_text("seed 1")
    ada.locator("select[name='right']").select_option("3")
    expect(ada.get_by_role("group", name="Differences")).to_contain_text("seed 3")
    ada.get_by_label("one column").check()
    expect(ada.locator(".diff-added")).to_have_text("seed 3")
