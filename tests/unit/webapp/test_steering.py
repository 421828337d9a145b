"""Steering a sweep from the browser: what is taken, what is refused and in which words, and who may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engine.config import parse
from engine.domain import Trial, TrialState
from engine.events import EventType
from engine.store import Store
from engine.store.trials import to_document
from tests.unit.webapp.conftest import token
from webapp.services import steering
from webapp.services.accounts import Account
from webapp.services.steering import LIVE

POINT = {"batch_size": 200, "learning_rate": 0.0005, "train_optimizer": "Adam", "activation": "relu", "layers": 4}
POINT |= {f"units_{layer}": 5 for layer in range(1, 5)}


@pytest.fixture
def sweep_id(store: Store) -> str:
    """Ada's sweep, in its second stage, with a failed trial."""
    now = datetime.now(UTC)
    config = parse({"seed": 1})
    sweep_id = store.sweeps.create("a", "ada", config.model_dump(mode="json"), 1, 9, 7100, now)
    claimed = store.sweeps.claim("here", timedelta(minutes=5), now)
    assert claimed is not None
    begun = {"space": config.space().to_document(), "best": 1}
    stages = [
        {"index": 0, "steps": 1000, "trials": 4, "ended": 4, **begun},
        {"index": 1, "steps": 700, "trials": 3, "ended": None, **begun},
    ]
    processes = {"worker_0": {"role": "worker", "index": 0}, "chief_0": {"role": "chief", "index": 0}}
    store.sweeps.update(sweep_id, 1, {"stages": stages, "processes": processes})
    for number, state in ((1, TrialState.COMPLETED), (2, TrialState.FAILED)):
        store.trials.put(to_document(Trial(sweep_id, number, 0, {}, 10, 1, state, loss=1.0), 1))
    return sweep_id


def post(client: FlaskClient, path: str, body: Any = None) -> TestResponse:
    headers = {"X-CSRFToken": token(client, "/sweeps/new"), "Accept": "application/json"}
    return client.post(path, json=body, headers=headers) if body is not None else client.post(path, headers=headers)


def problems(answer: TestResponse) -> dict[str, str]:
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    return {problem["key"]: problem["message"] for problem in answer.get_json()["problems"]}


