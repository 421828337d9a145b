"""Looking at one run: its output by place, its metrics by number, its state; in order, without gap or duplicate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine.errors import NotFound, StoreUnavailable
from engine.store import Store
from engine.store.run_parts import RunParts
from webapp.extensions import socketio
from webapp.realtime import run_pages
from webapp.realtime.run_pages import RunPages
from webapp.services import run_output

NOW = datetime.now(UTC) + timedelta(hours=1)
"""Not yet past when the last of many tests has its turn."""


class Browsers:
    """An emitter that keeps what each room or client was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any], set[str]]] = []
        self.rooms: dict[str, set[str]] = {}

    def emit(self, event: str, *args: Any, **kwargs: Any) -> None:
        to = kwargs["to"]
        self.sent.append((event, args[0], set(self.rooms.get(to, {to}))))

    def sleep(self, seconds: float) -> None:
        raise AssertionError("the pages are turned by hand")

    def enter(self, sid: str) -> Callable[[str], None]:
        return lambda room: self.rooms.setdefault(room, set()).add(sid)

    def got(self, event: str, sid: str) -> list[dict[str, Any]]:
        return [told for name, told, to in self.sent if name == event and sid in to]

    def output(self, sid: str) -> str:
        """What a page shows."""
        text, end = "", 0
        for part in self.got("run_output", sid):
            text = part["text"] if part["anew"] or part["start"] != end else text + part["text"]
            end = part["end"]
        return text


@pytest.fixture
def browsers() -> Browsers:
    return Browsers()


@pytest.fixture
def pages(store: Store, browsers: Browsers) -> RunPages:
    store.database["runs"].insert_one({"_id": 1, "status": "RUNNING", "start_time": NOW, "captured_out": "a\n"})
    return RunPages({"": store.run_parts}.__getitem__, browsers)


def beat(store: Store, output: str, **more: Any) -> None:
    beat.count = getattr(beat, "count", 0) + 1  # type: ignore[attr-defined]
    moment = NOW + timedelta(seconds=beat.count)  # type: ignore[attr-defined]
    store.database["runs"].update_one({"_id": 1}, {"$set": {"captured_out": output, "heartbeat": moment, **more}})


def test_what_is_written_comes_once_and_in_order(store: Store, pages: RunPages, browsers: Browsers) -> None:
    pages.join({"run": "1", "output": 0}, "x", browsers.enter("x"))
    beat(store, "a\nbü\n")
    pages.turn()
    pages.join({"run": "1", "output": 2}, "y", browsers.enter("y"))
    pages.turn()
    beat(store, "a\nbü\nc")
    pages.turn()
    pages.turn()
    assert [part["text"] for part in browsers.got("run_output", "x")] == ["a\n", "bü\n", "c"]
    assert [part["text"] for part in browsers.got("run_output", "y")] == ["bü\n", "c"]
    assert not any(part["anew"] for part in browsers.got("run_output", "x"))


def test_what_was_rewritten_comes_anew(store: Store, pages: RunPages, browsers: Browsers) -> None:
    """Sacred's filters take back the line of a progress bar."""
    beat(store, "start\n10%")
    pages.join({"run": "1", "output": 0}, "x", browsers.enter("x"))
    beat(store, "start\n100% done\n")
    pages.turn()
    assert browsers.output("x") == "start\n100% done\n"
    beat(store, "again\n")
    pages.turn()
    assert browsers.output("x") == "again\n"


def test_of_much_at_once_the_end_comes(store: Store, pages: RunPages, browsers: Browsers) -> None:
    pages.join({"run": "1", "output": 2}, "x", browsers.enter("x"))
    beat(store, "a\n" + "line\n" * 200_000)
    pages.turn()
    (part,) = browsers.got("run_output", "x")
    assert part["end"] == 1_000_002
    assert part["anew"]
    assert len(part["text"]) == part["end"] - part["start"] <= run_output.LONGEST


def test_points_of_metrics_come_by_number(store: Store, pages: RunPages, browsers: Browsers) -> None:
    store.runs.put_metric(1, "loss", [1], [0.5], [NOW])
    assert pages.join({"run": "1", "output": 2}, "x", browsers.enter("x"))["metrics"] == {"loss": 1}
    store.runs.put_metric(
        1, "loss", [1, 2, 3], [0.5, float("nan"), 0.125], [NOW + timedelta(seconds=s) for s in range(3)]
    )
    store.runs.put_metric(1, "new.one", [1], [7.0], [NOW])
    beat(store, "a\n")
    pages.turn()
    (told,) = browsers.got("run_metrics", "x")
    loss, new = told["metrics"]
    assert (loss["start"], loss["total"], loss["steps"], loss["values"]) == (1, 3, [2, 3], [None, 0.125])
    assert [round(second) for second in loss["seconds"]] == [1, 2]
    assert (new["name"], new["start"], new["values"]) == ("new.one", 0, [7.0])
    many = run_pages.MOST_POINTS + 5
    store.runs.put_metric(1, "loss", list(range(many)), [0.5] * many, [NOW] * many)
    beat(store, "a\n")
    pages.turn()
    (loss,) = browsers.got("run_metrics", "x")[-1]["metrics"]
    assert (loss["start"], loss["total"], loss["steps"]) == (many, many, [])


