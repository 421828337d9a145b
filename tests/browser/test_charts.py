"""The charts of a sweep in a real browser: what is drawn, brushed, saved, listed and said."""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect

from engine.store import Store
from tests.browser.conftest import Server
from tests.browser.writer import Writer
from tests.unit.webapp.test_analysis import searched
from tests.waiting import wait_until

COUNT = 60
KINDS = ("importance", "edf", "parallel", "slice", "contour", "timeline")
PNG = b"\x89PNG\r\n\x1a\n"


def chart(page: Page, name: str) -> Locator:
    """The card of a chart, when it has been drawn."""
    card = page.locator(f"[data-chart='{name}']")
    card.scroll_into_view_if_needed()
    expect(card).to_have_attribute("data-is", "drawn")
    expect(card.locator("canvas").first).to_be_visible()
    return card


def points(card: Locator) -> int:
    return int(card.locator("[data-place]").get_attribute("data-points") or 0)


def save(page: Page, card: Locator, how: str) -> tuple[str, bytes]:
    """The name and the content of the file that a chart is saved as."""
    card.get_by_text("Save", exact=True).click()
    with page.expect_download() as download:
        card.get_by_role("button", name=how).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


@pytest.fixture
def analysis(ada: Page, server: Server, store: Store) -> Page:
    """The analysis of a sweep that runs: 60 completed trials, one pruned, one failed, one in training."""
    ada.goto(f"{server.url}/sweeps/{searched(store, COUNT)}#analysis")
    return ada


def test_every_chart_of_the_analysis_draws_its_trials(analysis: Page) -> None:
    drawn = {kind: points(chart(analysis, kind)) for kind in KINDS}
    assert drawn["importance"] >= 4  # a bar an axis
    assert drawn["parallel"] == COUNT + 1  # and the best one more time
    assert drawn["slice"] >= 4 * COUNT
    assert drawn["contour"] > COUNT + 1  # cells, and the best one more time
    assert drawn["edf"] == 2 * COUNT  # all, and of each stage its own
    assert drawn["timeline"] == COUNT + 4
    for kind in KINDS:
        label = chart(analysis, kind).locator("[data-place]").get_attribute("aria-label")
        assert label, f"{kind} is not told to who cannot see it"
        assert "undefined" not in label
        assert "NaN" not in label


def test_the_charts_of_one_stage_are_of_its_trials_alone(analysis: Page) -> None:
    chart(analysis, "parallel")
    analysis.get_by_label("Trials of").select_option(label="stage 2")
    place = analysis.locator("[data-chart='parallel'] [data-place]")
    expect(place).not_to_have_attribute("data-points", str(COUNT + 1))
    assert 2 < points(chart(analysis, "parallel")) < COUNT


def test_lines_are_brushed_by_the_mouse_and_by_values(analysis: Page) -> None:
    card = chart(analysis, "parallel")
    place, note = card.locator("[data-place]"), card.locator("[data-note]")
    expect(note).to_contain_text("Drag along an axis")
    box = place.bounding_box()
    assert box is not None
    analysis.mouse.move(box["x"] + 46, box["y"] + 70)
    analysis.mouse.down()
    analysis.mouse.move(box["x"] + 46, box["y"] + 220, steps=8)
    analysis.mouse.up()
    expect(note).to_contain_text(re.compile(r"\d+ of 60 lines are brushed"))
    by_mouse = int(place.get_attribute("data-brushed") or -1)
    assert 0 < by_mouse < COUNT
    card.get_by_text("Brush", exact=True).click()
    card.get_by_role("button", name="Brush none").click()
    expect(note).to_contain_text("Drag along an axis")
    card.get_by_label("Axis").select_option("batch_size")
    card.get_by_label("From").fill("100")
    card.get_by_label("To").fill("900")
    card.get_by_role("button", name="Brush these").click()
    expect(note).to_contain_text("lines are brushed")
    content = rows(save(analysis, card, "CSV")[1])
    within = [row for row in content if 100 <= float(row["batch size"]) <= 900]
    assert [row for row in content if row["brushed"] == "1"] == within
    assert int(place.get_attribute("data-brushed") or -1) == len(within) > 0


