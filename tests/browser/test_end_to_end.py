"""The whole way, with nothing standing in for anything: form, daemon, TensorFlow processes, websocket, history."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from playwright.sync_api import Page, expect

from engine.store import Store
from tests.browser.conftest import Server, server_with_daemon, show
from tests.waiting import wait_until

SWEEP_PAGE = re.compile(r"/sweeps/[0-9a-f]{12}$")
END_MS = 300_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_with_daemon(tmp_path_factory.mktemp("whole") / "data") as server:
        yield server


@pytest.fixture
def database(running: Server) -> Iterator[Store]:
    """The server's database, which outlives it."""
    with closing(running.store()) as store:
        yield store


def fill(page: Page, server: Server, name: str, log_dir: Path) -> None:
    """Open the form and give the sweep a name and a place for its logs."""
    page.goto(f"{server.url}/sweeps/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.locator("details").filter(has=page.locator("#train_log_dir")).locator("summary").click()
    page.locator("#train_log_dir").fill(str(log_dir))
    page.locator("details").filter(has=page.locator("#opt_tolerance")).locator("summary").click()
    page.locator("#opt_tolerance").fill("0")  # else a small improvement, a matter of the seed, ends a stage early


def start(page: Page) -> str:
    """Press the button; returns the sweep's id."""
    page.get_by_role("button", name="Start the sweep").click()
    page.wait_for_url(SWEEP_PAGE)
    page.evaluate("window.loadedOnce = true")
    return page.url.rsplit("/", 1)[1]


def test_the_laptop_sweep_goes_from_the_form_to_the_history(
    enter: Callable[[Server], Page], running: Server, tmp_path: Path
) -> None:
    page = enter(running)
    fill(page, running, "laptop", tmp_path)
    sweep_id = start(page)
    show(page, "Trials")
    rows = page.locator("[data-trial-rows] tr")
    expect(rows.first).to_be_visible(timeout=END_MS)
    show(page, "Cluster")
    for process in ("PS 0", "PS 1", "Worker 0", "Worker 1", "Worker 2", "Worker 3"):
        expect(page.locator("[data-processes]")).to_contain_text(process)
    show(page, "Overview")
    expect(page.locator("[data-chart=curves] canvas").first).to_be_visible(timeout=END_MS)
    expect(page.locator("[data-state]")).to_have_text("Completed", timeout=END_MS)
    expect(page.locator("[data-confirmed] tr")).to_have_count(3)
    expect(page.locator("[data-trials-done]")).to_have_text("9 of 9")
    expect(page.locator("[data-stage]")).to_have_text("3 of 3")
    expect(page.locator("[data-space-head]")).to_contain_text("Stage 3")
    show(page, "Trials")
    expect(rows).to_have_count(18)  # nine of the search, and the best three from three other seeds
    show(page, "Log")
    expect(page.locator("[data-lines]")).to_contain_text("stage 3 of 3")
    show(page, "Overview")
    assert page.evaluate("window.loadedOnce") is True, "the page was loaded anew"
    best = float(page.locator("[data-best-loss]").inner_text())
    assert best <= 0.05
    for name in ("hyper_opt", "ps_0", "ps_1", "worker_0", "worker_1", "worker_2", "worker_3"):
        assert (tmp_path / sweep_id / f"{name}.log").exists()

    page.get_by_role("link", name="Run in the history").click()
    expect(page.get_by_role("heading", name="laptop")).to_contain_text("Completed")
    expect(page.locator("main")).to_contain_text("[[1000, 4], [700, 3], [500, 2]]")
    expect(page.locator("main")).to_contain_text("stage 3 of 3: 2 trials of 500 steps")
    page.goto(f"{running.url}/history")
    row = page.locator("tbody tr").filter(has_text="laptop")
    expect(row).to_contain_text("Completed")
    shown = [float(number) for number in re.findall(r"\d+\.\d+(?:e-?\d+)?", row.inner_text())]
    assert pytest.approx(best, rel=1e-3) in shown


def test_the_sweep_goes_on_while_the_web_process_is_dead_and_the_page_catches_up(
    enter: Callable[[Server], Page], running: Server, database: Store, tmp_path: Path
) -> None:
    page = enter(running)
    fill(page, running, "goes on", tmp_path)
    page.get_by_label("Stage 1: steps of each trial").fill("4000")
    page.get_by_label("Stage 1: number of trials").fill("12")
    sweep_id = start(page)
    expect(page.locator("[data-state]")).to_have_text("Running", timeout=END_MS)
    show(page, "Trials")
    expect(page.locator("[data-trial-rows] tr").first).to_be_visible(timeout=END_MS)
    show(page, "Overview")
    running.stop(signal.SIGKILL)
    expect(page.locator("[data-connection]")).not_to_have_text("live")

    def completed() -> int:
        return sum(trial["state"] == "COMPLETED" for trial in database.trials.of_sweep(sweep_id))

    before = completed()
    wait_until(lambda: completed() > before, 60, "a trial that ends while the web process is dead")
    running.start()
    expect(page.locator("[data-connection]")).to_have_text(re.compile("live|ended"), timeout=30_000)
    expect(page.locator("[data-state]")).to_have_text("Completed", timeout=END_MS)
    expect(page.locator("[data-trials-done]")).to_have_text("17 of 17")
    assert page.evaluate("window.loadedOnce") is True, "the page was loaded anew"
    seqs = [event.seq for event in database.events.after(sweep_id, 0, limit=100_000)]
    assert seqs == list(range(1, len(seqs) + 1))


def test_stop_ends_the_sweep_and_all_its_processes(
    enter: Callable[[Server], Page], running: Server, database: Store, tmp_path: Path
) -> None:
    page = enter(running)
    fill(page, running, "stopped", tmp_path)
    page.get_by_label("Stage 1: steps of each trial").fill("1000000")
    sweep_id = start(page)
    show(page, "Trials")
    expect(page.locator("[data-trial-rows] tr").first).to_be_visible(timeout=END_MS)
    pids = [process["pid"] for process in database.sweeps.get(sweep_id)["processes"].values()]
    assert all(psutil.pid_exists(pid) for pid in pids)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Stop the sweep").click()
    expect(page.locator("[data-state]")).to_have_text("Stopped", timeout=END_MS)
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 20, "the end of the TensorFlow processes")
    page.get_by_role("link", name="Run in the history").click()
    expect(page.get_by_role("heading", name="stopped")).to_contain_text("Interrupted")


