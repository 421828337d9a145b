"""A sweep has one owner: whoever has lost it ends, whether it notices by itself or not."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from engine.recorder import HELD_BY_SILENCE
from tests.installation import Installation, family, installation, wait_gone
from tests.waiting import wait_until


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        yield made


def test_a_daemon_that_was_stopped_past_its_lease_ends_the_optimizer_that_has_lost_its_sweep(
    place: Installation,
) -> None:
    """The optimizer stays stopped, so that it cannot notice itself."""
    daemon = psutil.Process(place.start_daemon().pid)
    sweep_id = place.create(opt_stages=[[1_000_000, 3]], train_tolerance=0)
    wait_until(lambda: [t for t in place.trials(sweep_id) if t["step"] > 0], 60, "a trial in training")
    optimizer = place.optimizer(sweep_id)
    processes = family(optimizer)
    daemon.send_signal(signal.SIGSTOP)
    optimizer.send_signal(signal.SIGSTOP)
    sweeps = place.store.sweeps
    other = sweeps.claim("another machine", timedelta(seconds=20), datetime.now(UTC), sweeps.leases())
    assert other is not None
    daemon.send_signal(signal.SIGCONT)
    wait_gone(processes, 10)
    assert daemon.is_running()
    sweep = place.sweep(sweep_id)
    assert (sweep["lease"]["machine"], sweep["lease"]["fence"], sweep["state"]) == ("another machine", 2, "RUNNING")


def test_an_optimizer_that_has_lost_its_sweep_ends_and_writes_nothing_more(place: Installation) -> None:
    daemon = psutil.Process(place.start_daemon().pid)
    sweep_id = place.create(opt_stages=[[1_000_000, 3]], train_tolerance=0)
    wait_until(lambda: [t for t in place.trials(sweep_id) if t["step"] > 0], 60, "a trial in training")
    processes = family(place.optimizer(sweep_id))
    daemon.send_signal(signal.SIGSTOP)
    try:
        sweeps = place.store.sweeps
        assert sweeps.claim("another machine", timedelta(seconds=20), datetime.now(UTC), sweeps.leases()) is not None
        wait_gone(processes, 20)
        sweep, trials = place.sweep(sweep_id), place.trials(sweep_id)
        assert (sweep["lease"]["fence"], sweep["state"]) == (2, "RUNNING")
        assert {trial["state"] for trial in trials} == {"RUNNING"}
    finally:
        daemon.send_signal(signal.SIGCONT)


def test_a_sweep_that_others_could_take_is_held_while_the_database_is_silent(place: Installation) -> None:
    """Its optimizer cannot know whether another machine reaches the database; by its own clock it stops in time."""
    place.start_daemon(NHOP_MONGO_URI=place.database.uri)
    sweep_id = place.create(opt_stages=[[1_000_000, 2], [50, 1]], train_tolerance=0)
    wait_until(lambda: [t for t in place.trials(sweep_id) if t["step"] > 0], 60, "a trial in training")
    database = psutil.Process(place.database.pid)
    database.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: HELD_BY_SILENCE in place.log(sweep_id).read_text(), 30, "the sweep that is held")
    finally:
        database.send_signal(signal.SIGCONT)
    wait_until(lambda: "the trials go on" in place.log(sweep_id).read_text(), 30, "the sweep that goes on")
    step = max(trial["step"] for trial in place.trials(sweep_id))
    wait_until(lambda: max(t["step"] for t in place.trials(sweep_id)) > step, 30, "a trial that goes on")
    sweep = place.sweep(sweep_id)
    assert (sweep["state"], sweep["lease"]["fence"]) == ("RUNNING", 1)
    assert {trial["attempt"] for trial in place.trials(sweep_id)} == {1}
