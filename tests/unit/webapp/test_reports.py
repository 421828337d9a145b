"""The report of a sweep: on the page, and as a file of its own."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from engine.config import parse
from engine.domain import SweepState
from engine.store import Store
from tests import kept
from webapp.services import report
from webapp.services.report import plain_name, spread


def text_of(client: FlaskClient, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return re.sub(r"\s+", " ", answer.get_data(as_text=True))


def words(html: str) -> str:
    """What is read, without the tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_every_account_may_read_a_report(login: Callable[[str, str], FlaskClient], store: Store) -> None:
    sweep_id = kept.regression(store)
    viewer = login("vera", "viewer")
    assert viewer.get(f"/sweeps/{sweep_id}/report").status_code == 200
    assert viewer.get(f"/sweeps/{sweep_id}/report.html").status_code == 200


def test_of_a_sweep_that_is_not_there_it_says_so(ada: FlaskClient) -> None:
    assert "There is no sweep nothing." in text_of(ada, "/sweeps/nothing/report", 404)
    assert "There is no sweep nothing." in text_of(ada, "/sweeps/nothing/report.html", 404)


def test_the_numbers_come_first_and_say_which_is_which(ada: FlaskClient, store: Store) -> None:
    html = text_of(ada, f"/sweeps/{kept.regression(store)}/report")
    read = words(html)
    assert "Best validation loss, trial 2 100 what the search chose by; RMSE 10" in read
    assert "Confirmed on the test part, trial 2 120.0 ± 6.0 loss, mean ± standard deviation over 3 seeds" in read
    assert "the least of 3 trials" in read
    assert "the optimism: +20 (+20 %)" in read
    row = words(html[html.index("<tbody>") : html.index("</tbody>")])
    assert "3 (1 failed)" in row
    assert "10.95 ± 0.27" in row
    assert (
        html.index("The numbers first") < html.index("Stage 1: 2 trials of 10 steps") < html.index("The best trial of")
    )


def test_each_stage_has_its_space_and_the_four_plots_and_the_end_the_test_part(ada: FlaskClient, store: Store) -> None:
    html = text_of(ada, f"/sweeps/{kept.regression(store)}/report")
    _, first, second, final, config = html.split('<section class="card-soft report-section"')
    titles = ["Loss over steps", "price over age, validation"]
    titles += ["Predicted against true, training", "Predicted against true, validation"]
    for section in (first, second):
        assert re.findall(r'class="plot-title"[^>]*>([^<]+)<', section) == titles
        assert "test" not in words(section)
    assert re.findall(r'class="plot-title"[^>]*>([^<]+)<', final) == [*titles, "Predicted against true, test"]
    assert "test 3 12.5 8 0.75" in words(final)
    assert "truth: 2 points from 400 to 500" not in final
    assert "prediction: 2 points from 410 to 480" in final
    assert "validation: 2 points from 3 to 8" in first
    assert "batch size 16 to 48 32" in words(second)
    assert 'aria-hidden="true"' in second
    assert "nn_dimensions" in config


def test_a_classifier_shows_confusions_and_the_accuracy_of_each_class(ada: FlaskClient, store: Store) -> None:
    html = text_of(ada, f"/sweeps/{kept.classification(store)}/report")
    read = words(html)
    assert "Validation part 76.7 % right" in read
    assert "python 80 20 · 80.0 %" in read
    assert "css · 50 50 50.0 %" in read
    assert "Test part 96.7 % right" in read
    assert "The mean of 2 trainings of this configuration from other seeds." in read
    assert "Measured on 12 files" in read
    assert re.search(r'class="num heat-8 heat-own">80<', html)
    assert "Predicted against true" not in read
    assert "RMSE" not in read


@pytest.mark.parametrize(
    ("state", "sentence"),
    [(None, "No stage has ended yet."), (SweepState.STOPPED, "This sweep ended before its first stage did")],
)
def test_before_the_first_stage_has_ended_there_is_nothing_to_report(
    ada: FlaskClient, store: Store, state: SweepState | None, sentence: str
) -> None:
    config = parse({"seed": 7}).model_dump(mode="json")
    sweep_id = store.sweeps.create("fresh", "ada", config, 7, 9, 9, kept.NOW)
    store.sweeps.claim("turing", timedelta(minutes=1), kept.NOW)
    if state:
        store.sweeps.finish(sweep_id, 1, state, {})
    for path in ("report", "report.html"):
        html = text_of(ada, f"/sweeps/{sweep_id}/{path}")
        assert sentence in html
        assert "nn_dimensions" in html
        assert '<svg class="plot"' not in html


def test_a_stage_whose_report_is_missing_still_has_its_curve(ada: FlaskClient, store: Store) -> None:
    sweep_id = kept.regression(store)
    store.database["reports"].delete_one({"_id": sweep_id})
    html = text_of(ada, f"/sweeps/{sweep_id}/report")
    assert html.count("What this trial predicts is not known") == 2
    assert html.count("Loss over steps") >= 2


