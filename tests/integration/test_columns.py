"""The recorder writes the columns of trials as they end, beside the trials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.domain import SweepState, Trial, TrialState
from engine.recorder import Recorder
from engine.store import Store
from engine.store.columns import BLOCK
from engine.store.journal import Journal
from tests.waiting import wait_until


@pytest.fixture
def recorder(store: Store, tmp_path: Path) -> Iterator[Recorder]:
    now = datetime.now(UTC)
    store.sweeps.create("amber", "ada", {}, 7, 9, 9, now)
    sweep = store.sweeps.claim("turing", timedelta(minutes=10), now)
    assert sweep is not None
    with closing(Journal(tmp_path / "journal")) as journal:
        recorder = Recorder(store, sweep, journal, lambda: datetime.now(UTC))
        recorder.start()
        yield recorder
        recorder.close()


def begin(recorder: Recorder, number: int, kind: str = "a") -> Trial:
    trial = Trial(recorder.sweep["_id"], number, 0, {"kind": kind}, 10, number, TrialState.RUNNING)
    trial.started = datetime.now(UTC)
    recorder.begun(trial)
    return trial


def end(recorder: Recorder, trial: Trial, state: TrialState = TrialState.COMPLETED) -> None:
    trial.state, trial.loss, trial.finished = state, 1 / trial.number, datetime.now(UTC)
    recorder.ended(trial)


def blocks(store: Store) -> list[tuple[int, int]]:
    return sorted((block["block"], len(block["number"])) for block in store.database["trial_columns"].find({}))


def written(store: Store, number: int) -> bool:
    return store.database["trials"].find_one({"number": number, "state": {"$ne": "RUNNING"}}) is not None


def test_a_block_is_written_once_the_last_of_its_trials_has_ended(store: Store, recorder: Recorder) -> None:
    slow = begin(recorder, 5)
    for number in range(1, BLOCK + 3):
        if number != 5:
            end(recorder, begin(recorder, number))
    wait_until(lambda: written(store, BLOCK + 2), 60, "the trials in the database")
    assert blocks(store) == [], "a trial of the first block is still in training"
    end(recorder, slow, TrialState.PRUNED)
    wait_until(lambda: blocks(store) == [(0, BLOCK)], 20, "the first block")
    found = Store(store.database).columns.of_sweep(store.sweeps.get(recorder.sweep["_id"]))
    assert found.number.tolist() == list(range(1, BLOCK + 3))
    assert found.state.texts()[4] == "PRUNED"


def test_a_sweep_that_ends_has_all_of_its_columns(store: Store, recorder: Recorder) -> None:
    for number in range(1, 8):
        end(recorder, begin(recorder, number))
    recorder.finish(SweepState.COMPLETED, wait_seconds=20)
    assert blocks(store) == [(0, 7)]
    store.database["trials"].delete_many({})
    found = store.columns.of_sweep(store.sweeps.get(recorder.sweep["_id"]))
    assert found.loss.tolist() == [1 / number for number in range(1, 8)]


def test_columns_that_are_too_large_keep_no_sweep_from_its_end_and_nobody_from_reading_it(
    store: Store, recorder: Recorder
) -> None:
    for number in range(1, 8):
        end(recorder, begin(recorder, number, kind=str(number) * 3_000_000))
    recorder.finish(SweepState.COMPLETED, wait_seconds=20)
    sweep = store.sweeps.get(recorder.sweep["_id"])
    assert sweep["state"] == "COMPLETED"
    assert blocks(store) == []
    assert store.columns.of_sweep(sweep).number.tolist() == list(range(1, 8))
    assert blocks(store) == []
