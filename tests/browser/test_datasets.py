"""Data sets in a real browser, served by the real server."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from engine.store import Store
from tests.browser.conftest import Server


def table(folder: Path, more: str = "") -> Path:
    path = folder / "Houses 1.csv"
    rows = "".join(f"{i},{i % 4},{'red' if i % 2 else 'blue'},{i * 3}\n" for i in range(40))
    path.write_text(f"area,rooms,colour,price\n{rows}{more}")
    return path


def test_a_table_is_uploaded_its_target_chosen_and_the_form_opens_with_it(
    ada: Page, server: Server, store: Store, tmp_path: Path
) -> None:
    ada.get_by_role("link", name="Data sets").click()
    expect(ada.get_by_text("Nothing yet.")).to_be_visible()
    ada.get_by_label("File").set_input_files(table(tmp_path))
    ada.get_by_role("button", name="Upload").click()
    expect(ada.get_by_role("heading", name="houses-1")).to_be_visible()
    expect(ada.get_by_role("status")).to_contain_text("Version 1 of houses-1 is stored")
    expect(ada.get_by_role("radio", name="Predict price")).to_be_checked()
    expect(ada.get_by_role("checkbox", name="Learn from colour")).to_be_disabled()
    expect(ada.get_by_text("it holds text: line 2 has 'blue'")).to_be_visible()
    ada.get_by_role("radio", name="Predict rooms").focus()
    ada.keyboard.press("ArrowUp")
    expect(ada.get_by_role("radio", name="Predict area")).to_be_checked()
    ada.get_by_role("checkbox", name="Learn from price").focus()
    ada.keyboard.press("Space")
    ada.get_by_role("button", name="Save the choice").press("Enter")
    expect(ada.get_by_role("status")).to_contain_text("Saved")
    about = store.datasets.find("houses-1")
    assert about is not None
    assert (about["target"], about["features"]) == ("area", ["rooms", "price"])
    ada.get_by_role("link", name="New sweep with it").click()
    expect(ada.get_by_label("Data set", exact=True)).to_have_value("houses-1")
    expect(ada.locator("#nn_dimensions-0")).to_have_value("2")
    ada.get_by_role("button", name="Start the sweep").click()
    ada.wait_for_url(re.compile(r"/sweeps/[0-9a-f]{12}$"))
    (sweep,) = store.sweeps.recent(5)
    assert store.sweeps.get(sweep["_id"])["config"]["dataset"] == f"houses-1@{about['sha256'][:12]}"


def test_a_file_that_cannot_be_used_is_refused_at_its_field_and_the_next_one_is_taken(
    ada: Page, server: Server, store: Store, tmp_path: Path
) -> None:
    ada.goto(f"{server.url}/datasets")
    ada.get_by_label("File").set_input_files(table(tmp_path, "1,2\n"))
    ada.get_by_label("Name").fill("houses")
    ada.get_by_role("button", name="Upload").click()
    expect(ada.get_by_role("alert")).to_have_text("Line 42 has 2 values where the header has 4.")
    expect(ada.get_by_label("File")).to_be_focused()
    expect(ada.get_by_label("Name")).to_have_value("houses")
    ada.get_by_label("File").set_input_files(table(tmp_path))
    expect(ada.get_by_role("alert")).to_be_hidden()
    ada.get_by_role("button", name="Upload").click()
    expect(ada.get_by_role("heading", name="houses")).to_be_visible()
    assert store.datasets.names() == ["houses"]


def test_a_file_that_is_too_large_is_told_before_it_is_sent(ada: Page, server: Server, store: Store) -> None:
    ada.goto(f"{server.url}/datasets")
    ada.evaluate("document.querySelector('#file').dataset.most = '1'")
    large = {"name": "large.csv", "mimeType": "text/csv", "buffer": b"a,b\n" + b"1,2\n" * 2**19}
    ada.get_by_label("File").set_input_files(large)
    expect(ada.get_by_role("alert")).to_have_text("The file is larger than 1 MB, the most that this server takes.")
    ada.get_by_role("button", name="Upload").click()
    expect(ada.get_by_label("File")).to_be_focused()
    assert store.datasets.names() == []
