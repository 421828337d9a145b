"""What the store promises, on every database it is said to work with."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from bson import ObjectId

from engine.cluster.ports import free_ports
from engine.domain import SweepState, Trial, TrialState
from engine.errors import DataError, LeaseLost, NotFound, StateError, StoreError, StoreUnavailable
from engine.events import EventType
from engine.store import Store, connect
from engine.store.events import draft
from engine.store.runs import parse_run_id
from engine.store.trials import from_document, to_document
from tests.contract.conftest import BACKENDS, server
from tests.waiting import wait_until

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LEASE = timedelta(seconds=20)


def queued(store: Store, name: str = "a sweep", at: datetime = NOW) -> str:
    return store.sweeps.create(name, "ada", {"opt_epoch": 3}, 7, 9, 7100, at)


def claimed(store: Store) -> tuple[str, int]:
    sweep_id = queued(store)
    sweep = store.sweeps.claim("m1", LEASE, NOW)
    assert sweep is not None
    assert sweep["_id"] == sweep_id
    return sweep_id, sweep["lease"]["fence"]


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of *work* in *count* threads that begin together."""
    barrier = threading.Barrier(count)

    def begin(index: int) -> Any:
        barrier.wait()
        return work(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


class TestSweeps:
    def test_a_created_sweep_is_queued_and_as_it_was_given(self, store: Store) -> None:
        sweep = store.sweeps.get(queued(store, "first"))
        assert sweep["state"] == "QUEUED"
        assert (sweep["name"], sweep["owner"], sweep["config"], sweep["seed"]) == ("first", "ada", {"opt_epoch": 3}, 7)
        assert sweep["created"] == NOW
        assert sweep["progress"]["total"] == 9

    def test_a_sweep_that_is_not_there_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound, match="there is no sweep nothing"):
            store.sweeps.get("nothing")

    def test_a_queued_sweep_is_claimed_by_exactly_one_of_eight(self, store: Store) -> None:
        queued(store)
        won = [sweep for sweep in at_once(8, lambda i: store.sweeps.claim(f"m{i}", LEASE, NOW)) if sweep]
        assert len(won) == 1
        assert won[0]["lease"]["fence"] == 1
        assert won[0]["state"] == "RUNNING"

    def test_eight_claimants_of_eight_sweeps_get_one_each_at_most(self, store: Store) -> None:
        for _ in range(8):
            queued(store)
        won = [sweep["_id"] for sweep in at_once(8, lambda i: store.sweeps.claim(f"m{i}", LEASE, NOW)) if sweep]
        assert won
        assert len(set(won)) == len(won)

    def test_the_sweep_that_has_waited_longest_is_claimed_first(self, store: Store) -> None:
        queued(store, "later", NOW + timedelta(seconds=1))
        queued(store, "earlier", NOW)
        first = store.sweeps.claim("m1", LEASE, NOW)
        assert first is not None
        assert first["name"] == "earlier"

    def test_with_nothing_to_do_nothing_is_claimed(self, store: Store) -> None:
        assert store.sweeps.claim("m1", LEASE, NOW) is None

    @pytest.mark.usefixtures("_dates_set")
    def test_a_lease_protects_until_it_runs_out_and_the_next_fence_is_higher(self, store: Store) -> None:
        sweep_id, fence = claimed(store)
        assert store.sweeps.claim("m2", LEASE, NOW + 9 * LEASE) is None
        again = store.sweeps.claim("m2", LEASE, NOW + LEASE, store.sweeps.leases())
        assert again is not None
        assert (again["_id"], again["lease"]["fence"], again["lease"]["machine"]) == (sweep_id, fence + 1, "m2")
        assert again["started"] == NOW

    def test_an_expired_sweep_is_claimed_by_exactly_one_of_eight(self, store: Store) -> None:
        claimed(store)
        seen = store.sweeps.leases()
        won = [sweep for sweep in at_once(8, lambda i: store.sweeps.claim(f"m{i}", LEASE, NOW, seen)) if sweep]
        assert [sweep["lease"]["fence"] for sweep in won] == [2]

    def test_a_sweep_that_lost_its_optimizer_goes_before_those_that_wait(self, store: Store) -> None:
        sweep_id, _ = claimed(store)
        queued(store, "waits")
        again = store.sweeps.claim("m2", LEASE, NOW + 2 * LEASE, store.sweeps.leases())
        assert again is not None
        assert again["_id"] == sweep_id

    def test_leases_are_those_of_owned_sweeps_and_of_those_asked_for(self, store: Store) -> None:
        sweep_id, fence = claimed(store)
        queued(store)
        assert list(store.sweeps.leases()) == [sweep_id]
        store.sweeps.finish(sweep_id, fence, SweepState.COMPLETED, {})
        assert store.sweeps.leases() == {}
        assert store.sweeps.leases([sweep_id])[sweep_id]["fence"] == fence

    def test_deaths_are_counted_and_releases_are_not(self, store: Store) -> None:
        sweep_id, fence = claimed(store)
        store.sweeps.release(sweep_id, fence, died=False)
        assert store.sweeps.leases()[sweep_id]["until"] == NOW + LEASE, "others wait until it has run out"
        store.sweeps.release(sweep_id, fence, died=False, to_all=True)
        assert store.sweeps.leases()[sweep_id]["until"] is None
        again = store.sweeps.claim("m2", LEASE, NOW, store.sweeps.leases(), holder="m2/1")
        assert again is not None
        assert again["restarts"] == 0
        assert again["given_back"]
        store.sweeps.release(sweep_id, fence + 1, died=True)
        again = store.sweeps.claim("m2", LEASE, NOW, store.sweeps.leases())
        assert again is not None
        assert not again["given_back"]
        assert (again["restarts"], again["lease"]["fence"]) == (1, fence + 2)

    def test_a_lease_that_was_renewed_after_it_seemed_to_have_run_out_is_left_alone(self, store: Store) -> None:
        sweep_id, fence = claimed(store)
        seen = store.sweeps.leases()
        store.sweeps.renew(sweep_id, fence, NOW + 3 * LEASE)
        assert store.sweeps.claim("m2", LEASE, NOW + 9 * LEASE, seen) is None

    def test_the_old_fence_can_write_nothing(self, store: Store) -> None:
        sweep_id, old = claimed(store)
        store.sweeps.claim("m2", LEASE, NOW + 2 * LEASE, store.sweeps.leases())
        before = store.sweeps.get(sweep_id)
        for write in (
            lambda: store.sweeps.renew(sweep_id, old, NOW + 9 * LEASE),
            lambda: store.sweeps.update(sweep_id, old, {"best": {"loss": 0}}),
            lambda: store.sweeps.finish(sweep_id, old, SweepState.COMPLETED, {}),
        ):
            with pytest.raises(LeaseLost, match=sweep_id):
                write()
        assert store.sweeps.get(sweep_id) == before

    def test_the_owner_writes_fields_and_leaves_the_others(self, store: Store) -> None:
        sweep_id, fence = claimed(store)
        store.sweeps.update(sweep_id, fence, {"best": {"number": 3, "loss": 0.5}})
        sweep = store.sweeps.get(sweep_id)
        assert sweep["best"] == {"number": 3, "loss": 0.5}
        assert sweep["name"] == "a sweep"

    @pytest.mark.usefixtures("_dates_set")
    def test_finishing_twice_changes_nothing(self, store: Store) -> None:
        sweep_id, fence = claimed(store)
        for _ in range(2):
            store.sweeps.finish(sweep_id, fence, SweepState.COMPLETED, {"finished": NOW})
        sweep = store.sweeps.get(sweep_id)
        assert (sweep["state"], sweep["finished"]) == ("COMPLETED", NOW)

    def test_a_finished_sweep_is_not_finished_otherwise_written_or_claimed(self, store: Store) -> None:
        sweep_id, fence = claimed(store)
        store.sweeps.finish(sweep_id, fence, SweepState.COMPLETED, {})
        with pytest.raises(LeaseLost):
            store.sweeps.finish(sweep_id, fence, SweepState.FAILED, {})
        with pytest.raises(LeaseLost):
            store.sweeps.update(sweep_id, fence, {"name": "other"})
        assert store.sweeps.claim("m2", LEASE, NOW, store.sweeps.leases([sweep_id])) is None
        assert store.sweeps.get(sweep_id)["state"] == "COMPLETED"

    def test_a_queued_sweep_stops_at_once_and_is_never_claimed(self, store: Store) -> None:
        sweep_id = queued(store)
        assert store.sweeps.stop(sweep_id, NOW) is SweepState.STOPPED
        assert store.sweeps.stop(sweep_id, NOW) is SweepState.STOPPED
        assert store.sweeps.claim("m1", LEASE, NOW) is None

    def test_a_running_sweep_is_asked_to_stop(self, store: Store) -> None:
        sweep_id, _ = claimed(store)
        assert store.sweeps.wishes(sweep_id).stop is False
        assert store.sweeps.stop(sweep_id, NOW) is SweepState.RUNNING
        assert store.sweeps.wishes(sweep_id).stop is True

    def test_a_completed_sweep_cannot_be_stopped(self, store: Store) -> None:
        sweep_id, fence = claimed(store)
        store.sweeps.finish(sweep_id, fence, SweepState.COMPLETED, {})
        with pytest.raises(StateError, match="already ended: COMPLETED"):
            store.sweeps.stop(sweep_id, NOW)

    def test_the_newest_sweeps_are_listed_first_without_what_is_large(self, store: Store) -> None:
        for minute in range(4):
            queued(store, f"sweep {minute}", NOW + timedelta(minutes=minute))
        listed = store.sweeps.recent(3)
        assert [sweep["name"] for sweep in listed] == ["sweep 3", "sweep 2", "sweep 1"]
        assert not {"config", "stages"} & set(listed[0])

    def test_sweeps_are_listed_by_state(self, store: Store) -> None:
        sweep_id, _ = claimed(store)
        queued(store)
        assert [sweep["_id"] for sweep in store.sweeps.recent(9, [SweepState.RUNNING])] == [sweep_id]


