"""The history, with whatever a run document may hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine.store import Store
from webapp.services import history, runs
from webapp.services.run_index.index import Found
from webapp.services.run_index.query import Place

NOW = datetime.now(UTC)


def test_states_are_those_of_the_legend() -> None:
    def state(**document: Any) -> str:
        return runs.row({"_id": 1, **document}, NOW).label

    assert state(status="RUNNING", heartbeat=NOW - timedelta(seconds=119)) == "Running"
    assert state(status="RUNNING", heartbeat=NOW - timedelta(seconds=121)) == "Probably dead"
    assert state(status="RUNNING", start_time=NOW) == "Running"
    assert state(status="COMPLETED") == "Completed"
    assert state(status="QUEUED") == "Queued"
    assert state(status="TIMEOUT") == "TIMEOUT"
    assert state() == "unknown"


def test_results_of_numpy_are_unwrapped() -> None:
    assert runs.result({"py/object": "numpy.float64", "dtype": "float64", "value": 0.25}) == "0.25"
    assert (
        runs.result({"accuracy": {"value": 0.98765432, "dtype": "float64"}, "ok": True})
        == "accuracy 0.987654 · ok true"
    )
    found = Found(1, "1", "completed", None, None, Place(0, 0, 0))
    cell = history.cell(found, "result", '{"loss": 0.123456789, "acc": 1}')
    assert (cell.kind, cell.value) == ("text", "loss 0.123457 · acc 1")
    assert history.cell(found, "result", '{"cut').value == '{"cut'
    assert runs.result({"a": {"b": 1.23456789}}) == '{"a": {"b": 1.23457}}'


def test_older_runs_are_on_the_next_page(ada: FlaskClient, store: Store) -> None:
    count = history.PAGE + 7
    runs = [{"_id": n, "start_time": NOW - timedelta(minutes=n), "config": {"name": f"run{n}"}} for n in range(count)]
    store.database["runs"].insert_many(runs)
    first = ada.get("/history").get_data(as_text=True)
    older = re.search(r'rel="next"\s+href="([^"]+)"', first)
    assert older
    second = ada.get(older[1].replace("&amp;", "&")).get_data(as_text=True)
    ids = re.findall(r'class="row-link"\s+href="/history/(\d+)"', first + second)
    assert [int(found) for found in ids] == list(range(count))
    assert 'rel="next"' not in second


@pytest.mark.parametrize("before", ["garbage", "9999-99-99", "W10", "'; drop", "WzAsbnVsbCwyXQ"])
def test_a_place_that_is_none_is_told(ada: FlaskClient, before: str) -> None:
    answer = ada.get("/history", query_string={"before": before})
    assert answer.status_code == 400
    assert "name a place in the list" in answer.get_data(as_text=True)


def test_a_run_of_a_sweep_links_to_it(ada: FlaskClient, store: Store) -> None:
    store.database["runs"].insert_one({"_id": 3, "info": {"sweep_id": "abc"}})
    assert 'href="/sweeps/abc"' in ada.get("/history/3").get_data(as_text=True)


def test_a_run_that_is_not_there(ada: FlaskClient) -> None:
    for missing in ("99", "x" * 300, "9" * 40, "a/b"):
        assert ada.get(f"/history/{missing}").status_code == 404


def test_an_error_below_the_history_leads_back_to_it(ada: FlaskClient, visitor: FlaskClient) -> None:
    for path in ("/history/999", "/history?database=nowhere", "/history/compare?run=1"):
        page = ada.get(path).get_data(as_text=True)
        assert 'href="/history">To the history</a>' in page, path
        assert "To the sweeps" not in page
    assert "To the sweeps" in ada.get("/nowhere").get_data(as_text=True)
    assert visitor.get("/history/999").status_code == 303


def test_one_run_is_no_runs(ada: FlaskClient, store: Store) -> None:
    def words(**asked: str) -> str:
        page = ada.get("/history", query_string=asked).get_data(as_text=True)
        found = re.search(r'<p class="unit" role="status">(.+?)</p>', page, re.DOTALL)
        assert found
        return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())

    assert words() == "0 runs"
    store.database["runs"].insert_one({"_id": 1, "config": {"lr": 1}})
    assert words() == "1 run"
    assert words(where="config.lr = 1") == "1 run matches. Show all"
    store.database["runs"].insert_one({"_id": 2, "config": {"lr": 1}})
    assert words() == "2 runs"
    assert words(where="config.lr = 1") == "2 runs match. Show all"


def test_what_is_wrong_with_a_filter_is_said_once(ada: FlaskClient) -> None:
    page = ada.get("/history", query_string={"where": "a ?"}).get_data(as_text=True)
    assert page.count("After a comes one of") == 1
    assert re.search(r'href="/history\?">\s*Show all runs</a>', page)
