"""A disk that is full holds a sweep, in words, and costs it nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.events import EventType
from tests.faults.test_kills import STAGES, check_complete, completions, journal_of
from tests.installation import Installation, installation
from tests.waiting import wait_until


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        yield made


def test_a_sweep_whose_disk_is_full_waits_says_so_and_goes_on_by_itself(place: Installation) -> None:
    """The optimizer may write no file beyond the length that its journal has: the system refuses that as it does
    where the disk is full."""
    place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    before = place.wait_trials(sweep_id, 2)
    optimizer = place.optimizer(sweep_id)
    limits = optimizer.rlimit(psutil.RLIMIT_FSIZE)
    optimizer.rlimit(psutil.RLIMIT_FSIZE, (journal_of(place, sweep_id).stat().st_size, limits[1]))
    why = wait_until(lambda: place.sweep(sweep_id).get("held"), 30, "the sweep that is held")
    assert "journal cannot be written: there is no room on the disk" in why
    assert "goes on by itself" in why
    states = {name: one["state"] for name, one in place.sweep(sweep_id)["processes"].items() if "worker" in name}
    assert "training" not in states.values()
    optimizer.rlimit(psutil.RLIMIT_FSIZE, limits)
    wait_until(lambda: place.sweep(sweep_id)["held"] is None, 30, "the sweep that goes on")
    check_complete(place, sweep_id, before)
    assert sorted(completions(place, sweep_id)) == sorted(trial["number"] for trial in place.trials(sweep_id))
    assert place.sweep(sweep_id)["lease"]["fence"] == 1
    told = [event.data["held"] for event in place.store.events.after(sweep_id, 0, limit=10_000)
            if event.type is EventType.SWEEP]  # fmt: skip
    assert why in told
    assert told[-1] is None


def test_a_sweep_whose_data_find_no_room_on_the_disk_waits_too(place: Installation) -> None:
    daemon = psutil.Process(place.start_daemon().pid)
    limits = daemon.rlimit(psutil.RLIMIT_FSIZE)
    daemon.rlimit(psutil.RLIMIT_FSIZE, (40_000, limits[1]))  # its optimizers have the same
    sweep_id = place.create(opt_stages=[[100, 2]], data_instances=20_000)
    why = wait_until(lambda: place.sweep(sweep_id).get("held"), 60, "the sweep that is held")
    assert "data.npz cannot be written: there is no room on the disk" in why
    place.optimizer(sweep_id).rlimit(psutil.RLIMIT_FSIZE, limits)
    sweep = place.wait_ended(sweep_id, 90)
    assert (sweep["state"], sweep["error"], sweep["held"], sweep["lease"]["fence"]) == ("COMPLETED", None, None, 1)
