"""The search space: what can be drawn from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import parse
from engine.errors import SpaceError
from engine.space import LAYERS, Categorical, Float, Int, SearchSpace, hidden_units, units_axis

seeds = st.integers(0, 2**32 - 1)
finite = st.floats(-1e12, 1e12)
positive = st.floats(1e-12, 1e6)
small = st.integers(1, 12)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """The spaces of all kinds of configurations."""
    layers = sorted([draw(small), draw(small)])
    nodes = draw(st.none() | st.lists(st.integers(1, 300), min_size=2, max_size=2).map(sorted))
    batch = sorted([draw(st.integers(1, 5000)), draw(st.integers(1, 5000))])
    rates = [draw(st.floats(1e-6, 10)), draw(st.floats(1e-6, 10))]
    return parse(
        {
            "hidden_layers": layers,
            "nodes_per_layer": nodes,
            "batch_size": batch,
            "learning_rate": rates,
            "log_scale": draw(st.booleans()),
        }
    ).space()


@given(spaces(), seeds)
def test_every_drawn_point_lies_in_its_space(space: SearchSpace, seed: int) -> None:
    assert space.draw(np.random.default_rng(seed)) in space


@given(spaces(), seeds)
def test_a_point_has_units_for_its_layers_and_no_more(space: SearchSpace, seed: int) -> None:
    point = space.draw(np.random.default_rng(seed))
    named = [name for name in point if name.startswith("units_")]
    assert named == [units_axis(layer) for layer in range(1, int(point[LAYERS]) + 1)]
    assert len(hidden_units(point)) == point[LAYERS]


@given(st.lists(finite, min_size=2, max_size=2).map(sorted), seeds)
def test_a_float_axis_stays_within_its_bounds(bounds: list[float], seed: int) -> None:
    low, high = bounds
    assert low <= Float(low, high).draw(np.random.default_rng(seed)) <= high


@given(st.lists(positive, min_size=2, max_size=2).map(sorted), seeds)
def test_a_logarithmic_axis_stays_within_its_bounds(bounds: list[float], seed: int) -> None:
    low, high = bounds
    assert low <= Float(low, high, log=True).draw(np.random.default_rng(seed)) <= high


def test_both_bounds_of_a_whole_numbered_axis_are_drawn() -> None:
    rng = np.random.default_rng(1)
    # One of four values misses 200 draws with probability 4 · 0.75²⁰⁰ < 1e-24.
    assert {Int(4, 7).draw(rng) for _ in range(200)} == {4, 5, 6, 7}


def test_every_choice_is_drawn() -> None:
    rng = np.random.default_rng(1)
    assert {Categorical(("Adam", "sgd", "Adagrad")).draw(rng) for _ in range(200)} == {"Adam", "sgd", "Adagrad"}


def test_a_logarithmic_axis_is_uniform_in_the_logarithm() -> None:
    rng = np.random.default_rng(2)
    drawn = [Float(1e-4, 1.0, log=True).draw(rng) for _ in range(4000)]
    # The share below the geometric mean is 1/2 with deviation 0.0079; six deviations are 2e-9.
    assert abs(np.mean(np.array(drawn) < 1e-2) - 0.5) < 6 * 0.0079


def test_a_linear_axis_is_uniform_in_itself() -> None:
    rng = np.random.default_rng(2)
    drawn = [Float(1e-4, 1.0).draw(rng) for _ in range(4000)]
    assert abs(np.mean(np.array(drawn) < 0.5) - 0.5) < 6 * 0.0079


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(2, 1), "low must not be above high, got 2 and 1"),
        (lambda: Float(math.nan, 1), "must be finite"),
        (lambda: Float(0, math.inf), "must be finite"),
        (lambda: Float(0, 1, log=True), "must start above 0"),
        (lambda: Int(3, 2), "low must not be above high, got 3 and 2"),
        (lambda: Categorical(()), "at least one choice"),
    ],
)
def test_an_axis_that_spans_nothing_cannot_exist(make: object, words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 99}, {"batch_size": 2001}, {"learning_rate": 0.1}, {"activation": "sigmoid"}, {"units_1": 11},
     {"layers": 11}, {"extra": 1}, {"batch_size": 100.5}],
)  # fmt: skip
def test_a_point_outside_is_not_in_the_space(change: dict[str, object]) -> None:
    space = parse({}).space()
    point = space.draw(np.random.default_rng(1))
    assert point in space
    assert {**point, **change} not in space


def test_a_point_without_an_axis_is_not_in_the_space() -> None:
    space = parse({}).space()
    point = space.draw(np.random.default_rng(1))
    del point["batch_size"]
    assert point not in space


def test_a_space_is_told_as_plain_json() -> None:
    document = parse({"hidden_layers": [1, 1]}).space().to_document()
    assert document == {
        "batch_size": {"kind": "int", "low": 100, "high": 2000},
        "learning_rate": {"kind": "float", "low": 0.0001, "high": 0.001, "log": False},
        "train_optimizer": {"kind": "categorical", "choices": ["Adam", "sgd", "Adagrad"]},
        "activation": {"kind": "categorical", "choices": ["relu", "tanh"]},
        "layers": {"kind": "int", "low": 1, "high": 1},
        "units_1": {"kind": "int", "low": 1, "high": 1},
    }
