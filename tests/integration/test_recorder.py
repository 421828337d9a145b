"""The recorder and its database: what it writes when that, or the disk, has not done as it should."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import recorder as recorder_module
from engine.domain import SweepState, Trial, TrialState
from engine.errors import LeaseLost, StoreUnavailable
from engine.events import EventType
from engine.recorder import MOST_POINTS, Recorder
from engine.store.journal import Journal
from tests.installation import Installation, installation
from tests.waiting import wait_until


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        yield made


@pytest.fixture
def recorder(place: Installation, tmp_path: Path) -> Recorder:
    place.create()
    sweep = place.store.sweeps.claim("here", timedelta(minutes=1), now())
    assert sweep is not None
    made = Recorder(place.store, sweep, Journal(tmp_path / "journal"), now)
    made.start()
    return made


def now() -> datetime:
    return datetime.now(UTC)


def a_trial(sweep_id: str, number: int = 1) -> Trial:
    return Trial(sweep_id, number, 0, {"batch_size": 20}, 1000, 7, TrialState.RUNNING, created=now(), started=now())


def test_the_end_of_a_sweep_is_told_though_the_answer_to_it_was_lost(
    place: Installation, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps, lost = place.store.sweeps, []
    finish = sweeps.finish

    def finish_without_answer(*given: Any) -> None:
        finish(*given)
        if not lost:
            lost.append(True)
            raise StoreUnavailable("no answer")

    monkeypatch.setattr(sweeps, "finish", finish_without_answer)
    monkeypatch.setattr(recorder_module, "RENEW_SECONDS", -1.0)
    recorder.finish(SweepState.COMPLETED, 30)
    last = place.store.events.newest(recorder.sweep["_id"], EventType.SWEEP, 1)[0]
    assert (lost, last.data["state"]) == ([True], "COMPLETED")


def test_a_sweep_that_somebody_else_has_ended_is_lost(place: Installation, recorder: Recorder) -> None:
    place.store.database["sweeps"].update_one({}, {"$set": {"state": "FAILED"}})
    with pytest.raises(LeaseLost):
        recorder.finish(SweepState.COMPLETED, 30)


def test_a_model_that_cannot_be_read_holds_up_nothing(place: Installation, recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "1.npy").write_bytes(b"")
    np.save(tmp_path / "2.npy", np.zeros(3, np.float32))
    recorder.model(1, tmp_path / "1.npy")
    recorder.model(2, tmp_path / "2.npy")
    recorder.set(note="written after the models")
    recorder.finish(SweepState.COMPLETED, 30)
    sweep_id = recorder.sweep["_id"]
    assert place.store.models.kept(sweep_id) == [2]
    assert place.sweep(sweep_id)["note"] == "written after the models"


def test_networks_that_the_database_takes_too_long_to_store_hold_up_nothing_else(
    place: Installation, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def put(_: str, batch: dict[int, bytes], *__: Any) -> list[int]:
        sizes.append(len(batch))
        raise StoreUnavailable("it took too long")

    monkeypatch.setattr(recorder_module, "BATCH_BYTES", 100)
    monkeypatch.setattr(place.store.models, "put", put)
    recorder._batch_bytes = 100
    for number in range(1, 5):
        np.save(tmp_path / f"{number}.npy", np.zeros(10, np.float32))
    with recorder._lock:
        recorder._models.update({number: tmp_path / f"{number}.npy" for number in range(1, 5)})
    recorder.set(note="written all the same")
    sweep_id = recorder.sweep["_id"]
    wait_until(lambda: place.sweep(sweep_id).get("note"), 10, "what else waited")
    wait_until(lambda: sizes[-1:] == [1], 20, "a call with one network alone")
    recorder.finish(SweepState.COMPLETED, 0)
    assert place.sweep(sweep_id)["state"] == "COMPLETED"
    assert sizes[0] == 3


def test_nothing_is_announced_before_its_document_is_stored(
    place: Installation, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.close()
    sweep_id, put = recorder.sweep["_id"], place.store.trials.put

    def silent(*_: Any) -> None:
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(place.store.trials, "put", silent)
    before = place.store.events.last(sweep_id)
    recorder.begun(a_trial(sweep_id))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            recorder._flush(running=False)
    assert place.store.events.last(sweep_id) == before
    monkeypatch.setattr(place.store.trials, "put", put)
    recorder._flush(running=False)
    assert [trial["number"] for trial in place.trials(sweep_id)] == [1]
    assert [event.data["number"] for event in place.store.events.newest(sweep_id, EventType.TRIAL, 1)] == [1]


def test_half_of_a_pair_in_the_log_is_stored_as_a_question_mark(place: Installation, recorder: Recorder) -> None:
    recorder.line("ERROR", "a file called \ud800")
    recorder.finish(SweepState.FAILED, 30, error="cannot read \ud800")
    sweep = place.sweep(recorder.sweep["_id"])
    assert (sweep["state"], sweep["error"]) == ("FAILED", "cannot read ?")


def test_an_edit_that_a_silent_database_may_have_taken_is_waited_for(
    place: Installation, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, silent = place.store.sweeps.close_edits, [True]

    def flapping(*given: Any) -> bool:
        if silent:
            raise StoreUnavailable("no answer")
        return close(*given)

    monkeypatch.setattr(recorder_module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(place.store.sweeps, "close_edits", flapping)
    with pytest.raises(StoreUnavailable):
        recorder.close_edits(1, 0.05)
    silent.clear()
    assert not recorder.close_edits(0, 5), "there is a newer version"
    assert recorder.close_edits(1, 5)


def test_of_curves_a_bounded_part_waits_for_the_database(place: Installation, recorder: Recorder) -> None:
    recorder.close()
    trial = a_trial(recorder.sweep["_id"])
    for step in range(2 * MOST_POINTS):
        trial.step = step
        trial.curve = [[step, 0.5, None]]
        recorder.reached(trial)
    assert [point[0] for point in recorder._progress["1"]["points"]] == list(range(MOST_POINTS, 2 * MOST_POINTS))
    trial.move(TrialState.COMPLETED)
    trial.finished = now()
    recorder.ended(trial)
    assert recorder._progress == {}
