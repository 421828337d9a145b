"""TensorBoards of runs: the event files that they show, read back by TensorBoard's own loader, and their processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine.domain import Trial, TrialState
from engine.errors import ConfigError, NotFound
from engine.settings import ROOT, Settings
from engine.store import Store
from engine.store.runs import run_id_text
from engine.store.trials import to_document
from tests import hostile_runs
from tests.unit.webapp.conftest import token
from tests.waiting import wait_until
from webapp.errors import Busy
from webapp.extensions import BOARDS
from webapp.factory import create_app
from webapp.services import boards as service
from webapp.services.accounts import Account
from webapp.services.boards import Board, Boards

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

READ = """
import json, sys
from pathlib import Path
import webapp.tensorboard
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

found = {}
for folder in sorted({path.parent for path in Path(sys.argv[1]).rglob("events.out.tfevents.*")}):
    events = EventAccumulator(str(folder), tensor_size_guidance={"scalars": 0}).Reload()
    tags = events.Tags()["tensors"]
    hparams = {}
    if metadata.SESSION_START_INFO_TAG in tags:
        about = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        given = metadata.parse_session_start_info_plugin_data(about).hparams
        hparams = {name: getattr(value, value.WhichOneof("kind")) for name, value in given.items()}
    scalars = {
        tag: [[one.step, round(float(one.tensor_proto.float_val[0]), 4), one.wall_time] for one in events.Tensors(tag)]
        for tag in tags if not tag.startswith("_hparams_")
    }
    found[str(folder.relative_to(sys.argv[1]))] = {"scalars": scalars, "hparams": hparams}
assert "tensorflow" not in sys.modules
print(json.dumps(found))
"""
WRITE = """
import json, sys
from pathlib import Path
from engine import settings
from engine.store import connect
from engine.store.embedded import uri_of
from webapp.tensorboard import logs
if len(sys.argv) > 4:
    logs.MOST_BYTES = int(sys.argv[4])
uri, database, folder = sys.argv[1:4]
store = connect(uri, database)
written = logs.Logs(store, store.run_parts, True, Path(folder))
written.write(json.load(sys.stdin), lambda _: None)
assert "tensorflow" not in sys.modules
print(json.dumps(written.notes))
"""


def python(code: str, *arguments: str, given: str = "") -> Any:
    """What a process that runs *code* prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], input=given, capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def shown(store: Store, database_uri: str, tmp_path: Path) -> Callable[..., tuple[Any, list[str]]]:
    """What TensorBoard reads of runs, by folder, and what is said to be left out."""

    def read(*ids: str, most: int | None = None) -> tuple[Any, list[str]]:
        folder = str(tmp_path / "logs")
        limits = [] if most is None else [str(most)]
        notes = python(WRITE, database_uri, store.database.name, folder, *limits, given=json.dumps(ids))
        return python(READ, folder), notes

    return read


def put_run(store: Store, run_id: Any, name: str = "net", **fields: Any) -> None:
    document = {"_id": run_id, "experiment": {"name": name}, "status": "COMPLETED", "start_time": NOW, **fields}
    store.database["runs"].insert_one(document)


def put_files(store: Store, folder: Path, files: dict[str, float]) -> list[dict[str, Any]]:
    """Artifacts that TensorBoard's own writer has made: the loss of each."""
    code = """
import json, sys
from pathlib import Path
import numpy as np
from webapp.services.run_metrics import Line
from webapp.tensorboard.events import EventFile
for name, loss in json.load(sys.stdin).items():
    file = EventFile(Path(sys.argv[1]) / name)
    file.scalars("epoch_loss", Line(np.array([1.0]), np.array([loss]), np.array([5.0])), 5.0)
    file.close()
print("{}")
"""
    numbers = {str(number): loss for number, loss in enumerate(files.values())}
    python(code, str(folder), given=json.dumps(numbers))
    kept = []
    for number, name in enumerate(files):
        content = (folder / str(number) / "events.out.tfevents.00000").read_bytes()
        kept.append({"name": name, "file_id": store.runs.put_source(name, str(number), content)})
    return kept


