"""The trials of a sweep in columns: what the store promises of them, on every database it is said to work with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from engine.columns import TrialColumns
from engine.domain import SweepState, Trial, TrialState
from engine.errors import LeaseLost
from engine.store import Store
from engine.store import columns as columns_module
from engine.store.columns import BLOCK, PAGE
from engine.store.trials import to_document

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LEASE = timedelta(minutes=9)


@pytest.fixture
def sweep_id(store: Store) -> str:
    """A sweep that runs."""
    made = store.sweeps.create("a sweep", "ada", {"opt_epoch": 3}, 7, 9, 7100, NOW)
    assert store.sweeps.claim("m1", LEASE, NOW) is not None
    return made


def made(sweep_id: str, number: int, state: TrialState = TrialState.COMPLETED, **fields: Any) -> Trial:
    params = {"layers": 1 + number % 2, "units_1": number, "activation": ("relu", "tanh")[number % 2]}
    params |= {"units_2": 5} if number % 2 else {}
    trial = Trial(sweep_id, number, 0, params, 100, 11, state, worker="worker_0", started=NOW)
    trial.loss = number / 4 if state is TrialState.COMPLETED else None
    for name, value in fields.items():
        setattr(trial, name, value)
    return trial


def fill(store: Store, sweep_id: str, numbers: Iterable[int], fence: int = 1) -> None:
    store.database["trials"].insert_many([to_document(made(sweep_id, number), fence) for number in numbers])


def put(store: Store, trial: Trial, fence: int = 1) -> None:
    store.trials.put(to_document(trial, fence))


def end(store: Store, sweep_id: str) -> None:
    store.sweeps.finish(sweep_id, 1, SweepState.COMPLETED, {})


def read(store: Store, sweep_id: str) -> TrialColumns:
    return store.columns.of_sweep(store.sweeps.get(sweep_id))


def read_anew(store: Store, sweep_id: str) -> TrialColumns:
    """As a process reads that has nothing in memory."""
    return read(Store(store.database), sweep_id)


def blocks(store: Store, sweep_id: str) -> list[tuple[int, int]]:
    """(number of the block, trials in it)."""
    found = store.database["trial_columns"].find({"sweep_id": sweep_id})
    return sorted((block["block"], len(block["number"])) for block in found)


def test_columns_say_what_the_trials_say(store: Store, sweep_id: str) -> None:
    put(store, made(sweep_id, 2, TrialState.RUNNING))
    put(store, made(sweep_id, 1, finished=NOW + timedelta(seconds=1.5), val_loss=0.5, train_loss=0.125))
    put(store, made(sweep_id, 3, confirms=1, stage=1))
    found = read(store, sweep_id)
    assert found.number.tolist() == [1, 2, 3]
    assert found.stage.tolist() == [0, 0, 1]
    assert found.state.texts() == ["COMPLETED", "RUNNING", "COMPLETED"]
    assert found.worker.texts() == ["worker_0"] * 3
    np.testing.assert_array_equal(found.loss, [0.25, np.nan, 0.75])
    np.testing.assert_array_equal(found.val_loss, [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(found.train_loss, [0.125, np.nan, np.nan])
    np.testing.assert_array_equal(found.started, [NOW.timestamp()] * 3)
    np.testing.assert_array_equal(found.finished, [NOW.timestamp() + 1.5, np.nan, np.nan])
    np.testing.assert_array_equal(found.confirms, [np.nan, np.nan, 1])
    np.testing.assert_array_equal(found.params["units_2"].numbers, [5, np.nan, 5])
    assert found.params["activation"].texts() == ["tanh", "relu", "tanh"]
    assert found.searched().number.tolist() == [1, 2]


def test_a_sweep_without_trials_has_empty_columns(store: Store, sweep_id: str) -> None:
    assert len(read(store, sweep_id)) == 0
    put(store, made(sweep_id, 1))
    assert read(store, sweep_id).number.tolist() == [1]


def test_a_block_is_written_when_all_of_its_trials_have_ended_and_not_before(store: Store, sweep_id: str) -> None:
    fill(store, sweep_id, range(1, BLOCK))
    assert not store.columns.write(sweep_id, 0, 1), "the last one is missing"
    put(store, made(sweep_id, BLOCK, TrialState.RUNNING))
    assert not store.columns.write(sweep_id, 0, 1), "the last one is in training"
    assert blocks(store, sweep_id) == []
    put(store, made(sweep_id, BLOCK))
    assert store.columns.write(sweep_id, 0, 1)
    assert blocks(store, sweep_id) == [(0, BLOCK)]


def test_a_sweep_is_read_from_its_blocks_and_what_has_none_from_the_trials(store: Store, sweep_id: str) -> None:
    fill(store, sweep_id, range(1, BLOCK + 4))
    whole = read(store, sweep_id)
    store.columns.write(sweep_id, 0, 1)
    store.database["trials"].delete_many({"sweep_id": sweep_id, "number": {"$lte": BLOCK}})
    found = read_anew(store, sweep_id)
    assert found.number.tolist() == whole.number.tolist() == list(range(1, BLOCK + 4))
    np.testing.assert_array_equal(found.loss, whole.loss)
    for name, column in whole.params.items():
        np.testing.assert_array_equal(found.params[name].numbers, column.numbers)


def test_blocks_that_are_missing_are_made_when_the_sweep_is_read(store: Store, sweep_id: str) -> None:
    fill(store, sweep_id, range(1, 2 * BLOCK + 3))
    store.columns.write(sweep_id, 1, 1)
    assert read(store, sweep_id).number.tolist() == list(range(1, 2 * BLOCK + 3))
    assert blocks(store, sweep_id) == [(0, BLOCK), (1, BLOCK)], "the last one may still grow"
    end(store, sweep_id)
    assert len(read_anew(store, sweep_id)) == 2 * BLOCK + 2
    assert blocks(store, sweep_id) == [(0, BLOCK), (1, BLOCK), (2, 2)]


def test_a_sweep_that_ends_completes_its_columns(store: Store, sweep_id: str) -> None:
    fill(store, sweep_id, [*range(1, BLOCK + 1), BLOCK + 3])
    store.columns.complete(sweep_id, 1)
    assert blocks(store, sweep_id) == [(0, BLOCK), (1, 1)]
    put(store, made(sweep_id, BLOCK + 2))
    put(store, made(sweep_id, 5 * BLOCK))
    assert read_anew(store, sweep_id).number.tolist()[BLOCK:] == [BLOCK + 2, BLOCK + 3, 5 * BLOCK]
    store.columns.complete(sweep_id, 1)
    assert blocks(store, sweep_id) == [(0, BLOCK), (1, 2), (4, 1)]
    end(store, sweep_id)
    store.database["trials"].delete_many({})
    assert read_anew(store, sweep_id).number.tolist()[BLOCK:] == [BLOCK + 2, BLOCK + 3, 5 * BLOCK]


def test_what_happens_while_it_is_watched_is_seen(store: Store, sweep_id: str) -> None:
    fill(store, sweep_id, [1, 2])
    put(store, made(sweep_id, 4, TrialState.RUNNING))
    put(store, made(sweep_id, 5, TrialState.STOPPED))
    assert read(store, sweep_id).number.tolist() == [1, 2, 4, 5]
    put(store, made(sweep_id, 4, loss=0.125))
    put(store, made(sweep_id, 3, TrialState.FAILED))
    put(store, made(sweep_id, 5, TrialState.RUNNING, worker="worker_1"))
    put(store, made(sweep_id, 6))
    found = read(store, sweep_id)
    assert found.number.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.state.texts() == ["COMPLETED", "COMPLETED", "FAILED", "COMPLETED", "RUNNING", "COMPLETED"]
    assert found.worker.texts()[4] == "worker_1"
    assert found.loss[3] == 0.125


def test_trials_above_a_long_gap_are_found(store: Store, sweep_id: str) -> None:
    fill(store, sweep_id, [1, 4 * PAGE])
    assert read(store, sweep_id).number.tolist() == [1, 4 * PAGE]
    assert read(store, sweep_id).number.tolist() == [1, 4 * PAGE]


def test_what_a_newer_optimizer_has_written_is_seen(store: Store, sweep_id: str) -> None:
    put(store, made(sweep_id, 1, loss=0.5))
    assert read(store, sweep_id).loss.tolist() == [0.5]
    assert store.sweeps.claim("m2", LEASE, NOW, store.sweeps.leases()) is not None
    put(store, made(sweep_id, 1, loss=0.25), fence=2)
    assert read(store, sweep_id).loss.tolist() == [0.25]


def test_an_older_optimizer_writes_no_columns(store: Store, sweep_id: str) -> None:
    fill(store, sweep_id, range(1, BLOCK + 1))
    store.columns.write(sweep_id, 0, 2)
    with pytest.raises(LeaseLost, match="newer optimizer"):
        store.columns.write(sweep_id, 0, 1)
    put(store, made(sweep_id, BLOCK + 1), fence=2)
    store.columns.complete(sweep_id, 2)
    with pytest.raises(LeaseLost, match="newer optimizer"):
        store.columns.complete(sweep_id, 1)


def test_a_block_of_a_sweep_that_goes_on_counts_only_when_nothing_in_it_changes(store: Store, sweep_id: str) -> None:
    fill(store, sweep_id, range(1, BLOCK))
    put(store, made(sweep_id, BLOCK, TrialState.STOPPED))
    store.columns.complete(sweep_id, 1)
    put(store, made(sweep_id, BLOCK, TrialState.RUNNING))
    assert read(store, sweep_id).state.texts()[-1] == "RUNNING"


def test_a_sweep_that_has_ended_is_read_once(store: Store, sweep_id: str) -> None:
    fill(store, sweep_id, [1, 2])
    end(store, sweep_id)
    before = read(store, sweep_id)
    put(store, made(sweep_id, 3))
    assert read(store, sweep_id) is before
    assert len(read_anew(store, sweep_id)) == 3


def test_no_more_is_kept_in_memory_than_may_be(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "MOST_ROWS", 5)
    sweeps = []
    for count in (2, 3, 7):
        sweeps.append(store.sweeps.create("a sweep", "ada", {}, 7, 9, 7100, NOW))
        assert store.sweeps.claim("m1", LEASE, NOW) is not None
        fill(store, sweeps[-1], range(1, count + 1))
        end(store, sweeps[-1])
    small, other, large = sweeps
    before = read(store, small)
    read(store, other)
    assert read(store, small) is before
    found = read(store, large)
    assert read(store, large) is found, "the sweep read last is kept, whatever its size"
    assert read(store, small) is not before
