"""The search as a whole: real processes, learned samplers, pruners, conditions to stop, and edits while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.domain import Edit
from engine.errors import StateError
from engine.events import EventType
from engine.space import space_of
from tests.installation import Installation, installation
from tests.waiting import wait_until
from webapp.services import steering
from webapp.services.accounts import Account

OWNER = Account("ada", "ada", "editor", 0)
LONG = {"opt_stages": [[300, 4000]], "train_tolerance": 0}
"""More than any test waits for."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        made.start_daemon()
        yield made


def now() -> datetime:
    return datetime.now(UTC)


def searched(place: Installation, sweep_id: str) -> list[dict[str, Any]]:
    return [trial for trial in place.trials(sweep_id) if trial["confirms"] is None]


def wait_applied(place: Installation, sweep_id: str, version: int) -> None:
    wait_until(lambda: place.sweep(sweep_id).get("applied") == version, 15, f"version {version} in the engine")


def test_tpe_with_asha_prunes_at_its_rungs_and_says_so_everywhere(place: Installation) -> None:
    sweep_id = place.create(
        hyperparam_opt="TPE", pruner="asha", pruner_min_steps=10, opt_stages=[[270, 40]], train_tolerance=0, confirm=2,
        confirm_seeds=2,
    )  # fmt: skip
    sweep = place.wait_ended(sweep_id)
    trials = searched(place, sweep_id)
    pruned = [trial for trial in trials if trial["state"] == "PRUNED"]
    completed = [trial for trial in trials if trial["state"] == "COMPLETED"]
    assert sweep["state"] == "COMPLETED"
    assert len(trials) == 40
    assert len(pruned) >= 20, "asha keeps about one in three at each of three rungs"
    assert completed
    assert {trial["step"] for trial in pruned} <= {10, 30, 90}
    for trial in pruned:
        assert trial["loss"] is None
        assert trial["rungs"][-1][0] == trial["step"] == trial["curve"][-1][0]
    progress = sweep["progress"]
    assert (progress["done"], progress["pruned"]) == (40, len(pruned))
    assert progress["steps_trained"] == sum(trial["step"] for trial in trials) < progress["steps_done"] == 40 * 270
    assert sweep["best"]["loss"] == min(trial["loss"] for trial in completed)
    again = [trial for trial in place.trials(sweep_id) if trial["confirms"] is not None]
    assert len(again) == 2 * min(2, len(completed))
    assert all(trial["state"] == "COMPLETED" for trial in again), "what confirms is not pruned"
    told = place.store.events.after(sweep_id, 0, limit=10_000)
    ends = [event.data for event in told if event.type is EventType.TRIAL and event.data["state"] == "PRUNED"]
    assert {data["number"] for data in ends} == {trial["number"] for trial in pruned}


def test_stages_narrow_to_the_quantile_with_any_sampler(place: Installation) -> None:
    sweep_id = place.create(
        hyperparam_opt="sobol",
        narrowing="quantile",
        quantile=0.5,
        opt_stages=[[60, 8], [30, 4]],
        nodes_per_layer=[2, 9],
    )
    place.wait_ended(sweep_id)
    trials, stages = searched(place, sweep_id), place.sweep(sweep_id)["stages"]
    best = sorted((trial for trial in trials if trial["stage"] == 0), key=lambda trial: trial["loss"])[:4]
    space = space_of(stages[1]["space"])
    sizes = [trial["params"]["batch_size"] for trial in best]
    assert stages[1]["space"]["batch_size"] == {"kind": "int", "low": min(sizes), "high": max(sizes)}
    assert all(trial["params"] in space for trial in trials if trial["stage"] == 1)