def test_the_end_of_a_run_is_told_and_its_death(store: Store, pages: RunPages, browsers: Browsers) -> None:
    pages.join({"run": "1", "output": 2}, "x", browsers.enter("x"))
    store.database["runs"].update_one({"_id": 1}, {"$set": {"heartbeat": NOW - timedelta(hours=2)}})
    pages.turn()
    assert browsers.got("run", "x")[-1]["state"] == "dead"
    beat(store, "a\nlast", status="COMPLETED", stop_time=NOW, result=0.25)
    pages.turn()
    told = browsers.got("run", "x")[-1]
    assert (told["state"], told["result"]) == ("completed", "0.25")
    assert browsers.output("x").endswith("last")


def test_nobody_is_asked_for_when_nobody_looks(store: Store, pages: RunPages, browsers: Browsers) -> None:
    pages.join({"run": "1", "output": 2}, "x", browsers.enter("x"))
    pages.leave("x")
    beat(store, "a\nb")
    assert pages.turn()
    assert browsers.got("run_output", "x") == []


def test_runs_of_the_same_id_in_two_databases_are_two(store: Store, browsers: Browsers) -> None:
    other = RunParts(store.database, "other")
    store.database["runs"].insert_one({"_id": 1, "captured_out": "ours", "status": "RUNNING"})
    store.database["other_runs"].insert_one({"_id": 1, "captured_out": "theirs", "status": "RUNNING"})
    pages = RunPages({"": store.run_parts, "other": other}.__getitem__, browsers)
    pages.join({"run": "1", "output": 0}, "x", browsers.enter("x"))
    pages.join({"run": "1", "output": 0, "database": "other"}, "y", browsers.enter("y"))
    beat(store, "ours and more")
    assert pages.turn("other")
    assert (browsers.output("x"), browsers.output("y")) == ("ours", "theirs")
    assert pages.turn()
    assert (browsers.output("x"), browsers.output("y")) == ("ours and more", "theirs")


def test_a_page_follows_the_connection_that_its_database_has_now(store: Store, browsers: Browsers) -> None:
    store.database["runs"].insert_one({"_id": 1, "captured_out": "a", "status": "RUNNING"})
    closed, asked = RunParts(store.database, "closed"), [store.run_parts, RunParts(store.database, "other")]
    pages = RunPages(lambda _: asked[-1], browsers)
    asked.append(store.run_parts)
    pages.join({"run": "1", "output": 1}, "x", browsers.enter("x"))
    pages._rooms["run::1"].parts = closed
    beat(store, "ab")
    assert pages.turn()
    assert browsers.output("x") == "b"


def test_a_silent_database_is_waited_for(store: Store, pages: RunPages, browsers: Browsers, monkeypatch: Any) -> None:
    pages.join({"run": "1", "output": 2}, "x", browsers.enter("x"))
    beat(store, "a\nb")

    def silent(run_id: Any) -> None:
        raise StoreUnavailable("the database does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(store.run_parts, "beat", silent)
        assert not pages.turn()
        assert not pages.turn()
    assert pages.turn()
    assert browsers.got("database", "x") == [{"ok": False}, {"ok": True}]
    assert browsers.output("x") == "b"


@pytest.mark.parametrize("message", [None, {}, {"run": 1, "output": 0}, {"run": "1", "output": -1}, {"run": "1"}, "1"])
def test_a_wrong_message_is_refused(pages: RunPages, browsers: Browsers, message: Any) -> None:
    assert "error" in pages.join(message, "x", browsers.enter("x"))
    with pytest.raises(NotFound):
        pages.join({"run": "99", "output": 0}, "x", browsers.enter("x"))


def test_a_browser_joins_over_the_socket(app: Flask, ada: FlaskClient, store: Store) -> None:
    store.database["runs"].insert_one({"_id": 1, "captured_out": "hello", "status": "RUNNING", "heartbeat": NOW})
    socket = socketio.test_client(app, flask_test_client=ada)
    answer = socket.emit("join_run", {"run": "1", "output": 0}, callback=True)
    assert answer["news"]["state"] == "running"
    assert [told["args"][0]["text"] for told in socket.get_received() if told["name"] == "run_output"] == ["hello"]
    assert "error" in socket.emit("join_run", {"run": "nothing", "output": 0}, callback=True)
    socket.disconnect()