def test_a_chart_is_saved_as_picture_drawing_and_data(analysis: Page) -> None:
    for kind in KINDS:
        card = chart(analysis, kind)
        name, picture = save(analysis, card, "PNG")
        assert name == f"{kind}.png"
        assert picture.startswith(PNG)
        name, drawing = save(analysis, card, "SVG")
        assert name == f"{kind}.svg"
        drawn = ElementTree.fromstring(drawing)  # noqa: S314 - our own
        assert drawn.tag.endswith("svg")
        assert len(list(drawn.iter())) > points(card) / 4
        assert save(analysis, card, "CSV")[0] == f"{kind}.csv"


def test_the_data_are_those_that_are_drawn(analysis: Page, store: Store) -> None:
    content = rows(save(analysis, chart(analysis, "parallel"), "CSV")[1])
    kept = {trial["number"]: trial for trial in store.database["trials"].find({"state": "COMPLETED", "confirms": None})}
    assert {int(row["trial"]) for row in content} == set(kept)
    for row in content:
        trial = kept[int(row["trial"])]
        assert float(row["loss"]) == pytest.approx(trial["loss"], rel=1e-4)
        assert row["activation"] == trial["params"]["activation"]
        assert row["nodes of layer 3"] == str(trial["params"].get("units_3", ""))


def test_a_chart_has_a_table(analysis: Page) -> None:
    card = chart(analysis, "timeline")
    card.get_by_role("button", name="Timeline of workers as a table").click()
    table = card.get_by_role("table")
    expect(table.locator("tbody tr")).to_have_count(COUNT + 4)
    expect(table).to_contain_text("worker 1")


def test_the_axes_of_the_contour_are_chosen(analysis: Page) -> None:
    card = chart(analysis, "contour")
    card.get_by_label("Across").select_option("batch_size")
    card.get_by_label("Up").select_option("activation")
    expect(card.locator("[data-place]")).to_have_attribute("aria-label", re.compile("batch size and activation"))
    card.get_by_label("Up").select_option("batch_size")
    expect(card.get_by_label("Across")).to_have_value("activation")
    expect(card.locator("[data-place]")).to_have_attribute("aria-label", re.compile("activation and batch size"))


def test_charts_follow_the_theme(analysis: Page) -> None:
    card = chart(analysis, "edf")
    card_colour = "getComputedStyle(document.documentElement).getPropertyValue('--card').trim()"
    backgrounds = []
    for _ in range(2):
        backgrounds.append(analysis.evaluate(card_colour))
        assert backgrounds[-1] in save(analysis, chart(analysis, "edf"), "SVG")[1].decode()
        before = card.locator("canvas").first.evaluate("(canvas) => canvas.toDataURL()")
        analysis.get_by_role("button", name="Switch between light and dark").click()
        analysis.wait_for_function(
            "(before) => document.querySelector(\"[data-chart='edf'] canvas\").toDataURL() !== before", arg=before
        )
    assert len(set(backgrounds)) == 2


def test_a_chart_says_why_it_has_nothing_to_draw(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store)
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    words = ada.locator("[data-words]")
    expect(ada.locator("[data-chart='history'] [data-words]")).to_have_text("The first finished trial appears here.")
    ada.goto(f"{server.url}/sweeps/{writer.id}#analysis")
    expect(ada.locator("[data-chart='importance'] [data-words]")).to_contain_text("Not enough trials yet")
    for kind in KINDS[1:]:
        card = ada.locator(f"[data-chart='{kind}']")
        card.scroll_into_view_if_needed()
        expect(card).to_have_attribute("data-is", "empty")
        expect(card.locator("[data-words]")).not_to_be_empty()
    assert words.count() == 8


def test_a_chart_whose_data_do_not_come_says_so_and_asks_again(analysis: Page, server: Server) -> None:
    analysis.route("**/analysis/edf.json*", lambda route: route.fulfill(status=503, body="busy"))
    analysis.reload()
    card = analysis.locator("[data-chart='edf']")
    expect(card.locator("[data-words]")).to_have_text("The server answered 503. It is asked again in 10 seconds.")
    expect(card).to_have_attribute("data-is", "failed")
    chart(analysis, "parallel")  # which is drawn all the same
    analysis.unroute("**/analysis/edf.json*")
    analysis.get_by_label("Trials of").select_option(label="stage 1")
    chart(analysis, "edf")


