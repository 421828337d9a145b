"""The form of a new sweep in a real browser: checked while one types, as YAML, as a draft, as a link."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Locator, Page, expect

from engine.config import parse
from engine.store import Store
from tests.browser.conftest import Server
from tests.browser.writer import Writer

SWEEP_PAGE = re.compile(r"/sweeps/[0-9a-f]{12}$")


@pytest.fixture
def form(ada: Page, server: Server) -> Page:
    ada.goto(f"{server.url}/sweeps/new")
    ready(ada)
    return ada


def ready(page: Page) -> None:
    """Wait until the page's script is there."""
    expect(page.get_by_role("button", name="Copy link")).to_be_visible()


def notice(page: Page) -> Locator:
    return page.locator("[data-notice]")


def test_problems_come_and_go_at_their_fields_while_one_types(form: Page) -> None:
    batch = form.get_by_role("group", name="Batch size")
    below = form.get_by_role("group", name="Training optimizers")
    place = "field => field.getBoundingClientRect().top + scrollY"
    before = below.evaluate(place)
    batch.get_by_label("to", exact=True).fill("many")
    expect(batch.locator("[data-problem]")).to_have_text("value 2 must be a whole number, got 'many'")
    expect(batch.get_by_label("to", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(batch.get_by_label("to", exact=True)).to_be_focused()
    assert below.evaluate(place) == before, "the page moved"
    expect(form.locator("[data-said]")).to_have_text("1 thing to fix: Batch size")
    expect(form.locator("[data-wrong=search]")).to_contain_text("1")
    form.get_by_label("Name", exact=True).focus()
    form.locator("[data-said]").get_by_role("link", name="Batch size").click()
    expect(batch.get_by_label("from")).to_be_focused()
    batch.get_by_label("to", exact=True).fill("500")
    expect(batch.locator("[data-problem]")).to_be_empty()
    expect(batch.get_by_label("to", exact=True)).not_to_have_attribute("aria-invalid", "true")
    expect(form.locator("[data-said]")).to_be_empty()
    expect(form.locator("[data-wrong=search]")).to_be_hidden()


def test_choosing_shows_what_belongs_to_the_choice(form: Page) -> None:
    levels = form.get_by_label("Values of each axis in a grid")
    expect(levels).to_be_hidden()
    form.get_by_role("radio", name="Grid").check()
    expect(levels).to_be_visible()
    points = f"{parse({'hyperparam_opt': 'grid'}).grid_points:,}"
    expect(form.get_by_text(f"The grid has {points} points; 9 trials will try 9 of them.")).to_be_visible()
    levels.fill("2")
    fewer = f"{parse({'hyperparam_opt': 'grid', 'grid_levels': 2}).grid_points:,}"
    expect(form.get_by_text(f"The grid has {fewer} points")).to_be_visible()
    form.get_by_role("radio", name="ASHA").check()
    expect(form.get_by_label("Reduction factor")).to_be_visible()
    form.get_by_role("radio", name="Text Classifier").check()
    expect(form.get_by_role("group", name="Hidden layers")).to_be_hidden()
    expect(form.get_by_role("group", name="LSTM layers")).to_be_visible()
    expect(form.locator("[data-hidden=search]")).to_contain_text("Hidden layers")


def test_the_picture_of_an_axis_follows_what_is_typed(form: Page) -> None:
    rate = form.get_by_role("group", name="Learning rate", exact=True)
    expect(rate.get_by_role("img", name="uniform, 0.0001 to 0.001")).to_be_visible()
    form.get_by_label("Logarithmic learning rate").check()
    rate.get_by_label("to", exact=True).fill("0.01")
    expect(rate.get_by_role("img", name="log-uniform, 0.0001 to 0.01, half of them below 0.001")).to_be_visible()
    rate.get_by_label("to", exact=True).fill("fast")
    expect(rate.get_by_role("img")).to_be_hidden()


def test_what_will_run_follows_what_is_typed(form: Page, store: Store) -> None:
    review = form.get_by_role("region", name="Review")
    expect(review).to_contain_text("4 trials of 1,000 steps")
    expect(review).to_contain_text("No sweep of networks of like size")
    form.get_by_label("Stage 1: number of trials").fill("40")
    expect(review).to_contain_text("40 trials of 1,000 steps")
    expect(form.locator("[data-sum]")).to_contain_text("45 trials, 43,100 steps")
    form.get_by_role("radio", name="One Trial, Asynchronous").check()
    expect(review).to_contain_text("7: 2 parameter servers, 4 workers, 1 chief")


def test_yaml_is_the_same_configuration_both_ways(form: Page, store: Store) -> None:
    form.get_by_label("Name", exact=True).fill("both ways")
    form.locator("#batch_size-0").fill("7")
    form.get_by_role("button", name="YAML").click()
    text = form.get_by_role("textbox", name="The same as YAML")
    expect(text).to_have_value(re.compile(r"name: both ways\n(.*\n)*batch_size: \[7, 2000\]\n"))
    expect(form.get_by_role("button", name="YAML")).to_be_focused()
    wrong = text.input_value().replace("batch_size: [7, 2000]", "batch_size: [7, many]\nbatch_sze: 1")
    text.fill(wrong)
    problems = form.locator("[data-problems]")
    expect(problems).to_contain_text("there is no such key; did you mean batch_size?")
    form.get_by_role("button", name="Form", exact=True).click()
    expect(text).to_have_value(wrong)
    expect(problems).to_be_focused()
    problems.get_by_role("link", name="batch_sze").click()
    assert text.evaluate("text => text.value.slice(text.selectionStart, text.selectionEnd)") == "batch_sze: 1"
    form.keyboard.press("Delete")
    form.get_by_role("button", name="Form", exact=True).click()
    expect(form.locator("#batch_size-1")).to_have_value("many")
    expect(form.locator("#batch_size-problem")).to_contain_text("must be a whole number")
    expect(form.get_by_label("Name", exact=True)).to_have_value("both ways")
    form.locator("#batch_size-1").fill("70")
    form.get_by_role("button", name="YAML").click()
    text.fill(text.input_value().replace("name: both ways", "name: from text"))
    form.get_by_role("button", name="Start the sweep").click()
    form.wait_for_url(SWEEP_PAGE)
    (sweep,) = store.sweeps.recent(5)
    assert sweep["name"] == "from text"
    assert store.sweeps.get(sweep["_id"])["config"]["batch_size"] == [7, 70]


def test_a_preset_is_filled_in_over_what_is_typed_and_can_be_undone(form: Page, store: Store) -> None:
    form.get_by_label("Name", exact=True).fill("kept")
    form.get_by_label("Stage 1: number of trials").fill("5")
    expect(form.get_by_role("button", name="Laptop")).to_have_attribute("aria-pressed", "false")
    form.get_by_role("button", name="Smart search").click()
    expect(notice(form)).to_contain_text("“Smart search” is filled in.")
    smart = form.get_by_role("button", name="Smart search")
    expect(smart).to_be_focused()
    expect(smart).to_have_attribute("aria-pressed", "true")
    expect(form.get_by_role("radio", name="TPE")).to_be_checked()
    expect(form.get_by_role("radio", name="ASHA")).to_be_checked()
    expect(form.get_by_label("Name", exact=True)).to_have_value("kept")
    notice(form).get_by_role("button", name="Undo").click()
    expect(form.get_by_role("radio", name="Random", exact=True)).to_be_checked()
    expect(form.get_by_label("Stage 1: number of trials")).to_have_value("5")
    form.get_by_role("button", name="Smart search").click()
    expect(form.get_by_role("radio", name="TPE")).to_be_checked()
    form.get_by_role("button", name="Start the sweep").click()
    form.wait_for_url(SWEEP_PAGE)
    (sweep,) = store.sweeps.recent(5)
    config = store.sweeps.get(sweep["_id"])["config"]
    assert (config["hyperparam_opt"], config["pruner"], config["opt_stages"]) == ("TPE", "asha", [[1000, 60]])


def test_a_draft_survives_a_reload_until_it_is_discarded_or_started(form: Page, server: Server, store: Store) -> None:
    form.get_by_label("Name", exact=True).fill("unfinished")
    form.get_by_role("button", name="Add a stage").click()
    form.get_by_label("Stage 4: steps of each trial").fill("50")
    form.get_by_role("radio", name="Grid").check()
    form.locator("#batch_size-0").fill("wrong")
    form.reload()
    expect(notice(form)).to_contain_text("restored")
    expect(form.get_by_label("Name", exact=True)).to_have_value("unfinished")
    expect(form.get_by_label("Stage 4: steps of each trial")).to_have_value("50")
    expect(form.get_by_role("radio", name="Grid")).to_be_checked()
    expect(form.locator("#batch_size-problem")).to_contain_text("must be a whole number")
    notice(form).get_by_role("button", name="Discard").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("")
    form.reload()
    ready(form)
    expect(notice(form)).to_be_hidden()
    form.get_by_role("button", name="YAML").click()
    form.get_by_role("textbox", name="The same as YAML").fill("name: text\nbatch_size: [")
    form.reload()
    expect(form.get_by_role("textbox", name="The same as YAML")).to_have_value("name: text\nbatch_size: [")
    form.get_by_role("textbox", name="The same as YAML").fill("name: text")
    form.get_by_role("button", name="Start the sweep").click()
    form.wait_for_url(SWEEP_PAGE)
    form.goto(f"{server.url}/sweeps/new")
    ready(form)
    expect(notice(form)).to_be_hidden()
    expect(form.get_by_label("Name", exact=True)).to_have_value("")


def test_a_logout_leaves_no_draft_in_the_browser(form: Page) -> None:
    form.get_by_label("Name", exact=True).fill("unfinished")
    form.wait_for_function("Object.keys(localStorage).some((key) => key.startsWith('nhop-draft'))")
    form.get_by_role("button", name="Log out").click()
    form.wait_for_url("**/login")
    assert "unfinished" not in form.evaluate("JSON.stringify({...localStorage})")


def test_starting_over_puts_the_draft_aside(form: Page) -> None:
    form.get_by_label("Name", exact=True).fill("aside")
    form.get_by_role("link", name="Start over").click()
    expect(notice(form)).to_contain_text("There is a draft of")
    expect(form.get_by_label("Name", exact=True)).to_have_value("")
    notice(form).get_by_role("button", name="Open it").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("aside")


def test_a_link_opens_the_form_filled_in(form: Page) -> None:
    form.context.grant_permissions(["clipboard-read", "clipboard-write"])
    form.get_by_label("Name", exact=True).fill("by link")
    form.get_by_role("radio", name="CMA-ES").check()
    form.get_by_role("button", name="Copy link").click()
    shown = form.get_by_label("a link that opens the form as it is now")
    expect(shown).to_have_value(re.compile(r"/sweeps/new\?config="))
    expect(shown).to_be_focused()
    expect(form.get_by_text("Copied: a link")).to_be_visible()
    link = shown.input_value()
    assert form.evaluate("navigator.clipboard.readText()") == link
    form.evaluate("localStorage.clear()")
    form.goto(link)
    expect(form.get_by_label("Name", exact=True)).to_have_value("by link")
    expect(form.get_by_role("radio", name="CMA-ES")).to_be_checked()


def test_sweeps_and_runs_are_cloned(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store, batch_size=[7, 77])
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    ada.get_by_role("link", name="Run again…").click()
    expect(ada.locator("#batch_size-1")).to_have_value("77")
    config = parse({"batch_size": [8, 88], "name": "old"}).model_dump(mode="json")
    run_id = store.runs.create({"status": "COMPLETED", "start_time": datetime.now(UTC), "config": config})
    ada.goto(f"{server.url}/history/{run_id}")
    ada.get_by_role("link", name="Run again…").click()
    expect(ada.locator("#batch_size-1")).to_have_value("88")
    ada.locator("#batch_size-1").fill("89")
    ada.get_by_label("Name", exact=True).fill("new")
    ada.get_by_role("button", name="Start the sweep").click()
    ada.wait_for_url(SWEEP_PAGE)
    started = store.sweeps.get(ada.url.rpartition("/")[2])
    assert (started["name"], started["config"]["batch_size"]) == ("new", [8, 89])


def test_what_is_typed_is_kept_while_the_server_is_away(form: Page, store: Store) -> None:
    form.get_by_label("Name", exact=True).fill("patient")
    form.context.set_offline(True)
    form.get_by_role("button", name="Start the sweep").click()
    expect(form.locator("[data-said]")).to_contain_text("The server does not answer.")
    expect(form.get_by_role("button", name="Start the sweep")).to_be_enabled()
    form.context.set_offline(False)
    form.get_by_role("button", name="Start the sweep").click()
    form.wait_for_url(SWEEP_PAGE)
    assert [sweep["name"] for sweep in store.sweeps.recent(5)] == ["patient"]


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_with_the_focus_lies_under_a_bar(form: Page, width: int) -> None:
    form.set_viewport_size({"width": width, "height": 700})
    form.emulate_media(reduced_motion="reduce")
    hidden = form.evaluate(
        """() => [...document.querySelectorAll("main input, main button, main a, main summary")]
            .filter((part) => part.checkVisibility() && part.tabIndex >= 0)
            .filter((part) => {
                part.focus();
                const { left, top, width, height } = part.getBoundingClientRect();
                const there = document.elementFromPoint(left + width / 2, top + height / 2);
                return !(there && (part.contains(there) || there.contains(part)));
            }).map((part) => part.id || part.outerHTML)"""
    )
    assert hidden == []


def test_the_form_works_without_javascript(server: Server, store: Store, ada: Page) -> None:
    plain = ada.context.browser
    assert plain is not None
    context = plain.new_context(java_script_enabled=False, storage_state=ada.context.storage_state())
    page = context.new_page()
    page.goto(f"{server.url}/sweeps/new")
    expect(page.get_by_role("group", name="LSTM layers")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("plain")
    page.get_by_role("button", name="Quick look").click()
    expect(page.get_by_label("Stage 1: steps of each trial")).to_have_value("200")
    page.get_by_role("button", name="YAML").click()
    text = page.get_by_role("textbox", name="The same as YAML")
    text.fill(text.input_value().replace("name: plain", "name: plainer"))
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("plainer")
    page.locator("#seed").fill("x")
    page.get_by_role("button", name="Start the sweep").click()
    expect(page.get_by_role("alert")).to_contain_text("One thing to fix")
    page.locator("#seed").fill("1")
    page.get_by_role("button", name="Start the sweep").click()
    page.wait_for_url(SWEEP_PAGE)
    context.close()
    assert [sweep["name"] for sweep in store.sweeps.recent(5)] == ["plainer"]
