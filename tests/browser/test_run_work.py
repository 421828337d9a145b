"""Choosing runs in the list, deleting them and having them back; switching between databases."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from engine.store import Store, embedded
from tests.browser.conftest import Server

NOW = datetime.now(UTC)

expect.set_options(timeout=30_000)


def put_runs(store: Store, name: str, count: int, experiment: str) -> None:
    database = store.database.client[name]
    database["runs"].delete_many({})
    database["runs"].insert_many(
        [
            {
                "_id": n,
                "status": "COMPLETED",
                "start_time": NOW - timedelta(minutes=n),
                "experiment": {"name": experiment},
                "config": {"name": f"{experiment} {n}"},
            }
            for n in range(1, count + 1)
        ]
    )


def open_list(page: Page, server: Server, count: int) -> None:
    page.goto(f"{server.url}/history")
    expect(page.locator(".legend-line [data-total]")).to_have_text(str(count))


def test_runs_are_chosen_deleted_and_had_back(ada: Page, server: Server, store: Store) -> None:
    store.database["deleted_runs"].delete_many({})
    put_runs(store, store.database.name, 30, "own")
    open_list(ada, server, 30)
    bar = ada.get_by_label("Work on the chosen runs")
    expect(bar).to_be_hidden()
    ada.get_by_label("Choose own 2 #2", exact=True).check()
    ada.evaluate("for (const row of document.querySelectorAll('[data-rows] tr')) row.replaceWith(row.cloneNode(true))")
    ada.get_by_label("Choose own 4 #4", exact=True).click(modifiers=["Shift"])
    expect(bar).to_contain_text("3 runs chosen")
    expect(bar.get_by_role("link", name="Compare")).to_have_attribute(
        "href", re.compile(r"run=(2&run=3&run=4|4&run=3&run=2)$")
    )
    ada.keyboard.press("Escape")
    expect(bar).to_be_hidden()
    ada.get_by_label("Choose own 2 #2", exact=True).focus()
    ada.keyboard.press("Space")
    bar.get_by_role("button", name="Delete").click()
    expect(ada.get_by_text("1 run deleted")).to_be_visible()
    expect(ada.locator(".legend-line [data-total]")).to_have_text("29")
    expect(ada.get_by_role("link", name="own 2", exact=True)).to_have_count(0)
    ada.get_by_role("button", name="Undo").click()
    expect(ada.get_by_role("link", name="own 2", exact=True)).to_be_visible()
    expect(ada.locator(".legend-line [data-total]")).to_have_text("30")
    ada.goto(f"{server.url}/history?size=25")
    ada.get_by_label("Choose all runs of this page").check()
    bar.get_by_role("button", name="Choose all 30 that match").click()
    expect(bar).to_contain_text("All 30 runs that match")
    bar.get_by_text("Tag or note").click()
    bar.get_by_label("Add tags").fill("seen")
    bar.get_by_role("button", name="Save").click()
    expect(ada.get_by_text("Tags and notes of 30 runs are saved.")).to_be_visible()
    assert store.database["run_notes"].count_documents({"tags": "seen"}) == 30


def test_one_menu_is_open_at_a_time_and_closes_by_escape_and_a_click_outside(
    ada: Page, server: Server, store: Store
) -> None:
    put_runs(store, store.database.name, 3, "own")
    open_list(ada, server, 3)
    menus = [ada.locator("summary", has_text=name) for name in ("Own database", "Views", "More")]
    opened = ada.locator("details[data-menu][open] > summary")
    for menu in [*menus, ada.locator("[data-bell] summary")]:
        menu.click()
        expect(opened).to_have_count(1)
        expect(opened).to_be_focused()
    ada.keyboard.press("Escape")
    menus[2].press("Enter")
    ada.keyboard.press("Tab")
    expect(opened).to_have_text("More")
    ada.keyboard.press("Escape")
    expect(opened).to_have_count(0)
    expect(menus[2]).to_be_focused()
    menus[1].press("Enter")
    menus[2].press("Enter")
    expect(opened).to_have_text("More")
    ada.get_by_role("heading", name="History").click()
    expect(opened).to_have_count(0)
    expect(menus[2]).to_be_focused()
    menus[1].click()
    search = ada.get_by_label("Words that a run holds")
    search.click()
    expect(opened).to_have_count(0)
    expect(search).to_be_focused()
    bar = ada.get_by_label("Work on the chosen runs")
    ada.get_by_label("Choose own 2 #2", exact=True).check()
    bar.get_by_text("Tag or note").click()
    ada.keyboard.press("Escape")
    expect(opened).to_have_count(0)
    expect(bar).to_contain_text("1 run chosen")
    ada.keyboard.press("Escape")
    expect(bar).to_be_hidden()


def test_the_archive_has_an_undo(ada: Page, server: Server, store: Store) -> None:
    put_runs(store, store.database.name, 3, "own")
    open_list(ada, server, 3)
    ada.get_by_label("Choose own 2 #2", exact=True).check()
    ada.get_by_role("button", name="Archive").click()
    expect(ada.get_by_text("1 run archived; lists leave it out.")).to_be_visible()
    expect(ada.locator(".legend-line [data-total]")).to_have_text("2")
    ada.get_by_role("button", name="Undo").click()
    expect(ada.get_by_text("1 run back from the archive.")).to_be_visible()
    expect(ada.locator(".legend-line [data-total]")).to_have_text("3")
    store.database["runs"].delete_many({"_id": {"$ne": 1}})
    expect(ada.locator(".legend-line [data-total]")).to_have_text("1")
    expect(ada.locator(".legend-line [data-words]")).to_have_text("run")


def test_databases_are_added_and_switched_between(ada: Page, server: Server, store: Store) -> None:
    store.database["connections"].delete_many({})
    put_runs(store, store.database.name, 2, "own")
    put_runs(store, "lab_runs", 3, "lab")
    running = embedded.recorded(server.data_dir)
    assert running is not None
    ada.goto(f"{server.url}/history/databases")
    ada.get_by_label("Name", exact=True).fill("Lab")
    ada.get_by_label("Address").fill(running.uri)
    ada.get_by_label("Database", exact=True).fill("lab_runs")
    ada.get_by_role("button", name="Test and add").click()
    expect(ada.get_by_text("3 runs found")).to_be_visible()
    open_list(ada, server, 2)
    ada.get_by_text("Own database", exact=True).first.click()
    ada.get_by_role("link", name="Lab", exact=True).click()
    expect(ada.get_by_role("link", name="lab 1", exact=True)).to_be_visible()
    expect(ada.get_by_role("link", name="own 1", exact=True)).to_have_count(0)
    store.database.client["lab_runs"]["runs"].insert_one(
        {"_id": 4, "status": "RUNNING", "start_time": datetime.now(UTC), "config": {"name": "lab 4"}}
    )
    expect(ada.locator(".legend-line [data-total]")).to_have_text("4")
    ada.get_by_role("link", name="lab 1", exact=True).click()
    expect(ada.get_by_role("heading", name="lab 1")).to_be_visible()
    ada.get_by_role("main").get_by_role("link", name="History").click()
    expect(ada.get_by_role("link", name="lab 2", exact=True)).to_be_visible()
