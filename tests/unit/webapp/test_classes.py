"""A user's own class in the form of a new sweep: its axes are read, shown, narrowed and refused at their fields."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engine.config import parse
from engine.models.inspection import Axes, Uninspectable
from engine.space import Categorical, Float, Int, axis_document
from engine.store import Store
from tests.unit.webapp.conftest import token
from tests.unit.webapp.test_sweeps import typed
from webapp.services import classes
from webapp.sweeps.typed import read, typed_from

REFERENCE = "package.module:Model"
OWN: Axes = {"width": Int(2, 8), "rate": Float(0.01, 1.0, log=True), "kind": Categorical(("a", "b", "<c>"))}
SPACE = {name: axis_document(axis) for name, axis in OWN.items()}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The classes that were read; none is really."""
    references: list[str] = []

    def inspect(reference: str, folder: Any) -> Axes:
        references.append(reference)
        if "Broken" in reference:
            raise Uninspectable("it cannot be read: ImportError: no <b>", "Traceback …")
        return OWN

    monkeypatch.setattr(classes, "inspect", inspect)
    classes._known.clear()
    yield references
    classes._known.clear()


def read_axes(client: FlaskClient, **changes: Any) -> TestResponse:
    values = typed(client, nn_model="Custom", model_class=REFERENCE, **changes)
    return client.post("/sweeps/new/axes", data=values)


def value(page: str, name: str) -> str | None:
    """What stands in an input."""
    found = re.search(rf'name="{re.escape(name)}"\s+value="([^"]*)"', page)
    return html.unescape(found[1]) if found else None


def problem(page: str, field: str) -> str:
    found = re.search(rf'id="{field}-problem"[^>]*>([^<]*)<', page)
    return html.unescape(found[1]) if found else ""


def test_reading_the_axes_shows_them_and_keeps_what_was_typed(ada: FlaskClient) -> None:
    answer = read_axes(ada, name="kept", batch_size__0="nonsense")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert (value(page, "name"), value(page, "batch_size.0"), value(page, "model_class")) == (
        "kept",
        "nonsense",
        REFERENCE,
    )
    assert (value(page, "model_space.width.low"), value(page, "model_space.width.high")) == ("2", "8")
    assert (value(page, "model_space.rate.low"), value(page, "model_space.rate.log")) == ("0.01", "true")
    assert "The class allows 2 to 8." in page
    assert page.count('name="model_space.kind.choices"') == 3
    assert "&lt;c&gt;" in page
    assert "<c>" not in page
    assert re.search(r'data-field="model_class">', page), "the field of the class is hidden"
    assert re.search(r'data-field="hidden_layers" data-off>', page)


def test_reading_them_again_keeps_a_narrower_part(ada: FlaskClient) -> None:
    changes = {"model_space__width__kind": "int", "model_space__width__low": "3", "model_space__width__high": "4"}
    page = read_axes(ada, **changes, model_space__gone__kind="int").get_data(as_text=True)
    assert (value(page, "model_space.width.low"), value(page, "model_space.width.high")) == ("3", "4")
    assert value(page, "model_space.gone.low") is None


def test_a_class_that_cannot_be_read_is_told_at_its_field(ada: FlaskClient) -> None:
    answer = ada.post("/sweeps/new/axes", data=typed(ada, nn_model="Custom", model_class="a:Broken", name="kept"))
    page = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert problem(page, "model_class") == "it cannot be read: ImportError: no <b>"
    assert value(page, "name") == "kept"
    for nothing in ("", "x", "../x.py:C", "none.py:C"):
        page = ada.post("/sweeps/new/axes", data=typed(ada, nn_model="Custom", model_class=nothing)).get_data(
            as_text=True
        )
        assert problem(page, "model_class")


def test_the_model_that_a_class_goes_with_is_asked_for_at_once(ada: FlaskClient) -> None:
    answer = ada.post("/sweeps/new/axes", data=typed(ada, model_class=REFERENCE))
    page = answer.get_data(as_text=True)
    assert answer.status_code == 400
    words = "a class of your own goes with the model “Text Classifier (LSTM), or a Class of Your Own”; choose it"
    assert problem(page, "nn_model") == words
    assert value(page, "model_space.width.low") == "2"


def start(client: FlaskClient, space: dict[str, Any] | None = None, **changes: Any) -> TestResponse:
    """Press the button with the axes of *space* in the form."""
    values = typed_from({"nn_model": "Custom", "model_class": REFERENCE, "model_space": space or {}, **changes})
    values["csrf_token"] = token(client, "/sweeps/new")
    return client.post("/sweeps/new", data=values)


