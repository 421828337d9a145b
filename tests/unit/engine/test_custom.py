"""A user's own classes: what may be named, what a class must offer, and how its axes are found and narrowed."""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.config import parse
from engine.data import accept
from engine.errors import ConfigError, ModelError, NotFound, StateError
from engine.models.custom import Shape, axes_of, classes_of, load_class
from engine.models.inspection import Axes, Uninspectable, inspect, inspect_file, settle
from engine.space import Categorical, Float, Int, SpaceError, axis_document, axis_of, within
from engine.stages import narrow
from engine.store import Store
from tests.custom_classes import SOURCE

OWN: Axes = {"width": Int(2, 8), "rate": Float(0.01, 1.0, log=True), "kind": Categorical(("a", "b", "c"))}
SPACE = {name: axis_document(axis) for name, axis in OWN.items()}
CLASS = {"nn_model": "Custom", "model_class": "package.module:Model"}
PLAIN = """
from engine.space import Int
class Model:
    axes = {"depth": Int(1, 3)}
    def build(self, params, shape, rng): pass
    def forward(self, variables, x, params): pass
    def loss(self, outputs, y): pass
"""


def problems_of(values: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse(values)
    return {problem.key: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize("reference", ["m:C", "a.b_c.d:_C1", "name.py:C", "name.py@abcdef12:C"])
def test_a_class_may_be_in_a_module_or_in_a_file(reference: str) -> None:
    assert parse({**CLASS, "model_class": f" {reference} "}).model_class == reference


@pytest.mark.parametrize(
    "reference",
    ["m", "m:", ":C", "m.:C", "m:C.d", "../m.py:C", "a/b.py:C", "Name.py:C", "m.py@xyz:C", "m.py@abc:C", "m ü:C"],
)
def test_what_names_no_class_is_refused(reference: str) -> None:
    assert (
        "is neither package.module:Class nor name.py:Class"
        in problems_of({**CLASS, "model_class": reference})["model_class"]
    )


def test_a_class_goes_with_the_model_custom_and_its_axes_with_a_class() -> None:
    assert problems_of({"model_class": "m:C"}) == {
        "model_class": "goes with nn_model Custom; choose Custom, or leave it empty"
    }
    assert "name it in model_class" in problems_of({"nn_model": "Custom", "model_space": SPACE})["model_space"]


def test_the_axes_of_a_class_are_searched_beside_those_that_every_sweep_has() -> None:
    space = parse({**CLASS, "model_space": SPACE}).space()
    assert list(space.axes) == ["batch_size", "learning_rate", "train_optimizer", "width", "rate", "kind"]
    assert {name: space.axes[name] for name in OWN} == OWN
    assert space.conditions == {}


def test_typed_bounds_become_numbers() -> None:
    given = {"width": {"kind": "int", "low": " 3", "high": "4"}, "rate": {"kind": "float", "low": "1e-2", "high": "1"}}
    config = parse({**CLASS, "model_space": given})
    assert config.model_space["width"] == {"kind": "int", "low": 3, "high": 4}
    assert config.model_space["rate"] == {"kind": "float", "low": 0.01, "high": 1.0, "log": False}
    assert parse(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"kind": "int", "low": "x", "high": 2}, "the lower bound must be a whole number, got 'x'"),
        ({"kind": "int", "low": 1.5, "high": 2}, "the lower bound must be a whole number, got '1.5'"),
        ({"kind": "int", "low": 1, "high": ""}, "the upper bound must be a number"),
        ({"kind": "int", "low": 3, "high": 2}, "low must not be above high, got 3 and 2"),
        ({"kind": "float", "low": "nan", "high": 2}, "bounds must be finite numbers, got nan and 2.0"),
        ({"kind": "float", "low": 0, "high": 2, "log": True}, "a logarithmic axis must start above 0, got 0.0"),
        ({"kind": "categorical", "choices": []}, "choose at least one"),
        ({"kind": "int", "low": 1, "high": 2, "step": 3}, "an axis of kind int has no 'step'; it has high, low"),
        ({"kind": "none"}, "the kind must be one of float, int, categorical, got 'none'"),
        ("x", "must be a mapping: kind, then low and high, or choices"),
    ],
)
def test_an_axis_that_cannot_be_is_refused_by_its_name(document: Any, message: str) -> None:
    assert problems_of({**CLASS, "model_space": {**SPACE, "odd": document}}) == {"model_space.odd": message}