def trial(number: int = 1, **fields: Any) -> Trial:
    params = {"layers": 1, "units_1": 5, "activation": "relu", "learning_rate": 0.001}
    return Trial("s1", number, 0, params, 100, 11, created=NOW, **fields)


class TestTrials:
    def test_a_trial_comes_back_as_it_was_put(self, store: Store) -> None:
        put = trial(state=TrialState.COMPLETED, loss=0.25, curve=[[10, 0.5, None], [20, 0.4, 0.3]], finished=NOW)
        store.trials.put(to_document(put, 1))
        assert [from_document(document) for document in store.trials.of_sweep("s1", curves=True)] == [put]

    def test_putting_the_same_trial_twice_leaves_one(self, store: Store) -> None:
        for _ in range(3):
            store.trials.put(to_document(trial(loss=0.5), 1))
        assert len(store.trials.of_sweep("s1")) == 1

    def test_a_newer_fence_writes_over_an_older_one(self, store: Store) -> None:
        store.trials.put(to_document(trial(attempt=1), 1))
        store.trials.put(to_document(trial(attempt=2), 2))
        assert store.trials.of_sweep("s1")[0]["attempt"] == 2

    def test_an_older_fence_is_refused_and_changes_nothing(self, store: Store) -> None:
        store.trials.put(to_document(trial(loss=0.5), 2))
        with pytest.raises(LeaseLost, match="newer optimizer"):
            store.trials.put(to_document(trial(loss=0.1), 1))
        assert [item["loss"] for item in store.trials.of_sweep("s1")] == [0.5]

    def test_trials_are_listed_by_number_a_page_at_a_time(self, store: Store) -> None:
        for number in (3, 11, 2, 1):
            store.trials.put(to_document(trial(number), 1))
        assert [item["number"] for item in store.trials.of_sweep("s1")] == [1, 2, 3, 11]
        assert [item["number"] for item in store.trials.of_sweep("s1", after=1, limit=2)] == [2, 3]
        assert store.trials.of_sweep("s2") == []

    def test_the_errors_of_some_trials_are_read_without_the_rest(self, store: Store) -> None:
        for number, error in ((1, "the loss became NaN"), (2, None), (3, "killed")):
            store.trials.put(to_document(trial(number, error=error), 1))
        assert store.trials.errors("s1", [1, 2, 9]) == {1: "the loss became NaN"}
        assert store.trials.errors("s1", []) == {}

    def test_curves_are_read_only_when_asked_for(self, store: Store) -> None:
        store.trials.put(to_document(trial(curve=[[1, 2.0, 3.0]]), 1))
        assert "curve" not in store.trials.of_sweep("s1")[0]
        assert store.trials.of_sweep("s1", curves=True)[0]["curve"] == [[1, 2.0, 3.0]]