def config_of(store: Store, answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 303
    return dict(store.sweeps.get(answer.headers["Location"].rpartition("/")[2])["config"])


def test_a_sweep_searches_the_part_that_was_typed(ada: FlaskClient, store: Store, asked: list[str]) -> None:
    read_axes(ada)
    narrower = {
        **SPACE,
        "width": {"kind": "int", "low": 3, "high": 5},
        "kind": {"kind": "categorical", "choices": ["b"]},
    }
    config = config_of(store, start(ada, narrower))
    assert config["model_space"] == narrower
    assert parse(config).space().axes["width"] == Int(3, 5)
    assert asked == [REFERENCE], "the class was read twice"
    page = ada.get(f"/sweeps/new?from={store.sweeps.recent(1)[0]['_id']}").get_data(as_text=True)
    assert (value(page, "model_space.width.low"), value(page, "model_class")) == ("3", REFERENCE)


def test_a_sweep_without_axes_searches_all_of_the_class(ada: FlaskClient, store: Store, asked: list[str]) -> None:
    assert config_of(store, start(ada))["model_space"] == SPACE
    assert asked == [REFERENCE]


def test_bounds_outside_the_class_s_own_are_refused_at_their_field(ada: FlaskClient, store: Store) -> None:
    wider = {**SPACE, "width": {"kind": "int", "low": 1, "high": 8}}
    answer = start(ada, wider)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert problem(page, "model_space-width") == "the bounds must lie within 2 and 8, got 1 and 8"
    assert 'href="#model_space-width-0">width</a>' in page
    assert value(page, "model_space.width.low") == "1"
    assert store.sweeps.recent(1) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("width.low", "two", "the lower bound must be a whole number, got 'two'"),
        ("width.high", "", "the upper bound must be a number"),
        ("rate.low", "5", "low must not be above high, got 5.0 and 1.0"),
    ],
)
def test_what_is_no_bound_is_refused_at_its_axis(ada: FlaskClient, name: str, text: str, message: str) -> None:
    values = typed_from({"nn_model": "Custom", "model_class": REFERENCE, "model_space": SPACE})
    values["csrf_token"] = token(ada, "/sweeps/new")
    values[f"model_space.{name}"] = text
    page = ada.post("/sweeps/new", data=values).get_data(as_text=True)
    assert problem(page, f"model_space-{name.partition('.')[0]}") == message
    assert value(page, f"model_space.{name}") == text


def test_no_choice_at_all_is_refused_and_the_choices_stay(ada: FlaskClient) -> None:
    values = typed_from({"nn_model": "Custom", "model_class": REFERENCE, "model_space": SPACE})
    values["csrf_token"] = token(ada, "/sweeps/new")
    values.setlist("model_space.kind.choices", [])
    page = ada.post("/sweeps/new", data=values).get_data(as_text=True)
    assert problem(page, "model_space-kind") == "choose at least one"
    assert page.count('name="model_space.kind.choices"') == 3


def test_the_axes_of_another_class_are_refused(ada: FlaskClient) -> None:
    page = start(ada, {"depth": SPACE["width"]}).get_data(as_text=True)
    assert "the class has no such axis; read its axes again" in html.unescape(page)
    assert problem(page, "model_space").startswith("lacks the class's axis width")


def test_a_class_in_an_uploaded_file_is_pinned_to_its_content(ada: FlaskClient, store: Store, asked: list[str]) -> None:
    store.model_files.add("own.py", b"x = 1", {}, "ada", NOW)
    version = store.model_files.all()[0]["sha256"][:12]
    config = config_of(store, start(ada, model_class="own.py:Model"))
    assert config["model_class"] == f"own.py@{version}:Model"
    assert asked == [f"own.py@{version}:Model"]


def test_only_those_who_may_edit_read_a_class(login: Callable[[str, str], FlaskClient], asked: list[str]) -> None:
    viewer = login("vera", "viewer")
    form_data = {"csrf_token": token(viewer, "/"), "model_class": REFERENCE}
    assert viewer.post("/sweeps/new/axes", data=form_data).status_code == 403
    assert asked == []


def test_the_form_survives_axes_and_back() -> None:
    values = {"nn_model": "Custom", "model_class": REFERENCE, "model_space": SPACE}
    assert parse(read(typed_from(values))).model_space == SPACE
