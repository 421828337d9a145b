"""The history, with whatever a run document may hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine.store import Store
from webapp.services import history, runs

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
    assert runs.result({"accuracy": 1}) == '{"accuracy": 1}'


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
