"""An optimizer that has lost its sweep, and does not know it yet, writes nothing after its successor's first write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.domain import SweepState
from engine.errors import LeaseLost
from engine.events import EventType
from engine.recorder import give_up, tell_end
from engine.store import Store
from engine.store.events import draft

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def tell(store: Store, fence: int | None) -> int:
    return store.events.append("s1", [(EventType.LOG, {"by": fence}, NOW)], fence)


def test_no_event_of_an_earlier_fence_follows_one_of_a_later(store: Store) -> None:
    assert [tell(store, 1), tell(store, 2)] == [1, 2]
    with pytest.raises(LeaseLost, match="owned by fence 2, no longer by 1"):
        tell(store, 1)
    assert tell(store, 2) == 3


def test_one_who_owns_no_sweep_tells_of_it_and_hides_no_fence(store: Store) -> None:
    tell(store, 2)
    assert tell(store, None) == 2
    with pytest.raises(LeaseLost):
        tell(store, 1)


def test_a_fence_is_known_when_its_events_have_been_deleted_by_age(store: Store) -> None:
    tell(store, 2)
    store.events.prune(datetime(2027, 1, 1, tzinfo=UTC))
    with pytest.raises(LeaseLost):
        tell(store, 1)


def test_a_writer_that_looked_before_its_successor_began_finds_out_when_it_writes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is stopped between its look and its write."""
    tell(store, 1)
    look, looked = store.events._newest, []

    def look_and_stop(sweep_id: str) -> tuple[int, int]:
        found = look(sweep_id)
        if not looked:
            looked.append(found)
            tell(store, 2)
        return found

    monkeypatch.setattr(store.events, "_newest", look_and_stop)
    with pytest.raises(LeaseLost):
        store.events.write("s1", [draft(EventType.LOG, {"by": 1}, NOW)], fence=1)
    assert [event.data["by"] for event in store.events.after("s1", 0)] == [1, 2]


def test_a_run_is_written_by_the_latest_optimizer_that_took_it(store: Store) -> None:
    run_id = store.runs.create({"status": "RUNNING", "info": {}})
    assert store.runs.take(run_id, 2)
    assert not store.runs.take(run_id, 1)
    with pytest.raises(LeaseLost):
        store.runs.update(run_id, {"status": "FAILED"}, 1)
    store.runs.drop(run_id, 1)
    store.runs.update(run_id, {"status": "COMPLETED"}, 2)
    assert store.runs.get(run_id)["status"] == "COMPLETED"


def test_a_run_that_was_made_for_a_lost_sweep_goes_if_nobody_took_it(store: Store) -> None:
    run_id = store.runs.create({"status": "RUNNING", "info": {"fence": 1, "sweep_id": "s1"}})
    store.runs.drop(run_id, 1)
    assert store.runs.of_sweep("s1") is None
    store.runs.update(run_id, {"status": "COMPLETED"}, 1)  # of a run that somebody has deleted nothing is told


@pytest.mark.usefixtures("_bytes_taken")
def test_a_model_is_written_by_the_latest_fence(store: Store) -> None:
    store.models.put("s1", {1: b"first"}, 1)
    store.models.put("s1", {1: b"second"}, 2)
    with pytest.raises(LeaseLost):
        store.models.put("s1", {1: b"third", 2: b"fourth"}, 1)
    assert store.models.get("s1", 1) == b"second"


@pytest.mark.usefixtures("_dates_set")
def test_the_end_of_a_sweep_is_told_for_an_optimizer_that_died_before_it_could(store: Store) -> None:
    sweep_id = store.sweeps.create("x", "ada", {}, 1, 1, 1, NOW)
    assert store.sweeps.claim("m1", timedelta(seconds=20), NOW) is not None
    tell_end(store, sweep_id, 1, NOW)
    assert store.events.after(sweep_id, 0) == [], "it has not ended"
    store.sweeps.finish(sweep_id, 1, SweepState.COMPLETED, {})
    tell_end(store, sweep_id, 2, NOW)
    assert store.events.after(sweep_id, 0) == [], "it is another's"
    tell_end(store, sweep_id, 1, NOW)
    (event,) = store.events.after(sweep_id, 0)
    assert (event.type, event.data["state"]) == (EventType.SWEEP, "COMPLETED")


@pytest.mark.usefixtures("_dates_set")
@pytest.mark.parametrize("stop", [False, True])
def test_a_sweep_that_is_given_up_has_failed_unless_the_user_had_stopped_it(store: Store, stop: bool) -> None:
    sweep_id = store.sweeps.create("x", "ada", {}, 1, 1, 1, NOW)
    claimed = store.sweeps.claim("m1", timedelta(seconds=20), NOW)
    assert claimed is not None
    run_id = store.runs.create({"status": "RUNNING", "info": {}})
    store.sweeps.update(sweep_id, 1, {"run_id": run_id})
    if stop:
        store.sweeps.stop(sweep_id, NOW)
    sweep = store.sweeps.get(sweep_id)
    for _ in range(2):  # the first may have been cut short by a silent database
        give_up(store, sweep, "it died", NOW)
    ended = store.sweeps.get(sweep_id)
    assert (ended["state"], ended["error"]) == (("STOPPED", None) if stop else ("FAILED", "it died"))
    assert store.runs.get(run_id)["status"] == ("INTERRUPTED" if stop else "FAILED")
    assert {event.data["state"] for event in store.events.after(sweep_id, 0)} == {ended["state"]}
