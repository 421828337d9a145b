"""Joining a sweep's room and being told its events: in order, without gap, without duplicate."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine.errors import StoreBroken
from engine.events import EventType
from engine.settings import Settings, load
from engine.store import Store, connect, embedded
from tests.waiting import wait_until
from webapp.extensions import socketio
from webapp.realtime import relay as relay_module
from webapp.realtime.relay import Relay
from webapp.realtime.sockets import RELAY

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Room:
    """An emitter that remembers what each recipient was sent; members of rooms get what the room gets."""

    def __init__(self) -> None:
        self.members: dict[str, list[str]] = {}
        self.sent: dict[str, list[int]] = {}
        self.words: list[tuple[str, Any]] = []

    def emit(self, event: str, *args: Any, **kwargs: Any) -> None:
        self.words.append((event, args[0]))
        if event == "events":
            for sid in self.members.get(kwargs["to"], [kwargs["to"]]):
                self.sent.setdefault(sid, []).extend(item["seq"] for item in args[0]["events"])

    def sleep(self, seconds: float) -> None:
        raise AssertionError("the relay is turned by hand")

    def enter(self, sweep_id: str, sid: str) -> Callable[[], None]:
        return lambda: self.members.setdefault(sweep_id, []).append(sid)


@pytest.fixture
def sweep_id(store: Store) -> str:
    return store.sweeps.create("x", "ada", {}, 1, 1, 1, NOW)


def write(store: Store, sweep_id: str, count: int) -> None:
    store.events.append(sweep_id, [(EventType.LOG, {"lines": []}, NOW)] * count)


def test_a_browser_gets_what_it_missed_and_then_what_comes(store: Store, settings: Settings, sweep_id: str) -> None:
    room = Room()
    relay = Relay(store, room, settings)
    write(store, sweep_id, 5)
    assert relay.join(sweep_id, "a", 2, room.enter(sweep_id, "a")) == {"seq": 5}
    write(store, sweep_id, 3)
    assert relay.join(sweep_id, "b", 8, room.enter(sweep_id, "b")) == {"seq": 8}
    write(store, sweep_id, 2)
    relay.turn()
    relay.turn()
    assert room.sent == {"a": [3, 4, 5, 6, 7, 8, 9, 10], "b": [9, 10]}


def test_what_was_missed_comes_in_pages(
    store: Store, settings: Settings, sweep_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "PAGE", 3)
    room = Room()
    relay = Relay(store, room, settings)
    write(store, sweep_id, 10)
    relay.join(sweep_id, "a", 0, room.enter(sweep_id, "a"))
    assert room.sent["a"] == list(range(1, 11))


def test_joining_while_events_are_written_and_relayed_leaves_no_gap(
    store: Store, settings: Settings, sweep_id: str
) -> None:
    room = Room()
    relay = Relay(store, room, settings)
    ended = threading.Event()

    def writer() -> None:
        for _ in range(40):
            write(store, sweep_id, 3)
        ended.set()

    def turner() -> None:
        while not ended.is_set():
            relay.turn()

    threads = [threading.Thread(target=writer), threading.Thread(target=turner)]
    for thread in threads:
        thread.start()
    starts = {}
    for number in range(8):
        sid = f"browser{number}"
        starts[sid] = store.events.last(sweep_id) // 2
        relay.join(sweep_id, sid, starts[sid], room.enter(sweep_id, sid))
    for thread in threads:
        thread.join()
    relay.turn()
    for sid, after in starts.items():
        assert room.sent.get(sid, []) == list(range(after + 1, 121)), sid


def test_a_browser_whose_events_are_gone_loads_the_page_anew(store: Store, settings: Settings, sweep_id: str) -> None:
    room = Room()
    relay = Relay(store, room, settings)
    write(store, sweep_id, 6)
    assert relay.join(sweep_id, "future", 99, room.enter(sweep_id, "future")) == {"reload": True}
    store.database["events"].delete_many({"seq": {"$lte": 4}})
    assert relay.join(sweep_id, "old", 1, room.enter(sweep_id, "old")) == {"reload": True}
    assert relay.watched() == []


def test_nothing_is_asked_of_the_database_when_nobody_watches(store: Store, settings: Settings, sweep_id: str) -> None:
    room = Room()
    relay = Relay(store, room, settings)
    relay.join(sweep_id, "a", 0, room.enter(sweep_id, "a"))
    assert relay.watched() == [sweep_id]
    relay.leave("a")
    assert relay.watched() == []
    assert not relay._watched.is_set()


def test_the_relay_tells_an_outage_and_goes_on(store: Store, settings: Settings, sweep_id: str) -> None:
    room = Room()
    relay = Relay(store, room, settings)
    relay.join(sweep_id, "a", 0, room.enter(sweep_id, "a"))
    relay._store = connect("mongodb://127.0.0.1:9/?directConnection=true", seconds=0.2)
    relay.turn()
    relay.turn()
    relay._store.close()
    relay._store = store
    write(store, sweep_id, 2)
    relay.turn()
    assert [data for name, data in room.words if name == "database" and data] == [{"ok": False}] * 2 + [
        {"ok": True}
    ] * 2
    assert room.sent["a"] == [1, 2]


def test_a_visitor_may_not_connect(app: Flask, visitor: FlaskClient) -> None:
    assert not socketio.test_client(app, flask_test_client=visitor).is_connected()


def test_a_logged_in_browser_joins_and_hears(app: Flask, ada: FlaskClient, store: Store, sweep_id: str) -> None:
    write(store, sweep_id, 3)
    browser = socketio.test_client(app, flask_test_client=ada)
    assert browser.is_connected()
    assert browser.emit("join", {"sweep": sweep_id, "after": 1}, callback=True) == {"seq": 3}
    write(store, sweep_id, 1)
    app.extensions[RELAY].turn()
    heard = [item["seq"] for message in browser.get_received() for item in message["args"][0]["events"]]
    assert heard == [2, 3, 4]
    browser.disconnect()
    assert app.extensions[RELAY].watched() == []


@pytest.mark.parametrize(
    "message", [None, 5, [], {}, {"sweep": "x"}, {"sweep": "x", "after": -1}, {"sweep": "x", "after": True},
                {"sweep": "", "after": 0}, {"sweep": {"$ne": 1}, "after": 0}, {"sweep": "none", "after": 0},
                {"sweep": "home", "after": 0}, {"sweep": "notices", "after": 0}, {"sweep": "y" * 100, "after": 0}],
)  # fmt: skip
def test_a_strange_join_is_refused(app: Flask, ada: FlaskClient, message: Any) -> None:
    browser = socketio.test_client(app, flask_test_client=ada)
    assert "error" in browser.emit("join", message, callback=True)
    assert app.extensions[RELAY].watched() == []
    browser.disconnect()


def test_an_ended_session_may_not_join(app: Flask, ada: FlaskClient, store: Store, sweep_id: str) -> None:
    browser = socketio.test_client(app, flask_test_client=ada)
    store.users.set_password("ada", "x")
    assert browser.emit("join", {"sweep": sweep_id, "after": 0}, callback=True)["login"] is True
    browser.disconnect()


def test_the_home_page_is_told_its_overview(app: Flask, ada: FlaskClient, store: Store, sweep_id: str) -> None:
    browser = socketio.test_client(app, flask_test_client=ada)
    assert browser.emit("join_home", {}, callback=True)["overview"]["queue"][0]["id"] == sweep_id
    store.sweeps.stop(sweep_id, NOW)
    app.extensions[RELAY].turn(with_overview=True)
    (message,) = browser.get_received()
    assert (message["name"], message["args"][0]["queue"]) == ("overview", [])
    browser.disconnect()


def test_a_browser_that_notifies_is_told_once_which_sweeps_have_ended(
    app: Flask, ada: FlaskClient, store: Store, sweep_id: str
) -> None:
    browser = socketio.test_client(app, flask_test_client=ada)
    assert browser.emit("join_notices", {}, callback=True) == {"ended": []}
    store.sweeps.stop(sweep_id, NOW)
    for _ in range(2):
        app.extensions[RELAY].turn(with_overview=True)
    (message,) = browser.get_received()
    told = {"id": sweep_id, "name": "x", "owner": "ada", "state": "STOPPED", "error": None, "best": None}
    assert (message["name"], message["args"][0]) == ("ended", [told])
    assert browser.emit("join_notices", {}, callback=True) == {"ended": [told]}, "what was missed comes with the join"
    assert app.extensions[RELAY].watched() == [], "it watches no sweep"
    browser.disconnect()


def test_a_dead_database_is_started_again_though_nobody_watches(tmp_path: Path) -> None:
    database, _ = embedded.start(tmp_path)
    store = connect(database.uri, seconds=1)
    relay = Relay(store, Room(), load({"NHOP_DATA_DIR": str(tmp_path)}, tmp_path / "no file"))
    os.kill(database.pid, signal.SIGKILL)
    wait_until(lambda: not database.alive(), 10, "the database's death")
    try:
        relay.care()
        revived = embedded.recorded(tmp_path)
        assert revived is not None
        assert revived.alive()
        assert revived.port == database.port
    finally:
        if running := embedded.recorded(tmp_path):
            embedded.stop(running)
        store.close()


def test_a_database_that_has_failed_within_is_started_anew(tmp_path: Path) -> None:
    """As after its disk was full: it answers, but with errors alone."""
    database, _ = embedded.start(tmp_path)
    store = connect(database.uri)
    relay = Relay(store, Room(), load({"NHOP_DATA_DIR": str(tmp_path)}, tmp_path / "no file"))
    try:
        store.events.append("s1", [(EventType.LOG, {}, NOW)])
        process = psutil.Process(database.pid)
        process.rlimit(psutil.RLIMIT_FSIZE, (1, process.rlimit(psutil.RLIMIT_FSIZE)[1]))
        with pytest.raises(StoreBroken):
            store.events.append("s1", [(EventType.LOG, {}, NOW)])
        relay.care()
        revived = embedded.recorded(tmp_path)
        assert revived is not None
        assert (revived.port, revived.pid == database.pid) == (database.port, False)
        assert store.events.append("s1", [(EventType.LOG, {}, NOW)]) == 2, "what it had acknowledged is there"
    finally:
        store.close()
        if running := embedded.recorded(tmp_path):
            embedded.stop(running)
