"""From the live page to the report, and from there to a prediction and a model, on the real server."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect

from engine.store import Store
from tests import kept
from tests.browser.conftest import Server


def test_a_model_is_tried_from_the_report(ada: Page, server: Server, store: Store) -> None:
    sweep_id = kept.regression(store)
    ada.goto(f"{server.url}/sweeps/{sweep_id}")
    ada.get_by_role("link", name="Report", exact=True).click()
    expect(ada.get_by_role("heading", name="The numbers first")).to_be_visible()
    expect(ada.get_by_role("img", name="Predicted against true, test")).to_be_visible()
    assert ada.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ada.get_by_role("link", name="Try it").first.click()
    expect(ada.get_by_role("heading", name="Try trial 2")).to_be_visible()
    ada.get_by_label("age").fill("51")
    ada.get_by_label("age").press("Enter")
    (expected,) = kept.regressor(2).predict([[51, 120]])
    expect(ada.get_by_role("status")).to_contain_text(f"{expected:.6g}")
    expect(ada.get_by_label("age")).to_have_value("51")
    ada.get_by_label("size").fill("many")
    ada.get_by_role("button", name="Predict price").click()
    expect(ada.get_by_label("size")).to_be_focused()
    expect(ada.get_by_text("'many' is not a number.")).to_be_visible()
    ada.get_by_label("Or a file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"40,90\n50,90"})
    ada.get_by_role("button", name="Predict all rows").click()
    first, second = (f"{value:.6g}" for value in kept.regressor(2).predict([[40, 90], [50, 90]]))
    expect(ada.get_by_role("cell", name=first)).to_be_visible()
    expect(ada.get_by_role("cell", name=second)).to_be_visible()


def test_the_best_trials_model_is_downloaded_from_the_live_page(
    ada: Page, server: Server, store: Store, tmp_path: Path
) -> None:
    sweep_id = kept.regression(store)
    ada.goto(f"{server.url}/sweeps/{sweep_id}")
    card = ada.get_by_role("region", name=re.compile("^Best"))
    expect(card.get_by_role("link", name="Try it")).to_have_attribute("href", f"/sweeps/{sweep_id}/trials/2/try")
    with ada.expect_download(timeout=90_000) as download:
        card.get_by_role("link", name="Download model").click(timeout=90_000)
    assert download.value.suggested_filename == "amber-falcon-trial-2.zip"
    download.value.save_as(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        assert {"model/saved_model.pb", "predict.py", "config.yaml", "trial.json"} <= set(archive.namelist())


def test_a_best_trial_without_a_kept_model_has_no_links(ada: Page, server: Server, store: Store) -> None:
    sweep_id = kept.regression(store)
    store.database["models"].delete_one({"_id": f"{sweep_id}/2"})
    with ada.expect_response(lambda answer: answer.url.endswith("/trials/2/try")) as answer:
        ada.goto(f"{server.url}/sweeps/{sweep_id}")
    assert answer.value.status == 404
    expect(ada.get_by_role("region", name=re.compile("^Best")).get_by_role("link", name="Try it")).to_be_hidden()


def test_the_report_prints_without_the_navigation(ada: Page, server: Server, store: Store) -> None:
    ada.goto(f"{server.url}/sweeps/{kept.classification(store)}/report")
    ada.evaluate("document.documentElement.dataset.bsTheme = 'dark'")
    ada.emulate_media(media="print")
    expect(ada.get_by_role("navigation", name="Main")).to_be_hidden()
    expect(ada.get_by_role("link", name="Download as one file")).to_be_hidden()
    expect(ada.get_by_role("link", name="Try it")).to_have_count(0)
    colours = ada.evaluate(
        "(({ color, backgroundColor }) => [color, backgroundColor])(getComputedStyle(document.body))"
    )
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