def test_metrics_become_scalars_with_their_steps_and_moments(store: Store, shown: Any) -> None:
    put_run(store, 12, "my/experiment", config={"lr": 0.5, "net": {"units": 8, "kind": "x"}, "flag": True, "no": None})
    moments = [NOW + timedelta(seconds=second) for second in range(3)]
    store.runs.put_metric(12, "loss.train", [10, 20, 30], [1.0, 0.5, float("nan")], moments)
    store.database["metrics"].insert_one({"run_id": 12, "name": "old", "steps": [1, 2], "values": [3, 4]})
    found, notes = shown("12")
    assert notes == []
    (run,) = found.values()
    assert list(found) == ["12 my-experiment"]
    begin = NOW.timestamp()
    points = run["scalars"]["loss.train"]
    assert points[:2] == [[10, 1.0, begin], [20, 0.5, begin + 1]]
    assert points[2][1] != points[2][1]
    assert run["scalars"]["old"] == [[1, 3.0, begin], [2, 4.0, begin]], "without timestamps, the run's begin"
    assert run["hparams"] == {"lr": 0.5, "net.units": 8.0, "net.kind": "x", "flag": True}


def test_event_files_among_the_artifacts_are_shown_as_they_are(store: Store, shown: Any, tmp_path: Path) -> None:
    names = {
        "events.out.tfevents.1.host": 0.5,
        "logs/train/events.out.tfevents.2": 0.25,
        "../../up/events.out.tfevents.3": 1,
    }
    artifacts = put_files(store, tmp_path / "made", names)
    put_run(store, 1, artifacts=[*artifacts, {"name": "events.out.tfevents.gone", "file_id": 5}, {"name": "a.txt"}])
    store.runs.put_metric(1, "loss", [1], [1.0], [NOW])
    found, notes = shown("1")
    told = {folder: run["scalars"] for folder, run in found.items()}
    assert told == {
        "1 net": {"epoch_loss": [[1, 0.5, 5.0]]},
        "1 net/logs/train": {"epoch_loss": [[1, 0.25, 5.0]]},
        "1 net/up": {"epoch_loss": [[1, 1.0, 5.0]]},
    }
    assert notes == ["1 net: events.out.tfevents.gone: the file is named by the run, but not stored."]


def test_event_files_that_are_too_large_are_left_out_and_told(store: Store, shown: Any, tmp_path: Path) -> None:
    put_run(store, 1, artifacts=put_files(store, tmp_path / "made", {"a/events.out.tfevents.1": 0.5}))
    store.runs.put_metric(1, "loss", [1], [1.0], [NOW])
    found, (note,) = shown("1", most=10)
    assert found["1 net"]["scalars"] == {"loss": [[1, 1.0, NOW.timestamp()]]}
    assert "a/events.out.tfevents.1 (0 MB) is left out; at most" in note


def test_each_trial_of_a_sweep_has_its_curve_and_hyper_parameters(store: Store, shown: Any) -> None:
    sweep = store.sweeps.create("mine", "ada", {}, 1, 1, 1, NOW)
    config = {"nn_model": "Regressor", "hyperparam_opt": "RS", "name": "mine"}
    put_run(store, 3, config=config, info={"sweep_id": sweep})
    for number in range(1, 104):
        trial = Trial(sweep, number, 0, {"learning_rate": 0.1 * number, "activation": "relu"}, 20, 1)
        trial.state, trial.loss = TrialState.COMPLETED, None if number == 7 else 1 / number
        trial.step, trial.curve, trial.figures = 20, [[10, 2.0, None], [20, 1.0, 0.5]], {"accuracy": 0.75}
        trial.started, trial.finished = NOW, NOW + timedelta(seconds=40)
        store.trials.put(to_document(trial, 1))
    running = Trial(sweep, 104, 0, {"learning_rate": 1.0, "activation": "relu"}, 20, 1, TrialState.RUNNING)
    store.trials.put(to_document(running, 1))
    found, notes = shown("3")
    assert notes == ["3 mine: the 100 best of its 103 trials are shown."]
    assert len(found) == 101
    assert not {"3 mine/trial 1", "3 mine/trial 7", "3 mine/trial 104"} & set(found)
    trial_ = found["3 mine/trial 10"]
    begin = NOW.timestamp()
    assert trial_["hparams"] == {"learning_rate": 1.0, "activation": "relu"}
    assert trial_["scalars"] == {
        "loss/training": [[10, 2.0, begin + 20], [20, 1.0, begin + 40]],
        "loss/validation": [[20, 0.5, begin + 40]],
        "accuracy": [[20, 0.75, begin + 40]],
        "loss": [[20, 0.1, begin + 40]],
    }
    assert found["3 mine"]["hparams"] == {}