def test_a_change_is_a_version_an_event_and_a_wish(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    values = {"batch_size": [200, 300], "hyperparam_opt": "TPE", "patience": 0}
    answer = post(ada, f"/sweeps/{sweep_id}/config", {"values": values, "version": 1})
    assert (answer.status_code, answer.get_json()) == (200, {"version": 2})
    sweep = store.sweeps.get(sweep_id)
    assert (sweep["version"], sweep["config"]["batch_size"], sweep["applied"]) == (2, [200, 300], 1)
    wishes = store.sweeps.wishes(sweep_id)
    assert wishes.version == 2
    assert wishes.config["hyperparam_opt"] == "TPE"
    edit = wishes.edits[0]
    assert edit.changes == {"batch_size": [[100, 2000], [200, 300]], "hyperparam_opt": ["RS", "TPE"]}
    assert edit.by == "ada"
    told = [event for event in store.events.after(sweep_id, 0) if event.type is EventType.EDIT]
    assert told[0].data["changes"]["hyperparam_opt"] == ["RS", "TPE"]
    snapshot = ada.get(f"/sweeps/{sweep_id}").get_data(as_text=True)
    assert '"version": 2' in snapshot or '"version":2' in snapshot


def test_the_web_tells_the_wishes_alone_while_an_optimizer_tells_the_rest(
    ada: FlaskClient, store: Store, sweep_id: str
) -> None:
    """It may have ended since the web has read it."""
    assert post(ada, f"/sweeps/{sweep_id}/pause").status_code == 204
    (event,) = store.events.after(sweep_id, 0)
    assert event.data == {
        "version": 1, "priority": 0, "stop_requested": False, "pause_requested": True, "finish_requested": False,
    }  # fmt: skip


def test_a_change_whose_event_the_database_has_not_taken_is_told_at_the_next_try(
    ada: FlaskClient, store: Store, sweep_id: str
) -> None:
    body = {"values": {"patience": 5}}
    assert post(ada, f"/sweeps/{sweep_id}/config", body).status_code == 200
    store.database["events"].delete_many({})
    assert "nothing was changed" in problems(post(ada, f"/sweeps/{sweep_id}/config", body))[""]
    assert {event.type for event in store.events.newest(sweep_id, EventType.EDIT, 1)} == {EventType.EDIT}


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        ({"batch_size": [300, 200]}, "batch_size", "exchange them"),
        ({"dataset": "diabetes"}, "dataset", "cannot be changed while the sweep runs; clone"),
        ({"nonsense": 1}, "nonsense", "there is no such key"),
        ({"opt_stages": [[1000, 4], [800, 3], [500, 2]]}, "opt_stages", "stage 2 has begun; its trials keep their 700"),
        ({"opt_stages": [[1000, 5], [700, 3]]}, "opt_stages", "stage 1 has ended with 4 trials; add a stage"),
        ({"opt_stages": [[1000, 4]]}, "opt_stages", "2 stages have begun"),
        ({"hyperparam_opt": "magic"}, "hyperparam_opt", "must be 'RS', 'sobol'"),
        ({"patience": 0}, "", "nothing was changed"),
        ({"target_loss": "NaN"}, "target_loss", "finite"),
    ],
)
def test_what_cannot_be_changed_is_said_at_its_key_and_nothing_is(
    ada: FlaskClient, store: Store, sweep_id: str, values: dict[str, Any], key: str, words: str
) -> None:
    before = store.sweeps.get(sweep_id)
    assert words in problems(post(ada, f"/sweeps/{sweep_id}/config", {"values": values}))[key]
    assert store.sweeps.get(sweep_id) == before


def test_a_stage_that_was_closed_early_takes_no_more_trials_though_some_still_train(
    ada: FlaskClient, store: Store, sweep_id: str
) -> None:
    stages = store.sweeps.get(sweep_id)["stages"]
    stages[1]["closed"] = True
    store.sweeps.update(sweep_id, 1, {"stages": stages})
    body = {"values": {"opt_stages": [[1000, 4], [700, 9], [500, 2]]}}
    assert "stage 2 has ended" in problems(post(ada, f"/sweeps/{sweep_id}/config", body))["opt_stages"]


def test_two_who_change_at_once_do_not_overwrite_each_other(ada: FlaskClient, sweep_id: str) -> None:
    assert post(ada, f"/sweeps/{sweep_id}/config", {"values": {"patience": 5}, "version": 1}).status_code == 200
    late = post(ada, f"/sweeps/{sweep_id}/config", {"values": {"patience": 7}, "version": 1})
    assert late.status_code == 409
    assert "somebody else has changed the sweep" in late.get_json()["detail"].lower()


