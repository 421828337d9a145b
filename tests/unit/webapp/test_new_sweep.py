"""The form of a new sweep: checked while one types, written as YAML and as a link, filled in from what there is."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from engine.config import SweepConfig, parse
from engine.domain import SweepState, Trial, TrialState
from engine.errors import ConfigError
from engine.settings import Settings
from engine.space import Categorical, Float, Int
from engine.store import Store
from engine.store.trials import to_document
from tests.unit.webapp.conftest import token
from webapp.services import forecast as forecasts
from webapp.services import sweeps
from webapp.services.forecast import forecast
from webapp.sweeps import document, form
from webapp.sweeps.pictures import picture, pictures
from webapp.sweeps.presets import PRESETS, STRATEGY, chosen, values_of
from webapp.sweeps.typed import read, typed_from, with_values

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LETTERS = "ab1.-:,#[]{}&*'\"\n \té\u2028"
SPACE = {"width": {"kind": "int", "low": 2, "high": 8}, "kind": {"kind": "categorical", "choices": ["a", "b"]}}


def sent(client: FlaskClient, values: dict[str, Any] | None = None, **changes: str) -> MultiDict[str, str]:
    """The form as a browser sends it: *values* filled in, then *changes* typed."""
    typed = typed_from({**sweeps.defaults(), **(values or {})})
    typed["csrf_token"] = token(client, "/sweeps/new")
    for name, text in changes.items():
        typed[name.replace("__", ".")] = text
    return typed


def check(client: FlaskClient, values: dict[str, Any] | None = None, **changes: str) -> dict[str, Any]:
    answer = client.post("/sweeps/new/check", data=sent(client, values, **changes))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def text_of(answer: TestResponse) -> str:
    """What stands in the YAML text of a page."""
    found = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", answer.get_data(as_text=True), re.DOTALL)
    assert found, "the page has no YAML text"
    return html.unescape(found[1])


def value(answer: TestResponse, name: str) -> str | None:
    """What stands in an input of a page."""
    found = re.search(rf'name="{re.escape(name)}"\s+value="([^"]*)"', answer.get_data(as_text=True))
    return html.unescape(found[1]) if found else None


# --- checked while one types


def test_the_untouched_form_has_nothing_to_fix(ada: FlaskClient) -> None:
    found = check(ada)
    assert found["problems"] == []
    assert set(found["fields"]) == set(SweepConfig.model_fields)
    assert found["preset"] == "laptop"
    assert not any(found["wrong"].values())


def test_what_is_wrong_is_said_at_its_field_by_the_rules_of_the_server(ada: FlaskClient) -> None:
    found = check(ada, batch_size__0="many", data_features="7")
    assert found["fields"]["batch_size"]["problem"] == "value 1 must be a whole number, got 'many'"
    assert "the data has 7 features" in found["fields"]["nn_dimensions"]["problem"]
    assert [(item["target"], item["title"]) for item in found["problems"]] == [
        ("nn_dimensions-0", "Input and output nodes"),
        ("batch_size-0", "Batch size"),
    ]
    assert found["wrong"]["search"] == found["wrong"]["model"] == 1
    assert found["fields"]["batch_size"]["picture"] == ""
    assert found["fields"]["learning_rate"]["picture"] != ""


def test_only_what_belongs_to_the_model_is_shown_and_the_rest_keeps_its_values(ada: FlaskClient) -> None:
    regressor, lstm = check(ada), check(ada, nn_model="Custom", dataset="installed-sources")
    for key, belongs in (("hidden_layers", regressor), ("rnn_layers", lstm), ("model_class", lstm)):
        assert [found["fields"][key]["off"] for found in (regressor, lstm)] == [
            belongs is not regressor,
            belongs is not lstm,
        ]
    assert "LSTM units" in regressor["hidden"]["search"]
    assert "Hidden layers" in lstm["hidden"]["search"]
    typed = sent(ada, nn_model="Custom", dataset="installed-sources", hidden_layers__1="7")
    assert value(ada.post("/sweeps/new/form", data=typed), "hidden_layers.1") == "7"


def test_what_is_wrong_in_a_hidden_field_is_shown(ada: FlaskClient) -> None:
    found = check(ada, rnn_units__0="9", rnn_units__1="3")
    assert found["fields"]["rnn_units"]["off"] is True
    assert "exchange them" in found["fields"]["rnn_units"]["problem"]
    assert "LSTM units" not in found["hidden"]["search"]


def test_the_points_of_a_grid_are_counted_before_it_runs(ada: FlaskClient) -> None:
    found = check(ada, hyperparam_opt="grid")
    points = parse({**sweeps.defaults(), "hyperparam_opt": "grid"}).grid_points
    note = found["fields"]["hyperparam_opt"]["note"]
    assert note == f"The grid has {points:,} points; 9 trials will try 9 of them."
    assert found["fields"]["grid_levels"]["off"] is False
    assert f"{points:,} points" in found["review"]
    small = {"hidden_layers": [1, 1], "nodes_per_layer": [1, 2], "batch_size": [5, 5], "learning_rate": [0.1, 0.1]}
    small |= {"train_optimizer": ["sgd"], "activation": ["relu"], "hyperparam_opt": "grid"}
    assert "2 points; fewer than the 9 trials" in check(ada, small)["fields"]["hyperparam_opt"]["note"]
    huge = check(ada, hyperparam_opt="grid", grid_levels="1000", hidden_layers__1="100")
    assert re.search(r"more than 10\^\d+ points", huge["fields"]["hyperparam_opt"]["note"])
    assert check(ada)["fields"]["hyperparam_opt"]["note"] == ""


def test_files_are_not_read_and_classes_not_run_while_one_types(
    ada: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr("engine.data.check.csv_shape", refuse)
    monkeypatch.setattr("engine.data.check.count_files", refuse)
    monkeypatch.setattr("webapp.services.classes.inspect", refuse)
    assert check(ada, load_data="true", load_data_dir="/")["problems"] == []
    assert check(ada, load_data="true", load_data_dir="/", nn_model="Custom")["problems"] == []
    check(ada, nn_model="Custom", model_class="somewhere:Else")


def test_hostile_forms_are_checked_too(ada: FlaskClient) -> None:
    for changes in (
        {"nn_model": "Evil<b>"},
        {"seed": "9" * 5000},
        {"grid_levels": "1e99", "hyperparam_opt": "grid"},
        {"learning_rate__0": "1e-320", "learning_rate__1": "10", "log_scale": "true"},
        {"batch_size__0": "\0"},
        {"opt_stages__0__0": "100000000", "opt_stages__0__1": "1000000"},
        {"model_space__x__kind": "evil"},
        {"model_space__x__kind": "float", "model_space__x__low": "nan", "nn_model": "Custom", "model_class": "a:B"},
        {"yaml": "a: [1"},
        {"yaml": ""},
    ):
        found = check(ada, **changes)
        assert "<b>" not in found["review"] + found["sum"], changes
    assert ada.post("/sweeps/new/check", data={"csrf_token": token(ada, "/")}).status_code == 200


def test_a_viewer_may_not_ask(login: Callable[[str, str], FlaskClient]) -> None:
    viewer = login("vera", "viewer")
    for route in ("check", "form", "yaml"):
        assert viewer.post(f"/sweeps/new/{route}", data={"csrf_token": token(viewer, "/")}).status_code == 403


# --- YAML


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": "a: b # c", "tags": ["x", "y, z"], "seed": 0, "nodes_per_layer": [3, 8], "opt_stages": []},
        {"nn_model": "Custom", "model_class": "a:B", "model_space": SPACE, "dataset": "diabetes"},
        {"rnn_state_dim": [10, 20], "target_loss": 1e-9, "worker_hosts": "a:1,b:2", "log_scale": True},
        {"webhook": "https://example.org/hook", "notify": ["a@example.org"], "hyperparam_opt": "NSGA-II"},
        *(preset.values for preset in PRESETS.values()),
    ],
)  # fmt: skip
def test_a_configuration_survives_the_way_to_yaml_and_back(values: dict[str, Any]) -> None:
    typed = typed_from(parse(values).whole())
    text = document.write(document.values_of(typed))
    assert parse(document.read(text)).whole() == parse(read(typed)).whole()
    assert document.typed_of(document.read(text)) == typed


def test_wrong_values_survive_the_way_to_yaml_and_back() -> None:
    wrong = {"batch_size.0": "many", "seed": "1.5", "opt_stages.1.1": "", "learning_rate.0": "-1", "test_fraction": "2"}
    typed = typed_from({})
    for name, text in wrong.items():
        typed[name] = text
    back = document.typed_of(document.read(document.write(document.values_of(typed))))
    assert {name: back.get(name) for name in wrong} == wrong


@given(st.dictionaries(st.sampled_from([*SweepConfig.model_fields, "foo"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(LETTERS, max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(LETTERS, max_size=3), inner, max_size=2),
    max_leaves=5,
), max_size=3))  # fmt: skip
def test_what_no_input_can_hold_is_refused_and_what_one_can_is_kept(values: dict[str, Any]) -> None:
    text = document.write(values)
    given = document.read(text)
    try:
        typed = document.typed_of(given)
    except ConfigError as error:
        refused = {problem.key.partition(".")[0] for problem in error.problems}
    else:
        refused = problems_of(given)
        form.page(typed)
        assert refused or normal(read(typed)) == normal(given)
    assert problems_of(given) <= refused


def normal(values: dict[str, Any]) -> dict[str, Any]:
    config = parse(values).whole()
    state = config["rnn_state_dim"]
    config["rnn_state_dim"] = state if isinstance(state, list) else [state]
    config = {key: value.strip() if isinstance(value, str) else value for key, value in config.items()}
    return {**config, "learning_rate": sorted(config["learning_rate"])}


def problems_of(values: dict[str, Any]) -> set[str]:
    try:
        parse(values)
    except ConfigError as error:
        return {problem.key.partition(".")[0] for problem in error.problems}
    return set()


def test_the_form_becomes_yaml_and_yaml_fills_the_form(ada: FlaskClient) -> None:
    shown = ada.post("/sweeps/new/yaml", data=sent(ada, name="mine", seed="-3"))
    text = text_of(shown)
    assert shown.status_code == 200
    assert "name: mine\n" in text
    assert "seed: -3\n" in text
    assert "seed</a>, line 4:" in re.sub(r"\s+", " ", shown.get_data(as_text=True)).replace("</a> ,", "</a>,")
    text = text.replace("seed: -3", "seed: 5").replace("hyperparam_opt: RS", "hyperparam_opt: TPE")
    filled = ada.post("/sweeps/new/form", data={"csrf_token": token(ada, "/"), "yaml": text.replace("\n", "\r\n")})
    assert filled.status_code == 200
    assert (value(filled, "name"), value(filled, "seed")) == ("mine", "5")
    assert re.search(r'value="TPE"\s+checked', filled.get_data(as_text=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: kept\nbatch_sze: [1, 2]\n", "batch_sze</a>, line 2: there is no such key; did you mean batch_size?"),
        ("name: kept\nbatch_size: 5\n", "batch_size</a>, line 2: must be a list"),
        ("name: kept\nload_data: 7\n", "load_data</a>, line 2: must be true or false"),
        ("name: kept\nseed: 1\nseed: 2\n", "line 3: stands here a second time"),
        ("name: kept\n  seed: 1\n", "The text</a>: line 2:"),
        ("name: &n kept\ntags: [*n]\n", "aliases (*name) are not taken"),
        ('name: "kept\\0"\n', "holds a character that no text can hold"),
        ('name: kept\nload_data_dir: "\\ud800"\n', "holds a character that no text can hold"),
        ("- kept\n", "must hold `key: value` lines"),
        ("name: kept\nmodel_space: {Wide: {kind: int, low: 1, high: 2}}\n", "model_space</a>, line 2: the axis"),
    ],
)
def test_yaml_that_cannot_fill_the_form_stays_as_it_was_typed(ada: FlaskClient, text: str, message: str) -> None:
    for route in ("/sweeps/new/form", "/sweeps/new"):
        answer = ada.post(route, data={"csrf_token": token(ada, "/"), "yaml": text})
        assert answer.status_code == 400
        assert text_of(answer) == text
        said = html.unescape(re.sub(r"\s+", " ", answer.get_data(as_text=True))).replace("</a> ,", "</a>,")
        assert message in said.replace("</a> :", "</a>:"), said


def test_a_right_value_that_no_input_can_hold_stays_in_the_text(ada: FlaskClient) -> None:
    text = "name: kept\ntags: ['a, b']\n"
    answer = ada.post("/sweeps/new/form", data={"csrf_token": token(ada, "/"), "yaml": text})
    assert answer.status_code == 400
    assert text_of(answer) == text
    assert "the form has no place for this value" in answer.get_data(as_text=True)
    assert ada.post("/sweeps/new", data={"csrf_token": token(ada, "/"), "yaml": text}).status_code == 303


def test_a_sweep_is_started_from_yaml(ada: FlaskClient, store: Store) -> None:
    text = "name: from text\nopt_stages: [[5, 2]]\nwebapp: {port: 1}\n"
    answer = ada.post("/sweeps/new", data={"csrf_token": token(ada, "/"), "yaml": text})
    assert answer.status_code == 303
    sweep = store.sweeps.get(answer.headers["Location"].rpartition("/")[2])
    assert (sweep["name"], sweep["config"]["opt_stages"]) == ("from text", [[5, 2]])


def test_yaml_is_checked_while_one_types(ada: FlaskClient) -> None:
    def said(text: str) -> list[dict[str, Any]]:
        data = {"csrf_token": token(ada, "/"), "yaml": text}
        problems: list[dict[str, Any]] = ada.post("/sweeps/new/check", data=data).get_json()["problems"]
        return problems

    assert said("name: fine") == []
    assert [(item["title"], item["line"]) for item in said("name: fine\n\nseed: -1\n")] == [("seed", 3)]
    assert "line 1" in said("[")[0]["message"]
    assert "longer than 50,000 characters" in said("#" * 60_000)[0]["message"]


# --- presets


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_known_by_its_values(name: str) -> None:
    defaults = sweeps.defaults()
    filled = with_values(document.typed_of(defaults), values_of(name, defaults))
    assert chosen(parse(read(filled)), defaults) == name
    assert chosen(parse({**defaults, **values_of(name, defaults), "opt_stages": [[7, 7]]}), defaults) == ""


def test_a_preset_leaves_what_it_is_not_about_as_it_was_typed(ada: FlaskClient) -> None:
    typed = sent(ada, {"nn_dimensions": [10, 1], "dataset": "diabetes", "pruner": "median"}, batch_size__0="wrong")
    filled = ada.post("/sweeps/new/form", data=with_values(typed, {}) | {"preset": "quick"})
    assert (value(filled, "dataset"), value(filled, "batch_size.0")) == ("diabetes", "wrong")
    assert (value(filled, "opt_stages.0.0"), value(filled, "opt_stages.1.1")) == ("200", "2")
    assert re.search(r'name="pruner"\s+value="none"\s+checked', filled.get_data(as_text=True))
    assert ada.post("/sweeps/new/form", data=typed | {"preset": "nothing"}).status_code == 200


def test_every_preset_says_how_to_search() -> None:
    for name in PRESETS:
        assert set(STRATEGY) <= set(values_of(name, {}))
    assert values_of("none", {}) == {}


# --- links, and what was there before


def test_a_link_opens_the_form_filled_in(ada: FlaskClient) -> None:
    values = {"name": "linked", "opt_stages": [[5, 2]], "notify": ["me@example.org"], "activation": ["tanh"]}
    link = check(ada, values)["link"]
    assert "example.org" not in link, "a link is passed on"
    (text,) = parse_qs(urlsplit(link).query)["config"]
    assert text == "{name: linked, activation: [tanh], opt_stages: [[5, 2]]}"
    page = ada.get(link)
    assert page.status_code == 200
    assert (value(page, "name"), value(page, "opt_stages.0.0")) == ("linked", "5")
    assert check(ada)["link"] == "/sweeps/new?config=%7B%7D"


def test_a_link_that_would_be_too_long_is_not_offered(ada: FlaskClient) -> None:
    choices = [f"choice number {number}" for number in range(300)]
    space = {"kind": {"kind": "categorical", "choices": choices}}
    assert check(ada, {"nn_model": "Custom", "model_class": "a:B", "model_space": space})["link"] == ""


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{foo: 1}", "there is no such key"),
        ("{", "did not find expected"),
        ("%00", "is not valid YAML"),
        ("[1]", "must hold"),
    ],
)
def test_a_link_with_nonsense_says_so(ada: FlaskClient, config: str, message: str) -> None:
    answer = ada.get(f"/sweeps/new?config={config}")
    assert answer.status_code == 400
    assert "to fix" in answer.get_data(as_text=True)
    assert text_of(answer) == config.replace("%00", "\0") or config == "%00"


def test_a_link_with_wrong_values_opens_the_form_with_its_problems(ada: FlaskClient) -> None:
    answer = ada.get("/sweeps/new?config={seed: -1}")
    assert value(answer, "seed") == "-1"
    assert "must be at least 0" in answer.get_data(as_text=True)


def run_of(store: Store, config: Any) -> int:
    return store.runs.create({"status": "COMPLETED", "start_time": NOW, "config": config})


def test_a_run_of_the_history_is_cloned(ada: FlaskClient, store: Store) -> None:
    config = {**parse({"batch_size": [7, 77]}).model_dump(mode="json"), "name": "old", "seed": 3}
    run_id = run_of(store, config)
    assert f"/sweeps/new?run={run_id}" in ada.get(f"/history/{run_id}").get_data(as_text=True)
    page = ada.get(f"/sweeps/new?run={run_id}")
    assert (value(page, "batch_size.1"), value(page, "name"), value(page, "seed")) == ("77", "", "")
    assert f'href="/history/{run_id}"' in page.get_data(as_text=True)


def test_a_run_with_more_than_a_form_can_hold_is_cloned_as_yaml(ada: FlaskClient, store: Store) -> None:
    run_id = run_of(store, {"nn_model": "Regressor", "hyperparam_opt": "RS", "flavour": "sweet", "batch_size": 5})
    page = ada.get(f"/sweeps/new?run={run_id}")
    assert page.status_code == 400
    text = text_of(page)
    assert "flavour: sweet\n" in text
    assert "batch_size: 5\n" in text


def test_a_run_that_was_no_sweep_is_not_cloned(ada: FlaskClient, store: Store) -> None:
    for config in ({"lr": 0.1}, None, [1], "text"):
        run_id = run_of(store, config)
        assert "/sweeps/new?run=" not in ada.get(f"/history/{run_id}").get_data(as_text=True)
        assert ada.get(f"/sweeps/new?run={run_id}").status_code == 404
    assert ada.get("/sweeps/new?run=none").status_code == 404


# --- pictures


def test_a_picture_says_how_an_axis_is_drawn() -> None:
    captions = {
        "uniform, 0.1 to 0.5": Float(0.1, 0.5),
        "log-uniform, 0.0001 to 0.01, half of them below 0.001": Float(0.0001, 0.01, log=True),
        "whole numbers 4 to 10, all 7 alike": Int(4, 10),
        "whole numbers 1 to 5,000, all 5,000 alike": Int(1, 5000),
        "always 3": Int(3, 3),
        "always a": Categorical(("a",)),
        "a, <b>, 1 in 2 each": Categorical(("a", "<b>")),
    }
    for caption, axis in captions.items():
        drawn = picture(axis)
        assert drawn.caption == caption
        assert f'aria-label="{html.escape(caption)}"' in drawn.svg
        assert "<b>" not in drawn.svg
    assert picture(Int(4, 10)).svg.count("<rect") == 7
    assert picture(Int(1, 5000)).svg.count("<rect") == 40
    heights = re.findall(r"L[\d.]+ ([\d.]+)", picture(Float(0.001, 1, log=True)).svg)
    assert [float(height) for height in heights[:-1]] == sorted(map(float, heights[:-1])), "it falls"
    assert float(heights[0]) == 0
    assert float(heights[-2]) > 25, "it is flat"


def test_every_axis_of_a_network_has_a_picture() -> None:
    assert set(pictures(SweepConfig())) == {
        *("batch_size", "learning_rate", "train_optimizer", "activation", "hidden_layers", "nodes_per_layer"),
    }
    lstm = pictures(parse({"nn_model": "Custom", "rnn_state_dim": [10, 20]}))
    assert set(lstm) == {*("batch_size", "learning_rate", "train_optimizer", "rnn_layers", "rnn_seq_length")}
    own = pictures(parse({"nn_model": "Custom", "model_class": "a:B", "model_space": SPACE}))
    assert {"model_space.width", "model_space.kind"} <= set(own)


# --- what will run


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    forecasts._known.clear()
    forecasts._told.clear()


def complete(store: Store, seconds: float = 2.0, machine: str = "here", **values: Any) -> str:
    """A sweep that has completed: its trials took *seconds* each, the first began after 5."""
    config = parse({"opt_stages": [[1000, 3]], **values})
    sweep_id = store.sweeps.create(
        "old", "ada", config.model_dump(mode="json"), 1, config.total_trials, config.total_steps, NOW,
        claimed=(machine, timedelta(minutes=1)),
    )  # fmt: skip
    for number in (1, 2, 3):
        trial = Trial(sweep_id, number, 0, {}, 1000, 1, TrialState.COMPLETED, step=1000, seconds=seconds, loss=0.1)
        trial.started = NOW + timedelta(seconds=4 + number)
        store.trials.put(to_document(trial, 1))
    store.sweeps.finish(sweep_id, 1, SweepState.COMPLETED, {"finished": NOW + timedelta(seconds=20)})
    return sweep_id


def test_what_will_run_is_counted(store: Store) -> None:
    config = parse({"parallelism": "async", "ps_hosts": "localhost:1,far:2", "confirm": 5, "opt_stages": [[10, 4]]})
    found = forecast(store, "here", config)
    assert (found.trials, found.steps, found.confirming) == (4, 40, 12)
    assert (found.processes, found.servers, found.workers, found.chief, found.elsewhere) == (7, 2, 4, True, 1)
    assert found.grid is None


def test_without_earlier_sweeps_no_time_is_told(store: Store, ada: FlaskClient) -> None:
    found = forecast(store, "here", SweepConfig())
    assert (found.seconds, found.basis) == (None, None)
    assert "no estimate yet" in check(ada)["review"]


def test_the_time_is_told_from_earlier_sweeps_and_from_how_many(
    store: Store, ada: FlaskClient, settings: Settings
) -> None:
    for seconds in (2.0, 3.0, 7.0):
        complete(store, seconds, machine=settings.machine_name)
    config = parse({"opt_stages": [[1000, 6], [500, 4]], "confirm": 2, "confirm_seeds": 3})
    found = forecast(store, settings.machine_name, config)
    assert found.basis is not None
    assert (found.basis.sweeps, found.basis.least, found.basis.median, found.basis.most) == (3, 0.002, 0.003, 0.007)
    assert found.basis.before == 5.0
    # 4 workers: 6 trials in 2 rounds of 1,000 steps, 4 in one of 500, 6 confirmations in 2 of 500.
    assert found.seconds == pytest.approx(5 + (2 * 1000 + 500 + 2 * 500) * 0.003)
    review = re.sub(r"\s+", " ", check(ada)["review"])
    assert "From 3 earlier sweeps of networks of like size on this machine: 3 s per 1,000 steps" in review
    assert "(2 s to 7 s), 5.0 s to begin" in review


def test_a_time_budget_bounds_the_time(store: Store) -> None:
    complete(store)
    config = parse({"opt_stages": [[1000, 4000]], "max_seconds": 60, "confirm": 0})
    assert forecast(store, "here", config).seconds == pytest.approx(65)


def test_the_time_is_told_from_sweeps_alike_only(store: Store) -> None:
    complete(store)
    assert forecast(store, "here", parse({})).basis is not None
    for machine, values in (
        ("elsewhere", {}),
        ("here", {"worker_hosts": "localhost:1"}),
        ("here", {"parallelism": "sync"}),
        ("here", {"folds": 3}),
        ("here", {"nn_model": "Custom", "dataset": "installed-sources"}),
        ("here", {"hidden_layers": [50, 50], "nodes_per_layer": [2000, 2000]}),
    ):
        assert forecast(store, machine, parse(values)).basis is None, (machine, values)


def test_a_sweep_that_was_begun_again_or_edited_tells_nothing(store: Store) -> None:
    again, edited = complete(store), complete(store)
    store.database["sweeps"].update_one({"_id": again}, {"$set": {"restarts": 1}})
    store.database["sweeps"].update_one({"_id": edited}, {"$set": {"version": 2}})
    assert forecast(store, "here", SweepConfig()).basis is None
    complete(store, machine="here, command line")
    forecasts._known.clear()
    basis = forecast(store, "here", SweepConfig()).basis
    assert basis is not None
    assert basis.sweeps == 1


def test_the_answer_is_plain_json(ada: FlaskClient) -> None:
    json.dumps(check(ada), allow_nan=False)
