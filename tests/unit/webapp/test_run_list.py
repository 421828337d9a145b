"""The list of runs: what is indexed of any document, and that filters, orders and pages are those of plain Python."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from bson import Decimal128
from bson.datetime_ms import DatetimeMS
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import StoreError
from engine.store import Store
from engine.store.run_reader import RunReader
from tests import hostile_runs
from tests.ancient_runs import ancient_metrics, ancient_runs, numpy
from tests.unit.webapp.conftest import token
from webapp.errors import QueryError
from webapp.history.blueprint import HISTORIES
from webapp.services import history
from webapp.services.run_index import fields, query, where
from webapp.services.run_index import follower as follower_module
from webapp.services.run_index.follower import Follower, News
from webapp.services.run_index.index import Index
from webapp.services.run_index.query import Query

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = NOW.timestamp()


@pytest.fixture
def follower(store: Store, tmp_path: Path) -> Iterator[Follower]:
    """A follower of the store's own database, with an empty index."""
    found = Follower(RunReader(store.database), Index(tmp_path / "index.sqlite"))
    yield found
    found.index.close()


def follow(follower: Follower, at: datetime = NOW) -> News:
    """Turn until nothing is waiting."""
    changed: set[int] = set()
    gone: set[int] = set()
    while True:
        news = follower.turn(at.timestamp())
        changed |= set(news.changed)
        gone |= set(news.gone)
        progress = follower.progress()
        if progress.ready and not progress.metrics:
            return News(tuple(changed), (), tuple(gone))


def ask(follower: Follower, text: str = "", sort: str = "id", at: datetime = NOW, **more: Any) -> list[str]:
    """The ids of the runs that a filter finds, in order."""
    asked = Query(where.parse(text), more.get("words", ""), sort.removeprefix("-"), sort.startswith("-"))
    return [run.key for run in follower.index.page(asked, at.timestamp(), 1000)]


# hostile documents


def insert_ancient(store: Store) -> list[Any]:
    documents = ancient_runs()
    for document in documents:
        store.database["runs"].insert_one(document)
    store.database["metrics"].insert_many(ancient_metrics())
    return [document["_id"] for document in documents]


@pytest.mark.parametrize("kind", ["hostile", "ancient"])
def test_forty_hostile_runs_are_all_listed(
    app: Flask, ada: FlaskClient, store: Store, follower: Follower, kind: str
) -> None:
    ids = hostile_runs.insert(store.database) if kind == "hostile" else insert_ancient(store)
    assert len(ids) == 40
    follow(follower)
    assert set(ask(follower)) == {fields.key_of(run_id) for run_id in ids}
    answer = ada.get("/history?size=50")
    assert answer.status_code == 200
    html = answer.get_data(as_text=True)
    assert len(re.findall(r"<tr data-n=", html)) == 40
    for harm in ("<script>alert", hostile_runs.SCRIPT, "<b>odd", "hunter2"):
        assert harm not in html
    app.extensions[HISTORIES].get().followed = True  # what is there has been read
    for column in sorted(follower.index._names)[::30]:
        for sign in ("", "-"):
            address = history.Asked(sort=sign + column, columns=str(history.Column(column)), size=25).address()
            assert ada.get(f"/history?{address}").status_code == 200, column
    assert not ask(follower, 'host.ENV.SECRET exists or config.name.x = "hunter2"')


