"""The recorder and its database: what it writes when that, or the disk, has not done as it should."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.domain import SweepState, Trial, TrialState
from engine.errors import LeaseLost, StoreUnavailable
from engine.events import EventType
from engine.recorder import MOST_POINTS, Recorder
from engine.store.journal import Journal
from tests.installation import Installation, installation


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
    finish, renew = sweeps.finish, sweeps.renew

    def finish_without_answer(*given: Any) -> None:
        finish(*given)
        if not lost:
            lost.append(True)
            raise StoreUnavailable("no answer")

    monkeypatch.setattr(sweeps, "finish", finish_without_answer)
    monkeypatch.setattr(recorder, "_renew", lambda: renew(recorder.sweep["_id"], 1, now()))  # it is always due
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
