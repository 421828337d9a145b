"""The fault harness itself, in short: each kind of fault, two daemons that race, creations while the server dies."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from bench.analysis import NAME
from tests.faults.audit import audit
from tests.faults.harness import KINDS, QUICK, Harness
from tests.faults.injections import POINTS
from tests.faults.world import World
from tests.installation import family, wait_gone
from tests.waiting import wait_until
from webapp.services import tokens
from webapp.services.accounts import Account

SEED = 1
CHEAP = ("trial-begins", "trial-goes-on", "model-kept", "trial-ends", "process-forked", "events-relayed")
"""Points at which no optimizer dies."""


def fifty() -> list[str]:
    """Each kind once, and kills at points and of workers: about 60."""
    rng = Random(SEED)
    kinds = [*KINDS, *(f"point {point}" for point in CHEAP)]
    kinds += [f"point {point}" for point in rng.sample([point for point in POINTS if point not in CHEAP], 4)]
    kinds += ["kill worker", "kill ps"] * 10
    rng.shuffle(kinds)
    return kinds


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("faults"))
    yield made
    made.close()


def test_fifty_faults_cost_no_trial_no_event_and_leave_no_process(world: World) -> None:
    summary = Harness(world, SEED, print).run_through(fifty())
    assert summary.faults == []
    assert summary.injections >= 50, summary.report()
    assert set(summary.kinds) == {*KINDS, "point"}


def test_fifty_identical_creations_make_one_sweep_while_the_server_dies(world: World) -> None:
    world.settle()
    user = world.store.users.get(NAME)
    assert user is not None
    token = tokens.create(world.store, Account.of(user), "faults", "write", "30", datetime.now(UTC))
    body = json.dumps({"name": "once", "opt_stages": [[10, 1]], "confirm": 0}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": "once"}

    def create(number: int) -> Any:
        """Ask until there is an answer; the tenth kills the server's worker first."""
        if number == 10:
            for process in world.web_processes()[1:]:
                with suppress(psutil.Error):
                    process.kill()
        request = urllib.request.Request(f"http://127.0.0.1:{world.port}/api/v1/sweeps", body, headers)

        def ask() -> Any:
            with suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)

        return wait_until(ask, 60, "an answer", every=0.2)

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(create, range(50)))
    assert len({json.dumps(answer, sort_keys=True) for answer in answers}) == 1
    assert world.store.database["sweeps"].count_documents({"name": "once"}) == 1


def test_a_leader_that_was_stopped_past_its_lease_writes_nothing_once_another_owns_its_sweep(tmp_path: Path) -> None:
    world = World(tmp_path / "race", with_web=False)
    try:
        sweep_id = world.begin("race", **{**QUICK, "opt_stages": [[3000, 40]]})
        wait_until(lambda: len(world.acknowledged) > 3, 60, "some trials")
        leader, optimizer = world.keeper(), world.optimizer()
        assert leader is not None
        assert optimizer is not None
        others = family(optimizer)
        second = world.start_daemon(NHOP_DATA_DIR=str(tmp_path / "second"), NHOP_MACHINE="second")
        try:
            for process in (leader, optimizer):
                process.send_signal(signal.SIGSTOP)

            def trains() -> bool:
                lines = world.ledger.look()
                return any(line["point"] == "trial-begins" and line["owner"] != optimizer.pid for line in lines)

            wait_until(trains, 90, "a trial of the second daemon")
            for process in (leader, optimizer):
                process.send_signal(signal.SIGCONT)
            wait_gone(others, 20)
            world.place.wait_ended(sweep_id, 120)
            found = audit(world, sweep_id, "COMPLETED")
        finally:
            second.terminate()
            second.wait(60)
        assert found.faults == []
        assert found.overlap == 0
    finally:
        world.close()