def test_what_nobody_has_thought_of_keeps_no_other_run_out(
    store: Store, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.database["runs"].insert_many([
        {"_id": 1, "status": "COMPLETED", "config": {"lr": Decimal128("sNaN")}},
        {"_id": 2, "status": "COMPLETED", "experiment": {"name": "odd"}},
        {"_id": 3, "status": "COMPLETED"},
    ])  # fmt: skip
    known = fields.row

    def odd(document: dict[str, Any]) -> fields.Row:
        if "experiment" in document:
            raise ArithmeticError("nobody has thought of it")
        return known(document)

    monkeypatch.setattr(follower_module, "row", odd)
    follow(follower)
    assert ask(follower, "") == ["1", "2", "3"]
    assert ask(follower, "config.lr exists") == ["1"]


def test_what_is_damaged_is_read_as_far_as_it_goes(store: Store, follower: Follower) -> None:
    for document in ancient_runs():
        if document["_id"] not in (30, 31):
            store.database["runs"].insert_one(document)
    store.database["metrics"].insert_many(ancient_metrics())
    follow(follower)
    assert ask(follower, "result = 0.25") == ["4"]
    assert ask(follower, "result = 1.5") == ["17"]
    assert ask(follower, "result.accuracy = NaN") == ["16"]
    assert ask(follower, "config.lr > 1e300") == ["15"]
    assert ask(follower, "tag = keep and tag = 5") == ["32"]
    assert ask(follower, "tags = b") == ["33"]
    assert ask(follower, "state = timeout") == ["9"]
    assert set(ask(follower, "config.lr <= 0.1")) == {"3", "4", "5", "6", "5f0000000000000000000001"}
    assert ask(follower, "metrics.loss.max = 3 and metrics.loss.last = 3 and metrics.loss.min = 1") == ["4"]
    assert ask(follower, "metrics.val.acc.top-5.best = 0.75") == ["4"]
    assert ask(follower, "config.yes = true and config.none = null") == [fields.key_of({"part": 1, "of": "two"})]


def test_each_part_of_a_document_becomes_fields() -> None:
    found = fields.row(
        {
            "_id": 3,
            "status": "COMPLETED",
            "start_time": NOW,
            "stop_time": NOW + timedelta(minutes=2),
            "config": {"opt": {"lr": numpy(0.5)}, "on": True, "sizes": [1, 2]},
            "result": {"acc": 0.9},
            "experiment": {"name": "x", "repositories": [{"commit": "abc", "dirty": True}]},
            "meta": {"options": {"--force": False}},
        }
    )
    assert found.cells["config.opt.lr"] == 0.5
    assert found.cells["config.on"] == "true"
    assert found.cells["config.sizes"] == "[1, 2]"
    assert found.cells["result.acc"] == 0.9
    assert found.cells["duration"] == 120
    assert (found.cells["commit"], found.cells["dirty"]) == ("abc", "true")
    assert " lr" in found.words
    assert not found.open
    beyond = fields.row({"_id": 4, "start_time": DatetimeMS(10**17), "config": {"when": DatetimeMS(-(10**17))}})
    assert "started" not in beyond.cells


# the language


def test_a_filter_reads_as_it_is_written() -> None:
    text = 'state in (running, failed) and (config.lr < 0.01 or tag = "to keep") and not (result missing)'
    found = where.parse(text)
    assert where.write(found) == text
    assert where.fields(found) == ["state", "config.lr", "tag", "result"]
    assert where.parse("a=1 or b=2 and c=3") == where.parse("a = 1 or (b = 2 and c = 3)")


condition = st.one_of(
    st.builds(
        where.Condition, st.text(min_size=1, max_size=8), st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~"]),
        st.tuples(st.text(max_size=8)),
    ),
    st.builds(where.Condition, st.sampled_from(["a", "in", "x y"]), st.sampled_from(["exists", "missing"])),
    st.builds(
        where.Condition, st.sampled_from(["a", "or"]), st.just("in"), st.lists(st.text(), min_size=1).map(tuple)
    ),
)  # fmt: skip
filters = st.recursive(
    condition,
    lambda part: st.one_of(
        st.builds(where.Not, part),
        st.builds(where.All, st.lists(part, min_size=2, max_size=3).map(tuple)),
        st.builds(where.Any, st.lists(part, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(filters)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_filter_is_read_back(part: where.Filter) -> None:
    text = where.write(part)
    if len(text) <= where.LONGEST:
        assert where.write(where.parse(text)) == text


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_text_is_a_filter_or_is_told_why_not(text: str) -> None:
    with suppress(QueryError):
        assert where.write(where.parse(text)) is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a <", "ends where it needs a value"),
        ("a = 1 b", "`and` or `or` is missing"),
        ("(a = 1", "not closed"),
        ("a in 5", "stand in parentheses"),
        ("a ? 1", "after a comes one of"),
        ('a = "x', "not understood"),
        ("(" * 30 + "a = 1", "nested too deeply"),
        (" and ".join(["a = 1"] * 60), "more than 40 conditions"),
    ],
)
def test_what_is_wrong_with_a_filter_is_told(text: str, words: str) -> None:
    with pytest.raises(QueryError, match=re.escape(words)):
        where.parse(text)


# against plain Python


def sample(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Runs with numbers, texts, both, and nothing under the same names."""
    values: list[Callable[[], Any]] = [
        lambda: rng.randint(0, 5),
        lambda: round(rng.uniform(-2, 2), 1),
        lambda: rng.choice(["adam", "sgd", "5", "2.0", "Adam W"]),
        lambda: None,
    ]
    runs = []
    for n in range(1, count + 1):
        config = {name: rng.choice(values)() for name in ("a", "b", "c") if rng.random() < 0.8}
        status = rng.choice(["COMPLETED", "FAILED", "RUNNING", "QUEUED"])
        started = NOW - timedelta(minutes=rng.randint(0, 10_000))
        beat = NOW - timedelta(seconds=rng.choice([5, 500]))
        tags = rng.sample(["keep", "x", "y"], rng.randint(0, 2))
        runs.append(
            {"_id": n, "status": status, "start_time": started, "heartbeat": beat, "config": {**config, "tags": tags}}
        )
    return runs


def kept(value: Any) -> Any:
    return {None: "null"}.get(value, value)


def holds(run: dict[str, Any], part: where.Filter) -> bool:
    """The oracle: whether a run meets a filter."""
    if isinstance(part, where.All):
        return all(holds(run, item) for item in part.parts)
    if isinstance(part, where.Any):
        return any(holds(run, item) for item in part.parts)
    if isinstance(part, where.Not):
        return not holds(run, part.part)
    operator, wanted = part.operator, part.values
    if operator == "!=":
        return not holds(run, where.Condition(part.field, "=", wanted))
    if part.field == "tag":
        return wanted[0] in run["config"]["tags"]
    if part.field == "state":
        dead = run["status"] == "RUNNING" and (NOW - run["heartbeat"]).total_seconds() > 120
        return ("dead" if dead else run["status"].lower()) in wanted
    name = part.field.removeprefix("config.")
    there = name in run["config"]
    if operator in ("exists", "missing"):
        return there == (operator == "exists")
    if not there:
        return False
    value = kept(run["config"][name])
    if operator == "~":
        return re.search(wanted[0], str(value), re.IGNORECASE) is not None
    for text in wanted:
        try:
            number: float | None = float(text)
        except ValueError:
            number = None
        if operator in ("=", "in"):
            if value == text or (not isinstance(value, str) and value == number):
                return True
            continue
        if number is not None:
            if isinstance(value, str):
                return False
            return {"<": value < number, "<=": value <= number, ">": value > number, ">=": value >= number}[operator]
        if not isinstance(value, str):
            return False
        return {"<": value < text, "<=": value <= text, ">": value > text, ">=": value >= text}[operator]
    return False


def place(run: dict[str, Any], name: str) -> tuple[int, Any]:
    """(rank, value) of a run in an order."""
    if name not in run["config"]:
        return 2, 0
    value = kept(run["config"][name])
    return (1, value) if isinstance(value, str) else (0, value)


def drawn(rng: random.Random, depth: int = 0) -> where.Filter:
    if depth < 2 and rng.random() < 0.5:
        kind = rng.choice([where.All, where.Any])
        return kind(tuple(drawn(rng, depth + 1) for _ in range(rng.randint(2, 3))))
    if depth < 3 and rng.random() < 0.1:
        return where.Not(drawn(rng, depth + 1))
    values = ["0", "1", "2", "2.0", "-1", "0.5", "adam", "sgd", "5", "null", "b"]
    name = rng.choice(["config.a", "config.b", "config.c", "config.none", "tag", "state"])
    if name == "tag":
        return where.Condition("tag", rng.choice(["=", "!="]), (rng.choice(["keep", "x", "none"]),))
    if name == "state":
        return where.Condition("state", "in", tuple(rng.sample(["dead", "running", "failed", "queued"], 2)))
    operator = rng.choice(list(where.OPERATORS))
    if operator in ("exists", "missing"):
        return where.Condition(name, operator)
    if operator == "~":
        return where.Condition(name, "~", (rng.choice(["^ad", "g", r"\d", "w$"]),))
    count = rng.randint(1, 3) if operator == "in" else 1
    return where.Condition(name, operator, tuple(rng.sample(values, count)))


def test_filters_orders_and_pages_are_those_of_plain_python(store: Store, follower: Follower) -> None:
    rng = random.Random(5)
    runs = sample(rng, 300)
    store.database["runs"].insert_many(runs)
    follow(follower)
    for _ in range(150):
        part, name, down = drawn(rng), rng.choice(["a", "b", "c"]), rng.random() < 0.5
        wanted = [run for run in runs if holds(run, part)]
        asked = Query(where.parse(where.write(part)), "", f"config.{name}", down)
        size, found, at = rng.randint(3, 60), [], None
        while page := follower.index.page(asked, SECONDS, size, at):
            if at is not None:
                before = follower.index.page(asked, SECONDS, size, page[0].place, backwards=True)
                assert [run.n for run in before] == [run.n for run in found[-size:]]
            found += page
            at = history.place_of(history.mark(page[-1].place))
        assert sorted(int(run.key) for run in found) == [run["_id"] for run in wanted], where.write(part)
        assert sum(follower.index.count(asked, SECONDS).values()) == len(wanted)
        ranked = [place(runs[int(run.key) - 1], name) for run in found]
        for first, second in pairwise(ranked):
            assert first[0] <= second[0]
            if first[0] == second[0]:
                assert first[1] >= second[1] if down else first[1] <= second[1]


def test_moments_spans_and_durations_are_understood(store: Store, follower: Follower) -> None:
    days = [NOW - timedelta(days=n) for n in range(5)]
    store.database["runs"].insert_many(
        [{"_id": n, "start_time": day, "stop_time": day + timedelta(hours=n)} for n, day in enumerate(days)]
    )
    follow(follower)
    assert ask(follower, "started > 36h") == ["0", "1"]
    assert ask(follower, "started = 2026-02-27") == ["2"]
    assert ask(follower, "started <= 2026-02-26") == ["3", "4"]
    assert ask(follower, "started >= 2026-02-27T12:00") == ["0", "1", "2"]
    assert ask(follower, "duration >= 2h and duration < 4h") == ["2", "3"]
    with pytest.raises(QueryError, match="started: 'soon' is no moment"):
        ask(follower, "started = soon")


def test_words_are_found_by_their_begin(store: Store, follower: Follower) -> None:
    store.database["runs"].insert_many(
        [{"_id": 1, "config": {"model": "ResNet-50", "note": "für Ada"}}, {"_id": 2, "result": "diverged early"}]
    )
    follow(follower)
    assert ask(follower, words="resn") == ["1"]
    assert ask(follower, words="ADA für") == ["1"]
    assert ask(follower, words="esnet") == []
    assert ask(follower, words="div% early") == ["2"]


def test_a_wild_pattern_ends_the_question_alone(
    store: Store, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "PATTERN_SECONDS", 0.2)
    store.database["runs"].insert_many([{"_id": n, "config": {"a": "a" * 400 + "!"}} for n in range(5)])
    follow(follower)
    with pytest.raises(QueryError, match="takes too long"):
        ask(follower, 'config.a ~ "(a|aa)+$"')
    with pytest.raises(QueryError, match="is not a regular expression"):
        ask(follower, 'config.a ~ "("')
    with pytest.raises(QueryError, match="may have 200 characters"):
        ask(follower, f"config.a ~ {'x' * 300}")
    assert len(ask(follower, 'config.a ~ "^a+!"')) == 5


# following


def test_the_follower_notices_what_others_do(store: Store, follower: Follower) -> None:
    runs, metrics = store.database["runs"], store.database["metrics"]
    runs.insert_one({"_id": 1, "status": "RUNNING", "start_time": NOW, "heartbeat": NOW, "config": {"lr": 1}})
    follow(follower)
    assert ask(follower, "state = running") == ["1"]

    later = NOW + timedelta(seconds=10)
    metrics.insert_one({"run_id": 1, "name": "loss", "steps": [0, 1], "values": [3.0, 2.0]})
    runs.update_one({"_id": 1}, {"$set": {"heartbeat": later, "info.epoch": 2}})
    (n,) = follow(follower, later).changed
    assert ask(follower, "info.epoch = 2 and metrics.loss.last = 2 and metrics.loss.mean = 2.5") == ["1"]

    metrics.update_one({"run_id": 1}, {"$push": {"steps": 2, "values": 1.0}})
    later += timedelta(seconds=10)
    runs.update_one({"_id": 1}, {"$set": {"heartbeat": later}})
    assert follow(follower, later).changed == (n,)
    assert ask(follower, "metrics.loss.min = 1 and metrics.loss.count = 3") == ["1"]

    dead = later + timedelta(seconds=121)
    assert follow(follower, dead).changed == (n,)
    assert ask(follower, "state = dead", at=dead) == ["1"]

    runs.update_one({"_id": 1}, {"$set": {"status": "COMPLETED", "stop_time": dead, "result": 0.5}})
    follower._due.clear()
    assert follow(follower, dead).changed == (n,)
    assert ask(follower, "state = completed and result = 0.5") == ["1"]

    runs.insert_many([{"_id": 2, "status": "QUEUED"}, {"_id": "text", "status": "COMPLETED"}])
    follower._due.clear()
    follow(follower, dead)
    assert ask(follower) == ["1", "2", "text"]

    runs.update_one({"_id": 1}, {"$set": {"omniboard": {"tags": ["late"]}}})
    runs.delete_one({"_id": 2})
    follower._due.clear()
    assert len(follow(follower, dead).gone) == 1
    assert ask(follower) == ["1", "text"]
    assert ask(follower, "tag = late") == ["1"]


def test_a_database_without_any_index_is_followed(store: Store, follower: Follower) -> None:
    for name in ("runs", "metrics"):
        store.database[name].drop_indexes()
    store.database["runs"].insert_many([{"_id": n, "status": "COMPLETED"} for n in (1, 2, 500)])
    store.database["metrics"].insert_one({"run_id": 2, "name": "loss", "steps": [1], "values": [4.0]})
    follow(follower)
    assert ask(follower, "metrics.loss.last = 4") == ["2"]
    before = follower.index.size()
    store.database["runs"].insert_one({"_id": 501, "status": "RUNNING"})
    assert len(follow(follower).changed) == 1
    assert follower.index.size() == before + 1


def test_a_collection_prefix_is_followed_apart(store: Store, tmp_path: Path) -> None:
    store.database["old_runs"].insert_one({"_id": 1, "status": "COMPLETED"})
    store.database["old_metrics"].insert_one({"run_id": 1, "name": "loss", "steps": [1], "values": [4.0]})
    store.database["runs"].insert_one({"_id": 7})
    found = Follower(RunReader(store.database, "old"), Index(tmp_path / "old.sqlite"))
    follow(found)
    assert ask(found, "metrics.loss.last = 4") == ["1"]
    found.index.close()


def test_a_metric_is_kept_at_a_step_that_is_asked_for(store: Store, follower: Follower) -> None:
    store.database["runs"].insert_many([{"_id": n, "status": "COMPLETED"} for n in (1, 2)])
    store.database["metrics"].insert_many(
        [{"run_id": n, "name": "val.loss", "steps": [0, 10, 20], "values": [5.0, n, 7.0]} for n in (1, 2)]
    )
    follow(follower)
    assert ask(follower, "metrics.val.loss@15 < 2") == []
    follower.keep(["metrics.val.loss@15", "metrics.unknown@3", "config.x"])
    follow(follower)
    assert ask(follower, "metrics.val.loss@15 < 2") == ["1"]
    assert follower.index.steps() == {"val.loss": [15]}


def test_of_metrics_at_a_step_those_that_were_asked_for_last_are_kept(
    store: Store, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "MOST_STEPS", 2)
    monkeypatch.setattr(follower_module, "USED_SECONDS", -1.0)
    store.database["runs"].insert_one({"_id": 1, "status": "COMPLETED"})
    store.database["metrics"].insert_one({"run_id": 1, "name": "loss", "steps": [0, 10, 20], "values": [5.0, 6.0, 7.0]})
    follow(follower)
    for step in (0, 10, 0, 20):
        follower.keep([f"metrics.loss@{step}"])
        follow(follower)
    assert follower.index.steps() == {"loss": [0, 20]}
    assert ask(follower, "metrics.loss@20 = 7") == ["1"]
    assert ask(follower, "metrics.loss@10 = 6") == []
    monkeypatch.setattr(follower_module, "USED_SECONDS", 60.0)
    follower.keep(["metrics.loss@10"])
    follow(follower)
    assert follower.lacks(["metrics.loss@10", "metrics.loss@20", "metrics.none@1", "config.x"]) == ["metrics.loss@10"]


def test_a_damaged_index_is_built_anew(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"SQLite format 3\x00" + b"nonsense" * 1000)
    store.database["runs"].insert_one({"_id": 1})
    found = Follower(RunReader(store.database), Index(path))
    follow(found)
    assert ask(found) == ["1"]
    found.index.close()


def test_an_index_that_was_left_goes_on(store: Store, tmp_path: Path) -> None:
    store.database["runs"].insert_many([{"_id": n, "config": {"n": n}} for n in range(1, 6)])
    first = Follower(RunReader(store.database), Index(tmp_path / "i.sqlite"))
    follow(first)
    first.index.close()
    store.database["runs"].delete_one({"_id": 3})
    store.database["runs"].insert_one({"_id": 6, "config": {"n": 6}})
    second = Follower(RunReader(store.database), Index(tmp_path / "i.sqlite"))
    follow(second)
    assert ask(second, sort="-config.n") == ["6", "5", "4", "2", "1"]
    second.index.close()


# the page


def test_a_page_shows_the_columns_that_its_address_names(ada: FlaskClient, store: Store) -> None:
    store.database["runs"].insert_many([{"_id": n, "config": {"lr": n / 10, "a:b": f"v{n}"}} for n in range(1, 4)])
    html = ada.get('/history?columns=id,config.lr:90,"config.a:b"&sort=-config.lr&where=config.lr<0.3').get_data(True)
    assert re.findall(r'data-column="([^"]+)"', html) == ["id", "config.lr", "config.a:b"]
    assert 'data-width="90"' in html
    assert re.findall(r">\s*(v\d)\s*<", html) == ["v2", "v1"]
    assert 'aria-sort="descending"' in html


def test_a_filter_that_is_not_understood_is_shown_with_why(ada: FlaskClient) -> None:
    for asked in (
        "where=a+<",
        "columns=" + ",".join(f"c{n}" for n in range(60)),
        "size=7",
        'columns="x',
        "sort=x&size=x",
    ):
        answer = ada.get(f"/history?{asked}")
        assert answer.status_code == 400, asked
        assert 'role="alert"' in answer.get_data(as_text=True)
    assert ada.get("/history?where=" + "x" * 7000).status_code == 400


def test_fields_and_values_are_completed(ada: FlaskClient, store: Store) -> None:
    store.database["runs"].insert_many(
        [{"_id": n, "config": {"opt": {"lr": 0.1}, "model": "ab"[n % 2]}, "status": "FAILED"} for n in range(1, 4)]
    )
    store.database["metrics"].insert_one({"run_id": 1, "name": "loss", "steps": [1], "values": [1.0]})
    ada.get("/history")
    assert [found["name"] for found in ada.get("/history/fields.json?begin=opt.l").json] == ["config.opt.lr"]
    names = [found["name"] for found in ada.get("/history/fields.json?begin=loss").json]
    assert {"metrics.loss.last", "metrics.loss.best", "metrics.loss.min"} <= set(names)
    assert ada.get("/history/values.json?field=config.model").json == ["b", "a"]
    assert ada.get("/history/values.json?field=state&begin=de").json == ["dead"]
    assert ada.get("/history/values.json?field=started").json == []


def test_columns_are_remembered_for_an_account(
    ada: FlaskClient, login: Callable[[str, str], FlaskClient], store: Store
) -> None:
    answer = ada.post("/history/columns", data={"columns": "id,state:99", "csrf_token": token(ada, "/history")})
    assert answer.status_code == 204
    shown = lambda browser, path="/history": re.findall(r'data-column="([^"]+)"', browser.get(path).get_data(True))  # noqa: E731
    assert shown(ada) == ["id", "state"]
    assert shown(ada, "/history?columns=name") == ["name"]
    assert shown(login("eve", "viewer")) == history.COLUMNS.split(",")
    bad = ada.post("/history/columns", data={"columns": '"', "csrf_token": token(ada, "/history")})
    assert bad.status_code == 400
    assert shown(ada) == ["id", "state"]


def test_views_are_saved_shared_and_deleted(
    ada: FlaskClient, login: Callable[[str, str], FlaskClient], store: Store
) -> None:
    store.database["runs"].insert_many([{"_id": n, "config": {"n": n}} for n in range(1, 5)])
    eve = login("eve", "viewer")

    def save(browser: FlaskClient, **data: str) -> Any:
        return browser.post("/history/views", data={**data, "csrf_token": token(browser, "/history")})

    address = "?where=config.n>2&columns=id:80,config.n&sort=config.n"
    answer = save(ada, name=" the  large ", shared="1", query=address)
    assert answer.status_code == 303
    path = answer.headers["Location"]
    html = eve.get(path).get_data(as_text=True)
    assert re.findall(r'data-column="([^"]+)"', html) == ["id", "config.n"]
    assert len(re.findall("<tr data-n", html)) == 2
    assert "the large" in html
    assert len(re.findall("<tr data-n", eve.get(f"{path}&where=").get_data(as_text=True))) == 4

    assert save(eve, name="mine", query="where=a=1", shared="1").status_code == 403
    mine = save(eve, name="mine", query="where=a=1").headers["Location"]
    assert ada.get(mine).status_code == 404
    for bad in ({"name": "", "query": ""}, {"name": "x", "query": "where=a+<"}, {"name": "x" * 90, "query": ""}):
        assert save(eve, **bad).status_code == 400

    for number in range(history.MOST_VIEWS - 1):
        store.views.put("eve", f"view {number}", False, "", NOW)
    assert save(eve, name="one more", query="").status_code == 400
    assert save(eve, name="mine", query="where=a=2").status_code == 303, "over the one of this name"
    for number in range(250):
        store.views.put("mallory", f"loud {number}", True, "", NOW)
    html = eve.get("/history").get_data(as_text=True)
    assert "view 0" in html, "one's own are there, however many others share"
    assert "view 98" in html
    assert "the large" in ada.get("/history").get_data(as_text=True)

    view = dict(parse_qsl(path.split("?")[1]))["view"]
    gone = {"csrf_token": token(eve, "/history")}
    assert eve.post(f"/history/views/{view}/delete", data=gone).status_code == 403
    assert ada.post(f"/history/views/{view}/delete", data={"csrf_token": token(ada, "/history")}).status_code == 303
    assert eve.get(path).status_code == 404


def test_the_legend_counts_each_state_whatever_state_is_asked_for(app: Flask, store: Store) -> None:
    store.database["runs"].insert_many(
        [{"_id": n, "status": ["FAILED", "COMPLETED"][n % 2], "config": {"n": n}} for n in range(1, 8)]
    )
    page = history.page(app.extensions[HISTORIES].get(), history.Asked(where="state = failed and config.n > 2"), NOW)
    counts = {state.key: (state.count, state.chosen) for state in page.states}
    assert (counts["failed"], counts["completed"]) == ((2, True), (3, False))
    assert page.total == 2
    completed = next(state for state in page.states if state.key == "completed")
    assert dict(parse_qsl(completed.address))["where"] == "config.n > 2 and state in (failed, completed)"


def test_many_whole_numbers_are_found_without_a_list_of_all(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "MOST_COUNTED", 10)
    numbers = [n for n in range(1, 700) if n % 7 and not 300 < n < 320]
    store.database["runs"].insert_many([{"_id": n, "status": "COMPLETED"} for n in numbers])
    reader = RunReader(store.database)
    monkeypatch.setattr(reader, "ids", lambda: pytest.fail("all ids were listed"))
    monkeypatch.setattr(reader, "count", lambda: pytest.fail("all runs were counted"))
    found = Follower(reader, Index(tmp_path / "many.sqlite"), counts_fast=False)
    follow(found)
    assert sorted(map(int, ask(found))) == numbers
    store.database["runs"].delete_one({"_id": 5})
    store.database["runs"].insert_one({"_id": 700, "status": "QUEUED"})
    while "5" in ask(found):
        found._due.clear()
        found.turn(SECONDS)
    assert ask(found, "state = queued") == ["700"]
    found.index.close()


def test_a_write_of_the_index_that_is_not_committed_leaves_no_number_of_a_field(tmp_path: Path, store: Store) -> None:
    index = Index(tmp_path / "index.sqlite")
    found = Follower(RunReader(store.database), index)
    store.database["runs"].insert_one({"_id": 1, "status": "COMPLETED", "config": {"first": 1}})

    class Full:
        """A connection whose next commit finds no room."""

        def __init__(self, real: Any) -> None:
            self._real = real

        def commit(self) -> None:
            index._writer = self._real
            raise sqlite3.OperationalError("database or disk is full")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    index._writer = Full(index._writer)  # type: ignore[assignment]
    with pytest.raises(StoreError, match="cannot be written"):
        found.turn(1.0)
    store.database["runs"].insert_one({"_id": 2, "status": "COMPLETED", "config": {"second": 2}})
    while not found.progress().ready:
        found.turn(2.0)
    numbers = {index.number("config.first"), index.number("config.second")}
    assert None not in numbers
    assert len(numbers) == 2
