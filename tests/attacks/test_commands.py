"""Shell metacharacters in every field, pickles and YAML tags: nothing of it runs."""

from __future__ import annotations

import ast
import io
import pickle
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from engine.config import SweepConfig, load_yaml
from engine.data import parts
from engine.errors import ConfigError
from engine.recorder import Recorder
from engine.report import Reporter
from engine.settings import ROOT
from engine.store import Store
from engine.training import checkpoint
from engine.training.job import Job
from tests.unit.webapp.conftest import token
from tests.unit.webapp.test_sweeps import typed
from webapp.sweeps import document

SOURCES = sorted(path for package in ("engine", "webapp") for path in (ROOT / package).rglob("*.py"))
RUNS_TEXT = {"eval", "exec", "system", "popen", "getoutput", "getstatusoutput", "check_output_shell"}
LOADS_OBJECTS = {("pickle", "load"), ("pickle", "loads"), ("marshal", "loads"), ("shelve", "open"), ("yaml", "load")}
LOADS_OBJECTS |= {("yaml", "full_load"), ("yaml", "unsafe_load"), ("joblib", "load"), ("jsonpickle", "decode")}


class Evil:
    """A pickle of it makes the canary sing."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (Path.touch, (self.canary,))


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def test_no_code_hands_text_to_a_shell_or_makes_objects_of_bytes() -> None:
    found = []
    for path in SOURCES:
        for call in calls(path):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            owner = getattr(call.func.value, "id", "") if isinstance(call.func, ast.Attribute) else ""
            shell = any(word.arg == "shell" and getattr(word.value, "value", True) for word in call.keywords)
            objects = (owner, name) in LOADS_OBJECTS or any(
                word.arg == "allow_pickle" and getattr(word.value, "value", True) for word in call.keywords
            )
            plain = name in RUNS_TEXT and owner in ("", "os", "subprocess", "builtins")
            if shell or objects or plain:
                found.append((str(path.relative_to(ROOT)), call.lineno, name))
    assert found == []


@pytest.mark.parametrize(
    "payload", ["$(touch {0}) `touch {0}` ; touch {0} | touch {0} && touch {0} #", "\n touch {0}\n"]
)
def test_no_field_of_a_sweep_reaches_a_shell(ada: FlaskClient, store: Store, tmp_path: Path, payload: str) -> None:
    canary = tmp_path / "canary"
    text = payload.format(canary)
    fields = [name for name, info in SweepConfig.model_fields.items() if info.annotation is str]
    assert {"name", "ps_hosts", "worker_hosts", "train_log_dir", "model_class", "load_data_dir"} <= set(fields)
    for field in fields:
        answer = ada.post("/sweeps/new", data=typed(ada, **{field: text}))
        assert answer.status_code in (303, 400), field
    for path in ("/sweeps/new/axes", "/sweeps/new/check"):
        form = typed(ada, nn_model="Custom", model_class=text)
        assert ada.post(path, data=form).status_code in (200, 400)
    assert not canary.exists()


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:pathlib.Path.touch [{}]",
        "!!python/object/new:os.system [touch {}]",
        "!!python/object/apply:os.system ['touch {}']",
        "!!python/name:os.system",
    ],
)
def test_yaml_makes_values_and_never_objects(ada: FlaskClient, tmp_path: Path, tag: str) -> None:
    canary = tmp_path / "canary"
    text = f"name: {tag.format(canary)}\n"
    for path in ("/sweeps/new", "/sweeps/new/form", "/sweeps/new/yaml", "/sweeps/new/check"):
        answer = ada.post(path, data={"yaml": text, "csrf_token": token(ada, "/")})
        assert answer.status_code in (200, 400), path
    assert ada.get("/sweeps/new", query_string={"config": text.strip()}).status_code in (200, 400)
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_yaml(file)
    assert not canary.exists()


def test_a_billion_laughs_are_none(ada: FlaskClient) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 7))
    answer = ada.post("/sweeps/new/form", data={"yaml": f"l0: &l0 [x]\n{levels}\n", "csrf_token": token(ada, "/")})
    assert answer.status_code == 400
    assert "aliases (*name) are not taken" in answer.get_data(as_text=True)


@pytest.mark.parametrize("text", ["a: " + "[" * 20_000, "a: " + "- " * 20_000 + "x"], ids=["flow", "block"])
def test_lists_within_lists_within_lists_are_refused_in_words(ada: FlaskClient, text: str) -> None:
    for path in ("/sweeps/new", "/sweeps/new/form", "/sweeps/new/check"):
        assert ada.post(path, data={"yaml": text, "csrf_token": token(ada, "/")}).status_code in (200, 400), path


def test_a_text_that_is_too_long_is_not_parsed(ada: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(self: Any) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("webapp.sweeps.document._Loader.get_single_node", parsed)
    with pytest.raises(ConfigError, match="is longer than"):
        document.read(f"name: {'x' * document.LONGEST}")


def test_text_that_no_database_can_hold_is_refused(ada: FlaskClient) -> None:
    for text in ('name: "a\\0b"', 'name: "\\ud800"', '"a\\0": 1', 'tags: ["\\0"]'):
        answer = ada.post("/sweeps/new/form", data={"yaml": text, "csrf_token": token(ada, "/")})
        assert answer.status_code == 400, text


@pytest.mark.parametrize("reads", ["report", "checkpoint", "data", "recorder"])
def test_a_pickle_in_place_of_numbers_is_not_unpickled(tmp_path: Path, reads: str) -> None:
    canary, file = tmp_path / "canary", tmp_path / "7.npy"
    evil = np.array([Evil(canary)], dtype=object)
    if reads in ("checkpoint", "data"):
        np.savez(tmp_path / "evil.npz", allow_pickle=True, **dict.fromkeys(("about", "classes", "train_tokens"), evil))
        (tmp_path / "evil.npz").rename(file)
    else:
        np.save(file, evil, allow_pickle=True)
    stored: dict[int, bytes] = {}
    models = SimpleNamespace(put=lambda _id, batch, *_: stored.update(batch) or ())
    store = SimpleNamespace(models=models)
    sweep: Any = SimpleNamespace(_models=tmp_path, _lock=nullcontext(), _id="x", _fence=1, _store=store, _batch_bytes=1)
    sweep._renew = lambda **_: None
    with suppress(ValueError):
        if reads == "report":
            Reporter._parameters(sweep, 7)
        elif reads == "checkpoint":
            job = Job(7, 1, {}, 1, 1, 0.0, 1, 1, "scaled", checkpoint=str(file))
            assert checkpoint.read(job) is None
        elif reads == "data":
            parts.load(file)
        else:
            sweep._models = {7: file}
            Recorder._flush_models(sweep)
    assert not canary.exists()
    assert not stored


def test_a_pickle_is_bytes_wherever_it_comes_in(ada: FlaskClient, store: Store, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    evil = pickle.dumps(Evil(canary))
    for filename in ("evil.csv", "evil.zip", "evil.pkl", "evil.npy"):
        form = {"csrf_token": token(ada, "/"), "name": "", "file": (io.BytesIO(evil), filename)}
        assert ada.post("/datasets", data=form, content_type="multipart/form-data").status_code == 400
    jsonpickled = {"py/reduce": [{"py/function": "os.system"}, {"py/tuple": [f"touch {canary}"]}]}
    now = datetime.now(UTC)
    store.database["runs"].insert_one(
        {"_id": 7, "status": "COMPLETED", "start_time": now, "config": {"x": jsonpickled}, "result": jsonpickled}
    )
    for path in ("/history", "/history/7", "/sweeps/new?run=7"):
        assert ada.get(path).status_code in (200, 404), path
    sweep_id = store.sweeps.create("x", "ada", {"name": jsonpickled, "seed": evil}, 1, 1, 1, now)
    assert ada.get(f"/sweeps/new?from={sweep_id}").status_code < 500
    assert not canary.exists()