def test_hostile_documents_are_shown_as_far_as_they_can_be(store: Store, shown: Any) -> None:
    ids = [run_id_text(run_id) for run_id in hostile_runs.insert(store.database)]
    found, _ = shown(*ids)
    assert len(found) == len(ids)


@pytest.fixture
def settings(settings: Settings, database_uri: str) -> Settings:
    """Those by which a process of its own finds the same database."""
    return replace(settings, mongo_uri=database_uri)


@pytest.fixture
def standing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are ready at once, and no TensorBoard (tests/boards.py)."""
    monkeypatch.setattr(service, "COMMAND", (sys.executable, str(ROOT / "tests" / "boards.py")))


@pytest.fixture
def boards(app: Flask) -> Iterator[Boards]:
    found: Boards = app.extensions[BOARDS]
    yield found
    found.close()


def person(name: str) -> Account:
    return Account(name, name, "viewer", 0)


def gone(board: Board) -> bool:
    return board.process.poll() is not None and not board.folder.exists()


def opened(boards: Boards, browser: FlaskClient, *ids: str) -> str:
    """Where the TensorBoard of these runs is, once it is ready; and what is said of it."""
    answer = browser.post("/history/tensorboard", data={"id": list(ids), "csrf_token": token(browser, "/account")})
    assert answer.status_code == 303, answer.get_data(as_text=True)
    waiting = answer.headers["Location"]

    def ready() -> str | None:
        told = browser.get(waiting.replace("/tensorboard?", "/tensorboard.json?")).get_json()
        assert not told["problem"], told
        return "yes" if told["ready"] else None

    wait_until(ready, 60, "the TensorBoard")
    return f"/history/tensorboard/{waiting.rpartition('=')[2]}/"


@pytest.mark.usefixtures("standing_in")
def test_the_same_runs_have_one_and_nobody_has_many(boards: Boards) -> None:
    one = boards.open(person("a"), "s", "", ["1", "2"])
    assert boards.open(person("a"), "s", "", ["2", "1", "2"]) is one
    assert boards.open(person("b"), "s", "", ["1", "2"]) is not one, "somebody else's is another"
    other = boards.open(person("a"), "s", "other", ["1", "2"])
    assert other is not one
    one.used += 1
    third = boards.open(person("a"), "s", "", ["3"])
    assert gone(other), "of one's own the one that was not used for longest ends"
    assert not gone(one)
    last = boards.open(person("b"), "s", "", ["4"])
    with pytest.raises(Busy, match="4 TensorBoards are open"):
        boards.open(person("c"), "s", "", ["1"])
    boards.close()
    assert gone(one)
    assert gone(third)
    assert gone(last)


@pytest.mark.usefixtures("standing_in")
def test_one_that_nobody_uses_ends(boards: Boards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.sessions, "alive", lambda _, digests, now: set(digests))
    board = boards.open(person("a"), "s", "", ["1"])
    board.used -= service.IDLE_SECONDS - 1
    boards.turn(NOW)
    assert not gone(board)
    board.used -= 2
    boards.turn(NOW)
    assert gone(board)
    with pytest.raises(NotFound, match="has ended, as each does 10 minutes"):
        boards.get(person("a"), "s", board.id)


@pytest.mark.usefixtures("standing_in")
def test_it_ends_with_the_session_of_its_user(
    boards: Boards, login: Callable[[str, str], FlaskClient], store: Store
) -> None:
    ada, vera = login("ada", "admin"), login("vera", "viewer")
    address = opened(boards, vera, "1")
    board = boards.get(person("vera"), "s", address.split("/")[3])
    board.sessions.discard("s")
    boards.turn(datetime.now(UTC))
    assert not gone(board)
    page = ada.get("/accounts").get_data(as_text=True)
    ada.post("/accounts/vera/deactivate", data={"csrf_token": token(ada, "/accounts")})
    assert "vera" in page
    boards.turn(datetime.now(UTC))
    assert gone(board)
    address = opened(boards, ada, "1")
    board = boards.get(person("ada"), "s", address.split("/")[3])
    board.sessions.discard("s")
    ada.post("/logout", data={"csrf_token": token(ada, "/")})
    boards.turn(datetime.now(UTC))
    assert gone(board)


@pytest.mark.parametrize("count", [0, 51])
def test_no_runs_and_too_many_are_refused_in_words(boards: Boards, count: int) -> None:
    with pytest.raises(ConfigError, match=f"choose 1 to 50 runs for TensorBoard, not {count}"):
        boards.open(person("a"), "s", "", [str(number) for number in range(count)])


def test_one_that_cannot_start_says_why(
    ada: FlaskClient, boards: Boards, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def problem(run_id: str) -> str:
        answer = ada.post("/history/tensorboard", data={"id": run_id, "csrf_token": token(ada, "/account")})
        page = answer.headers["Location"]
        wait_until(lambda: ada.get(page).status_code == 503, 60, "the problem")
        return ada.get(page).get_data(as_text=True)

    assert "None of these runs is there any more." in problem("5")
    put_run(store, 5)
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['tensorboard'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "TensorBoard is not installed on the server" in problem("5"), "and it was tried anew"
    monkeypatch.setattr(service, "COMMAND", (sys.executable, "-c", "raise SystemExit('boom')"))
    assert "TensorBoard ended unexpectedly" in problem("6")


def test_switched_off_there_is_none(settings: Settings, store: Store, login: Any) -> None:
    put_run(store, 5)
    app = create_app(replace(settings, tensorboard=False), store, relay=False)
    ada = login("ada", "admin")
    off = app.test_client()
    off.set_cookie("nhop", ada.get_cookie("nhop").value)  # type: ignore[union-attr]
    for path in ("/history", "/history/5"):
        assert "TensorBoard" in ada.get(path).get_data(as_text=True)
        assert "TensorBoard" not in off.get(path).get_data(as_text=True)
    answer = off.post("/history/tensorboard", data={"id": "5", "csrf_token": token(off, "/account")})
    assert answer.status_code == 404
    assert "switched off" in answer.get_data(as_text=True)


def test_a_real_one_follows_a_run_and_dies_with_the_server(
    ada: FlaskClient, boards: Boards, store: Store, settings: Settings
) -> None:
    put_run(store, 5, status="RUNNING", heartbeat=datetime.now(UTC))
    store.runs.put_metric(5, "loss", [1], [0.5], [NOW])
    address = opened(boards, ada, "5")
    page = ada.get(address)
    assert page.status_code == 200
    assert "<title>TensorBoard</title>" in page.get_data(as_text=True)
    assert ada.get(f"{address}data/logdir").get_json() == {"logdir": "logs"}, "no path of the server is told"

    def steps() -> list[int]:
        asked = {"requests": json.dumps([{"plugin": "scalars", "tag": "loss"}])}
        answer = ada.post(f"{address}experiment/x/data/plugin/timeseries/timeSeries", data=asked)
        return [point["step"] for point in answer.get_json()[0]["runToSeries"]["5 net"]]

    assert steps() == [1]
    store.database["metrics"].update_one(
        {"run_id": 5}, {"$push": {"steps": 2, "values": 0.25, "timestamps": NOW + timedelta(seconds=1)}}
    )
    wait_until(lambda: steps() == [1, 2], 15, "the new point")
    (board,) = boards._boards.values()
    assert "tensorflow" not in Path(f"/proc/{board.process.pid}/maps").read_text()
    code = """
import sys, time
from engine import settings
from engine.store import connect
from webapp.services.accounts import Account
from webapp.services.boards import Boards
found = settings.load()
boards = Boards(found, connect(found.mongo_uri, found.database))
board = boards.open(Account("a", "a", "viewer", 0), "s", "", ["5"])
while not boards.state(board).ready:
    assert not boards.state(board).problem
    time.sleep(0.05)
print(board.process.pid, board.folder, flush=True)
time.sleep(600)
"""
    environ = {**os.environ, **settings.environment()}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
    ) as web:
        assert web.stdout is not None
        pid, _, folder = web.stdout.readline().strip().partition(" ")
        assert psutil.pid_exists(int(pid))
        os.kill(web.pid, signal.SIGKILL)
        web.wait()
        wait_until(lambda: not psutil.pid_exists(int(pid)), 10, "the end of the child")
    assert Path(folder).exists()
    assert Path(folder) != board.folder
    other = Boards(settings, store)
    other._own_folder()
    assert not Path(folder).exists(), "the next server removes what was left"
    assert board.folder.exists(), "and leaves alone what is another's"