def test_a_grid_ends_with_its_last_point(place: Installation) -> None:
    sweep_id = place.create(
        hyperparam_opt="grid", grid_levels=2, hidden_layers=[2, 2], nodes_per_layer=[3, 3], batch_size=[20, 40],
        learning_rate=[0.001, 0.01], train_optimizer=["Adam"], opt_stages=[[30, 50]],
    )  # fmt: skip
    sweep = place.wait_ended(sweep_id)
    assert sweep["state"] == "COMPLETED"
    tried = {(trial["params"]["batch_size"], trial["params"]["learning_rate"]) for trial in searched(place, sweep_id)}
    assert tried == {(20, 0.001), (20, 0.01), (40, 0.001), (40, 0.01)}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"target_loss": 1e9}, "the target loss 1e+09 is reached"),
        ({"patience": 5}, "5 trials in a row brought no better loss"),
    ],
)
def test_the_search_ends_when_a_condition_is_met_and_the_best_is_confirmed(
    place: Installation, values: dict[str, Any], why: str
) -> None:
    sweep_id = place.create(**{**LONG, **values}, confirm=1, confirm_seeds=1, worker_hosts="localhost:2225")
    sweep = place.wait_ended(sweep_id)
    assert (sweep["state"], sweep["ended_because"]) == ("COMPLETED", why)
    assert len(sweep["confirmed"]) == 1
    trials = searched(place, sweep_id)
    assert len(trials) < 4000
    if "patience" in values:
        best = min(trials, key=lambda trial: trial["loss"] if trial["loss"] is not None else 1e300)
        assert len(trials) - best["number"] >= 5


def test_the_time_budget_ends_the_trials_in_training_too_and_what_was_found_is_confirmed(place: Installation) -> None:
    sweep_id = place.create(
        opt_stages=[[50, 2], [100_000_000, 1]], max_seconds=3, confirm=1, confirm_seeds=1, train_tolerance=0
    )
    sweep = place.wait_ended(sweep_id)
    assert (sweep["state"], sweep["ended_because"]) == ("COMPLETED", "the time budget of 3 s is used up")
    states = [trial["state"] for trial in searched(place, sweep_id)]
    assert states == ["COMPLETED", "COMPLETED", "PRUNED"]
    assert len(sweep["confirmed"]) == 1


def test_failures_in_a_row_end_the_sweep_in_words(place: Installation) -> None:
    sweep_id = place.create(
        weight_init="normal", train_optimizer=["sgd"], learning_rate=[9, 10], nodes_per_layer=[20, 40], max_failures=4,
        opt_stages=[[100, 4000]],
    )  # fmt: skip
    sweep = place.wait_ended(sweep_id)
    assert sweep["state"] == "FAILED"
    assert sweep["error"].startswith(
        "4 trials in a row have failed, and max_failures is 4; the last error: the loss was"
    )
    trials = searched(place, sweep_id)
    assert 4 <= len(trials) <= 6
    assert {trial["state"] for trial in trials} <= {"FAILED", "STOPPED"}, "nothing trains in a sweep that has ended"


def test_bounds_sampler_and_trials_can_be_changed_while_it_runs(place: Installation) -> None:
    sweep_id = place.create(**LONG, batch_size=[20, 60])
    place.wait_trials(sweep_id, 12)
    values = {"batch_size": [25, 30], "train_optimizer": ["Adam"], "hyperparam_opt": "TPE"}
    assert steering.change(place.store, place.settings, OWNER, sweep_id, values, now()) == 2
    wait_applied(place, sweep_id, 2)
    last = max(trial["number"] for trial in searched(place, sweep_id))
    place.wait_trials(sweep_id, last + 10)
    later = [trial for trial in searched(place, sweep_id) if trial["number"] > last + 4]
    assert later
    assert all(25 <= trial["params"]["batch_size"] <= 30 for trial in later)
    assert {trial["params"]["train_optimizer"] for trial in later} == {"Adam"}
    known = len(searched(place, sweep_id))
    steering.change(place.store, place.settings, OWNER, sweep_id, {"opt_stages": [[300, known + 20], [100, 3]]}, now())
    sweep = place.wait_ended(sweep_id)
    assert sweep["state"] == "COMPLETED"
    trials = searched(place, sweep_id)
    assert len(trials) == known + 23
    assert [stage["trials"] for stage in sweep["stages"]] == [known + 20, 3]
    assert sweep["stages"][0]["space"]["batch_size"] == {"kind": "int", "low": 25, "high": 30}
    assert [edit["version"] for edit in sweep["edits"]] == [2, 3]
    assert sweep["edits"][0]["changes"]["batch_size"] == [[20, 60], [25, 30]]
    run = place.run(sweep_id)
    assert [edit["version"] for edit in run["info"]["edits"]] == [2, 3]
    assert run["info"]["edits"][0]["by"] == "ada"
    told = [event for event in place.store.events.after(sweep_id, 0, limit=100_000) if event.type is EventType.EDIT]
    assert [event.data["version"] for event in told] == [2, 3]


