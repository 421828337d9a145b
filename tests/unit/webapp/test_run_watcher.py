"""What browsers that watch the list of runs are told."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from engine.errors import StoreUnavailable
from engine.store import Store
from webapp.history.blueprint import HISTORIES
from webapp.realtime import runs
from webapp.realtime.runs import RunWatcher
from webapp.services.histories import OWN
from webapp.services.run_index import follower

NOW = datetime.now(UTC)


class Room:
    """An emitter that remembers what each room or client was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    def emit(self, event: str, *args: Any, **kwargs: Any) -> None:
        self.sent.append((event, kwargs["to"], args[0]))

    def sleep(self, seconds: float) -> None:
        raise AssertionError("the watcher is turned by hand")

    def take(self, event: str = "runs") -> list[tuple[str, dict[str, Any]]]:
        found = [(to, message) for name, to, message in self.sent if name == event]
        self.sent.clear()
        return found


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def watcher(app: Flask, room: Room) -> RunWatcher:
    return RunWatcher(app, app.extensions[HISTORIES], room)


def run(number: int, status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    return {"_id": number, "status": status, "start_time": NOW, "heartbeat": NOW, **more}


def settle(watcher: RunWatcher, app: Flask) -> None:
    """Turn until everything is read."""
    history = app.extensions[HISTORIES].get(OWN)
    watcher.turn(NOW)
    while not history.follower.progress().ready:
        watcher.turn(NOW)


def test_a_room_is_told_of_what_it_asks_for(app: Flask, store: Store, watcher: RunWatcher, room: Room) -> None:
    store.database["runs"].insert_one(run(1, experiment={"name": "first"}))
    settle(watcher, app)
    entered: list[str] = []
    index = app.extensions[HISTORIES].get(OWN).index
    message = {"query": "where=state=running", "newest": index.newest(), "version": index.version, "shown": [1]}
    assert watcher.join(message, "a", entered.append) == {"ok": True}
    assert room.take() == []

    store.database["runs"].insert_many([run(2, experiment={"name": "second"}), run(3, "FAILED")])
    watcher.turn(NOW)
    ((to, told),) = room.take()
    assert [to] == entered
    assert told["moved"] == [2]
    assert "second" in told["html"]
    assert 'data-n="3"' in told["html"], "who shows it sees that it no longer fits"
    assert (told["total"], told["states"]["failed"]) == (2, 1)

    store.database["runs"].update_one({"_id": 2}, {"$set": {"status": "COMPLETED", "heartbeat": datetime.now(UTC)}})
    watcher.turn(NOW)
    ((_, told),) = room.take()
    assert told["moved"] == []
    assert "Completed" in told["html"]
    assert told["total"] == 1

    watcher.leave("a")
    store.database["runs"].insert_one(run(4))
    watcher.turn(NOW)
    assert room.take() == []


def test_who_comes_late_is_told_what_has_changed_since(
    app: Flask, store: Store, watcher: RunWatcher, room: Room
) -> None:
    store.database["runs"].insert_many([run(1), run(2)])
    settle(watcher, app)
    index = app.extensions[HISTORIES].get(OWN).index
    newest, version = index.newest(), index.version
    store.database["runs"].insert_one(run(3, experiment={"name": "late"}))
    watcher.turn(NOW)
    message = {"query": "", "newest": newest, "version": version, "shown": [1, 2, 77]}
    assert watcher.join(message, "b", lambda _: None) == {"ok": True}
    (_, shown), (to, told) = room.take()
    assert [f'data-n="{n}"' in shown["html"] for n in (1, 2, 3)] == [True, True, False]
    assert to == "b"
    assert (told["moved"], told["gone"]) == ([3], [77])
    assert "late" in told["html"]


def test_a_room_is_told_when_the_database_falls_silent_and_when_it_answers(
    app: Flask, store: Store, watcher: RunWatcher, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(watcher, app)
    history = app.extensions[HISTORIES].get(OWN)
    message = {"query": "", "newest": history.index.newest(), "version": history.index.version, "shown": []}
    watcher.join(message, "a", lambda _: None)

    def silent(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the database does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(history.follower, "turn", silent)
        watcher.turn(NOW)
        watcher.turn(NOW)
        assert watcher.join(message, "b", lambda _: None) == {"retry": True}
    watcher.turn(NOW)
    assert [told for _, told in room.take("database")] == [{"ok": False}, {"ok": True}]


def test_what_a_change_from_here_makes_new_is_told_by_the_watcher_alone(
    app: Flask, store: Store, watcher: RunWatcher, room: Room
) -> None:
    store.database["runs"].insert_many([run(1, "COMPLETED"), run(2)])
    settle(watcher, app)
    history = app.extensions[HISTORIES].get(OWN)
    message = {"query": "", "newest": history.index.newest(), "version": history.index.version, "shown": [1, 2]}
    watcher.join(message, "a", lambda _: None)
    room.take()
    store.database["runs"].update_many({}, {"$set": {"status": "FAILED", "heartbeat": datetime.now(UTC)}})
    history.followed = True
    over = threading.Event()

    def follow() -> None:
        while not over.is_set():
            history.wanted.wait(1)
            history.wanted.clear()
            watcher.turn(NOW)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        history.take_over(["1"], NOW, 10)
    finally:
        over.set()
        thread.join()
        history.followed = False
    told = "".join(message["html"] for _, message in room.take())
    assert 'data-n="1"' in told
    assert 'data-n="2"' in told, "what had ended meanwhile must be told as well"


def test_more_than_is_sent_has_the_page_ask_for_what_it_shows(
    app: Flask, store: Store, watcher: RunWatcher, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "MOST_ROWS", 3)
    monkeypatch.setattr(runs, "PART", 2)
    monkeypatch.setattr(runs, "TELL_SECONDS", -1.0)
    store.database["runs"].insert_many([run(number, "QUEUED") for number in range(1, 6)])
    settle(watcher, app)
    index = app.extensions[HISTORIES].get(OWN).index
    shown = [1, 2, 3, 4, 5]
    message = {"query": "", "newest": index.newest(), "version": index.version, "shown": shown}
    watcher.join(message, "a", lambda _: None)
    room.take()
    store.database["runs"].update_many({}, {"$set": {"status": "FAILED", "heartbeat": datetime.now(UTC)}})
    watcher.turn(NOW)
    assert [told["stale"] for _, told in room.take("runs_progress")] == [True]
    watcher.join({**message, "version": -1}, "a", lambda _: None)
    told = room.take()
    assert [told["html"].count("<tr") for _, told in told] == [2, 2, 1, 0]
    watcher.turn(NOW)
    assert room.take("runs_progress") == []


def test_what_changes_while_much_is_still_to_be_read_is_not_lost(
    app: Flask, store: Store, watcher: RunWatcher, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "TELL_SECONDS", -1.0)
    monkeypatch.setattr(follower, "TURN_SECONDS", 0.001)
    monkeypatch.setattr(follower, "GROUP", 1)
    store.database["runs"].insert_many([run(number, "QUEUED") for number in range(1, 6)])
    settle(watcher, app)
    index = app.extensions[HISTORIES].get(OWN).index
    message = {"query": "", "newest": index.newest(), "version": index.version, "shown": [1, 2, 3, 4, 5]}
    watcher.join(message, "a", lambda _: None)
    room.take()
    store.database["runs"].update_many({}, {"$set": {"status": "FAILED", "heartbeat": datetime.now(UTC)}})
    settle(watcher, app)
    told = [told for _, told in room.take("runs_progress")]
    assert not told[0]["ready"], "else this shows nothing"
    assert told[-1]["stale"]


@pytest.mark.parametrize(
    "message", [None, 5, {"query": 7}, {"query": "where=a+<"}, {"query": "x" * 9000}, {"query": 'columns="'}]
)
def test_whatever_is_sent_is_answered(watcher: RunWatcher, message: Any) -> None:
    answer = watcher.join(message, "c", lambda _: None)
    assert "error" in answer or answer == {"ok": True}
