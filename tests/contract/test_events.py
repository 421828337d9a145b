"""The numbers of a sweep's events, however many there are: on every database the store is said to work with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.events import EventType
from engine.store import Store
from engine.store import events as events_module
from engine.store.events import draft

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def lines(count: int) -> list[dict[str, Any]]:
    return [draft(EventType.LOG, {"item": item}, NOW) for item in range(count)]


def marks(store: Store) -> dict[str, int]:
    return {mark["_id"]: mark["seq"] for mark in store.database["event_marks"].find({})}


def test_a_mark_follows_what_is_written(store: Store) -> None:
    store.events.write("s1", lines(3))
    store.events.write("s1", lines(2))
    store.events.write("s2", lines(1))
    assert marks(store) == {"s1": 5, "s2": 1}


@pytest.mark.parametrize("behind", [None, 0, 2])
def test_a_mark_that_was_lost_or_is_old_loses_no_number(store: Store, behind: int | None) -> None:
    store.events.write("s1", lines(5))
    store.database["event_marks"].delete_many({})
    if behind is not None:
        store.database["event_marks"].insert_one({"_id": "s1", "seq": behind})
    assert store.events.last("s1") == 5
    assert store.events.write("s1", lines(1)) == 6
    assert [event.seq for event in store.events.after("s1", 0)] == [1, 2, 3, 4, 5, 6]
    assert marks(store) == {"s1": 6}


def test_a_mark_that_is_far_behind_is_moved_by_a_reader(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.events.write("s1", lines(6))
    store.database["event_marks"].delete_many({})
    assert store.events.last("s1") == 6
    assert marks(store) == {}
    monkeypatch.setattr(events_module, "FAR", 5)
    assert store.events.last("s1") == 6
    assert marks(store) == {"s1": 6}


def test_numbers_go_on_when_all_events_have_been_pruned(store: Store) -> None:
    store.events.write("s1", lines(4))
    store.events.prune(datetime(2027, 1, 1, tzinfo=UTC))
    assert store.events.last("s1") == 4
    assert store.events.newest("s1", EventType.LOG, 9) == []
    assert store.events.write("s1", lines(1)) == 5


def test_the_newest_of_a_kind_are_found_however_far_back_they_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "WINDOW", 2)
    for number in range(30):
        kind = EventType.STAGE if number in (0, 3, 21, 28) else EventType.LOG
        store.events.append("s1", [(kind, {}, NOW)])
    for limit, expected in ((1, [29]), (2, [22, 29]), (3, [4, 22, 29]), (9, [1, 4, 22, 29])):
        assert [event.seq for event in store.events.newest("s1", EventType.STAGE, limit)] == expected
    assert [event.seq for event in store.events.newest("s1", EventType.LOG, 3)] == [27, 28, 30]
    assert store.events.newest("s1", EventType.EDIT, 3) == []


def test_the_events_of_a_time_are_found_among_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "WINDOW", 4)
    for second in range(40):
        kind = EventType.LOG if second % 2 else EventType.PROGRESS
        store.events.append("s1", [(kind, {"second": second}, NOW + timedelta(seconds=second))])
    store.events.prune(NOW + timedelta(seconds=5))

    def between(begin: int, end: int, limit: int = 99) -> list[int]:
        times = (NOW + timedelta(seconds=begin), NOW + timedelta(seconds=end))
        return [event.data["second"] for event in store.events.between("s1", EventType.LOG, *times, limit)]

    assert between(10, 15) == [11, 13, 15]
    assert between(0, 8) == [5, 7]
    assert between(36, 99) == [37, 39]
    assert between(10, 30, limit=2) == [11, 13]
    assert between(50, 60) == []
