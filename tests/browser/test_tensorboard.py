"""A real TensorBoard of chosen runs, in a real browser, through the dashboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from engine.domain import Trial, TrialState
from engine.store import Store
from engine.store.trials import to_document
from tests.browser.conftest import Server
from tests.waiting import wait_until

expect.set_options(timeout=30_000)

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def runs(store: Store) -> None:
    """Two runs of some experiment, and one of a sweep of four trials."""
    for run_id, name in ((1, "first net"), (2, "second net")):
        document = {"_id": run_id, "experiment": {"name": name}, "status": "COMPLETED", "start_time": NOW}
        store.database["runs"].insert_one({**document, "config": {"lr": 0.1 * run_id}})
        moments = [NOW + timedelta(seconds=step) for step in range(50)]
        store.runs.put_metric(run_id, "my loss", list(range(50)), [run_id / (step + 1) for step in range(50)], moments)
    sweep = store.sweeps.create("a sweep", "ada", {}, 1, 1, 1, NOW)
    config = {"nn_model": "Regressor", "hyperparam_opt": "RS", "name": "a sweep"}
    document = {"_id": 3, "experiment": {"name": "nhop"}, "status": "COMPLETED", "start_time": NOW, "config": config}
    store.database["runs"].insert_one({**document, "info": {"sweep_id": sweep}})
    for number in range(1, 5):
        trial = Trial(sweep, number, 0, {"learning_rate": 0.125 * number, "activation": "relu"}, 20, 1)
        trial.state, trial.loss, trial.step = TrialState.COMPLETED, 0.5 * number, 20
        trial.curve = [[10, 2.0 * number, 1.0 * number], [20, 1.0 * number, 0.5 * number]]
        trial.started, trial.finished = NOW, NOW + timedelta(seconds=40)
        store.trials.put(to_document(trial, 1))


def boards_of(server: Server) -> list[psutil.Process]:
    """The processes of TensorBoards."""
    assert server.process is not None
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if "webapp.tensorboard" in child.cmdline()]


@pytest.fixture
def board(ada: Page, server: Server, runs: None) -> Iterator[Page]:
    """The TensorBoard of all three, opened from the list; `asked` and `said`: what it asked for and complained of."""
    ada.goto(f"{server.url}/history")
    expect(ada.locator("[name='id']")).to_have_count(3)
    for box in ada.locator("[name='id']").all():
        box.check()
    with ada.context.expect_page() as opened:
        ada.get_by_role("button", name="TensorBoard").click()
    page = opened.value
    page.asked, page.said = [], []  # type: ignore[attr-defined]
    page.on("request", lambda request: page.asked.append(request.url))  # type: ignore[attr-defined]
    page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.said.append(str(error)))  # type: ignore[attr-defined]
    page.wait_for_url(re.compile(r"/history/tensorboard/[0-9a-f]+/"), timeout=90_000)
    yield page
    page.close()


def test_the_runs_chosen_in_the_list_are_drawn_and_nothing_is_asked_of_others(
    board: Page, ada: Page, server: Server
) -> None:
    own = re.match(r".*/history/tensorboard/[0-9a-f]+/", board.url)
    assert own
    for name in ("1 first net", "2 second net", "3 a sweep", "3 a sweep/trial 4"):
        expect(board.locator("runs-data-table").get_by_text(name, exact=True)).to_be_visible()
    board.get_by_role("combobox", name="Filter tags (regex)").fill("my loss")
    card = board.locator("scalar-card", has_text="my loss").first
    expect(card.locator("line-chart canvas, line-chart svg path").first).to_be_attached()
    expect(card.locator("tb-data-table-content-row", has_text="2 second net")).to_contain_text("0.04")
    board.get_by_role("tab", name="HPARAMS").click()
    expect(board.get_by_role("row", name="3 a sweep/trial 1 0.12500 relu 0.50000 1.0000 0.50000")).to_be_visible()
    asked, said = board.asked, board.said  # type: ignore[attr-defined]
    assert [url for url in asked if not url.startswith((server.url, "data:", "blob:"))] == []
    since = asked[asked.index(own[0]) :]
    assert [url for url in since if not url.startswith((own[0], "data:", "blob:"))] == []
    assert [text for text in said if not text.startswith("warning: ")] == []
    (process,) = boards_of(server)
    folder = server.data_dir / "tensorboard" / "1" / own[0].rstrip("/").rpartition("/")[2]
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o077 == 0
    ada.get_by_role("button", name="Log out").click()
    wait_until(lambda: not process.is_running() and not folder.exists(), 10, "the end of the TensorBoard")


def test_a_script_within_tensorboard_reaches_no_page_and_no_operation(board: Page, server: Server) -> None:
    board.get_by_text("1 first net", exact=True).first.wait_for()
    reached = """async () => {
      const tries = ["/", "/api/v1/sweeps", "/history/1", location.pathname + "../x/"].map((url) =>
        fetch(url).then(() => url, () => "stopped"));
      tries.push(fetch("https://example.org/").then(() => "example.org", () => "stopped"));
      tries.push(Promise.resolve(window.open("/") === null ? "stopped" : "window"));
      const frame = document.createElement("iframe");
      frame.src = "/history";
      document.body.append(frame);
      tries.push(new Promise((done) => setTimeout(() => {
        let title = "";
        try { title = frame.contentDocument?.title ?? ""; } catch {}
        done(title ? "frame" : "stopped");
      }, 500)));
      const script = document.createElement("script");
      script.src = "/static/js/app.js";
      tries.push(new Promise((done) => {
        script.onload = () => done("script");
        script.onerror = () => done("stopped");
      }));
      document.body.append(script);
      const form = document.createElement("form");
      form.method = "post"; form.action = "/sweeps/example";
      document.body.append(form);
      form.submit();
      return Promise.all(tries);
    }"""
    asked = board.asked  # type: ignore[attr-defined]
    before = len(asked)
    assert board.evaluate(reached) == ["stopped"] * 8
    assert [url for url in asked[before:] if "/sweeps/example" in url] == []


def test_it_opens_from_the_page_of_a_run_and_ends_with_the_server(
    enter: Callable[[Server], Page], tmp_path: Path
) -> None:
    server = Server(tmp_path / "data")
    server.start()
    with closing(server.store()) as store:
        for run_id in (1, 2):
            document = {"_id": run_id, "experiment": {"name": "net"}, "status": "COMPLETED", "start_time": NOW}
            store.database["runs"].insert_one(document)
    page = enter(server)
    for path in ("/history/compare?run=1&run=2", "/history/1"):
        page.goto(f"{server.url}{path}")
        with page.context.expect_page() as opened:
            page.get_by_role("button", name="TensorBoard").click()
        expect(opened.value.get_by_role("heading", name="TensorBoard")).to_be_visible()
    opened.value.wait_for_url(re.compile(r"/history/tensorboard/[0-9a-f]+/"), timeout=90_000)
    processes = boards_of(server)
    assert len(processes) == 2
    assert server.stop() == 0
    wait_until(lambda: not any(process.is_running() for process in processes), 10, "the end of the TensorBoards")
    assert list((server.data_dir / "tensorboard" / "1").iterdir()) == []