def test_a_point_can_be_put_in_front_and_failed_trials_are_tried_again(place: Installation) -> None:
    sweep_id = place.create(
        opt_stages=[[100, 4000]], weight_init="normal", train_optimizer=["sgd"], activation=["relu"],
        nodes_per_layer=[20, 40], learning_rate=[1e-6, 1], log_scale=True, max_failures=0,
    )  # fmt: skip
    wait_until(lambda: [t for t in searched(place, sweep_id) if t["state"] == "FAILED"], 60, "a failed trial")
    failed = next(trial for trial in searched(place, sweep_id) if trial["state"] == "FAILED")
    point = {"batch_size": 33, "learning_rate": 1e-5, "train_optimizer": "sgd", "activation": "relu", "layers": 2,
             "units_1": 21, "units_2": 22}  # fmt: skip
    assert steering.enqueue(place.store, OWNER, sweep_id, [point], now()) == 2
    assert steering.retry(place.store, OWNER, sweep_id, [failed["number"]], now()) == 3
    wait_applied(place, sweep_id, 3)
    wait_until(lambda: sum(trial["edit"] is not None for trial in searched(place, sweep_id)) == 2, 30, "both trials")
    asked = {trial["edit"]: trial for trial in searched(place, sweep_id) if trial["edit"] is not None}
    assert asked[2]["params"] == point
    assert (asked[3]["retries"], asked[3]["params"]) == (failed["number"], failed["params"])
    assert place.sweep(sweep_id)["progress"]["total"] == 4002
    steering.finish(place.store, OWNER, sweep_id, now())
    sweep = place.wait_ended(sweep_id)
    assert (sweep["state"], sweep["ended_because"]) == (
        "COMPLETED", "the user wished it to end with the trials in training"
    )  # fmt: skip


def test_what_was_asked_for_survives_the_engine_and_is_done_once_in_the_running_stage(place: Installation) -> None:
    sweep_id = place.create(**{**LONG, "opt_stages": [[200, 3], [300, 4000]]})
    place.wait_trials(sweep_id, 5)
    point = dict(searched(place, sweep_id)[0]["params"])
    steering.enqueue(place.store, OWNER, sweep_id, [{**point, "batch_size": 44}], now())
    wait_until(lambda: any(trial["edit"] == 2 for trial in searched(place, sweep_id)), 30, "the point")
    place.store.sweeps.pause(sweep_id, True)
    wait_until(lambda: place.sweep(sweep_id)["state"] == "PAUSED", 15, "the pause")
    steering.enqueue(place.store, OWNER, sweep_id, [{**point, "batch_size": 45}], now())
    place.end_daemons()
    place.store.sweeps.pause(sweep_id, False)
    place.start_daemon()
    wait_until(lambda: any(trial["edit"] == 3 for trial in searched(place, sweep_id)), 60, "the other point")
    steering.finish(place.store, OWNER, sweep_id, now())
    place.wait_ended(sweep_id)
    asked = [trial for trial in searched(place, sweep_id) if trial["edit"]]
    assert [(trial["edit"], trial["params"]["batch_size"]) for trial in asked] == [(2, 44), (3, 45)]
    assert [(trial["stage"], trial["steps"]) for trial in asked] == [(1, 300)] * 2


def test_a_process_is_replaced_when_its_owner_says_so(place: Installation) -> None:
    sweep_id = place.create(opt_stages=[[100_000_000, 2]], train_tolerance=0)

    def worker() -> dict[str, Any]:
        return (place.sweep(sweep_id).get("processes") or {}).get("worker_0") or {}

    wait_until(lambda: worker().get("state") == "training", 60, "the training")
    before = worker()["pid"]
    steering.restart_process(place.store, OWNER, sweep_id, "worker_0")
    wait_until(lambda: worker().get("pid") not in (None, before), 30, "another worker")
    wait_until(lambda: any(trial["attempt"] == 2 for trial in searched(place, sweep_id)), 30, "another attempt")
    place.store.sweeps.stop(sweep_id, now())
    place.wait_ended(sweep_id)