@pytest.mark.parametrize(
    "name", ["batch_size", "learning_rate", "train_optimizer", "layers", "units_1", "Width", "a.b"]
)
def test_an_axis_may_not_have_the_name_of_another(name: str) -> None:
    (message,) = problems_of({**CLASS, "model_space": {name: SPACE["width"]}}).values()
    assert f"the axis {name!r}" in message
    with pytest.raises(ModelError, match=f"the axis {name!r} of Model "):
        axes_of(type("Model", (), {"axes": {name: Int(1, 2)}}))


def test_axes_may_be_a_class_method() -> None:
    assert axes_of(type("Model", (), {"axes": classmethod(lambda cls: OWN)})) == OWN


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "has no axes; give it axes = {}"),
        ({"axes": [1]}, "must be a dictionary of axes by name, got list"),
        ({"axes": {"width": (1, 2)}}, "the axis 'width' of Model must be a Float, Int or Categorical"),
        ({"axes": {f"a{n}": Int(1, 2) for n in range(51)}}, "Model has 51 axes; at most 50"),
    ],
)
def test_axes_that_are_none_are_refused_in_words(body: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        axes_of(type("Model", (), body))


def test_a_part_of_an_axis_lies_within_it() -> None:
    assert within(Int(3, 8), Int(2, 8)) == ""
    assert within(Int(1, 8), Int(2, 8)) == "the bounds must lie within 2 and 8, got 1 and 8"
    assert within(Float(3, 9), Float(2, 8)) == "the bounds must lie within 2 and 8, got 3 and 9"
    assert within(Float(3, 4), Int(2, 8)) == "it must be of kind int"
    assert within(Categorical(("d",)), Categorical(("a", "b"))) == "'d' is none of a, b"
    assert within(Int(1, 2), Categorical(("a", "b"))) == "it must be one of choices"
    with pytest.raises(SpaceError):
        axis_of({"kind": "int", "low": True, "high": 2})


def test_a_later_stage_searches_around_the_best_point_of_a_class() -> None:
    user = parse({**CLASS, "model_space": {**SPACE, "shift": {"kind": "float", "low": -4, "high": 4}}}).space()
    best = {
        "batch_size": 200, "learning_rate": 0.0005, "train_optimizer": "sgd", "width": 4, "rate": 0.2, "kind": "b",
        "shift": -2.0,
    }  # fmt: skip
    space = narrow(user, best, user, tied=False)
    assert space.axes["width"] == Int(2, 6)
    assert space.axes["rate"] == Float(0.1, 0.2 + 0.1, log=True)
    assert space.axes["kind"] == OWN["kind"]
    assert space.axes["shift"] == Float(-3, -1)


def test_a_class_learns_from_tables_and_texts_alike() -> None:
    assert accept({**CLASS}).dataset == "synthetic"
    assert accept({**CLASS, "dataset": "installed-sources"})
    with pytest.raises(ConfigError, match="a table has 1 output node, got 2"):
        accept({**CLASS, "nn_dimensions": [4, 2]})
    with pytest.raises(ConfigError, match="name a class of your own in model_class"):
        accept({"nn_model": "Custom"})


def settled(values: dict[str, Any], own: Axes = OWN) -> Any:
    return settle(parse({**CLASS, **values}), no_file, Path("nowhere"), lambda reference, folder: own)


def no_file(reference: str, folder: Path) -> tuple[str, Path]:
    raise NotFound(f"there is no uploaded file {reference}")


def test_without_axes_all_of_the_class_are_searched() -> None:
    assert settled({}).model_space == SPACE
    narrower = {**SPACE, "width": {"kind": "int", "low": 3, "high": 5}}
    assert settled({"model_space": dict(reversed(narrower.items()))}).model_space == narrower


def test_axes_that_are_not_the_class_s_own_are_refused_each_at_its_place() -> None:
    given = {
        "width": {"kind": "int", "low": 1, "high": 9}, "kind": {"kind": "categorical", "choices": ["d"]},
        "other": SPACE["width"],
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        settled({"model_space": given})
    assert {problem.key: problem.message for problem in caught.value.problems} == {
        "model_space": "lacks the class's axis rate; read its axes again",
        "model_space.width": "the bounds must lie within 2 and 8, got 1 and 9",
        "model_space.kind": "'d' is none of a, b, c",
        "model_space.other": "the class has no such axis; read its axes again",
    }


def test_a_file_that_is_not_there_is_told_at_the_class() -> None:
    with pytest.raises(ConfigError, match=r"model_class: there is no uploaded file none\.py"):
        settled({"model_class": "none.py:Model"})


def file(folder: Path, text: str, name: str = "own_model.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_axes_of_a_class_are_read_in_another_process(tmp_path: Path) -> None:
    file(tmp_path, f"print('noise')\nimport sys; sys.own_mark = 1\n{PLAIN}")
    assert inspect("own_model.py:Model", tmp_path) == {"depth": Int(1, 3)}
    assert not hasattr(sys, "own_mark")
    assert "own_model" not in sys.modules


@pytest.mark.parametrize(
    ("text", "message", "traced"),
    [
        ("def f(:\n", "cannot be read: SyntaxError: invalid syntax", True),
        ("import not_there_at_all\n" + PLAIN, "cannot be read: ModuleNotFoundError: No module named", True),
        ("raise SystemExit(3)", "cannot be read: SystemExit: 3", True),
        ("import os; os._exit(3)", "ended the process that read it, with code 3", False),
        ("class Other: pass", "has no class Model", False),
        (PLAIN.replace("def loss", "def lost"), "the class Model has no method loss", False),
        (PLAIN.replace("axes", "axles"), "the class Model has no axes", False),
    ],
)
def test_a_class_that_cannot_be_read_is_told_in_one_sentence(
    tmp_path: Path, text: str, message: str, traced: bool
) -> None:
    file(tmp_path, text)
    with pytest.raises(Uninspectable) as caught:
        inspect("own_model.py:Model", tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ("Traceback" in caught.value.traceback) is traced


def test_reading_a_class_does_not_take_for_ever(tmp_path: Path) -> None:
    file(tmp_path, "while True: pass")
    with pytest.raises(Uninspectable, match=r"took longer than 1.5 s"):
        inspect("own_model.py:Model", tmp_path, 1.5)


def test_the_classes_of_a_file_are_found_with_their_axes_or_what_is_wrong(tmp_path: Path) -> None:
    found = inspect_file(file(tmp_path, SOURCE))
    assert list(found) == ["Line", "Breaks", "Nameless"]
    assert found["Line"]["axes"]["bend"] == {"kind": "float", "low": 0.01, "high": 1.0, "log": True}
    assert "has the name of an axis that every sweep has" in found["Nameless"]["error"]
    with pytest.raises(Uninspectable, match="holds no class with the methods build, forward and loss"):
        inspect_file(file(tmp_path, "x = 1"))


def test_a_class_of_an_installed_module_is_found_and_another_is_told() -> None:
    loaded = load_class("tests.unit.engine.test_custom:Example")
    assert loaded is Example
    assert classes_of(sys.modules[__name__]) == ["Example"]
    with pytest.raises(ModelError, match=r"there is no module engine\.nothing"):
        load_class("engine.nothing:Model")
    with pytest.raises(ModelError, match="has no class Exampel; it has Example"):
        load_class("tests.unit.engine.test_custom:Exampel")


class Example:
    axes: Axes = {}  # noqa: RUF012

    def build(self, params: Any, shape: Shape, rng: Any) -> Any: ...

    def forward(self, variables: Any, x: Any, params: Any) -> Any: ...

    def loss(self, outputs: Any, y: Any) -> Any: ...


NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_stored_file_is_fetched_by_its_newest_or_a_given_version(store: Store, tmp_path: Path) -> None:
    files = store.model_files
    assert files.add("a.py", b"1", {"A": {"axes": {}}}, "ada", NOW)
    assert files.add("a.py", b"2", {}, "ada", LATER)
    assert not files.add("a.py", b"1", {}, "eve", LATER), "the same content is stored once"
    older, newer = (hashlib.sha256(content).hexdigest()[:12] for content in (b"1", b"2"))
    assert files.fetch("a.py", tmp_path) == (f"a.py@{newer}", tmp_path / "a.py")
    assert (tmp_path / "a.py").read_bytes() == b"2"
    assert files.fetch(f"a.py@{older[:8]}", tmp_path)[0] == f"a.py@{older}"
    assert (tmp_path / "a.py").read_bytes() == b"1"
    assert [found["sha256"][:12] for found in files.all()] == [newer, older]
    assert "content" not in files.all()[0]
    for missing in ("b.py", "a.py@00000000", "a.py@.*", "a.py@"):
        with pytest.raises(NotFound):
            files.fetch(missing, tmp_path)


def test_a_file_that_an_open_sweep_uses_is_not_deleted(store: Store) -> None:
    files = store.model_files
    files.add("a.py", b"1", {}, "ada", NOW)
    config = {"model_class": "a.py@12345678:Model"}
    sweep_id = store.sweeps.create("brisk", "ada", config, 1, 1, 1, NOW)
    store.sweeps.create("other", "ada", {"model_class": "a:Model"}, 1, 1, 1, NOW)
    with pytest.raises(StateError, match=r"a\.py is used by brisk; wait for the end, or stop it first"):
        files.delete("a.py")
    store.sweeps.stop(sweep_id, NOW)
    files.delete("a.py")
    assert files.all() == []
    with pytest.raises(NotFound):
        files.delete("a.py")