def drafts(writer: int, count: int) -> list[dict[str, Any]]:
    return [draft(EventType.LOG, {"writer": writer, "item": item}, NOW) for item in range(count)]


class TestEvents:
    def test_a_sweep_without_events_is_at_number_0(self, store: Store) -> None:
        assert store.events.last("s1") == 0
        assert store.events.after("s1", 0) == []

    def test_events_are_numbered_from_1_in_the_order_written(self, store: Store) -> None:
        assert store.events.write("s1", drafts(0, 3)) == 3
        assert store.events.append("s1", [(EventType.STAGE, {"index": 0}, NOW)]) == 4
        events = store.events.after("s1", 0)
        assert [event.seq for event in events] == [1, 2, 3, 4]
        assert [event.data.get("item") for event in events] == [0, 1, 2, None]
        assert events[3].type is EventType.STAGE
        assert events[3].at == NOW

    def test_several_writers_at_once_make_one_gapless_sequence_each_in_its_own_order(self, store: Store) -> None:
        def write(writer: int) -> None:
            items = drafts(writer, 24)
            for start in range(0, 24, 4):
                store.events.write("s1", items[start : start + 4])

        at_once(4, write)
        events = store.events.after("s1", 0)
        assert [event.seq for event in events] == list(range(1, 97))
        for writer in range(4):
            assert [event.data["item"] for event in events if event.data["writer"] == writer] == list(range(24))

    def test_sweeps_are_numbered_apart(self, store: Store) -> None:
        store.events.write("s1", drafts(0, 3))
        assert store.events.write("s2", drafts(0, 1)) == 1
        assert store.events.last("s1") == 3

    def test_writing_again_stores_nothing_twice(self, store: Store) -> None:
        items = drafts(0, 5)
        store.events.write("s1", items)
        assert store.events.write("s1", items, again=True) == 5
        assert len(store.events.after("s1", 0)) == 5

    def test_writing_again_stores_what_is_missing(self, store: Store) -> None:
        items = drafts(0, 5)
        store.events.write("s1", items[:2])
        assert store.events.write("s1", items, again=True) == 5
        assert [event.data["item"] for event in store.events.after("s1", 0)] == [0, 1, 2, 3, 4]

    def test_a_reader_gets_what_it_lacks_a_page_at_a_time(self, store: Store) -> None:
        store.events.write("s1", drafts(0, 7))
        assert [event.seq for event in store.events.after("s1", 2, limit=3)] == [3, 4, 5]
        assert store.events.after("s1", 7) == []

    def test_the_newest_of_a_kind_come_oldest_first(self, store: Store) -> None:
        store.events.write("s1", drafts(0, 4))
        store.events.append("s1", [(EventType.STAGE, {}, NOW)])
        assert [event.seq for event in store.events.newest("s1", EventType.LOG, 2)] == [3, 4]

    def test_old_events_are_pruned_and_the_numbers_go_on(self, store: Store) -> None:
        store.events.append("s1", [(EventType.LOG, {}, NOW - timedelta(days=9)), (EventType.LOG, {}, NOW)])
        assert store.events.prune(NOW - timedelta(days=1)) == 1
        assert store.events.append("s1", [(EventType.LOG, {}, NOW)]) == 3