def test_without_confirmed_figures_it_says_why(ada: FlaskClient, store: Store) -> None:
    sweep_id = kept.regression(store)
    sweeps = store.database["sweeps"]
    sweeps.update_one({"_id": sweep_id}, {"$set": {"confirmed": [], "config.confirm": 0}})
    assert "This sweep confirms nothing: its setting confirm is 0." in text_of(ada, f"/sweeps/{sweep_id}/report")
    sweeps.update_one({"_id": sweep_id}, {"$set": {"config.confirm": 3}})
    assert "The sweep ended before anything was confirmed." in text_of(ada, f"/sweeps/{sweep_id}/report")
    sweeps.update_one({"_id": sweep_id}, {"$set": {"state": "RUNNING"}})
    assert "Confirmed figures come after the last stage" in text_of(ada, f"/sweeps/{sweep_id}/report")


def test_after_a_cross_validation_it_says_whose_network_it_is(ada: FlaskClient, store: Store) -> None:
    sweep_id = kept.regression(store)
    assert "folds;" not in text_of(ada, f"/sweeps/{sweep_id}/report")
    store.database["reports"].update_one({"_id": sweep_id}, {"$set": {"folds": 5}})
    assert "Losses are means over 5 folds" in text_of(ada, f"/sweeps/{sweep_id}/report")


def test_of_a_users_own_class_it_tells_what_there_is_and_leads_nowhere(ada: FlaskClient, store: Store) -> None:
    sweep_id = kept.regression(store)
    store.database["reports"].delete_one({"_id": sweep_id})
    changed = {
        "config.model_class": "mine.py:Net",
        "confirmed.0.figures.hits": {"mean": 0.5, "std": 0.25, "values": []},
    }
    store.database["sweeps"].update_one({"_id": sweep_id}, {"$set": {**changed, "config.nn_model": "Custom"}})
    html = text_of(ada, f"/sweeps/{sweep_id}/report")
    assert "a model of one's own predicts is not reported" in html.replace("&#39;", "'")
    assert "Test hits" in words(html)
    assert "0.50 ± 0.25" in html
    assert "/trials/" not in html


def test_only_models_that_are_kept_can_be_tried_from_it(ada: FlaskClient, store: Store) -> None:
    sweep_id = kept.regression(store)
    store.database["models"].delete_one({"_id": f"{sweep_id}/3"})
    html = text_of(ada, f"/sweeps/{sweep_id}/report")
    assert f"/sweeps/{sweep_id}/trials/2/try" in html
    assert f"/sweeps/{sweep_id}/trials/2/model.zip" in html
    assert f"/sweeps/{sweep_id}/trials/3/" not in html


def test_the_file_needs_nothing_else_and_its_policy_allows_its_one_style(ada: FlaskClient, store: Store) -> None:
    answer = ada.get(f"/sweeps/{kept.regression(store, 'amber / <falcon>')}/report.html")
    html = answer.get_data(as_text=True)
    assert answer.headers["Content-Disposition"] == "attachment; filename=amber----falcon-report.html"
    assert not re.search(r"\b(href|src|srcset|action|data|poster)=", html)
    assert not re.search(r"url\(|@import|<script|<link|style=", html)
    (css,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "unsafe" not in policy
    assert ".plot-c0" in css
    assert "<falcon>" not in html
    assert "Stage 2" in html


def test_the_page_has_no_inline_style_or_script(ada: FlaskClient, store: Store) -> None:
    html = text_of(ada, f"/sweeps/{kept.classification(store)}/report")
    assert " style=" not in html
    assert "<style" not in html
    assert "unsafe" not in ada.get("/").headers["Content-Security-Policy"]


def test_hostile_names_are_text(ada: FlaskClient, store: Store) -> None:
    sweep_id = kept.regression(store)
    evil = '"><script>alert(1)</script>'
    store.database["reports"].update_one({"_id": sweep_id}, {"$set": {"target": evil, "columns": [evil]}})
    html = text_of(ada, f"/sweeps/{sweep_id}/report")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_live_page_leads_to_the_report_and_knows_where_models_are(ada: FlaskClient, store: Store) -> None:
    sweep_id = kept.regression(store)
    html = text_of(ada, f"/sweeps/{sweep_id}")
    assert f'href="/sweeps/{sweep_id}/report">Report</a>' in html
    assert "js/models.js" in html


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (2767.4, 162.0, "2770 ± 160"), (0.4777, 0.0302, "0.478 ± 0.030"), (53.66, 0.92, "53.66 ± 0.92"),
        (5.0, 0.0, "5 ± 0"), (1e9, 3.0, "1e9 ± 3"), (1e-12, 2e-13, "1e-12 ± 2e-13"), (None, 1.0, "–"),
    ],
)  # fmt: skip
def test_a_mean_has_the_digits_that_its_deviation_allows(mean: float | None, deviation: float, text: str) -> None:
    assert spread(mean, deviation) == text


def test_a_name_becomes_a_part_of_a_files_name() -> None:
    assert plain_name("Häuser 1/2") == "Häuser-1-2"
    assert plain_name("../..") == "sweep"


def test_the_styles_of_the_file_refer_to_nothing() -> None:
    assert "url(" not in report.style()
    assert "@import" not in report.style()
    assert "</style" not in report.style()
