"""Any process may be killed at any time: no finished trial is lost, none is trained again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.cluster.ports import free_ports
from engine.config import parse
from engine.domain import SweepState
from engine.events import EventType
from engine.samplers import RandomSampler
from engine.settings import ROOT
from engine.store import embedded
from tests.installation import SMALL, Installation, family, installation, kill, wait_gone
from tests.waiting import wait_until

STAGES = [[8000, 12], [4000, 3]]
TOTAL = 15


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        yield made


def journal_of(place: Installation, sweep_id: str) -> Path:
    return place.data_dir / "sweeps" / sweep_id / "journal"


def completions(place: Installation, sweep_id: str) -> list[int]:
    """The number of every completion that the journal has, in order."""
    records = [json.loads(line.partition(b" ")[2]) for line in journal_of(place, sweep_id).read_bytes().splitlines()]
    return [record["trial"]["number"] for record in records
            if "trial" in record and record["trial"]["state"] == "COMPLETED"]  # fmt: skip


def check_complete(place: Installation, sweep_id: str, before: list[dict[str, Any]]) -> None:
    """The sweep is whole, and the trials of *before* are as they were."""
    sweep = place.wait_ended(sweep_id, 90)
    assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
    trials = {trial["number"]: trial for trial in place.trials(sweep_id)}
    assert list(trials) == list(range(1, TOTAL + 1))
    assert {trial["state"] for trial in trials.values()} == {"COMPLETED"}
    for trial in before:
        again = {**trials[trial["number"]], "fence": trial["fence"]}
        assert again == trial, "a finished trial was touched"
    expected = RandomSampler(parse(SMALL).space(), 7, 1).suggest(range(1, 13))
    assert [trials[number]["params"] for number in range(1, 13)] == expected
    assert sweep["progress"]["done"] == TOTAL
    events = place.store.events.after(sweep_id, 0, limit=10_000)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    told = {event.data["number"] for event in events
            if event.type is EventType.TRIAL and event.data["state"] == "COMPLETED"}  # fmt: skip
    assert told == set(trials)
    assert place.store.models.kept(sweep_id) == list(trials), "a network was not kept"
    run = place.run(sweep_id)
    assert (run["status"], run["result"]) == ("COMPLETED", sweep["best"]["loss"])
    metrics = {metric["name"]: metric for metric in place.store.runs.metrics(run["_id"])}
    assert sorted(metrics["loss"]["steps"]) == list(trials)


def test_a_killed_optimizer_is_replaced_and_its_finished_trials_are_not_run_again(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    place.wait_trials(sweep_id, 4)
    optimizer = place.optimizer(sweep_id)
    processes = family(optimizer)
    assert len(processes) >= 5, "zygote, parameter server and workers were expected"
    kill(optimizer)
    wait_gone(processes)
    before = [trial for trial in place.trials(sweep_id) if trial["state"] == "COMPLETED"]
    place.store.database["models"].delete_many({"sweep_id": sweep_id})  # as when it had died before they were kept
    check_complete(place, sweep_id, before)
    sweep = place.sweep(sweep_id)
    assert sweep["lease"]["fence"] == 2
    assert sweep["restarts"] == 0, "trials that complete forgive earlier deaths"
    done = completions(place, sweep_id)
    assert sorted(done) == list(range(1, TOTAL + 1)), "a trial completed twice"


def test_a_sweep_that_was_stopped_stays_stopped_though_its_optimizer_and_daemon_are_killed(place: Installation) -> None:
    daemon = place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    place.wait_trials(sweep_id, 2)
    processes = family(psutil.Process(daemon.pid))
    place.store.sweeps.stop(sweep_id, datetime.now(UTC))
    daemon.kill()
    daemon.wait()
    wait_gone(processes)
    done = completions(place, sweep_id)
    place.start_daemon()
    assert place.wait_ended(sweep_id, 60)["state"] == "STOPPED"
    assert place.sweep(sweep_id)["lease"]["fence"] == 2, "it had ended before its processes were killed"
    assert place.run(sweep_id)["status"] == "INTERRUPTED"
    assert completions(place, sweep_id) == done
    assert {trial["number"] for trial in place.trials(sweep_id) if trial["state"] == "COMPLETED"} == set(done)


def test_a_killed_daemon_takes_its_optimizers_along_and_the_next_one_resumes(place: Installation) -> None:
    daemon = place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    place.wait_trials(sweep_id, 3)
    processes = family(psutil.Process(daemon.pid))
    daemon.kill()
    daemon.wait()
    wait_gone(processes)
    before = [trial for trial in place.trials(sweep_id) if trial["state"] == "COMPLETED"]
    place.start_daemon()
    check_complete(place, sweep_id, before)
    assert sorted(completions(place, sweep_id)) == list(range(1, TOTAL + 1))


def test_a_database_that_dies_for_seconds_costs_the_sweep_nothing(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    place.wait_trials(sweep_id, 2)
    before = [trial for trial in place.trials(sweep_id) if trial["state"] == "COMPLETED"]
    done = len(completions(place, sweep_id))
    kill(psutil.Process(place.database.pid))
    wait_gone([psutil.Process(place.database.pid)] if psutil.pid_exists(place.database.pid) else [])
    wait_until(lambda: len(completions(place, sweep_id)) > done, 20, "a trial that completes without the database")
    again, started = embedded.start(place.data_dir)
    assert started
    assert again.port == place.database.port
    check_complete(place, sweep_id, before)
    assert place.sweep(sweep_id)["lease"]["fence"] == 1, "the optimizer did not live through it"
    assert sorted(completions(place, sweep_id)) == list(range(1, TOTAL + 1))


def test_a_database_that_hangs_for_seconds_costs_the_sweep_nothing(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    place.wait_trials(sweep_id, 2)
    before = [trial for trial in place.trials(sweep_id) if trial["state"] == "COMPLETED"]
    done = len(completions(place, sweep_id))
    database = psutil.Process(place.database.pid)
    database.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: len(completions(place, sweep_id)) > done, 20, "a trial that completes without the database")
    finally:
        database.send_signal(signal.SIGCONT)
    check_complete(place, sweep_id, before)
    assert sorted(completions(place, sweep_id)) == list(range(1, TOTAL + 1))


def test_a_journal_torn_in_the_middle_is_mended_from_the_database(place: Installation) -> None:
    daemon = place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    place.wait_trials(sweep_id, 5)
    daemon.terminate()
    daemon.wait(timeout=30)
    before = [trial for trial in place.trials(sweep_id) if trial["state"] == "COMPLETED"]
    path = journal_of(place, sweep_id)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    place.start_daemon()
    check_complete(place, sweep_id, before)


def test_results_that_only_the_journal_has_are_not_trained_again(place: Installation) -> None:
    """As when the database was lost, or restored from an older copy."""
    daemon = place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    place.wait_trials(sweep_id, 5)
    daemon.terminate()
    daemon.wait(timeout=30)
    before = [trial for trial in place.trials(sweep_id) if trial["state"] == "COMPLETED"]
    place.store.database["trials"].delete_many({"sweep_id": sweep_id})
    number = _keep_only_the_latest(journal_of(place, sweep_id))
    (latest,) = [trial for trial in before if trial["number"] == number]
    place.start_daemon()
    sweep = place.wait_ended(sweep_id, 90)
    assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
    done = completions(place, sweep_id)
    assert sorted(done) == list(range(1, TOTAL + 1)), "a trial is missing, or was trained twice"
    assert done[0] == number
    trials = {trial["number"]: trial for trial in place.trials(sweep_id)}
    assert list(trials) == list(range(1, TOTAL + 1)), "the database was not given what only the journal had"
    assert trials[number]["finished"] == latest["finished"]


def _keep_only_the_latest(path: Path) -> int:
    """Leave the last completed trial alone in a journal; returns its number."""
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if b'"COMPLETED"' in line]
    assert lines[-1].startswith(b"%08x" % zlib.crc32(lines[-1].rstrip(b"\n").partition(b" ")[2]))
    path.write_bytes(lines[-1])
    return int(json.loads(lines[-1].partition(b" ")[2])["trial"]["number"])


def test_a_killed_worker_costs_one_attempt_and_no_more(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(opt_stages=[[100_000, 3]], train_tolerance=0)

    def at_work() -> int | None:
        processes = place.sweep(sweep_id).get("processes") or {}
        worker = processes.get("worker_0") or {}
        return worker.get("pid") if worker.get("state") == "training" else None

    pid = wait_until(at_work, 30, "worker 0 at work")
    kill(psutil.Process(pid))
    sweep = place.wait_ended(sweep_id, 90)
    assert (sweep["state"], sweep["lease"]["fence"]) == ("COMPLETED", 1)
    trials = place.trials(sweep_id)
    assert [trial["state"] for trial in trials] == ["COMPLETED"] * 3
    (again,) = [trial for trial in trials if trial["attempt"] == 2]
    assert [item["error"] for item in again["attempts"]] == ["worker_0 ended with signal SIGKILL"]
    assert sweep["processes"]["worker_0"]["restarts"] == 1


def test_a_trial_on_its_last_attempt_fails_alone_when_the_optimizer_is_killed(place: Installation) -> None:
    """The trials in training are given up, in words; the sweep goes on with the others."""
    place.start_daemon()
    sweep_id = place.create(opt_stages=[[10_000_000, 2], [50, 2]], max_attempts=1, train_tolerance=0)
    wait_until(lambda: [t for t in place.trials(sweep_id) if t["step"] > 0], 60, "a trial in training")
    kill(place.optimizer(sweep_id))
    sweep = place.wait_ended(sweep_id, 90)
    errors = {trial["error"] for trial in place.trials(sweep_id) if trial["state"] == "FAILED"}
    assert errors == {"the optimizer was restarted; given up after 1 attempts"}
    assert sweep["state"] == "FAILED"
    assert "no trial of stage 1 completed" in sweep["error"]


def test_an_end_that_was_stored_and_not_told_is_told_by_the_next_daemon(place: Installation) -> None:
    sweep_id, now = place.create(), datetime.now(UTC)
    claimed = place.store.sweeps.claim("here", timedelta(minutes=1), now)
    assert claimed is not None
    place.store.events.append(sweep_id, [(EventType.SWEEP, {"state": "RUNNING"}, now)])
    place.store.sweeps.finish(sweep_id, 1, SweepState.COMPLETED, {"finished": now})
    place.store.events.append(sweep_id, [(EventType.SWEEP, {"pause_requested": True}, now)])
    place.start_daemon()

    def told() -> bool:
        return place.store.events.newest(sweep_id, EventType.SWEEP, 1)[0].data.get("state") == "COMPLETED"

    wait_until(told, 20, "the news of the end")


def test_a_daemon_that_is_ended_costs_no_trial_an_attempt(place: Installation) -> None:
    """An upgrade, say: however often, a trial that takes days goes on from its checkpoint."""
    daemon = place.start_daemon()
    sweep_id = place.create(opt_stages=[[10_000_000, 2]], max_attempts=1, train_tolerance=0, checkpoint_seconds=1)
    wait_until(lambda: [t for t in place.trials(sweep_id) if t["step"] > 0], 60, "a trial in training")
    daemon.terminate()
    daemon.wait()
    place.start_daemon()
    wait_until(lambda: place.sweep(sweep_id)["lease"]["fence"] == 2, 30, "the next optimizer")
    wait_until(lambda: [t for t in place.trials(sweep_id) if t["fence"] == 2 and t["state"] == "RUNNING"], 60, "it")
    trials = place.trials(sweep_id)
    assert {trial["state"] for trial in trials} <= {"RUNNING", "QUEUED"}
    assert {trial["attempt"] for trial in trials} == {1}


def test_a_killed_zygote_costs_the_trials_in_training_an_attempt_and_no_more(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    place.wait_trials(sweep_id, 2)
    (zygote,) = [child for child in place.optimizer(sweep_id).children() if "engine.cluster.zygote" in child.cmdline()]
    processes = family(zygote)
    kill(zygote)
    wait_gone(processes)
    sweep = place.wait_ended(sweep_id, 90)
    assert (sweep["state"], sweep["error"], sweep["lease"]["fence"]) == ("COMPLETED", None, 1)
    assert sorted(completions(place, sweep_id)) == list(range(1, TOTAL + 1))
    assert {trial["attempt"] for trial in place.trials(sweep_id)} <= {1, 2}


def test_a_killed_workers_trial_goes_on_from_its_checkpoint_and_ends_as_if_nothing_had_been(
    place: Installation,
) -> None:
    place.start_daemon()
    config = {"opt_stages": [[40_000, 1]], "train_tolerance": 0, "worker_hosts": "localhost:2225"}
    undisturbed = place.create("undisturbed", **config)
    sweep_id = place.create(checkpoint_seconds=1, **config)
    folder = journal_of(place, sweep_id).with_name("checkpoints")
    wait_until((folder / "1.npz").exists, 60, "a checkpoint")
    kill(psutil.Process(place.sweep(sweep_id)["processes"]["worker_0"]["pid"]))
    (expected,) = place.trials(place.wait_ended(undisturbed, 90)["_id"])
    (trial,) = place.trials(place.wait_ended(sweep_id, 90)["_id"])
    assert (trial["state"], trial["attempt"]) == ("COMPLETED", 2)
    assert [trial[key] for key in ("loss", "train_loss", "step")] == [
        expected[key] for key in ("loss", "train_loss", "step")
    ]
    assert "trial 1 goes on from its checkpoint, step" in place.log(sweep_id).read_text()
    steps = [point[0] for point in trial["curve"]]
    assert steps == sorted(set(steps))
    wait_until(lambda: not folder.exists(), 10, "the end of the checkpoints")


def test_a_daemon_whose_database_is_gone_ends_when_its_last_optimizer_has(place: Installation) -> None:
    daemon = place.start_daemon()
    sweep_id = place.create(opt_stages=STAGES)
    place.wait_trials(sweep_id, 1)
    optimizer = place.optimizer(sweep_id)
    embedded.stop(place.database)
    kill(optimizer)
    assert daemon.wait(timeout=90) == 0
    assert "nothing runs: the daemon ends" in (place.data_dir / "daemon.log").read_text()


def test_a_silent_database_is_not_held_against_a_sweep(place: Installation) -> None:
    """Its optimizers end with a code of their own, and are not counted."""
    nowhere = f"mongodb://127.0.0.1:{free_ports(1)[0]}"
    command = [sys.executable, "-m", "engine.child", "a", "1", str(os.getpid())]
    environ = {**os.environ, "NHOP_DATA_DIR": str(place.data_dir), "NHOP_MONGO_URI": nowhere}
    child = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert child.returncode == os.EX_TEMPFAIL, child.stderr
    assert "does not answer" in child.stderr


def test_a_path_that_no_file_can_have_fails_its_sweep_alone(place: Installation) -> None:
    """As a sweep has it that was made by an earlier version: the form and the API refuse it."""
    place.start_daemon()
    sweep_id = place.create()
    place.store.database["sweeps"].update_one({"_id": sweep_id}, {"$set": {"config.train_log_dir": "a\0b"}})
    assert place.wait_ended(sweep_id, 60)["state"] == "FAILED"
    assert "train_log_dir" in place.sweep(sweep_id)["error"]
    assert place.sweep(sweep_id)["restarts"] == 0


def test_an_optimizer_that_always_dies_is_started_ever_later_and_ends_its_sweep_with_the_reason(
    place: Installation,
) -> None:
    sweep_id = place.create(opt_stages=STAGES)
    journal_of(place, sweep_id).mkdir(parents=True)  # where a file should be
    place.start_daemon()
    sweep = place.wait_ended(sweep_id, 90)
    assert (sweep["state"], sweep["restarts"], sweep["lease"]["fence"]) == ("FAILED", 6, 7)
    assert sweep["error"].startswith("its optimizer died 6 times; the last words of its log: ")
    assert sweep["error"].endswith("journal: the journal cannot be opened: Is a directory")
    lines = (place.data_dir / "daemon.log").read_text().splitlines()
    starts = [datetime.fromisoformat(line[:23].replace(",", ".")) for line in lines if "optimizer started" in line]
    ends = [datetime.fromisoformat(line[:23].replace(",", ".")) for line in lines if "optimizer ended" in line]
    pauses = [(start - end).total_seconds() for end, start in zip(ends, starts[1:], strict=False)]
    assert len(pauses) == 5
    assert all(pause >= least for pause, least in zip(pauses, (0, 1, 2, 4, 8), strict=True)), pauses
