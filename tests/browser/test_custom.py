"""A class of one's own in a real browser: uploaded, its axes read and narrowed, trained to the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, server_with_daemon, show
from tests.custom_classes import SOURCE

END_MS = 120_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_with_daemon(tmp_path_factory.mktemp("custom") / "data") as server:
        yield server


def test_a_class_is_uploaded_its_axes_are_narrowed_and_its_trials_train(
    enter: Callable[[Server], Page], running: Server, tmp_path: Path
) -> None:
    page = enter(running)
    page.set_default_timeout(70_000)
    page.get_by_role("link", name="Models").click()
    path = tmp_path / "bent_lines.py"
    path.write_text(SOURCE)
    page.get_by_label("File").set_input_files(path)
    page.get_by_role("button", name="Upload and read it").click()
    expect(page.get_by_role("status")).to_contain_text("bent_lines.py is stored, with Line", timeout=70_000)
    page.get_by_role("link", name="New sweep with Line").click()

    expect(page.get_by_label("Your own class")).to_have_value("bent_lines.py:Line")
    page.get_by_label("Name", exact=True).fill("bent")
    page.get_by_role("button", name="Read its axes").click()
    width = page.get_by_role("group", name="width")
    expect(width.get_by_label("to", exact=True)).to_have_value("8", timeout=70_000)
    expect(page.get_by_label("Name", exact=True)).to_have_value("bent")
    width.get_by_label("from").fill("1")
    width.get_by_label("to", exact=True).fill("4")
    page.get_by_role("checkbox", name="tanh").and_(page.locator("[name^=model_space]")).uncheck()
    page.locator("#train_log_dir").evaluate("(input, folder) => { input.value = folder; }", str(tmp_path / "logs"))
    page.get_by_label("Name", exact=True).press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("the bounds must lie within 2 and 8, got 1 and 4", timeout=70_000)
    page.get_by_role("alert").get_by_role("link", name="width").click()
    expect(width.get_by_label("from")).to_be_focused()
    width.get_by_label("from").fill("3")
    page.get_by_role("button", name="Start the sweep").click()

    page.wait_for_url(re.compile(r"/sweeps/[0-9a-f]{12}$"))
    expect(page.locator("[data-state]")).to_have_text("Completed", timeout=END_MS)
    expect(page.locator("[data-space]")).to_contain_text("width")
    with closing(running.store()) as store:
        sweep_id = page.url.rpartition("/")[2]
        config = store.sweeps.get(sweep_id)["config"]
        searched = [trial for trial in store.trials.of_sweep(sweep_id) if trial["confirms"] is None]
    assert re.fullmatch(r"bent_lines\.py@[0-9a-f]{12}:Line", config["model_class"])
    assert config["model_space"]["width"] == {"kind": "int", "low": 3, "high": 4}
    assert {trial["params"]["kind"] for trial in searched} == {"relu"}
    assert {trial["params"]["width"] for trial in searched} <= {3, 4}
    show(page, "Trials")
    expect(page.locator("[data-trial-rows]")).to_contain_text("kind relu")
    page.get_by_role("link", name="Models").click()
    page.get_by_text("Delete this file…").click()
    page.get_by_role("button", name="Delete bent_lines.py").click()
    expect(page.get_by_text("Nothing yet.")).to_be_visible()
