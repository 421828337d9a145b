"""The history, with whatever a run document may hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from engine.store import Store
from webapp.services import history, run_page, runs

NOW = datetime.now(UTC)

HOSTILE: list[dict[str, Any]] = [
    {},
    {"_id": "exp/with space?&<b>", "status": "RUNNING"},
    {"_id": ObjectId(), "status": 5, "start_time": "yesterday", "config": [1, {"a": 2}]},
    {"_id": 7, "result": {"py/object": "numpy.float64", "dtype": "float64", "value": 0.25}, "start_time": NOW},
    {"_id": 8, "result": float("nan"), "start_time": NOW, "host": "lab", "experiment": "text", "info": 3},
    {"_id": 9, "captured_out": b"\xff\x00", "config": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}},
    {"_id": 10, "fail_trace": "boom", "status": "FAILED", "config": {"name": {"x": "<script>alert(1)</script>"}}},
    {"_id": 11, "experiment": {"sources": [5, ["a.py"], [], None], "dependencies": "numpy"}, "stop_time": 12},
    {"_id": 12, "start_time": datetime(1, 1, 1, tzinfo=UTC), "heartbeat": datetime(9999, 12, 31, tzinfo=UTC)},
    {"_id": 13, "info": {"sweep_id": ["x"]}, "config": {f"key{n}": n for n in range(900)}},
]


@pytest.mark.parametrize("document", HOSTILE, ids=range(len(HOSTILE)))
def test_no_document_breaks_the_pages(ada: FlaskClient, store: Store, document: dict[str, Any]) -> None:
    store.database["runs"].insert_one(dict(document))
    html = ada.get("/history").get_data(as_text=True)
    assert "<script>alert" not in html
    link = re.search(r'class="row-link"\s+href="([^"]+)"', html)
    assert link
    answer = ada.get(link[1].replace("&amp;", "&"))
    assert answer.status_code == 200
    assert "<script>alert" not in answer.get_data(as_text=True)


def test_hostile_metrics_are_shown_as_far_as_they_can_be(ada: FlaskClient, store: Store) -> None:
    store.database["runs"].insert_one({"_id": 1, "start_time": NOW})
    store.database["metrics"].insert_many(
        [
            {
                "run_id": 1,
                "name": "loss",
                "steps": [0, 1, 2],
                "values": [1.0, float("nan"), {"py/object": "x", "value": 3}],
            },
            {"run_id": 1, "name": None, "steps": "x", "values": 3},
            {"run_id": 1, "name": "long", "steps": list(range(5000)), "values": [0.5] * 5000},
        ]
    )
    page = run_page.run(store, "1", NOW)
    charts = {chart["name"]: chart for chart in page.metrics}
    assert charts["loss"]["values"] == [1.0, None, 3.0]
    assert len(charts["long"]["steps"]) <= 1001
    assert charts["long"]["steps"][-1] == 4999
    assert ada.get("/history/1").status_code == 200


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