class TestRuns:
    def test_runs_are_numbered_from_1_as_sacred_does(self, store: Store) -> None:
        assert [store.runs.create({"status": "RUNNING"}) for _ in range(3)] == [1, 2, 3]

    def test_runs_created_at_once_get_different_numbers(self, store: Store) -> None:
        ids = at_once(6, lambda i: store.runs.create({"n": i}))
        assert sorted(ids) == [1, 2, 3, 4, 5, 6]

    def test_ids_of_other_types_do_not_disturb_the_numbering(self, store: Store) -> None:
        strange = ObjectId()
        store.database["runs"].insert_many([{"_id": "zeta", "n": 1}, {"_id": strange, "n": 2}, {"_id": 41, "n": 3}])
        assert store.runs.create({"n": 4}) == 42
        for run_id, n in (("zeta", 1), (strange, 2), (41, 3), (42, 4)):
            assert store.runs.get(run_id)["n"] == n

    def test_a_run_that_is_not_there_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound, match="there is no run 5"):
            store.runs.get(5)

    def test_updated_fields_leave_the_others(self, store: Store) -> None:
        run_id = store.runs.create({"status": "RUNNING", "info": {"sweep_id": "s1", "fence": 1, "metrics": []}})
        store.runs.update(run_id, {"status": "COMPLETED", "info.metrics": [{"name": "loss", "id": "x"}]}, 1)
        run = store.runs.get(run_id)
        assert run["status"] == "COMPLETED"
        assert run["info"] == {"sweep_id": "s1", "fence": 1, "metrics": [{"name": "loss", "id": "x"}]}

    def test_a_metric_is_put_whole_under_one_id(self, store: Store) -> None:
        first = store.runs.put_metric(1, "loss", [1], [0.5], [NOW])
        second = store.runs.put_metric(1, "loss", [1, 2], [0.5, 0.25], [NOW, NOW])
        assert first == second
        (metric,) = store.runs.metrics(1)
        assert (metric["name"], metric["steps"], metric["values"]) == ("loss", [1, 2], [0.5, 0.25])
        assert str(metric["_id"]) == first

    def test_metrics_belong_to_their_run(self, store: Store) -> None:
        store.runs.put_metric(1, "loss", [1], [0.5], [NOW])
        store.runs.put_metric(2, "loss", [1], [0.7], [NOW])
        store.runs.put_metric(1, "best_loss", [1], [0.5], [NOW])
        assert [metric["name"] for metric in store.runs.metrics(1)] == ["best_loss", "loss"]

    def test_output_is_read_in_parts(self, store: Store) -> None:
        run_id = store.runs.create({"captured_out": "héllo\nwörld"})
        assert store.run_parts.output_length(run_id) == 11
        assert store.run_parts.output(run_id, 4, 4) == "o\nwö"
        assert store.run_parts.output(run_id, 11, 5) == ""
        assert "captured_out" not in store.run_parts.head(run_id)
        assert store.run_parts.output_length(store.runs.create({})) == 0
        assert store.run_parts.output_length(store.runs.create({"captured_out": [1]})) is None
        assert store.run_parts.output_length(99) == 0

    def test_metrics_are_counted_and_read_in_parts(self, store: Store) -> None:
        store.runs.put_metric(1, "a.b", [1, 2, 3], [0.5, 0.25, 0.125], [NOW] * 3)
        store.database["metrics"].insert_one({"run_id": 1, "name": "odd", "steps": "x", "values": 3})
        counted = store.run_parts.metric_lengths(1)
        assert [(one["name"], one["n"], one["last"]) for one in counted] == [("a.b", 3, [0.125]), ("odd", 0, [])]

    def test_of_a_metric_only_the_new_points_are_read(self, store: Store, request: pytest.FixtureRequest) -> None:
        if request.node.callspec.params["backend_uri"] == "nx-27017":
            reason = "nx-27017 0.8.1 slices to nothing from a place on"
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
        store.runs.put_metric(1, "a.b", [1, 2, 3], [0.5, 0.25, 0.125], [NOW] * 3)
        part = store.run_parts.metric_part(store.run_parts.metric_lengths(1)[0]["_id"], 1, 5)
        assert (part["steps"], part["values"], len(part["timestamps"])) == ([2, 3], [0.25, 0.125], 2)

    def test_an_id_is_never_taken_for_a_question(self, store: Store) -> None:
        store.runs.create({"status": "RUNNING"})
        with pytest.raises((NotFound, StoreError)):
            store.run_parts.head({"$gt": 0})

    def test_a_file_is_read_in_pieces_and_a_lost_piece_is_told(self, store: Store) -> None:
        content = bytes(range(256)) * 2100
        file_id = store.runs.put_source("/a.bin", "x", content)
        assert b"".join(store.run_parts.file(file_id)) == content
        assert store.run_parts.file(file_id).start(10) == content[:10]
        store.database["fs.chunks"].delete_one({"files_id": file_id, "n": 1})
        with pytest.raises(NotFound, match="not stored in full"):
            list(store.run_parts.file(file_id))
        with pytest.raises(NotFound, match="not stored"):
            store.run_parts.file(ObjectId())

    def test_notes_are_written_over_the_version_that_was_seen(self, store: Store) -> None:
        assert store.run_notes.get("", 7)["version"] == 0
        assert store.run_notes.put("", 7, ["good"], "text", 0, "ada", NOW)
        assert not store.run_notes.put("", 7, [], "", 0, "bob", NOW)
        assert store.run_notes.put("", 7, ["better"], "text", 1, "bob", NOW)
        assert not store.run_notes.put("", 7, [], "", 1, "ada", NOW)
        assert store.run_notes.get("", 7)["tags"] == ["better"]
        assert set(store.run_notes.some("", [7, 8, "7"])) == {"7"}

    def test_a_source_is_stored_once_for_each_content(self, store: Store) -> None:
        first = store.runs.put_source("/a.py", "5d41402abc4b2a76b9719d911017c592", b"hello")
        assert store.runs.put_source("/a.py", "5d41402abc4b2a76b9719d911017c592", b"hello") == first
        other = store.runs.put_source("/a.py", "7d793037a0760186574b0282f2f435e7", b"world")
        assert other != first
        assert store.runs.source(first) == b"hello"
        assert store.runs.source(other) == b"world"

    def test_the_page_is_newest_first_and_without_what_is_large(self, store: Store) -> None:
        for day in range(4):
            store.runs.create(
                {"start_time": NOW + timedelta(days=day), "captured_out": "x" * 9, "config": {"name": "n"}}
            )
        page = store.runs.page(2)
        assert [run["_id"] for run in page] == [4, 3]
        assert "captured_out" not in page[0]
        assert [run["_id"] for run in store.runs.page(9, before=page[-1]["start_time"])] == [2, 1]

    def test_an_address_may_mean_ids_of_several_types(self) -> None:
        hexadecimal = "5f50c31c9d3b2a0001a1b2c3"
        assert parse_run_id("12") == [12, "12"]
        assert parse_run_id(hexadecimal) == [ObjectId(hexadecimal), hexadecimal]
        assert parse_run_id("9" * 40) == ["9" * 40]
        assert parse_run_id("²") == ["²"]


