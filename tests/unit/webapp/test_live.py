"""What the live page asks for: trials in order, one trial, why a sweep waits, logs, and what may be changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
from tests.waiting import wait_until
from webapp.sweeps.typed import typed_from

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
C, F, P, R = TrialState.COMPLETED, TrialState.FAILED, TrialState.PRUNED, TrialState.RUNNING
TRIALS: list[tuple[int, TrialState, float | None, dict[str, Any]]] = [
    (1, C, 0.5, {"batch_size": 100, "activation": "relu"}),
    (2, F, None, {"batch_size": 400, "activation": "relu"}),
    (3, C, 0.1, {"batch_size": 300, "activation": "tanh"}),
    (4, P, None, {"batch_size": 200, "activation": "tanh"}),
    (5, R, None, {"batch_size": 500, "activation": "relu"}),
    (6, C, 0.2, {"batch_size": 300, "activation": "tanh"}),
]
"""Number, state, loss and parameters; the last one confirms the third."""


@pytest.fixture
def sweep_id(store: Store, tmp_path: Path) -> str:
    """Ada's sweep on the machine "here", in its second stage, with TRIALS."""
    config = parse({"seed": 1, "train_log_dir": str(tmp_path / "logs")})
    sweep_id = store.sweeps.create("a", "ada", config.model_dump(mode="json"), 1, 9, 7100, NOW)
    assert store.sweeps.claim("here", timedelta(minutes=5), NOW) is not None
    begun = {"space": config.space().to_document(), "best": 1}
    stages = [{"index": 0, "steps": 1000, "trials": 4, "ended": 4, **begun}]
    processes = {"worker_0": {"role": "worker", "index": 0}, "chief_0": {"role": "chief", "index": 0}}
    store.sweeps.update(sweep_id, 1, {"stages": stages, "processes": processes})
    for number, state, loss, params in TRIALS:
        trial = Trial(sweep_id, number, number // 4, params, 10, 1, state, loss=loss, val_loss=loss)
        trial.started, trial.worker = NOW + timedelta(seconds=number), f"worker_{number % 2}"
        trial.finished = None if state is R else trial.started + timedelta(seconds=10 - number)
        trial.error = "Traceback\nNumericalError: the loss became NaN" if state is F else None
        trial.confirms = 3 if number == 6 else None
        store.trials.put(to_document(trial, 1))
    return sweep_id


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4, 5, 6]),
        ("sort=number&down=1", [6, 5, 4, 3, 2, 1]),
        ("sort=val_loss", [3, 6, 1, 2, 4, 5]),
        ("sort=val_loss&down=1", [1, 6, 3, 2, 4, 5]),
        ("sort=seconds&down=1", [1, 2, 3, 4, 6, 5]),
        ("sort=batch_size", [1, 4, 3, 6, 2, 5]),
        ("sort=state", [1, 3, 6, 2, 4, 5]),
        ("sort=worker&down=1", [1, 3, 5, 2, 4, 6]),
        ("state=FAILED", [2]),
        ("stage=1", [4, 5]),
        ("kind=confirming", [6]),
        ("kind=search&state=COMPLETED", [1, 3]),
        ("low=0.1&high=0.2", [3, 6]),
        ("text=TANH", [3, 4, 6]),
        ("text=relu+batch_size>100", [2, 5]),
        ("text=batch_size<=200", [1, 4]),
        ("text=batch_size=300", [3, 6]),
        ("text=activation=relu", [1, 2, 5]),
        ("text=numericalerror", [2]),
        ("text=worker_1", [1, 3, 5]),
        ("text=%233", [3]),
        ("text=nothing", []),
    ],
)
def test_trials_are_sorted_and_filtered(ada: FlaskClient, sweep_id: str, query: str, numbers: list[int]) -> None:
    answer = ada.get(f"/sweeps/{sweep_id}/trials/order.json?{query}")
    assert answer.get_json() == {"total": 6, "numbers": numbers}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sort=colour", "cannot be sorted by 'colour'; by number, stage"),
        ("state=LATE", "state must be one of queued"),
        ("low=many", "the lowest loss must be a number, got 'many'"),
        ("stage=x", "stage must be a number"),
        ("kind=all", "kind must be one of search, confirming"),
        ("text=batch_size<x", "batch_size must be a number, got 'x'"),
        ("text=activation<relu", "ask for one of them, as in activation=relu"),
        (f"text={'+'.join(map(str, range(11)))}", "at most 10 words can be searched for at once, got 11"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_in_words(
    ada: FlaskClient, sweep_id: str, query: str, words: str
) -> None:
    answer = ada.get(f"/sweeps/{sweep_id}/trials/order.json?{query}")
    assert answer.status_code == 400
    assert words in answer.get_json()["detail"].lower()


def test_a_new_trial_is_in_the_next_answer(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    ada.get(f"/sweeps/{sweep_id}/trials/order.json")
    store.trials.put(to_document(Trial(sweep_id, 7, 1, {"batch_size": 150}, 10, 1, R), 1))
    assert ada.get(f"/sweeps/{sweep_id}/trials/order.json?state=RUNNING").get_json()["numbers"] == [5, 7]


def test_the_rows_of_trials_come_when_they_are_asked_for(ada: FlaskClient, sweep_id: str) -> None:
    rows = ada.get(f"/sweeps/{sweep_id}/trials?numbers=4,2,99,x").get_json()
    assert [row["number"] for row in rows] == [2, 4]
    assert rows[0]["error"].endswith("became NaN")
    assert ada.get(f"/sweeps/{sweep_id}/trials").get_json() == []
    assert ada.get("/sweeps/none/trials?numbers=1").status_code == 404


def snapshot(html: str) -> dict[str, Any]:
    found = re.search(r'id="snapshot">(.*?)</script>', html, re.S)
    assert found
    return dict(json.loads(found[1]))


def test_the_page_of_a_trial_tells_all_of_it(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    trial = Trial(sweep_id, 3, 0, {"batch_size": 300}, 10, 1, C, loss=0.1, rungs=[[5, 0.2]], curve=[[5, 0.3, 0.2]])
    trial.started, trial.finished = NOW, NOW + timedelta(seconds=3)
    trial.attempts = [{"attempt": 1, "worker": "worker_0", "step": 4, "error": "worker_0 ended with signal SIGKILL"}]
    store.trials.put(to_document(trial, 1))
    lines = [("trial 3: best", 1), ("trial 33: other", 1), ("the best trials (2, 3) are trained", 2), ("trial 3", 900)]
    for text, seconds in lines:
        line = {"at": "", "level": "INFO", "text": text}
        store.events.append(sweep_id, [(EventType.LOG, {"lines": [line]}, NOW + timedelta(seconds=seconds))])
    html = ada.get(f"/sweeps/{sweep_id}/trials/3").get_data(as_text=True)
    shown = snapshot(html)
    assert [one["number"] for one in shown["trials"]] == [3, 6]
    assert shown["trials"][0]["rungs"] == [[5, 0.2]]
    assert "SIGKILL" in shown["trials"][0]["attempts"][0]["error"]
    assert shown["curves"] == {"3": [[5, 0.3, 0.2]]}
    assert shown["neighbours"] == [2, 4]
    assert [line["text"] for line in shown["log"]] == ["trial 3: best", "the best trials (2, 3) are trained"]
    assert f"/sweeps/{sweep_id}/trials/3/model.zip" in html


def test_the_first_and_the_last_trial_have_one_neighbour_and_unknown_ones_are_no_page(
    ada: FlaskClient, sweep_id: str
) -> None:
    assert snapshot(ada.get(f"/sweeps/{sweep_id}/trials/1").get_data(as_text=True))["neighbours"] == [None, 2]
    assert snapshot(ada.get(f"/sweeps/{sweep_id}/trials/6").get_data(as_text=True))["neighbours"] == [5, None]
    assert ada.get(f"/sweeps/{sweep_id}/trials/99").status_code == 404
    assert ada.get("/sweeps/none/trials/1").status_code == 404


def test_a_trial_that_is_tried_again_names_those_that_do(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    store.trials.put(to_document(Trial(sweep_id, 7, 1, {}, 10, 1, R, retries=2, edit=2), 1))
    shown = snapshot(ada.get(f"/sweeps/{sweep_id}/trials/2").get_data(as_text=True))
    assert [one["number"] for one in shown["trials"]] == [2, 7]


def test_a_waiting_sweep_says_which_slots_are_busy_and_its_place(ada: FlaskClient, store: Store) -> None:
    now = datetime.now(UTC)
    config = parse({"seed": 1}).model_dump(mode="json")
    first, second = (
        store.sweeps.create("a", "ada", config, 1, 9, 7100, now + timedelta(seconds=place)) for place in (0, 1)
    )
    store.machines.beat("turing", 1, 2, ["x", "y"], now)
    said = ada.get(f"/sweeps/{second}/queue.json").get_json()["text"]
    assert "2 of 2 slots are busy on turing" in said
    assert "place 2 in the queue" in said
    store.sweeps.prioritise(second, 5)
    assert "place 1 in the queue" in ada.get(f"/sweeps/{second}/queue.json").get_json()["text"]
    assert "place 2 in the queue" in snapshot(ada.get(f"/sweeps/{first}").get_data(as_text=True))["queue"]


def test_a_sweep_that_runs_waits_for_nothing(ada: FlaskClient, sweep_id: str) -> None:
    assert ada.get(f"/sweeps/{sweep_id}/queue.json").get_json() == {"text": ""}


def test_the_end_of_a_processs_log_is_shown(ada: FlaskClient, sweep_id: str, tmp_path: Path) -> None:
    folder = tmp_path / "logs" / sweep_id
    folder.mkdir(parents=True)
    (folder / "worker_0.log").write_text("".join(f"line {number}\n" for number in range(1000)))
    (folder / "hyper_opt.log").write_text("begun\n")
    (folder / "secret.log").write_text("no process writes this")
    said = ada.get(f"/sweeps/{sweep_id}/processes/worker_0/log.json").get_json()
    assert said["lines"][-1] == "line 999"
    assert len(said["lines"]) == 300
    assert said["where"] == str(folder / "worker_0.log")
    assert ada.get(f"/sweeps/{sweep_id}/processes/optimizer/log.json").get_json()["lines"] == ["begun"]
    for name in ("secret", "../secret", "..%2Fsecret", "worker_0.log", "hyper_opt"):
        answer = ada.get(f"/sweeps/{sweep_id}/processes/{name}/log.json")
        assert answer.status_code == 404, name
        assert b"no process writes this" not in answer.data


def test_a_log_that_another_machine_has_is_told_in_words(ada: FlaskClient, sweep_id: str) -> None:
    answer = ada.get(f"/sweeps/{sweep_id}/processes/worker_0/log.json")
    assert answer.status_code == 404
    assert "Nobody has the log of worker_0 any more; it should lie on here, at" in answer.get_json()["detail"]


def test_a_log_that_another_machine_has_is_asked_for(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    store.machines.beat("here", 1, 1, [], datetime.now(UTC) + timedelta(hours=1))

    def answer() -> None:
        wait_until(lambda: store.logs.asked("here", datetime.now(UTC)) == [f"{sweep_id}/worker_0"], 10, "the question")
        store.logs.answer(f"{sweep_id}/worker_0", ["trained"], "/logs/worker_0.log")

    with ThreadPoolExecutor() as pool:
        answering = pool.submit(answer)
        said = ada.get(f"/sweeps/{sweep_id}/processes/worker_0/log.json").get_json()
        answering.result()
    assert (said["where"], said["lines"]) == ("here: /logs/worker_0.log", ["trained"])
    assert store.logs.asked("here", datetime.now(UTC)) == []


def change(client: FlaskClient, store: Store, sweep_id: str, **values: str) -> TestResponse:
    """Send the fields of the dialog as they are shown, with *values* in place of what is in them; __ is a dot."""
    html = client.get(f"/sweeps/{sweep_id}/change").get_data(as_text=True)
    shown = set(re.findall(r'name="([^"]+)"', html))
    fields = {name: texts for name, texts in typed_from(store.sweeps.get(sweep_id)["config"]).lists() if name in shown}
    version = re.search(r'name="version" value="(\d+)"', html)
    assert version
    typed = {name.replace("__", "."): [value] for name, value in values.items()}
    assert typed.keys() <= shown
    headers = {"X-CSRFToken": token(client, "/sweeps/new"), "Accept": "application/json"}
    return client.post(f"/sweeps/{sweep_id}/change", data={**fields, "version": version[1], **typed}, headers=headers)


def test_only_what_was_typed_anew_is_changed(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    answer = change(ada, store, sweep_id, batch_size__1="500", hyperparam_opt="TPE")
    assert (answer.status_code, answer.get_json()) == (200, {"version": 2})
    (edit,) = store.sweeps.get(sweep_id)["edits"]
    assert edit["changes"] == {"batch_size": [[100, 2000], [100, 500]], "hyperparam_opt": ["RS", "TPE"]}


def test_what_is_wrong_stands_at_its_field_with_what_was_typed(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    answer = change(ada, store, sweep_id, batch_size__1="50")
    assert answer.status_code == 400
    html = answer.get_data(as_text=True)
    assert re.search(r'id="batch_size-problem">the lower bound 100 is above', html)
    assert re.search(r'name="batch_size.1"\s+value="50"', html)
    assert "One thing to fix" in html
    assert store.sweeps.get(sweep_id)["version"] == 1


def test_nothing_changed_and_an_old_version_are_told(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    answer = change(ada, store, sweep_id)
    assert answer.status_code == 400
    assert "nothing was changed" in answer.get_data(as_text=True)
    assert change(ada, store, sweep_id, batch_size__1="500").status_code == 200
    answer = change(ada, store, sweep_id, version="1", batch_size__1="600")
    assert answer.status_code == 409
    assert "Somebody else has changed the sweep" in answer.get_json()["detail"]


def test_a_point_begins_with_the_best_or_the_middle(ada: FlaskClient, store: Store, sweep_id: str) -> None:
    html = ada.get(f"/sweeps/{sweep_id}/points").get_data(as_text=True)
    assert "filled with the middle of the space" in html
    assert re.search(r'name="batch_size"\s+value="1050"', html)
    assert re.search(r'data-axis="units_9"\s+data-layer="9"', html)
    best = {"number": 3, "stage": 0, "loss": 0.1, "params": {"batch_size": 321, "activation": "tanh"}}
    store.sweeps.update(sweep_id, 1, {"best": best})
    html = ada.get(f"/sweeps/{sweep_id}/points").get_data(as_text=True)
    assert "filled with trial 3, the best so far" in html
    assert re.search(r'name="batch_size"\s+value="321"', html)
    assert re.search(r'value="tanh"\s+selected', html)


def test_only_owners_and_administrators_see_what_steers(
    login: Callable[[str, str], FlaskClient], ada: FlaskClient, sweep_id: str
) -> None:
    assert "data-steering" in ada.get(f"/sweeps/{sweep_id}").get_data(as_text=True)
    for name, role in (("eve", "editor"), ("vic", "viewer")):
        client = login(name, role)
        html = client.get(f"/sweeps/{sweep_id}").get_data(as_text=True)
        assert "data-steering" not in html
        assert "data-token" not in html
        assert "data-token" not in client.get(f"/sweeps/{sweep_id}/trials/1").get_data(as_text=True)
        for path in ("change", "points"):
            assert client.get(f"/sweeps/{sweep_id}/{path}").status_code == 403