def test_an_edit_is_refused_where_another_was_first(place: Installation) -> None:
    sweep_id = place.create(**LONG)
    config = place.sweep(sweep_id)["config"]
    assert place.store.sweeps.edit(sweep_id, Edit(2, "ada", now(), {"patience": [0, 9]}), config, 1, 1)
    assert not place.store.sweeps.edit(sweep_id, Edit(2, "bob", now(), {"patience": [0, 7]}), config, 1, 1)
    assert [edit["by"] for edit in place.sweep(sweep_id)["edits"]] == ["ada"]
    place.store.sweeps.stop(sweep_id, now())
    place.wait_ended(sweep_id)


def test_a_later_grid_with_nothing_left_ends_its_stage_and_not_the_sweep(place: Installation) -> None:
    sweep_id = place.create(
        hyperparam_opt="grid", grid_levels=2, hidden_layers=[2, 2], nodes_per_layer=[3, 3], batch_size=[20, 40],
        learning_rate=[0.001, 0.001], train_optimizer=["Adam"], opt_stages=[[30, 50], [60, 4]], narrowing="none",
        confirm=1, confirm_seeds=1,
    )  # fmt: skip
    sweep = place.wait_ended(sweep_id)
    assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
    assert [stage["best"] is None for stage in sweep["stages"]] == [False, True]
    assert len(sweep["confirmed"]) == 1


def test_a_search_that_was_ended_early_stays_ended_after_a_restart(place: Installation) -> None:
    sweep_id = place.create(opt_stages=[[200, 400], [100_000_000, 2]], train_tolerance=0, confirm=2, confirm_seeds=20)
    place.wait_trials(sweep_id, 3)
    steering.finish(place.store, OWNER, sweep_id, now())
    wait_until(lambda: place.sweep(sweep_id).get("ended_because"), 30, "the end of the search")
    place.end_daemons()
    known = len(searched(place, sweep_id))
    place.start_daemon()
    sweep = place.wait_ended(sweep_id)
    assert sweep["state"] == "COMPLETED"
    assert [stage["index"] for stage in sweep["stages"]] == [0]
    assert len(searched(place, sweep_id)) == known
    assert len(sweep["confirmed"]) == 2


def test_a_search_that_was_ended_early_goes_on_after_a_restart_when_the_reason_is_taken_back(
    place: Installation,
) -> None:
    sweep_id = place.create(opt_stages=[[200, 12]], patience=2, train_tolerance=0, confirm=2, confirm_seeds=50)
    wait_until(lambda: place.sweep(sweep_id).get("ended_because"), 60, "the end of the search")
    before = len(searched(place, sweep_id))
    assert before < 12
    wait_until(lambda: any(trial["confirms"] for trial in place.trials(sweep_id)), 30, "a confirming trial")
    place.end_daemons()
    assert place.sweep(sweep_id)["state"] == "RUNNING"
    steering.change(place.store, place.settings, OWNER, sweep_id, {"patience": 0, "confirm_seeds": 1}, now())
    place.start_daemon()
    assert place.wait_ended(sweep_id)["state"] == "COMPLETED"
    assert len(searched(place, sweep_id)) == 12


def test_a_sweep_that_was_stopped_and_died_before_that_was_stored_is_stopped(place: Installation) -> None:
    sweep_id = place.create(**LONG)
    place.wait_trials(sweep_id, 2)
    place.store.sweeps.stop(sweep_id, now())
    place.wait_ended(sweep_id)
    place.end_daemons()
    place.store.database["sweeps"].update_one({"_id": sweep_id}, {"$set": {"state": "RUNNING", "finished": None}})
    before = place.trials(sweep_id)
    place.start_daemon()
    assert place.wait_ended(sweep_id)["state"] == "STOPPED"
    assert [trial["number"] for trial in place.trials(sweep_id)] == [trial["number"] for trial in before]


def test_no_edit_is_taken_by_a_sweep_that_is_about_to_end(place: Installation) -> None:
    sweep_id = place.create()
    place.wait_ended(sweep_id)
    assert place.sweep(sweep_id)["closed"] is True
    place.store.database["sweeps"].update_one({"_id": sweep_id}, {"$set": {"state": "RUNNING"}})
    with pytest.raises(StateError, match="about to end"):
        steering.change(place.store, place.settings, OWNER, sweep_id, {"patience": 5}, now())