class TestReports:
    def test_a_report_is_replaced_by_the_next_and_by_no_older_optimizers(self, store: Store) -> None:
        assert store.reports.get("s") is None
        store.reports.put({"_id": "s", "fence": 2, "stages": [{"val": {"points": [[1.5, None]]}}], "final": None})
        store.reports.put({"_id": "s", "fence": 2, "stages": [], "final": {"trial": 1}})
        with pytest.raises(LeaseLost, match="newer optimizer"):
            store.reports.put({"_id": "s", "fence": 1, "stages": [], "final": None})
        assert store.reports.get("s") == {"_id": "s", "fence": 2, "stages": [], "final": {"trial": 1}}

    def test_it_is_known_which_models_are_kept(self, store: Store) -> None:
        store.models.put("s", {3: b"1234"}, 1)
        assert (store.models.has("s", 3), store.models.has("s", 4), store.models.kept("s")) == (True, False, [3])


class TestUsersAndMachines:
    def test_the_setup_link_is_spent_by_exactly_one_of_eight(self, store: Store) -> None:
        store.users.set_setup_token("right", NOW)
        assert store.users.use_setup_token("wrong") is False
        assert at_once(8, lambda i: store.users.use_setup_token("right")).count(True) == 1
        assert store.users.setup_token() is None

    def test_a_new_setup_link_ends_the_old_one(self, store: Store) -> None:
        store.users.set_setup_token("old", NOW)
        store.users.set_setup_token("new", NOW)
        assert store.users.use_setup_token("old") is False
        assert store.users.use_setup_token("new") is True

    def test_a_name_is_taken_whatever_its_case(self, store: Store) -> None:
        assert not store.users.any()
        assert store.users.create("Ada", "hash", "admin", NOW) is True
        assert store.users.create("ADA", "other", "admin", NOW) is False
        user = store.users.get("aDa")
        assert user is not None
        assert (user["name"], user["password_hash"]) == ("Ada", "hash")
        assert store.users.any()

    def test_a_new_password_ends_the_sessions(self, store: Store) -> None:
        store.users.create("ada", "hash", "admin", NOW)
        store.users.set_password("Ada", "new")
        user = store.users.get("ada")
        assert user is not None
        assert (user["password_hash"], user["epoch"]) == ("new", 1)

    def test_a_machine_is_alive_for_ten_seconds_after_its_last_sign(self, store: Store) -> None:
        store.machines.beat("m1", 7, 2, ["s1"], NOW)
        (machine,) = store.machines.all(NOW + timedelta(seconds=9))
        assert (machine["alive"], machine["slots"], machine["running"]) == (True, 2, ["s1"])
        assert store.machines.all(NOW + timedelta(seconds=11))[0]["alive"] is False

    def test_machines_come_by_name_from_any_on(self, store: Store) -> None:
        for name in ("m2", "m3", "m1"):
            store.machines.beat(name, 7, 2, [], NOW)
        assert [found["_id"] for found in store.machines.after("m1", 1, NOW)] == ["m2"]
        assert [found["_id"] for found in store.machines.after("m1x", 9, NOW)] == ["m2", "m3"]

    def test_only_the_daemon_itself_says_good_bye(self, store: Store) -> None:
        store.machines.beat("m1", 7, 2, [], NOW)
        store.machines.leave("m1", 6)
        assert len(store.machines.all(NOW)) == 1
        store.machines.leave("m1", 7)
        assert store.machines.all(NOW) == []

    def test_making_the_indexes_again_is_harmless(self, store: Store) -> None:
        store.make_indexes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_that_has_stopped_answering_is_unavailable_within_the_limit(backend: str, tmp_path: Path) -> None:
    with server(backend, tmp_path) as (uri, process):
        store = connect(uri, "limits", seconds=1)
        sweep_id = queued(store)
        _suspend(process)
        try:
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable, match="does not answer"):
                store.sweeps.get(sweep_id)
            assert time.monotonic() - begun < 3
        finally:
            _resume(process)
        assert store.sweeps.get(sweep_id)["_id"] == sweep_id, "the store did not recover with its server"
        store.close()


def _suspend(process: psutil.Process) -> None:
    """Stop the server, all of its threads: a thread on another processor may still answer after the signal was sent."""
    for one in (process, *process.children(recursive=True)):
        one.send_signal(signal.SIGSTOP)
        threads = [f"/proc/{one.pid}/task/{thread.id}/stat" for thread in one.threads()]
        wait_until(partial(_all_stopped, threads), 5, "the stop of all its threads")


def _all_stopped(threads: list[str]) -> bool:
    return all(Path(one).read_text().rpartition(") ")[2].startswith("T") for one in threads)


def _resume(process: psutil.Process) -> None:
    for one in (process, *process.children(recursive=True)):
        one.send_signal(signal.SIGCONT)


def test_where_nothing_listens_the_store_is_unavailable_within_the_limit() -> None:
    store = connect(f"mongodb://127.0.0.1:{free_ports(1)[0]}/?directConnection=true", seconds=1)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="the database does not answer"):
        store.sweeps.recent(1)
    assert time.monotonic() - begun < 3
    store.close()