def test_losses_and_curves_move_as_events_come_and_a_click_opens_the_trial(
    ada: Page, server: Server, store: Store
) -> None:
    writer = Writer(store, opt_stages=[[100, 5]])
    writer.claim()
    writer.begin_stage(0)
    writer.end_trial(writer.begin_trial(), loss=0.5)
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    losses = ada.locator("[data-chart='history'] [data-place]")
    expect(losses).to_have_attribute("data-points", "3")  # the trial, and the ends of the line of the best
    number = writer.begin_trial()
    writer.progress(number, 0.5)
    expect(ada.locator("[data-chart='curves'] [data-place]")).to_have_attribute("aria-label", re.compile("trial 2"))
    writer.end_trial(number, error="Traceback\nNumericalError: the loss became NaN")
    expect(losses).to_have_attribute("aria-label", re.compile("1 completed, 0 pruned and 1 failed"))
    expect(losses).to_have_attribute("data-points", "4")
    content = rows(save(ada, chart(ada, "history"), "CSV")[1])
    assert [(row["trial"], row["state"], row["loss"]) for row in content] == [
        ("1", "COMPLETED", "0.5"),
        ("2", "FAILED", ""),
    ]
    trial = re.compile(rf"/sweeps/{writer.id}/trials/[12]$")

    def opens() -> bool:
        """Whether a click at a trial has opened it: it misses where the chart is drawn anew at that moment."""
        store.sweeps.renew(writer.id, 1, datetime.now(UTC) + timedelta(minutes=1))  # else the page says it is silent
        ada.keyboard.press("Escape")
        point_at(ada, losses)
        ada.mouse.down()
        ada.mouse.up()
        with suppress(TimeoutError):
            ada.wait_for_url(trial, timeout=3000)
        return bool(trial.search(ada.url))

    wait_until(opens, 15, "the page of the trial")


def point_at(page: Page, place: Locator) -> None:
    """Move the pointer to a trial: where it becomes a hand, which the page itself looks for, in one go."""
    place.scroll_into_view_if_needed()
    found = place.evaluate(
        """(place) => {
          const drawing = place.firstElementChild;
          const box = place.getBoundingClientRect();
          for (let x = box.left + 30; x < box.right; x += 4) {
            for (let y = box.top + 30; y < box.bottom - 40; y += 6) {
              drawing.dispatchEvent(new MouseEvent("mousemove", { clientX: x, clientY: y, bubbles: true }));
              if (drawing.style.cursor === "pointer") return [x, y];
            }
          }
          return null;
        }"""
    )
    assert found, "there is no trial to point at"
    page.mouse.move(*found)


def test_a_chart_is_zoomed_by_its_buttons(ada: Page, server: Server, store: Store) -> None:
    ada.goto(f"{server.url}/sweeps/{searched(store, COUNT)}")
    card = chart(ada, "history")
    whole = card.get_by_role("button", name="All", exact=True)
    expect(whole).to_be_hidden()
    card.get_by_role("button", name="Zoom in").click()
    expect(whole).to_be_visible()
    before = points(card)
    whole.click()
    expect(whole).to_be_hidden()
    assert points(card) == before


@pytest.mark.parametrize("width", [390, 1440])
def test_no_chart_is_wider_than_the_screen(analysis: Page, width: int) -> None:
    analysis.set_viewport_size({"width": width, "height": 900})
    for kind in KINDS:
        chart(analysis, kind)
    assert analysis.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_what_is_under_the_pointer_is_told_within_the_drawing(ada: Page, server: Server, store: Store) -> None:
    """A tooltip of HTML would need inline styles, which the policy of the pages forbids."""
    ada.goto(f"{server.url}/sweeps/{searched(store, COUNT)}")
    place = chart(ada, "history").locator("[data-place]")
    before = place.locator("canvas").first.evaluate("(canvas) => canvas.toDataURL()")
    point_at(ada, place)
    ada.wait_for_function(
        "(before) => document.querySelector(\"[data-chart='history'] canvas\").toDataURL() !== before", arg=before
    )
    assert place.evaluate("(place) => place.children.length") == 1
