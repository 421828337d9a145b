"""Stages: where the search goes on around the best point."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import SweepConfig, parse
from engine.domain import Trial, TrialState
from engine.space import LAYERS, Float, Int, SearchSpace, hidden_units
from engine.stages import best_of, narrow, space_after

seeds = st.integers(0, 2**32 - 1)


@st.composite
def configs(draw: st.DrawFn) -> SweepConfig:
    def pair(low: int, high: int) -> list[int]:
        return sorted([draw(st.integers(low, high)), draw(st.integers(low, high))])

    return parse(
        {
            "hidden_layers": pair(1, 12),
            "nodes_per_layer": pair(1, 300) if draw(st.booleans()) else None,
            "batch_size": pair(1, 5000),
            "learning_rate": [draw(st.floats(1e-6, 10)), draw(st.floats(1e-6, 10))],
            "log_scale": draw(st.booleans()),
        }
    )


def bounds(axis: Any) -> tuple[float, float]:
    return axis.low, axis.high


def narrowed(config: SweepConfig, point: dict[str, Any], space: SearchSpace | None = None) -> SearchSpace:
    user = config.space()
    return narrow(space or user, point, user, tied=config.nodes_per_layer is None)


@given(configs(), seeds)
def test_narrowing_never_leaves_the_users_bounds(config: SweepConfig, seed: int) -> None:
    user = space = config.space()
    rng = np.random.default_rng(seed)
    for _ in range(4):
        point = space.draw(rng)
        assert point in user
        space = narrowed(config, point, space)
        for name, axis in space.axes.items():
            whole = user.axes[name]
            if isinstance(axis, Int | Float):
                assert isinstance(whole, type(axis))
                assert whole.low <= axis.low <= axis.high <= whole.high, name
            else:
                assert axis == whole


@given(configs(), seeds)
def test_numbers_are_searched_half_of_the_best_value_around_it(config: SweepConfig, seed: int) -> None:
    user = config.space()
    point = user.draw(np.random.default_rng(seed))
    space = narrowed(config, point)
    batch, rate = int(point["batch_size"]), float(point["learning_rate"])
    low, high = bounds(user.axes["batch_size"])
    assert bounds(space.axes["batch_size"]) == (
        max(low, math.ceil(batch - batch / 2)),
        min(high, math.floor(batch + batch / 2)),
    )
    low, high = bounds(user.axes["learning_rate"])
    assert bounds(space.axes["learning_rate"]) == (max(low, rate - rate / 2), min(high, rate + rate / 2))


@given(configs(), seeds)
def test_nodes_are_searched_between_the_fewest_and_most_of_the_best_network(config: SweepConfig, seed: int) -> None:
    user = config.space()
    point = user.draw(np.random.default_rng(seed))
    space = narrowed(config, point)
    nodes = hidden_units(point)
    assert bounds(space.axes["units_1"]) == (min(nodes), max(nodes))
    if config.nodes_per_layer is not None:
        assert int(point[LAYERS]) in space.axes[LAYERS]
        assert point in space


@given(configs(), seeds)
def test_a_narrowed_space_has_units_for_every_layer_it_can_draw(config: SweepConfig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = narrowed(config, config.space().draw(rng))
    assert all(space.draw(rng) in space for _ in range(5))
    _, most = bounds(space.axes[LAYERS])
    assert sum(name.startswith("units_") for name in space.axes) == most


def point_of(nodes: list[int], **values: Any) -> dict[str, Any]:
    units = {f"units_{layer}": count for layer, count in enumerate(nodes, start=1)}
    fixed = {"train_optimizer": "sgd", "activation": "relu", "batch_size": 1000, "learning_rate": 0.0004}
    return {**fixed, LAYERS: len(nodes), **units, **values}


def test_a_tied_pair_of_bounds_becomes_the_nodes_pair_for_layers_too() -> None:
    space = narrowed(parse({}), point_of([5, 8, 6, 7, 5, 6, 7]))
    assert space.axes[LAYERS] == Int(5, 8)
    assert space.axes["units_1"] == Int(5, 8)


def test_a_tied_pair_counts_neither_the_input_nor_the_output_layer() -> None:
    space = narrowed(parse({"nn_dimensions": [4, 1]}), point_of([9, 9, 9, 9]))
    assert space.axes[LAYERS] == Int(9, 9)


def test_nodes_with_bounds_of_their_own_leave_the_number_of_layers_alone() -> None:
    space = narrowed(parse({"nodes_per_layer": [4, 64], "hidden_layers": [1, 10]}), point_of([20, 40, 30, 25]))
    assert space.axes[LAYERS] == Int(2, 6)
    assert space.axes["units_1"] == Int(20, 40)


@pytest.mark.parametrize(
    ("batch", "expected"), [(1000, (500, 1500)), (150, (100, 225)), (1999, (1000, 2000)), (101, (100, 151))]
)
def test_the_batch_size_is_narrowed_as_the_reference_does(batch: int, expected: tuple[int, int]) -> None:
    space = narrowed(parse({}), point_of([4, 5, 6, 7], batch_size=batch))
    assert bounds(space.axes["batch_size"]) == expected


def test_a_third_stage_may_search_where_the_second_did_not_but_the_user_allowed() -> None:
    config = parse({})
    second = narrowed(config, point_of([4, 5, 6, 7], batch_size=400))
    third = narrowed(config, point_of([4, 5, 6, 7], batch_size=600), second)
    assert bounds(second.axes["batch_size"]) == (200, 600)
    assert bounds(third.axes["batch_size"]) == (300, 900)


def trial(number: int, loss: float | None, state: TrialState = TrialState.COMPLETED) -> Trial:
    return Trial("s", number, 0, {}, 10, 1, state=state, loss=loss)


def test_the_best_trial_is_the_completed_one_with_the_least_loss() -> None:
    trials = [trial(1, 0.5), trial(2, 0.2), trial(3, 0.1, TrialState.STOPPED), trial(4, None)]
    best = best_of(trials)
    assert best is not None
    assert best.number == 2


def test_of_equal_trials_the_earliest_is_the_best() -> None:
    best = best_of([trial(3, 0.2), trial(2, 0.2)])
    assert best is not None
    assert best.number == 2


def test_where_nothing_completed_there_is_no_best() -> None:
    assert best_of([trial(1, None), trial(2, 0.1, TrialState.FAILED)]) is None


def completed(number: int, loss: float, **params: Any) -> Trial:
    return Trial("s", number, 0, params, 10, 1, TrialState.COMPLETED, step=10, loss=loss)


class TestTheSpaceAfterAStage:
    USER = parse({"hidden_layers": [1, 4], "nodes_per_layer": [2, 30]}).space()

    def trials(self, count: int = 20) -> list[Trial]:
        return [
            completed(number, float(number), **self.USER.draw(np.random.default_rng(number)))
            for number in range(1, count + 1)
        ]

    def test_none_searches_the_whole_space_again(self) -> None:
        config = parse({"hidden_layers": [1, 4], "nodes_per_layer": [2, 30], "narrowing": "none"})
        assert space_after(config, SearchSpace({}), self.trials()) == config.space()

    def test_shrink_says_how_far_the_bounds_lie_from_the_best(self) -> None:
        config = parse({"shrink": 0.1, "learning_rate": [0.0001, 0.9], "batch_size": [1, 2000]})
        point: dict[str, Any] = {
            **config.space().draw(np.random.default_rng(1)),
            "learning_rate": 0.5,
            "batch_size": 1000,
        }
        space = space_after(config, config.space(), [completed(1, 1.0, **point)])
        assert space.axes["batch_size"] == Int(900, 1100)
        rate = space.axes["learning_rate"]
        assert isinstance(rate, Float)
        assert (rate.low, rate.high) == (pytest.approx(0.45), pytest.approx(0.55))

    @given(st.sampled_from([0.01, 0.2, 0.5, 1.0]), st.integers(1, 30))
    def test_a_quantile_is_the_smallest_space_of_the_best_trials(self, quantile: float, count: int) -> None:
        config = parse(
            {"hidden_layers": [1, 4], "nodes_per_layer": [2, 30], "narrowing": "quantile", "quantile": quantile}
        )
        trials = self.trials(count)
        space = space_after(config, config.space(), trials)
        best = trials[: max(2, math.ceil(quantile * count))]
        assert all(trial.params in space for trial in best)
        sizes = [trial.params["batch_size"] for trial in best]
        assert space.axes["batch_size"] == Int(int(min(sizes)), int(max(sizes)))
        assert set(space.axes["activation"].choices) == {trial.params["activation"] for trial in best}  # type: ignore[union-attr]
        for name, axis in space.axes.items():
            if isinstance(axis, Int | Float):
                user = config.space().axes[name]
                assert isinstance(user, Int | Float)
                assert user.low <= axis.low <= axis.high <= user.high

    def test_without_a_completed_trial_the_space_stays_within_the_bounds_of_now(self) -> None:
        config = parse({"batch_size": [500, 800], "train_optimizer": ["Adam"], "narrowing": "best"})
        before = SearchSpace({**config.space().axes, "batch_size": Int(100, 600)}, config.space().conditions)
        space = space_after(config, before, [])
        assert space.axes["batch_size"] == Int(500, 600)
        apart = SearchSpace({**config.space().axes, "batch_size": Int(10, 20)}, config.space().conditions)
        assert space_after(config, apart, []).axes["batch_size"] == Int(500, 800)

    def test_a_best_point_outside_of_moved_bounds_is_drawn_into_them(self) -> None:
        config = parse({"batch_size": [500, 800], "learning_rate": [0.1, 0.2], "hidden_layers": [4, 6]})
        point: dict[str, Any] = {**parse({}).space().draw(np.random.default_rng(3)), "batch_size": 100}
        space = space_after(config, config.space(), [completed(1, 1.0, **point)])
        assert space.axes["batch_size"] == Int(500, 750)
        assert space.axes["learning_rate"] == Float(0.1, 0.1 + 0.5 * 0.1)
