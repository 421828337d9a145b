"""The home page in a browser: from nothing over the example to its result; the queue; and notifications."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from engine.domain import SweepState
from engine.store import Store
from tests.browser.conftest import NAME, PASSWORD, Server, server_with_daemon
from tests.browser.writer import Writer
from tests.waiting import wait_until
from webapp.services import accounts

END_MS = 240_000

SHOWN = """
window.shown = [];
window.Notification = class extends Notification {
    constructor(title, options) { super(title, options); window.shown.push([title, options.body, options.tag]); }
};
"""
"""Keeps what notifications a page shows."""


def test_the_home_page_follows_a_sweep_from_the_queue_to_its_result(ada: Page, store: Store) -> None:
    store.machines.beat("turing", 1, 2, [], datetime.now(UTC) + timedelta(hours=1), (0.5, 4))
    writer = Writer(store, opt_stages=[[100, 2]])
    waiting, card = ada.locator("[data-queue] li"), ada.locator(".sweep-card")
    expect(waiting).to_contain_text("Turing takes it within seconds.")
    expect(ada.locator("[data-machines]")).to_contain_text("0 of 2 slots busy")
    expect(ada.locator("[data-machines]")).to_contain_text("load 0.5, 4 processors")
    writer.claim()
    expect(waiting).to_have_count(0)
    writer.begin_stage(0)
    writer.end_trial(writer.begin_trial(), error="Traceback\nNumericalError: NaN")
    writer.end_trial(writer.begin_trial(), loss=0.125)
    expect(card).to_contain_text("2 of 2 trials")
    expect(card).to_contain_text("best 0.125")
    expect(card).to_contain_text("1 failed")
    expect(card).to_contain_text("ada on turing")
    card.focus()
    writer.set(ended_because="the target loss 0.2 is reached")
    expect(card).to_be_focused()
    figures = {"rmse": {"mean": 0.36, "std": 0.02, "values": []}}
    writer.finish(confirmed=[{"trial": 2, "loss": 0.1, "params": {}, "seeds": 3, "failed": 0, "figures": figures}])
    expect(card).to_have_count(0)
    row = ada.locator("[data-recent] tr")
    for text in ("Completed", "0.125", "RMSE 0.36", "± 0.02, 3 seeds", "2 of 2", "the target loss 0.2 is reached"):
        expect(row).to_contain_text(text)


def test_the_line_of_the_best_loss_is_drawn(ada: Page, store: Store) -> None:
    now = datetime.now(UTC)
    run_id = store.runs.create({"status": "RUNNING"})
    store.runs.put_metric(run_id, "loss", [1, 2], [4.0, 1.0], [now, now])
    writer = Writer(store, opt_stages=[[100, 8]])
    writer.claim()
    writer.begin_stage(0)
    for _ in range(4):
        writer.end_trial(writer.begin_trial())
    writer.set(run_id=run_id)
    path = ada.locator(".sweep-card path")
    expect(path).to_have_attribute("d", re.compile(r"^M0\.00 2\.00H\S+V\S+H\S+V28\.00$"))


def test_the_owner_moves_a_sweep_up_the_queue_by_keyboard(ada: Page, store: Store) -> None:
    Writer(store, name="first")
    second = Writer(store, name="second")
    names = ada.locator("[data-queue] a")
    expect(names).to_have_text(["first", "second"])
    higher = ada.get_by_role("button", name="Higher priority of second")
    higher.focus()
    ada.keyboard.press("Enter")
    expect(names).to_have_text(["second", "first"])
    expect(ada.get_by_text("second has priority 1 now.")).to_be_visible()
    expect(higher).to_be_focused()
    assert store.sweeps.get(second.id)["priority"] == 1
    higher.evaluate("button => { button.click(); button.click(); }")
    expect(ada.get_by_text("second has priority 3 now.")).to_be_visible()
    assert store.sweeps.get(second.id)["priority"] == 3
    store.sweeps.stop(second.id, datetime.now(UTC))
    expect(names).to_have_text(["first"])


def test_a_viewer_sees_the_queue_and_no_buttons(browser: Browser, server: Server, store: Store) -> None:
    if store.users.get("eve") is None:
        accounts.create(store, "eve", PASSWORD, "viewer", datetime.now(UTC))
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server.url}/login")
    page.get_by_label("Name").fill("eve")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="No sweep has run yet")).to_be_visible()
    expect(page.get_by_role("button", name="Start the example")).to_have_count(0)
    Writer(store)
    expect(page.locator("[data-queue] li")).to_have_count(1)
    expect(page.locator("[data-queue] button")).to_have_count(0)
    context.close()


def test_nothing_on_the_page_moves_when_it_is_opened(ada: Page, server: Server, store: Store) -> None:
    for number in range(3):
        writer = Writer(store, name=f"sweep {number}", opt_stages=[[100, 2]])
        writer.claim()
        if number:
            writer.finish()
    ada.add_init_script(
        "window.moved = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.moved += "
        "entry.value; }).observe({ type: 'layout-shift', buffered: true });"
    )
    for width in (1440, 390):
        ada.set_viewport_size({"width": width, "height": 800})
        ada.goto(server.url)
        expect(ada.locator("[data-connection]")).to_have_text("live")
        assert ada.evaluate("window.moved") < 0.01
        assert ada.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def notifying(browser: Browser, server: Server, store: Store) -> Iterator[Callable[[bool], Page]]:
    """Open a browser that lets the dashboard notify, or refuses, and log in."""
    contexts = []

    def log_in(granted: bool) -> Page:
        context = browser.new_context()
        contexts.append(context)
        if granted:
            context.grant_permissions(["notifications"], origin=server.url)
        context.add_init_script(SHOWN)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.goto(f"{server.url}/login")
        page.get_by_label("Name").fill(NAME)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{server.url}/")
        return page

    yield log_in
    for context in contexts:
        context.close()


def ended(store: Store, name: str, owner: str = NAME, state: SweepState = SweepState.COMPLETED, **fields: str) -> str:
    """A sweep that ends now."""
    writer = Writer(store, name=name, owner=owner, opt_stages=[[100, 1]])
    writer.claim()
    writer.begin_stage(0)
    writer.end_trial(writer.begin_trial(), loss=0.125)
    writer.now = datetime.now(UTC)
    writer.finish(state, **fields)
    return writer.id


def test_a_browser_that_was_asked_tells_of_ends_on_any_page_and_once(
    notifying: Callable[[bool], Page], server: Server, store: Store
) -> None:
    page = notifying(True)
    ended(store, "before")
    assert page.evaluate("window.shown") == []
    page.get_by_label("Notifications").click()
    page.get_by_label("one of my sweeps ends").check()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Notifications")).to_be_focused()
    page.goto(f"{server.url}/datasets")  # a page that has no socket of its own
    wait_until(
        lambda: page.evaluate("localStorage.getItem('nhop-notices-seen') !== null"), 10, "the first list of what ended"
    )
    ended(store, "of somebody else", owner="grace")
    ended(store, "stopped", state=SweepState.STOPPED)
    mine = ended(store, "mine")
    wait_until(lambda: page.evaluate("window.shown.length > 0"), 10, "a notification")
    assert page.evaluate("window.shown") == [["mine has completed", "Best loss 0.125", mine]]
    page.goto(f"{server.url}/history")
    failed = ended(store, "mine too", state=SweepState.FAILED, error="the data is gone")
    wait_until(lambda: page.evaluate("window.shown.length > 0"), 10, "a notification")
    assert page.evaluate("window.shown") == [["mine too has failed", "the data is gone", failed]]
    page.get_by_label("Notifications").click()
    page.get_by_label("any sweep ends").check()
    other = ended(store, "of grace", owner="grace")
    wait_until(lambda: page.evaluate("window.shown.length > 1"), 10, "a notification")
    assert page.evaluate("window.shown")[1][2] == other


def test_what_ended_while_no_page_was_open_is_told_by_the_next_one(
    notifying: Callable[[bool], Page], server: Server, store: Store
) -> None:
    page = notifying(True)
    page.get_by_label("Notifications").click()
    page.get_by_label("any sweep ends").check()
    wait_until(
        lambda: page.evaluate("localStorage.getItem('nhop-notices-seen') !== null"), 10, "the first list of what ended"
    )
    page.goto("about:blank")
    sweep_id = ended(store, "meanwhile")
    page.goto(f"{server.url}/datasets")
    wait_until(lambda: page.evaluate("window.shown.length > 0"), 10, "a notification")
    assert page.evaluate("window.shown") == [["meanwhile has completed", "Best loss 0.125", sweep_id]]


def test_a_browser_that_refuses_says_so_and_stays_off(notifying: Callable[[bool], Page], store: Store) -> None:
    page = notifying(False)
    page.get_by_label("Notifications").click()
    page.get_by_label("any sweep ends").click()
    expect(page.locator("[data-bell-words]")).to_have_text(re.compile("blocks the notifications|Without the browser's"))
    expect(page.get_by_label("never")).to_be_checked()
    assert page.evaluate("localStorage.getItem('nhop-notices')") == "off"


def test_a_page_that_is_not_secure_says_where_notifications_work(
    notifying: Callable[[bool], Page], server: Server, store: Store
) -> None:
    page = notifying(True)
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    page.reload()
    page.get_by_label("Notifications").click()
    expect(page.locator("[data-bell-words]")).to_contain_text("only over HTTPS, and on localhost")
    page.get_by_label("any sweep ends").click()
    expect(page.get_by_label("never")).to_be_checked()


def test_from_an_empty_page_one_button_leads_to_a_result(
    enter: Callable[[Server], Page], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing stands in for anything: daemon, TensorFlow processes, websocket."""
    with server_with_daemon(tmp_path_factory.mktemp("example") / "data") as server:
        page = enter(server)
        page.get_by_role("button", name="Start the example").click()
        page.wait_for_url(re.compile(r"/sweeps/[0-9a-f]{12}$"))
        expect(page.get_by_role("heading", name="Example")).to_be_visible()
        page.goto(server.url)
        card = page.locator(".sweep-card")
        expect(card).to_contain_text("of 76 trials", timeout=END_MS)
        row = page.locator("[data-recent] tr")
        expect(row).to_contain_text("Completed", timeout=END_MS)
        expect(row).to_contain_text("RMSE")
        with closing(server.store()) as store:
            (sweep,) = store.sweeps.ended(5)
        assert sweep["best"]["loss"] < 0.01
