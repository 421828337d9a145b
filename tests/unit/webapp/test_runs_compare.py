"""Runs side by side."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine.store import Store
from engine.store.runs import run_id_text
from tests import hostile_runs
from tests.hostile_runs import NOW, SCRIPT
from webapp.errors import QueryError
from webapp.services import runs_compare
from webapp.services.runs_compare import changes


@pytest.fixture
def three(store: Store) -> list[str]:
    for run_id, lr in ((1, 0.1), (2, 0.1), (3, 0.2)):
        source = store.runs.put_source("/train.py", str(run_id), f"one\nlr = {lr}\n".encode())
        document = {
            "_id": run_id,
            "config": {"lr": lr, "net": {"units": 8}, **({"only": None} if run_id == 3 else {})},
            "result": {"py/object": "numpy.float64", "dtype": "float64", "value": float(run_id)},
            "start_time": NOW,
            "captured_out": "\x1b[32mbegin\x1b[0m\n" + f"run {run_id}\n",
            "experiment": {"sources": [["train.py", source]]},
        }
        store.database["runs"].insert_one(document)
        store.runs.put_metric(run_id, "loss", [1, 2], [1.0, float(run_id)], [NOW] * 2)
    return ["1", "2", "3"]


def page(store: Store, ids: list[str], **asked: str) -> runs_compare.ComparePage:
    return runs_compare.page(store.run_parts, ids, asked, NOW)


def test_only_what_differs_is_shown_unless_all_is_asked_for(store: Store, three: list[str]) -> None:
    found = page(store, three)
    assert [(line.path, list(line.cells)) for line in found.lines] == [
        ("lr", ["0.1", "0.1", "0.2"]),
        ("only", ["", "", "null"]),
    ]
    assert found.hidden == 1
    assert [line.path for line in page(store, three, all="1").lines] == ["lr", "net.units", "only"]


def test_values_are_rounded_where_they_still_differ(store: Store, three: list[str]) -> None:
    for run_id, a, b in ((1, 0.12345678, 0.1000001), (2, 0.2, 0.1000002), (3, 0.3, 0.1000003)):
        store.database["runs"].update_one({"_id": run_id}, {"$set": {"config.a": a, "config.b": b}})
    lines = {line.path: line for line in page(store, three).lines}
    assert (lines["a"].cells[0], lines["a"].exact[0]) == ("0.123457", "0.12345678")
    assert list(lines["b"].cells) == ["0.1000001", "0.1000002", "0.1000003"]


def test_groups_have_mean_and_standard_deviation(store: Store, three: list[str]) -> None:
    groups = page(store, three, group="lr", metric="loss").groups
    assert [(group.value, group.numbers) for group in groups] == [("0.1", [1, 2]), ("0.2", [3])]
    assert groups[0].result.mean == 1.5
    assert groups[0].result.sd == pytest.approx(0.5**0.5)
    assert (groups[1].result.count, groups[1].result.sd) == (1, None)
    assert groups[0].metric.mean == 1.5
    assert [group.value for group in page(store, three, group="nothing.there").groups] == ["nothing"]
    assert [group.value for group in page(store, three, group="config.lr").groups] == ["0.1", "0.2"]


def test_metrics_come_by_run_or_by_group(ada: FlaskClient, three: list[str]) -> None:
    ask = "/history/compare/metrics.json?run=1&run=2&run=3&run=9&name=loss"
    lines = ada.get(ask).get_json()["lines"]
    assert [(line["run"], line["y"]) for line in lines] == [("1", [1, 1]), ("2", [1, 2]), ("3", [1, 3])]
    lines = ada.get(f"{ask}&group=lr").get_json()["lines"]
    assert [(line["run"], line["runs"], line["y"], line["sd"]) for line in lines] == [
        ("0.1", 2, [1, 1.5], [0, pytest.approx(0.5**0.5)]),
        ("0.2", 1, [1, 3], [0, 0]),
    ]
    assert ada.get(f"{ask}&x=colour").status_code == 400
    assert ada.get("/history/compare/metrics.json?run=1&run=2&name=none").get_json()["lines"][0]["y"] == []


def test_output_and_sources_are_compared(store: Store, three: list[str]) -> None:
    found = page(store, three, right="3").texts
    assert found.names == ["output", "train.py"]
    assert [(line.kind, line.left, line.right) for line in found.lines] == [
        ("same", "begin", "begin"),
        ("changed", "run 1", "run 3"),
    ]
    source = page(store, three, left="2", right="3", text="train.py").texts
    assert [line.right for line in source.lines] == ["one", "lr = 0.2"]
    assert page(store, three, text="train.py").texts.note == "They are the same."
    store.database["fs.files"].delete_many({})
    assert "not stored" in page(store, three, text="train.py").texts.note


def test_changes_are_told_line_by_line() -> None:
    left = "\n".join(["a", *map(str, range(20)), "z"])
    right = "\n".join(["b", "c", *map(str, range(20)), "z", "new"])
    found = list(changes(left, right))
    assert [(line.kind, line.left, line.right) for line in found if line.kind not in ("same", "gap")] == [
        ("changed", "a", "b"),
        ("added", "", "c"),
        ("added", "", "new"),
    ]
    assert [line.kind for line in found].count("gap") == 1
    assert list(changes("x", "x")) == []


@pytest.mark.parametrize("query", ["", "run=1", "run=1&run=1", "run=8&run=9", "&".join(f"run={n}" for n in range(51))])
def test_it_takes_two_to_fifty(ada: FlaskClient, three: list[str], query: str) -> None:
    answer = ada.get(f"/history/compare?{query}")
    assert answer.status_code == 400
    assert "runs" in answer.get_data(as_text=True)


def test_a_run_that_is_gone_is_told(ada: FlaskClient, three: list[str]) -> None:
    html = ada.get("/history/compare?run=1&run=2&run=77&left=x&right=99&text=none&metric=none").get_data(as_text=True)
    assert "Not there any more: 77." in html
    assert re.search(r"<h1>\s*2 runs compared", html)


def test_hostile_runs_are_compared(ada: FlaskClient, store: Store) -> None:
    ids = [run_id_text(run_id) for run_id in hostile_runs.insert(store.database)]
    asked: dict[str, Any] = {"run": ids, "all": "1", "group": "name"}
    answer = ada.get("/history/compare", query_string=asked)
    assert answer.status_code == 200
    assert SCRIPT not in answer.get_data(as_text=True)
    assert ada.get("/history/compare/metrics.json", query_string={"run": ids, "name": "loss"}).status_code == 200
    with pytest.raises(QueryError):
        page(store, ["nothing"])