def test_an_address_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(StoreUnavailable, match="mongo_uri is not a MongoDB address"):
        connect("postgres://localhost")


ABOUT = {"rows": 25, "delimiter": ",", "columns": [{"name": "a"}], "preview": [["1"]], "target": "y", "features": ["a"]}
SHA_OF_ONE = hashlib.sha256(b"one").hexdigest()


def kept(store: Store, part: str) -> int:
    """How many documents of GridFS' files or chunks there are."""
    return len(list(store.database[f"datasets.{part}"].find({}, {"_id": 1})))


class TestDatasets:
    def add(self, store: Store, content: bytes = b"one", name: str = "houses", kind: str = "table") -> tuple[int, bool]:
        return store.datasets.add(name, kind, io.BytesIO(content), ABOUT, "houses.csv", "ada", NOW)

    def test_what_is_uploaded_comes_back_byte_for_byte(self, store: Store, tmp_path: Path) -> None:
        content = os.urandom(3 * 2**20 + 5)
        assert self.add(store, content) == (1, True)
        path, about = store.datasets.fetch("houses", tmp_path)
        assert path.read_bytes() == content
        assert (about["size"], about["kind"], about["name"]) == (len(content), "table", "houses")
        assert about["features"] == ["a"]

    def test_a_data_set_is_as_it_was_given(self, store: Store) -> None:
        self.add(store)
        found = store.datasets.get("houses")
        assert (found["kind"], found["owner"], found["created"]) == ("table", "ada", NOW)
        (version,) = found["versions"]
        assert (version["sha256"], version["size"], version["filename"]) == (SHA_OF_ONE, 3, "houses.csv")
        assert (version["by"], version["uploaded"], version["about"]) == ("ada", NOW, ABOUT)

    def test_other_content_is_a_new_version_and_the_same_is_none(self, store: Store) -> None:
        assert [self.add(store, content) for content in (b"one", b"two", b"one", b"two")] == [
            (1, True), (2, True), (1, False), (2, False),
        ]  # fmt: skip
        assert len(store.datasets.get("houses")["versions"]) == 2

    def test_a_sweep_names_the_newest_version_or_one_by_its_digest(self, store: Store) -> None:
        self.add(store, b"one")
        self.add(store, b"two")
        newest, older = store.datasets.find("houses"), store.datasets.find(f"houses@{SHA_OF_ONE[:8]}")
        assert newest is not None
        assert newest["sha256"] == hashlib.sha256(b"two").hexdigest()
        assert older is not None
        assert older["sha256"] == SHA_OF_ONE
        for wrong in ("barns", "houses@", f"houses@{SHA_OF_ONE[:7]}", "houses@00000000", "houses@.*......", "@"):
            assert store.datasets.find(wrong) is None, wrong

    def test_an_older_version_is_fetched_as_it_was(self, store: Store, tmp_path: Path) -> None:
        self.add(store, b"one")
        self.add(store, b"two")
        assert store.datasets.fetch(f"houses@{SHA_OF_ONE[:8]}", tmp_path)[0].read_bytes() == b"one"
        assert store.datasets.fetch("houses", tmp_path)[0].read_bytes() == b"two"

    def test_content_of_another_kind_is_refused_and_not_kept(self, store: Store) -> None:
        self.add(store)
        with pytest.raises(StateError, match="houses is a data set of kind table, and this file is of kind texts"):
            self.add(store, b"two", kind="texts")
        assert kept(store, "files") == 1

    def test_eight_uploads_at_once_become_eight_versions(self, store: Store) -> None:
        numbers = at_once(8, lambda i: self.add(store, b"%d" % i))
        assert sorted(numbers) == [(number, True) for number in range(1, 9)]
        assert len({version["sha256"] for version in store.datasets.get("houses")["versions"]}) == 8

    def test_one_content_uploaded_eight_times_at_once_is_kept_once(self, store: Store) -> None:
        assert sum(new for _, new in at_once(8, lambda _: self.add(store))) == 1
        assert len(store.datasets.get("houses")["versions"]) == 1
        assert kept(store, "files") == 1

    def test_the_columns_of_one_version_are_chosen_and_the_other_keeps_its_own(self, store: Store) -> None:
        self.add(store, b"one")
        self.add(store, b"two")
        store.datasets.choose("houses", SHA_OF_ONE, "b", ["c", "d"])
        first, second = (version["about"] for version in store.datasets.get("houses")["versions"])
        assert (first["target"], first["features"]) == ("b", ["c", "d"])
        assert second == ABOUT
        with pytest.raises(NotFound, match="has no version"):
            store.datasets.choose("houses", "0" * 64, "b", ["c"])

    def test_the_list_has_the_newest_first(self, store: Store) -> None:
        self.add(store)
        store.datasets.add("barns", "table", io.BytesIO(b"two"), ABOUT, "b.csv", "ada", NOW + LEASE)
        assert [found["_id"] for found in store.datasets.all()] == ["barns", "houses"]
        about = store.datasets.all()[0]["versions"][0]["about"]
        assert about["features"] == ["a"]
        assert store.datasets.names() == ["barns", "houses"]
        assert [found["_id"] for found in store.datasets.after("a", 1)] == ["barns"]
        assert [found["_id"] for found in store.datasets.after("barns", 9)] == ["houses"]

    def test_deleting_takes_all_versions_and_their_content(self, store: Store, tmp_path: Path) -> None:
        self.add(store, b"one")
        self.add(store, b"two")
        self.add(store, b"three", name="barns")
        store.datasets.delete("houses")
        assert store.datasets.names() == ["barns"]
        assert kept(store, "files") == 1
        assert store.datasets.fetch("barns", tmp_path)[0].read_bytes() == b"three"
        with pytest.raises(NotFound, match="there is no data set houses"):
            store.datasets.delete("houses")
        with pytest.raises(NotFound, match="there is no data set houses any more"):
            store.datasets.fetch("houses", tmp_path)

    @pytest.mark.parametrize("reference", ["houses", f"houses@{SHA_OF_ONE[:12]}"])
    def test_what_an_open_sweep_uses_is_neither_deleted_nor_changed(self, store: Store, reference: str) -> None:
        self.add(store)
        sweep_id = store.sweeps.create("brisk-otter", "ada", {"dataset": reference}, 7, 9, 7100, NOW)
        store.sweeps.create("other", "ada", {"dataset": "houses-2"}, 7, 9, 7100, NOW)
        store.sweeps.create("file", "ada", {"dataset": "houses", "load_data": True}, 7, 9, 7100, NOW)
        for change in (
            lambda: store.datasets.delete("houses"), lambda: store.datasets.choose("houses", SHA_OF_ONE, "b", ["c"]),
        ):  # fmt: skip
            with pytest.raises(
                StateError, match=r"^houses is used by brisk-otter; wait for the end, or stop it first$"
            ):
                change()
        store.sweeps.stop(sweep_id, NOW)
        assert store.datasets.users("houses") == []
        store.datasets.delete("houses")

    @pytest.mark.usefixtures("_chunks_seen")
    def test_deleting_leaves_no_content_behind(self, store: Store) -> None:
        self.add(store)
        self.add(store, b"three", name="barns")
        assert kept(store, "chunks") == 2
        store.datasets.delete("houses")
        assert kept(store, "chunks") == 1

    @pytest.mark.usefixtures("_chunks_seen")
    def test_content_that_is_not_what_was_uploaded_is_refused_and_not_left_behind(
        self, store: Store, tmp_path: Path
    ) -> None:
        self.add(store)
        store.database["datasets.chunks"].update_one({}, {"$set": {"data": b"odd"}})
        with pytest.raises(DataError, match="not stored as it was uploaded"):
            store.datasets.fetch("houses", tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.usefixtures("_chunks_seen")
    def test_content_that_is_gone_is_said_to_be(self, store: Store, tmp_path: Path) -> None:
        self.add(store)
        store.database["datasets.files"].delete_many({})
        with pytest.raises(NotFound, match="the content of the data set houses is gone"):
            store.datasets.fetch("houses", tmp_path)

    def test_what_has_been_fetched_is_not_fetched_again(self, store: Store, tmp_path: Path) -> None:
        self.add(store)
        store.datasets.fetch("houses", tmp_path)
        store.database["datasets.files"].delete_many({})
        assert store.datasets.fetch("houses", tmp_path)[0].read_bytes() == b"one"


def _servers(store: Store, fence: int) -> list[dict[str, Any]]:
    return store.servers.keep("s", fence, NOW + timedelta(seconds=20))


WANTED = [{"name": "worker_1", "host": "b", "role": "worker", "index": 1, "jobs": {}}]


def test_servers_are_wanted_of_a_machine_and_begin_anew_with_each_fence(store: Store) -> None:
    store.servers.want("s", 1, WANTED, NOW + timedelta(seconds=20))
    (wanted,) = store.servers.wanted({"b", "other"})
    assert (wanted["_id"], wanted["fence"], wanted["generation"], wanted["pid"]) == ("s/worker_1", 1, 1, None)
    assert store.servers.wanted({"other"}) == []
    store.servers.report("s/worker_1", 1, {"pid": 7, "machine": "b"})
    assert _servers(store, 1)[0]["pid"] == 7
    store.servers.replace("s", 1, "worker_1")
    store.servers.report("s/worker_1", 1, {"pid": 8})
    assert (_servers(store, 1)[0]["generation"], _servers(store, 1)[0]["pid"]) == (2, 7), "an old report counts no more"
    store.servers.want("s", 2, WANTED, NOW + timedelta(seconds=20))
    assert (_servers(store, 2)[0]["generation"], _servers(store, 2)[0]["pid"]) == (3, None)


def test_an_optimizer_whose_time_is_over_neither_takes_nor_drops_the_next_ones_servers(store: Store) -> None:
    store.servers.want("s", 2, WANTED, NOW + timedelta(seconds=20))
    with pytest.raises(LeaseLost):
        store.servers.want("s", 1, WANTED, NOW + timedelta(seconds=20))
    store.servers.drop("s", 1)
    store.servers.replace("s", 1, "worker_1")
    assert [one["generation"] for one in _servers(store, 2)] == [1]
    store.servers.drop("s", 2)
    assert store.servers.wanted({"b"}) == []


@pytest.mark.usefixtures("_bytes_taken")
def test_a_networks_parameters_are_kept_and_found_again(store: Store) -> None:
    store.models.describe("s", {"columns": ["a"]})
    assert store.models.put("s", {3: b"parameters" * 100}, 1) == []
    assert store.models.put("s", {3: b"newer ones", 12: b"others"}, 1) == []
    assert store.models.get("s", 3) == b"newer ones"
    assert store.models.about("s") == {"columns": ["a"]}
    assert store.models.kept("s") == [3, 12]
    with pytest.raises(NotFound, match="trial 4 is not kept"):
        store.models.get("s", 4)
    with pytest.raises(NotFound, match="no model yet"):
        store.models.about("other")
    assert store.models.put("s", {5: random.Random(1).randbytes(15 * 1024 * 1024), 6: b"small"}, 1) == [5]


class TestNotices:
    def notified(self, store: Store, state: SweepState | None = SweepState.COMPLETED, name: str = "s1") -> str:
        """A sweep with both notices, in *state*, or still queued."""
        store.notices.create(name, "https://hooks.test/x", ["a@x.test"], NOW)
        store.sweeps.create("a sweep", "ada", {}, 7, 9, 7100, NOW, sweep_id=name)
        if state is not None:
            sweep = store.sweeps.claim("m1", LEASE, NOW)
            assert sweep is not None
            store.sweeps.finish(name, sweep["lease"]["fence"], state, {"finished": NOW})
        return name

    def test_a_notice_is_due_when_its_sweep_has_ended_and_not_before(self, store: Store) -> None:
        sweep_id = self.notified(store, None)
        assert not store.notices.waiting()
        assert store.notices.take(NOW, LEASE) is None
        sweep = store.sweeps.claim("m1", LEASE, NOW)
        assert sweep is not None
        assert store.notices.take(NOW, LEASE) is None
        store.sweeps.finish(sweep_id, sweep["lease"]["fence"], SweepState.FAILED, {})
        assert store.notices.waiting()
        taken = [store.notices.take(NOW, LEASE) for _ in range(3)]
        assert [(notice["kind"], notice["to"], notice["tries"]) for notice in taken if notice] == [
            ("webhook", "https://hooks.test/x", 1),
            ("email", ["a@x.test"], 1),
        ]
        assert store.notices.waiting(), "neither has been settled"

    def test_a_sweep_that_was_stopped_while_it_waited_is_told_of_too(self, store: Store) -> None:
        store.sweeps.stop(self.notified(store, None), NOW)
        assert store.notices.take(NOW, LEASE)

    def test_one_of_many_takes_a_notice(self, store: Store) -> None:
        store.notices.create("s1", "https://hooks.test/x", [], NOW)
        store.sweeps.create("a sweep", "ada", {}, 7, 9, 7100, NOW, sweep_id="s1")
        store.sweeps.stop("s1", NOW)
        taken = at_once(8, lambda _: store.notices.take(NOW, LEASE))
        assert sum(notice is not None for notice in taken) == 1

    def test_a_notice_whose_sender_died_is_due_again_and_the_dead_one_changes_nothing(self, store: Store) -> None:
        self.notified(store)
        first = store.notices.take(NOW, LEASE, "s1")
        assert first is not None
        second = store.notices.take(NOW + LEASE, LEASE)
        while second is not None and second["_id"] != first["_id"]:
            second = store.notices.take(NOW + LEASE, LEASE)
        assert second is not None
        assert second["tries"] == 2
        store.notices.settle(first, "late")
        assert any(notice["outcome"] != "late" and notice["open"] for notice in store.notices.of_sweep("s1"))
        store.notices.settle(second, "sent")
        assert {notice["outcome"] for notice in store.notices.of_sweep("s1")} == {None, "sent"}

    def test_a_postponed_notice_is_due_then(self, store: Store) -> None:
        self.notified(store)
        notice, other = (store.notices.take(NOW, LEASE) for _ in range(2))
        assert notice is not None
        assert other is not None
        store.notices.settle(other, "sent")
        store.notices.postpone(notice, NOW + timedelta(seconds=30), "nobody there")
        assert store.notices.take(NOW + timedelta(seconds=29), LEASE) is None
        again = store.notices.take(NOW + timedelta(seconds=30), LEASE)
        assert again is not None
        assert (again["_id"], again["tries"], again["outcome"]) == (notice["_id"], 2, "nobody there")

    def test_the_notices_of_one_sweep_are_taken_alone(self, store: Store) -> None:
        self.notified(store, name="s1")
        self.notified(store, name="s2")
        assert {store.notices.take(NOW, LEASE, "s2")["sweep_id"] for _ in range(2)} == {"s2"}  # type: ignore[index]
        assert store.notices.take(NOW, LEASE, "s2") is None
        assert store.notices.waiting("s1")
        assert not store.notices.waiting("s3")

    def test_a_sweep_that_notifies_nobody_has_no_notice(self, store: Store) -> None:
        store.notices.create("s1", "", [], NOW)
        assert store.notices.of_sweep("s1") == []


class TestListsOfSweeps:
    def test_the_queue_is_in_the_order_of_the_claims(self, store: Store) -> None:
        first, second, third = (queued(store, name, NOW + timedelta(seconds=at)) for at, name in enumerate("abc"))
        store.sweeps.prioritise(third, 5)
        assert [sweep["_id"] for sweep in store.sweeps.queue(10)] == [third, first, second]
        assert [store.sweeps.claim("m1", LEASE, NOW)["_id"] for _ in range(3)] == [third, first, second]  # type: ignore[index]
        assert store.sweeps.queue(10) == []
        assert {sweep["_id"] for sweep in store.sweeps.running(10)} == {first, second, third}

    def test_what_ended_last_comes_first_however_often_it_is_asked(self, store: Store) -> None:
        ids = []
        for number in range(5):
            ids.append(queued(store, at=NOW + timedelta(seconds=number)))
            store.sweeps.stop(ids[-1], NOW + timedelta(minutes=number))
            assert [sweep["_id"] for sweep in store.sweeps.ended(3)] == ids[::-1][:3]
        assert not {"config", "stages", "edits", "processes"} & set(store.sweeps.ended(3)[0])
        store.database["sweeps"].delete_many({"_id": {"$in": ids[2:]}})
        assert [sweep["_id"] for sweep in store.sweeps.ended(3)] == [ids[1], ids[0]]

    def test_a_metric_is_read_alone(self, store: Store) -> None:
        assert store.runs.metric(1, "best_loss") is None
        store.runs.put_metric(1, "best_loss", [1, 2], [0.5, 0.25], [NOW, NOW])
        assert store.runs.metric(1, "best_loss") == {"steps": [1, 2], "values": [0.5, 0.25]}
