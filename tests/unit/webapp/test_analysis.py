"""What the charts of a sweep are sent: the routes below its live page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from engine.config import parse
from engine.domain import SweepState, Trial, TrialState
from engine.store import Store
from engine.store.trials import to_document
from tests import kept
from webapp.services.analysis import KINDS

QUERIES = {"contour": "?x=learning_rate&y=batch_size"}
"""What a kind must be asked, at least."""
WORKERS = 3
LAST = (TrialState.PRUNED, TrialState.FAILED, TrialState.RUNNING, TrialState.COMPLETED)


def searched(store: Store, count: int = 60, config: dict[str, Any] | None = None) -> str:
    """A sweep of two stages that runs: *count* trials whose loss is made by the learning rate, one pruned, one failed,
    one in training, and after the search one that confirms the best."""
    wanted = parse({"name": "amber", "seed": 7, "hidden_layers": [1, 3], "opt_stages": [[10, count], [20, count]],
                    **(config or {})})  # fmt: skip
    sweep_id = store.sweeps.create(
        "amber", "ada", wanted.model_dump(mode="json"), 7, wanted.total_trials, wanted.total_steps, kept.NOW
    )
    assert store.sweeps.claim("turing", timedelta(minutes=10), kept.NOW) is not None
    space, rng = wanted.space(), np.random.default_rng(1)
    documents = []
    for number in range(1, count + 5):
        stage = (number - 1) * 2 // (count + 4)
        trial = Trial(sweep_id, number, stage, space.draw(rng), 10, number, TrialState.COMPLETED)
        trial.worker, trial.started = f"worker_{number % WORKERS}", kept.NOW + timedelta(seconds=number // WORKERS)
        trial.finished = trial.started + timedelta(seconds=0.5)
        trial.val_loss = abs(float(trial.params["learning_rate"]) - 0.003) + 1e-6 * number
        trial.loss = trial.val_loss
        if number > count:
            trial.loss = None
            trial.state = LAST[number - count - 1]
        if trial.state is TrialState.RUNNING:
            trial.finished = None
        if number == count + 4:
            trial.confirms, trial.loss, trial.stage = 1, 0.0, 2
        documents.append(to_document(trial, 1))
    store.database["trials"].insert_many(documents)
    stages = [{"index": index, "steps": 10, "trials": count, "space": space.to_document(), "best": None, "ended": None}
              for index in range(2)]  # fmt: skip
    store.sweeps.update(sweep_id, 1, {"stages": stages})
    return sweep_id


@pytest.fixture
def sweep_id(store: Store) -> str:
    return searched(store)


def asked(client: FlaskClient, sweep_id: str, question: str, status: int = 200) -> Any:
    answer = client.get(f"/sweeps/{sweep_id}/analysis/{question}")
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.content_type in ("application/json", "application/problem+json")
    return answer.get_json()


@pytest.mark.parametrize("kind", KINDS)
def test_every_account_may_ask_and_nobody_else(
    login: Callable[[str, str], FlaskClient], visitor: FlaskClient, sweep_id: str, kind: str
) -> None:
    question = f"{kind}.json{QUERIES.get(kind, '')}"
    assert asked(login("vera", "viewer"), sweep_id, question)["sweep"] == sweep_id
    address = f"/sweeps/{sweep_id}/analysis/{question}"
    assert visitor.get(address).headers["Location"].startswith("/login")
    assert visitor.get(address, headers={"Accept": "application/json"}).status_code == 403


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_sweep_that_is_not_there_it_says_so_as_json(ada: FlaskClient, kind: str) -> None:
    problem = asked(ada, "nothing", f"{kind}.json{QUERIES.get(kind, '')}", 404)
    assert problem == {
        "detail": "There is no sweep nothing.", "status": 404, "title": "Nothing here", "type": "about:blank",
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_that_has_not_begun_has_empty_answers(ada: FlaskClient, store: Store, kind: str) -> None:
    config = parse({"seed": 7}).model_dump(mode="json")
    fresh = store.sweeps.create("fresh", "ada", config, 7, 9, 9, kept.NOW)
    if kind == "contour":
        assert "none of its trials has begun yet" in asked(ada, fresh, f"contour.json{QUERIES[kind]}", 400)["detail"]
    else:
        assert asked(ada, fresh, f"{kind}.json")["labels"] == {}


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("slice.json?axis=colour", "no axis 'colour'; its axes are batch_size, learning_rate,"),
        ("contour.json", "Name two axes, as in ?x="),
        ("contour.json?x=layers", "Name two axes"),
        ("contour.json?x=layers&y=colour", "no axis 'colour'"),
        ("contour.json?x=layers&y=layers", "Name two different axes; both are layers"),
        ("edf.json?stage=one", "Stage must be a whole number from 0 to 1, got 'one'"),
        ("edf.json?stage=-1", "Stage must be"),
        ("edf.json?stage=7", "Stage must be"),
        ("edf.json?stage=" + "9" * 4000, "Stage must be"),
        ("contour.json?x=layers&y=" + "<b>" * 4000, "no axis"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_why(
    ada: FlaskClient, sweep_id: str, question: str, words: str
) -> None:
    problem = asked(ada, sweep_id, question, 400)
    assert words in problem["detail"]
    assert len(problem["detail"]) < 400
    assert problem["title"] == "The request was not understood"


def test_an_unknown_kind_is_told_the_known_ones(ada: FlaskClient, sweep_id: str) -> None:
    assert "there are importance, parallel, slice" in asked(ada, sweep_id, "colours.json", 404)["detail"]


def test_importance_names_the_axis_that_matters_first(ada: FlaskClient, sweep_id: str) -> None:
    found = asked(ada, sweep_id, "importance.json")
    assert found["enough"]
    assert found["axes"][0]["name"] == "learning_rate"
    assert found["axes"][0]["share"] > 0.9
    assert found["trials"] == 60
    assert found["labels"]["units_2"] == "nodes of layer 2"


def test_importance_of_too_few_trials_is_a_sentence_and_no_number(ada: FlaskClient, store: Store) -> None:
    found = asked(ada, searched(store, 8), "importance.json")
    assert found["message"] == "Not enough trials yet: importance needs 10 completed ones in any stage; there are 8."
    assert not found["enough"]
    assert found["axes"] == []
    found = asked(ada, searched(store, 18), "importance.json?stage=1")
    assert found["message"] == "Not enough trials yet: importance needs 10 completed ones; there are 7."


def test_where_no_axis_stands_out_importance_says_so(ada: FlaskClient, store: Store) -> None:
    sweep_id = searched(store, 40)
    store.database["trials"].update_many({"state": "COMPLETED"}, {"$set": {"loss": 1.0}})
    found = asked(ada, sweep_id, "importance.json")
    assert found["message"].startswith("No axis stands out")
    assert {axis["share"] for axis in found["axes"]} == {0}


@pytest.mark.parametrize("kind", ["importance", "parallel", "slice", "contour", "history", "edf"])
def test_trials_that_confirm_others_are_no_part_of_the_search(ada: FlaskClient, sweep_id: str, kind: str) -> None:
    found = asked(ada, sweep_id, f"{kind}.json{QUERIES.get(kind, '')}")
    assert 64 not in _numbers(found)
    if kind != "importance":
        assert found["loss"]["low"] > 0


def _numbers(found: Any) -> set[int]:
    """All trial numbers in an answer."""
    if isinstance(found, dict):
        own = set(found["number"]) if isinstance(found.get("number"), list) else set()
        return own.union(*map(_numbers, found.values()))
    return set().union(*map(_numbers, found)) if isinstance(found, list) else set()


@pytest.mark.parametrize("kind", ["parallel", "slice", "contour", "history", "timeline"])
def test_one_stage_alone_can_be_asked_for(ada: FlaskClient, sweep_id: str, kind: str) -> None:
    query = f"{QUERIES.get(kind, '?')}&stage=1"
    found = asked(ada, sweep_id, f"{kind}.json{query}")
    assert found["stage"] == 1
    assert _numbers(found)
    assert min(_numbers(found)) == 33
    assert max(_numbers(found)) <= 63


def test_the_axes_of_one_stage_have_its_bounds(ada: FlaskClient, sweep_id: str, store: Store) -> None:
    narrow = {"kind": "float", "low": 1e-9, "high": 2.0, "log": False}
    store.sweeps.update(sweep_id, 1, {"stages.1.space.learning_rate": narrow})
    bounds = []
    for query in ("?stage=0", "?stage=1", "?"):
        (axis,) = [
            axis for axis in asked(ada, sweep_id, f"parallel.json{query}")["axes"] if axis["name"] == "learning_rate"
        ]
        bounds.append((axis["low"], axis["high"]))
    assert bounds[1] == bounds[2] == (1e-9, 2.0)
    assert bounds[0][0] > 1e-9


def test_parallel_coordinates_have_null_where_a_trial_lacks_an_axis(ada: FlaskClient, sweep_id: str) -> None:
    found = asked(ada, sweep_id, "parallel.json")
    assert found["total"] == 60
    values = found["lines"]["values"]
    assert len(found["lines"]["losses"]) == len(values["units_3"]) == 60
    for layers, third in zip(values["layers"], values["units_3"], strict=True):
        assert (third is None) is (layers < 3)
    optimizer = next(axis for axis in found["axes"] if axis["name"] == "train_optimizer")
    assert optimizer["choices"][values["train_optimizer"][0]]


def test_slices_are_of_all_axes_or_of_those_that_are_named(ada: FlaskClient, sweep_id: str) -> None:
    whole = asked(ada, sweep_id, "slice.json")
    assert {part["axis"]["name"] for part in whole["slices"]} == set(whole["labels"])
    some = asked(ada, sweep_id, "slice.json?axis=layers,units_3")
    assert [part["axis"]["name"] for part in some["slices"]] == ["layers", "units_3"]
    assert some["slices"][1]["total"] < some["slices"][0]["total"] == 60


def test_a_contour_has_a_grid_and_points_of_numbers_and_choices(ada: FlaskClient, sweep_id: str) -> None:
    found = asked(ada, sweep_id, "contour.json?x=learning_rate&y=train_optimizer")
    assert found["grid"]["y"] == found["y"]["choices"]
    assert len(found["grid"]["z"]) == len(found["grid"]["y"])
    assert all(len(row) == len(found["grid"]["x"]) for row in found["grid"]["z"])
    assert len(found["points"]["x"]) == len(found["points"]["losses"]) == 60


def test_the_history_tells_pruned_and_failed_trials_apart(ada: FlaskClient, sweep_id: str) -> None:
    found = asked(ada, sweep_id, "history.json")
    assert found["states"] == {"COMPLETED": 60, "FAILED": 1, "PRUNED": 1, "RUNNING": 1}
    assert found["pruned"]["number"] == [61]
    assert found["failed"] == {"number": [62], "stage": [1], "state": ["FAILED"]}
    assert found["best"]["losses"] == sorted(found["best"]["losses"], reverse=True)


def test_the_history_of_the_training_loss_has_what_pruned_trials_reached_of_it(ada: FlaskClient, store: Store) -> None:
    sweep_id = searched(store, config={"objective": "train_loss"})
    store.database["trials"].update_one({"_id": f"{sweep_id}-61"}, {"$set": {"train_loss": 0.375}})
    assert asked(ada, sweep_id, "history.json")["pruned"]["losses"] == [0.375]


def test_the_distribution_is_told_stage_by_stage(ada: FlaskClient, sweep_id: str) -> None:
    found = asked(ada, sweep_id, "edf.json")
    assert found["all"]["total"] == 60
    assert [stage["stage"] for stage in found["stages"]] == [0, 1]


def test_the_timeline_shows_confirming_trials_and_what_trains_until_now(
    ada: FlaskClient, store: Store, sweep_id: str
) -> None:
    found = asked(ada, sweep_id, "timeline.json")
    assert [worker["worker"] for worker in found["workers"]] == ["worker_0", "worker_1", "worker_2"]
    assert found["total"] == 64
    assert 64 in _numbers(found)
    assert found["end"] > 10**6, "the trial in training has lasted since kept.NOW"
    store.sweeps.finish(sweep_id, 1, SweepState.STOPPED, {"finished": kept.NOW + timedelta(seconds=100)})
    assert asked(ada, sweep_id, "timeline.json")["end"] == 100


def test_what_has_just_ended_is_in_the_next_answer(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    assert asked(ada, sweep_id, "history.json")["states"]["COMPLETED"] == 60
    store.database["trials"].update_one({"_id": f"{sweep_id}-63"}, {"$set": {"state": "COMPLETED", "loss": 1e-9}})
    found = asked(ada, sweep_id, "history.json")
    assert found["states"]["COMPLETED"] == 61
    assert found["best"]["number"][-1] == 63


def test_a_sweep_as_the_engine_leaves_it_is_answered(ada: FlaskClient, store: Store) -> None:
    for sweep_id in (kept.regression(store), kept.classification(store)):
        for kind in KINDS:
            asked(ada, sweep_id, f"{kind}.json{QUERIES.get(kind, '')}")


def test_a_damaged_trial_breaks_no_answer(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    strange = {"loss": float("inf"), "params": {"layers": "many", "odd": [1, 2]}, "worker": None, "started": None}
    store.database["trials"].update_one({"_id": f"{sweep_id}-5"}, {"$set": strange})
    store.database["trials"].update_one({"_id": f"{sweep_id}-6"}, {"$unset": {"params": 1, "val_loss": 1}})
    for kind in KINDS:
        found = asked(ada, sweep_id, f"{kind}.json{QUERIES.get(kind, '')}")
        if kind not in ("importance", "timeline"):
            assert found["loss"]["left_out"] == 1