def test_more_trials_and_stages_can_be_added(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    stages = [[1000, 4], [700, 30], [500, 2], [2000, 1]]
    assert post(ada, f"/sweeps/{sweep_id}/config", {"values": {"opt_stages": stages}}).status_code == 200
    assert store.sweeps.get(sweep_id)["config"]["opt_stages"] == stages


def test_a_point_is_checked_axis_by_axis(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    path = f"/sweeps/{sweep_id}/points"
    typed = {**POINT, "batch_size": "200", "learning_rate": "5e-4"}
    assert post(ada, path, {"points": [typed]}).get_json() == {"version": 2}
    assert store.sweeps.wishes(sweep_id).edits[0].points == [POINT]
    wrong = {
        "batch_size": ({**POINT, "batch_size": 20}, "must lie between 100 and 2000, got 20"),
        "learning_rate": ({**POINT, "learning_rate": "fast"}, "must be a number, got 'fast'"),
        "units_4": ({key: value for key, value in POINT.items() if key != "units_4"}, "must be a number"),
        "units_5": ({**POINT, "units_5": 5}, "this point has no such axis"),
        "train_optimizer": ({**POINT, "train_optimizer": "SGD"}, "must be one of Adam, sgd, Adagrad, got 'SGD'"),
        "colour": ({**POINT, "colour": 1}, "there is no such axis"),
    }
    for axis, (point, words) in wrong.items():
        assert problems(post(ada, path, {"points": [POINT, point]}))[f"points.1.{axis}"] == words
    huge = {**POINT, "batch_size": 10**400}
    assert "too large a number" in problems(post(ada, path, {"points": [huge]}))["points.0.batch_size"]
    assert problems(post(ada, path, {"points": []})) == {"points": "give 1 to 1,000 points, got 0"}
    assert store.sweeps.get(sweep_id)["version"] == 2


def test_a_point_that_is_sent_again_is_tried_once(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    body = {"points": [POINT], "made": "1-2-3"}
    answers = [post(ada, f"/sweeps/{sweep_id}/points", body).get_json() for _ in range(2)]
    assert answers == [{"version": 2}, {"version": 2}]
    assert post(ada, f"/sweeps/{sweep_id}/points", {**body, "made": "4"}).get_json() == {"version": 3}
    assert post(ada, f"/sweeps/{sweep_id}/points", {"points": [POINT]}).get_json() == {"version": 4}


def test_the_dialog_of_a_point_writes_whole_numbers_in_full(ada: FlaskClient, sweep_id: str) -> None:
    wide = {"values": {"batch_size": [999_990, 1_000_000]}}
    assert post(ada, f"/sweeps/{sweep_id}/config", wide).status_code == 200
    page = ada.get(f"/sweeps/{sweep_id}/points").get_data(as_text=True)
    assert "999,990 to 1,000,000" in page
    assert 'value="999995"' in page


def test_what_was_done_under_an_id_is_not_done_again(store: Store, settings: Any, sweep_id: str) -> None:
    ada, now = Account("ada", "ada", "admin", 0), datetime.now(UTC)
    for _ in range(2):  # the first answer was lost
        assert steering.enqueue(store, ada, sweep_id, [POINT], now, "one") == 2
        assert steering.change(store, settings, ada, sweep_id, {"patience": 9}, now, made="two") == 3
    assert steering.enqueue(store, ada, sweep_id, [POINT], now, "three") == 4
    assert [edit.made for edit in store.sweeps.wishes(sweep_id).edits] == ["one", "two", "three"]


def test_edits_do_not_outgrow_the_sweep(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    answers = [post(ada, f"/sweeps/{sweep_id}/points", {"points": [POINT] * 1000}) for _ in range(8)]
    assert answers[0].status_code == 200
    assert "take no more; clone the sweep" in problems(answers[-1])["points"]
    assert store.sweeps.get(sweep_id)["version"] < 9


def test_a_failed_confirmation_is_not_tried_again_as_a_trial_of_the_search(
    ada: FlaskClient, store: Store, sweep_id: str
) -> None:
    store.trials.put(to_document(Trial(sweep_id, 3, 0, {}, 10, 1, TrialState.FAILED, confirms=1), 1))
    assert post(ada, f"/sweeps/{sweep_id}/retry").status_code == 200
    assert list(store.sweeps.wishes(sweep_id).edits[0].retries) == [2]


def test_failed_trials_are_asked_for_once(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    path = f"/sweeps/{sweep_id}/retry"
    assert problems(post(ada, path, {"numbers": [1]})) == {"numbers": "trial 1 has not failed"}
    assert post(ada, path).get_json() == {"version": 2}
    assert store.sweeps.wishes(sweep_id).edits[0].retries == [2]
    assert "not tried again already" in problems(post(ada, path))["numbers"]
    assert post(ada, path, {"numbers": [2]}).status_code == 200, "by its number it can be tried once more"


def test_a_search_can_be_finished_and_a_process_replaced(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    assert post(ada, f"/sweeps/{sweep_id}/finish").status_code == 204
    assert post(ada, f"/sweeps/{sweep_id}/processes/worker_0/restart").status_code == 204
    assert post(ada, f"/sweeps/{sweep_id}/processes/chief/restart").status_code == 204
    missing = post(ada, f"/sweeps/{sweep_id}/processes/worker_9/restart")
    assert missing.status_code == 404
    assert "it has chief, worker_0" in missing.get_json()["detail"]
    wishes = store.sweeps.wishes(sweep_id)
    assert (wishes.finish, wishes.restart) == (True, ("worker_0", "chief"))


def test_more_trials_of_a_sweep_that_waits_are_told_with_their_number(ada: FlaskClient, store: Store) -> None:
    config = parse({"seed": 1, "opt_stages": [[100, 4]]}).model_dump(mode="json")
    waiting = store.sweeps.create("a", "ada", config, 1, 4, 400, datetime.now(UTC))
    assert post(ada, f"/sweeps/{waiting}/config", {"values": {"opt_stages": [[100, 9]]}}).status_code == 200
    told = store.events.newest(waiting, EventType.SWEEP, 1)[0].data
    assert (told["progress"]["total"], told["version"]) == (9, 2)
    assert "state" not in told


def test_the_highest_priority_is_claimed_first(ada: FlaskClient, store: Store) -> None:
    now = datetime.now(UTC)
    config = parse({"seed": 1}).model_dump(mode="json")
    first, second = (store.sweeps.create(name, "ada", config, 1, 9, 1, now + timedelta(seconds=at))
                     for at, name in enumerate("ab"))  # fmt: skip
    assert post(ada, f"/sweeps/{second}/priority", {"priority": 5}).status_code == 204
    assert problems(post(ada, f"/sweeps/{first}/priority", {"priority": 10**6}))["priority"]
    claims = [store.sweeps.claim("here", timedelta(minutes=1), now) for _ in range(2)]
    assert [claim and claim["_id"] for claim in claims] == [second, first]
    assert post(ada, f"/sweeps/{second}/priority", {"priority": 6}).status_code == 409, "it waits no longer"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("config", {"values": [1]}), ("config", {}), ("config", {"values": {}, "version": "1"}), ("config", [1]),
        ("points", {"points": 7}), ("points", {"points": [7]}), ("retry", {"numbers": ["1"]}),
        ("retry", {"numbers": 1}),
        ("priority", {"priority": "high"}), ("priority", {"priority": True}),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_in_words(ada: FlaskClient, sweep_id: str, path: str, body: Any) -> None:
    answer = post(ada, f"/sweeps/{sweep_id}/{path}", body)
    assert answer.status_code == 400
    assert answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("config", {"values": {"patience": 5}}), ("points", {"points": [POINT]}), ("retry", {}), ("finish", None),
     ("priority", {"priority": 1}), ("processes/worker_0/restart", None)],
)  # fmt: skip
def test_only_the_owner_or_an_administrator_may(
    login: Callable[[str, str], FlaskClient], store: Store, sweep_id: str, path: str, body: Any
) -> None:
    before = store.sweeps.get(sweep_id)
    for name, role in (("eve", "editor"), ("vic", "viewer")):
        client = login(name, role)
        headers = {"X-CSRFToken": token(client, "/"), "Accept": "application/json"}
        assert client.post(f"/sweeps/{sweep_id}/{path}", json=body, headers=headers).status_code == 403
    assert store.sweeps.get(sweep_id) == before


def test_an_ended_sweep_is_steered_no_more(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    store.database["sweeps"].update_one({"_id": sweep_id}, {"$set": {"state": "COMPLETED"}})
    for path, body in (("config", {"values": {"patience": 5}}), ("points", {"points": [POINT]}), ("finish", None)):
        assert post(ada, f"/sweeps/{sweep_id}/{path}", body).status_code == 409


def test_every_key_that_may_change_is_documented() -> None:
    from engine.settings import ROOT

    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    part = text[text.index("## While a sweep runs") :]
    part = part[: part.index("\n## ", 5)]
    assert all(f"`{key}`" in part for key in LIVE)