def test_a_table_goes_from_upload_to_a_model_that_predicts_elsewhere(
    enter: Callable[[Server], Page], running: Server, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 2)) * [3, 50] + [10, 200]
    y = 5 * x[:, 0] - x[:, 1]
    rows = "".join(f"{a:.4f},{b:.4f},{target:.4f}\n" for (a, b), target in zip(x, y, strict=True))
    (tmp_path / "prices.csv").write_text(f"area,age,price\n{rows}")
    page = enter(running)
    page.get_by_role("link", name="Data sets").click()
    page.get_by_label("File").set_input_files(tmp_path / "prices.csv")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("link", name="New sweep with it").click()
    page.get_by_label("Name", exact=True).fill("prices")
    page.locator("details").filter(has=page.locator("#train_log_dir")).locator("summary").click()
    page.locator("#train_log_dir").fill(str(tmp_path / "logs"))
    for bound, value in (("#batch_size-0", "20"), ("#batch_size-1", "60"), ("#learning_rate-1", "0.01")):
        page.locator(bound).fill(value)
    start(page)
    expect(page.locator("[data-state]")).to_have_text("Completed", timeout=END_MS)
    expect(page.locator("[data-baseline]")).to_contain_text("linear regression")

    page.get_by_role("link", name="Report", exact=True).click()
    expect(page.get_by_role("heading", name="prices")).to_be_visible()
    expect(page.locator("main")).to_contain_text("±")
    page.get_by_role("link", name="Try it").first.click()
    page.get_by_label("area").fill("12.5")
    page.get_by_label("age").fill("180")
    page.get_by_role("button", name="Predict price").click()
    shown = page.get_by_role("status").locator(".answer-number").inner_text()
    with page.expect_download(timeout=END_MS) as download:
        page.get_by_role("link", name="Download model").click(timeout=END_MS)  # which waits for the answer's beginning
    download.value.save_as(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        archive.extractall(tmp_path / "model")
    program = (tmp_path / "model" / "predict.py").read_text()
    program = re.sub(r"rows = .*", "rows = [[12.5, 180.0]]", program) + "print(float(list(model.predict("
    program += "tf.constant(rows, tf.float32)).values())[0][0]))\n"
    (tmp_path / "model" / "program.py").write_text(program)
    said = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path / "model", check=True, capture_output=True, text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    ).stdout.split()[-1]  # fmt: skip
    assert float(shown) == pytest.approx(float(said), rel=1e-5), "the page shows six digits"


def test_the_web_process_has_no_tensorflow_and_stays_small(running: Server) -> None:
    assert running.process is not None
    (worker,) = psutil.Process(running.process.pid).children()
    assert not any("tensorflow" in mapped.path for mapped in worker.memory_maps())
    assert worker.memory_info().rss < 200 * 2**20
