"""Whole sweeps, run by real daemons over a real database."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from gridfs import GridFS

from engine.config import parse
from engine.data import prepare
from engine.errors import StateError
from engine.events import EventType
from engine.models.regressor import Architecture
from engine.samplers import RandomSampler
from engine.settings import ROOT
from engine.space import hidden_units
from tests.installation import SMALL, Installation, family, installation, wait_gone
from tests.waiting import wait_until


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, str]]:
    """A sweep that has run to its end."""
    with installation(tmp_path_factory.mktemp("finished")) as made:
        made.start_daemon()
        sweep_id = made.create("the finished one")
        made.wait_ended(sweep_id)
        yield made, sweep_id


class TestAFinishedSweep:
    def test_it_is_completed_with_every_trial(self, finished: tuple[Installation, str]) -> None:
        place, sweep_id = finished
        sweep, trials = place.sweep(sweep_id), place.trials(sweep_id)
        assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
        assert [trial["number"] for trial in trials] == list(range(1, 10))
        assert {trial["state"] for trial in trials} == {"COMPLETED"}
        assert [trial["stage"] for trial in trials] == [0, 0, 0, 0, 1, 1, 1, 2, 2]
        assert [trial["step"] for trial in trials] == [200] * 4 + [150] * 3 + [100] * 2
        assert sweep["progress"]["done"] == sweep["progress"]["total"] == 9
        assert sweep["progress"]["steps_done"] == 200 * 4 + 150 * 3 + 100 * 2

    def test_its_best_is_the_trial_with_the_least_validation_loss(self, finished: tuple[Installation, str]) -> None:
        place, sweep_id = finished
        best = min(place.trials(sweep_id), key=lambda trial: trial["val_loss"])
        assert place.sweep(sweep_id)["best"] == {
            "number": best["number"],
            "stage": best["stage"],
            "loss": best["val_loss"],
            "params": best["params"],
        }

    def test_its_first_stage_proposes_what_seed_and_space_say(self, finished: tuple[Installation, str]) -> None:
        place, sweep_id = finished
        expected = RandomSampler(parse(SMALL).space(), 7, 1).suggest(range(1, 5))
        assert [trial["params"] for trial in place.trials(sweep_id)[:4]] == expected

    def test_each_later_stage_searches_around_the_best_of_the_one_before(
        self, finished: tuple[Installation, str]
    ) -> None:
        place, sweep_id = finished
        trials = {trial["number"]: trial for trial in place.trials(sweep_id)}
        stages = place.sweep(sweep_id)["stages"]
        assert [(stage["steps"], stage["trials"]) for stage in stages] == [(200, 4), (150, 3), (100, 2)]
        for before, after in pairwise(stages):
            of_stage = [trial for trial in trials.values() if trial["stage"] == before["index"]]
            best = min(of_stage, key=lambda trial: trial["loss"])
            assert before["best"] == best["number"]
            params, space = best["params"], after["space"]
            batch, rate = params["batch_size"], params["learning_rate"]
            assert space["batch_size"]["low"] == max(20, math.ceil(batch / 2))
            assert space["batch_size"]["high"] == min(60, math.floor(batch * 1.5))
            assert space["learning_rate"]["low"] == pytest.approx(max(1e-4, rate / 2))
            assert space["learning_rate"]["high"] == pytest.approx(min(1e-3, rate * 1.5))
            nodes = hidden_units(params)
            assert (space["layers"]["low"], space["layers"]["high"]) == (min(nodes), max(nodes))
            for trial in trials.values():
                if trial["stage"] == after["index"]:
                    assert space["batch_size"]["low"] <= trial["params"]["batch_size"] <= space["batch_size"]["high"]
                    assert min(nodes) <= min(hidden_units(trial["params"]))
                    assert max(hidden_units(trial["params"])) <= max(nodes)

    def test_its_events_are_gapless_and_tell_all_of_it(self, finished: tuple[Installation, str]) -> None:
        place, sweep_id = finished
        events = place.store.events.after(sweep_id, 0, limit=10_000)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        stages = [event.data for event in events if event.type is EventType.STAGE]
        assert [(stage["index"], stage["sampler"], stage["pruner"]) for stage in stages] == [
            (index, "RS", "none") for index in range(3)
        ]
        ended = [event.data["number"] for event in events
                 if event.type is EventType.TRIAL and event.data["state"] == "COMPLETED"]  # fmt: skip
        assert sorted(ended) == list(range(1, 10))
        assert [event for event in events if event.type is EventType.SWEEP][-1].data["state"] == "COMPLETED"
        roles = {event.data["role"] for event in events if event.type is EventType.PROCESS}
        assert roles == {"ps", "worker"}
        lines = [line["text"] for event in events if event.type is EventType.LOG for line in event.data["lines"]]
        assert any("stage 3 of 3" in line for line in lines)
        assert not any("Running command" in line for line in lines), "what Sacred says of its run is not for the page"

    def test_its_sacred_run_is_what_sacreds_own_observer_would_have_written(
        self, finished: tuple[Installation, str]
    ) -> None:
        place, sweep_id = finished
        run = place.run(sweep_id)
        assert run["status"] == "COMPLETED"
        assert run["result"] == place.sweep(sweep_id)["best"]["loss"]
        assert run["format"].startswith("MongoObserver-0.7")
        assert run["experiment"]["name"] == "optimizer"
        assert run["config"]["seed"] == 7
        assert run["config"]["opt_stages"] == SMALL["opt_stages"]
        assert run["start_time"] < run["stop_time"]
        assert run["heartbeat"] >= run["start_time"]
        assert {"hostname", "os", "python_version"} <= set(run["host"])
        assert {"sources", "dependencies", "base_dir", "mainfile", "repositories"} <= set(run["experiment"])
        assert len(run["experiment"]["repositories"]) <= 1, "git is asked once, not for each source"
        assert "stage 3 of 3" in run["captured_out"]

    def test_its_metrics_have_a_point_for_each_trial(self, finished: tuple[Installation, str]) -> None:
        place, sweep_id = finished
        losses = {trial["number"]: trial["loss"] for trial in place.trials(sweep_id)}
        run = place.run(sweep_id)
        metrics = {metric["name"]: metric for metric in place.store.runs.metrics(run["_id"])}
        assert set(metrics) == {"loss", "best_loss"}
        assert dict(zip(metrics["loss"]["steps"], metrics["loss"]["values"], strict=True)) == losses
        best = metrics["best_loss"]["values"]
        assert best == sorted(best, reverse=True)
        assert best[-1] == min(losses.values())
        assert len(metrics["best_loss"]["timestamps"]) == 9
        listed = {entry["name"]: entry["id"] for entry in run["info"]["metrics"]}
        assert listed == {name: str(metric["_id"]) for name, metric in metrics.items()}

    def test_its_sources_lie_in_gridfs_as_they_are_on_disk(self, finished: tuple[Installation, str]) -> None:
        place, sweep_id = finished
        sources = place.run(sweep_id)["experiment"]["sources"]
        assert sources
        for name, file_id in sources:
            content = GridFS(place.store.database).get(file_id).read()
            assert content == (ROOT / name).read_bytes()
            stored = place.store.database["fs.files"].find_one({"_id": file_id})
            assert stored is not None
            assert stored["md5"] == hashlib.md5(content, usedforsecurity=False).hexdigest()

    @pytest.mark.filterwarnings("ignore:pkg_resources is deprecated:UserWarning")
    def test_sacreds_own_observer_can_take_the_run_up(self, finished: tuple[Installation, str]) -> None:
        """MongoObserver, overwriting a run, reads its document and finds its sources by their checksums."""
        place, sweep_id = finished
        run = place.run(sweep_id)
        stored = place.store.database["fs.files"].count_documents({})
        from sacred.observers import MongoObserver

        observer = MongoObserver(url=place.database.uri, db_name="nhop", overwrite=run["_id"])
        assert observer.overwrite["config"] == run["config"]
        files = place.store.database["fs.files"]
        checksums = {name: files.find_one({"_id": file_id})["md5"] for name, file_id in run["experiment"]["sources"]}
        found = observer.save_sources({"base_dir": run["experiment"]["base_dir"], "sources": list(checksums.items())})
        assert found == run["experiment"]["sources"]
        assert place.store.database["fs.files"].count_documents({}) == stored
        observer._client.close()

    def test_every_process_has_a_log(self, finished: tuple[Installation, str]) -> None:
        place, sweep_id = finished
        names = {path.name for path in (place.log_dir / sweep_id).iterdir()}
        assert {"hyper_opt.log", "ps_0.log", "worker_0.log", "worker_1.log"} <= names
        assert "best loss" in place.log(sweep_id).read_text()

    def test_nothing_of_it_runs_any_more(self, finished: tuple[Installation, str]) -> None:
        place, _ = finished
        (daemon,) = place.daemons
        wait_until(lambda: not psutil.Process(daemon.pid).children(recursive=True), 10, "the optimizer's end")


def test_a_stopped_sweep_keeps_its_results_and_its_run_is_interrupted(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(opt_stages=[[400, 200]])
    place.wait_trials(sweep_id, 2)
    processes = family(place.optimizer(sweep_id))
    place.store.sweeps.stop(sweep_id, datetime.now(UTC))
    sweep = place.wait_ended(sweep_id, 15)
    assert (sweep["state"], sweep["error"]) == ("STOPPED", None)
    states = [trial["state"] for trial in place.trials(sweep_id)]
    assert set(states) <= {"COMPLETED", "STOPPED"}
    assert states.count("COMPLETED") >= 2
    run = place.run(sweep_id)
    assert run["status"] == "INTERRUPTED"
    assert "stopped by the user" in run["captured_out"]
    assert sweep["best"] is not None
    wait_gone(processes)


def test_a_diverging_trial_fails_in_words_and_the_sweep_goes_on(place: Installation) -> None:
    place.start_daemon()
    values: dict[str, Any] = {"weight_init": "normal", "train_optimizer": ["sgd"], "activation": ["relu"]}
    values["nodes_per_layer"] = [20, 40]
    mixed = place.create(learning_rate=[1e-6, 1], log_scale=True, opt_stages=[[100, 8]], **values)
    lost = place.create(learning_rate=[9, 10], opt_stages=[[100, 3]], **values)
    sweep = place.wait_ended(mixed)
    states = [trial["state"] for trial in place.trials(mixed)]
    assert sweep["state"] == "COMPLETED"
    assert len(states) == 8
    assert set(states) == {"COMPLETED", "FAILED"}
    assert sweep["progress"]["failed"] == states.count("FAILED")
    sweep = place.wait_ended(lost)
    assert sweep["state"] == "FAILED"
    assert sweep["error"].startswith("no trial of stage 1 completed; the last error: the loss was no longer a finite")
    assert "a smaller learning rate may help" in sweep["error"]
    for trial in place.trials(lost):
        assert trial["state"] == "FAILED"
        assert trial["attempt"] == 1, "an error of the trial itself is not retried"
        assert "a smaller learning rate may help" in trial["error"]
    run = place.run(lost)
    assert run["status"] == "FAILED"
    assert "no trial of stage 1 completed" in "".join(run["fail_trace"])


def test_two_sweeps_at_once_on_the_same_ports_do_not_touch_each_other(place: Installation) -> None:
    place.start_daemon()
    ids = [place.create("one", seed=7), place.create("two", seed=8)]
    wait_until(lambda: all(place.sweep(sweep_id)["state"] == "RUNNING" for sweep_id in ids), 15, "both sweeps at once")
    sweeps = [place.wait_ended(sweep_id) for sweep_id in ids]
    assert [sweep["state"] for sweep in sweeps] == ["COMPLETED", "COMPLETED"]
    assert sweeps[0]["run_id"] != sweeps[1]["run_id"]
    for sweep_id, seed in zip(ids, (7, 8), strict=True):
        trials = place.trials(sweep_id)
        assert len(trials) == 9
        assert [trial["params"] for trial in trials[:4]] == RandomSampler(parse(SMALL).space(), seed, 1).suggest(
            range(1, 5)
        )
        assert place.run(sweep_id)["info"]["sweep_id"] == sweep_id


def test_a_daemon_that_is_ended_leaves_its_sweep_to_the_next_one(place: Installation) -> None:
    first = place.start_daemon()
    sweep_id = place.create(opt_stages=[[300, 12], [200, 3]])
    place.wait_trials(sweep_id, 3)
    processes = family(psutil.Process(first.pid))
    first.terminate()
    assert first.wait(timeout=30) == 0
    wait_gone(processes)
    before = {trial["number"]: trial for trial in place.trials(sweep_id) if trial["state"] == "COMPLETED"}
    assert place.sweep(sweep_id)["state"] == "RUNNING"
    assert 3 <= len(before) < 15
    place.start_daemon()
    assert place.wait_ended(sweep_id)["state"] == "COMPLETED"
    after = {trial["number"]: trial for trial in place.trials(sweep_id)}
    assert len(after) == 15
    for number, trial in before.items():
        assert {**after[number], "fence": trial["fence"]} == trial, "a finished trial was touched"
    assert [after[n]["params"] for n in range(1, 13)] == RandomSampler(parse(SMALL).space(), 7, 1).suggest(range(1, 13))
    run = place.run(sweep_id)
    assert run["status"] == "COMPLETED"
    metrics = {metric["name"]: metric for metric in place.store.runs.metrics(run["_id"])}
    assert sorted(metrics["loss"]["steps"]) == list(range(1, 16)), "the run's metrics have a gap"
    assert run["captured_out"].count("stage 1 of 2") == 2, "the first process's output is lost"


def test_an_asynchronous_sweep_completes(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(parallelism="async", opt_stages=[[60, 2], [40, 1]])
    sweep = place.wait_ended(sweep_id, 90)
    assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
    trials = place.trials(sweep_id)
    assert [trial["state"] for trial in trials] == ["COMPLETED"] * 3
    assert {trial["worker"] for trial in trials} == {"chief"}
    roles = {event.data["role"] for event in place.store.events.after(sweep_id, 0, 10_000)
             if event.type is EventType.PROCESS}  # fmt: skip
    assert roles == {"ps", "worker", "chief"}


def test_a_sweep_whose_configuration_is_no_longer_accepted_fails_in_words(place: Installation) -> None:
    sweep_id = place.create()
    place.store.database["sweeps"].update_one({"_id": sweep_id}, {"$set": {"config.batchsize": 3}})
    place.start_daemon()
    sweep = place.wait_ended(sweep_id, 20)
    assert sweep["state"] == "FAILED"
    assert sweep["error"] == "batchsize: there is no such key; did you mean batch_size?"


def test_a_second_daemon_of_a_data_directory_leaves_the_first_alone(place: Installation) -> None:
    first = place.start_daemon()
    wait_until(lambda: place.store.database["machines"].count_documents({}), 15, "the first daemon's sign of life")
    second = place.start_daemon()
    assert second.wait(timeout=20) == 0
    assert first.poll() is None


def test_a_sweep_runs_on_a_machine_without_git(place: Installation) -> None:
    place.start_daemon(GIT_PYTHON_GIT_EXECUTABLE="/nonexistent/git")
    sweep_id = place.create(opt_stages=[[20, 1]])
    sweep = place.wait_ended(sweep_id)
    assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
    assert place.run(sweep_id)["experiment"]["repositories"] == []


def test_a_sweep_can_be_paused_and_resumed_and_a_trial_ended_by_hand(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(opt_stages=[[10_000_000, 2], [50, 2]], train_tolerance=0)
    wait_until(lambda: len([t for t in place.trials(sweep_id) if t["step"] > 0]) == 2, 60, "two trials in training")
    place.store.sweeps.pause(sweep_id, True)
    wait_until(lambda: place.sweep(sweep_id)["state"] == "PAUSED", 5, "the pause")
    place.store.sweeps.pause(sweep_id, False)
    wait_until(lambda: place.sweep(sweep_id)["state"] == "RUNNING", 5, "the sweep running again")
    for number in (1, 2):
        place.store.sweeps.cancel_trial(sweep_id, number)
    sweep = place.wait_ended(sweep_id)
    assert sweep["state"] == "FAILED", "with both trials of the first stage ended there is nothing to narrow around"
    trials = place.trials(sweep_id)
    assert [trial["state"] for trial in trials] == ["PRUNED", "PRUNED"]
    assert all(0 < trial["step"] < trial["steps"] for trial in trials)
    with pytest.raises(StateError, match="does not run: it is FAILED"):
        place.store.sweeps.pause(sweep_id, True)


def test_a_sweep_in_its_first_trials_tells_the_time_that_is_left_and_shows_its_logs(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(opt_stages=[[1_000_000, 2]], train_tolerance=0)

    def progress() -> dict[str, Any]:
        return dict(place.sweep(sweep_id)["progress"])

    wait_until(lambda: progress().get("seconds_left"), 60, "an estimate")
    assert progress()["done"] == 0
    now, machine = datetime.now(UTC), place.sweep(sweep_id)["lease"]["machine"]
    for name, file, text in (("worker_0", "worker_0.log", ""), ("optimizer", "hyper_opt.log", "stage 1 of 1")):
        key = f"{sweep_id}/{name}"
        place.store.logs.ask(key, machine, now)
        wait_until(lambda key=key: place.store.logs.answer_to(key, now), 10, f"the log of {name}")
        answer = place.store.logs.answer_to(key, now)
        assert answer is not None
        assert text in "\n".join(answer["lines"])
        assert answer["where"].endswith(f"{sweep_id}/{file}")
    place.store.sweeps.stop(sweep_id, datetime.now(UTC))
    place.wait_ended(sweep_id)


def test_every_completed_trial_keeps_its_parameters_and_they_give_its_loss(place: Installation) -> None:
    place.start_daemon()
    sweep_id = place.create(opt_stages=[[200, 4]])
    place.wait_ended(sweep_id)
    data = prepare(parse(place.sweep(sweep_id)["config"]))
    for trial in place.trials(sweep_id):
        flat = np.load(place.data_dir / "sweeps" / sweep_id / "models" / f"{trial['number']}.npy")
        network = Architecture.of(trial["params"], 4, 1)
        assert np.mean((network.predict(flat, data.x_val) - data.y_val) ** 2) == pytest.approx(trial["loss"], rel=1e-4)


def test_memory_stays_flat_over_two_thousand_trials(place: Installation) -> None:
    """Under 5 % growth of each process after the first hundred."""
    place.start_daemon()
    sweep_id = place.create(
        opt_stages=[[10, 3000]], hidden_layers=[4, 10], batch_size=[100, 2000], activation=["relu", "tanh"],
        data_instances=10_000, train_tolerance=0,
    )  # fmt: skip

    def memory_at(trials: int) -> list[int]:
        wait_until(lambda: place.sweep(sweep_id)["progress"]["done"] >= trials, 300, f"{trials} trials", every=0.1)
        return [own_memory(process) for process in processes]

    processes: list[psutil.Process] = []
    memory_at(100)
    processes += family(place.optimizer(sweep_id))
    assert len(processes) == 5, "optimizer, zygote, parameter server and two workers were expected"
    before, after = memory_at(100), memory_at(2000)
    assert place.sweep(sweep_id)["state"] == "RUNNING", "measured too late: the processes may be ending"
    place.store.sweeps.stop(sweep_id, datetime.now(UTC))
    place.wait_ended(sweep_id)
    for process, then, now in zip(processes, before, after, strict=True):
        assert now < then * 1.05, f"{process}: {then / 1e6:.1f} MB after 100 trials, {now / 1e6:.1f} MB after 2,000"


def own_memory(process: psutil.Process) -> int:
    """What a process shares with no other, in bytes."""
    return int(process.memory_full_info().uss)
