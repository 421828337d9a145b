"""What charts draw: importance on functions whose answer is known, and points thinned without a lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.analysis import charts
from engine.analysis import importance as importance_module
from engine.analysis.axes import ChartAxis, chart_axes
from engine.analysis.importance import LEAST, best_weights, importance
from engine.analysis.thinning import best_and_even, evenly, extremes, improvements, plain
from engine.columns import TrialColumns, unpack

Floats = NDArray[np.float64]
LOSSES = st.lists(st.floats(-1e300, 1e300), max_size=300)


def trials(
    losses: Sequence[float | None],
    params: Mapping[str, Sequence[Any]] | None = None,
    states: Sequence[str] | None = None,
    **columns: Sequence[Any],
) -> TrialColumns:
    """Trials from number 1, completed and of stage 0 where nothing else is said."""
    count = len(losses)
    return unpack(
        [
            {
                "number": list(range(1, count + 1)),
                "stage": [0] * count,
                "state": list(states or ["COMPLETED"] * count),
                "loss": np.array(losses, dtype=object).tolist(),
                "params": {name: np.array(values, dtype=object).tolist() for name, values in (params or {}).items()},
                **columns,
            }
        ]
    )


def shares(columns: TrialColumns, spaces: Sequence[Mapping[str, Any]] = ()) -> dict[str, float]:
    axes = chart_axes(spaces, columns.params)
    found = importance(columns, axes)
    assert found is not None
    return {axis.name: share for axis, share in zip(axes, found.shares, strict=True)}


def sampled(
    count: int, loss: Callable[[dict[str, Floats]], Floats], axes: int = 6, seed: int = 0, **columns: Any
) -> TrialColumns:
    """*count* random points of the axes x0, x1, … from 0 to 1."""
    rng = np.random.default_rng(seed)
    points = {f"x{axis}": rng.uniform(0, 1, count) for axis in range(axes)}
    return trials(loss(points).tolist(), {name: values.tolist() for name, values in points.items()}, **columns)


class TestImportance:
    @pytest.mark.parametrize("count", [60, 300, 3000])
    def test_an_axis_that_dominates_gets_nearly_all_and_an_irrelevant_one_nothing(self, count: int) -> None:
        found = shares(sampled(count, lambda x: (x["x0"] - 0.3) ** 2 + 1e-4 * x["x1"]))
        assert found["x0"] > 0.95
        assert sum(found.values()) == pytest.approx(1)
        assert found["x1"] < 0.02

    def test_a_stronger_axis_is_before_a_weaker_one(self) -> None:
        found = shares(sampled(2000, lambda x: (x["x0"] - 0.3) ** 2 + 0.4 * (x["x1"] - 0.6) ** 2))
        assert found["x0"] > found["x1"] > 0.2
        assert max(found[f"x{axis}"] for axis in range(2, 6)) < 0.02

    def test_two_axes_that_matter_alike_share_alike(self) -> None:
        found = shares(sampled(5000, lambda x: np.abs(x["x0"] - 0.5) + np.abs(x["x1"] - 0.5)))
        assert found["x0"] == pytest.approx(0.5, abs=0.05)
        assert found["x1"] == pytest.approx(0.5, abs=0.05)

    def test_it_does_not_depend_on_the_scale_of_the_loss(self) -> None:
        def loss(x: dict[str, Floats]) -> Floats:
            return (x["x0"] - 0.3) ** 2 + 0.2 * x["x1"]

        assert shares(sampled(500, loss)) == shares(sampled(500, lambda x: 10.0 ** (200 * loss(x) - 100)))

    def test_chance_alone_makes_no_axis_stand_out(self) -> None:
        found = [
            max(shares(sampled(200, lambda x: np.random.default_rng(9).uniform(size=200), seed=seed)).values())
            for seed in range(20)
        ]
        assert sum(share > 0 for share in found) <= 4

    def test_blind_choice_explains_nothing_on_average(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importance_module, "CLEAR", -np.inf)
        found = []
        for seed in range(60):
            columns = sampled(200, lambda x, seed=seed: np.random.default_rng(seed + 99).uniform(size=200), seed=seed)
            one = importance(columns, chart_axes([], columns.params))
            assert one is not None
            found.append(one.explained)
        assert abs(np.mean(found)) < 3 * np.std(found) / len(found) ** 0.5

    @pytest.mark.parametrize(("present", "explained"), [(1.0, 0.04 / 0.09), (0.5, 0.08 / 0.09)])
    def test_what_an_axis_explains_is_its_part_of_the_variance(self, present: float, explained: float) -> None:
        """A tenth of the trials is good: half of those with "a", or, where half of all lack the axis, all of them."""
        count = 10_000
        has = np.arange(count) < present * count
        kind = np.where(np.arange(count) % 5 == 0, "a", "b")
        good = has & (kind == "a") & ((np.arange(count) % 10 == 0) if present == 1 else True)
        columns = trials(np.where(good, 0.0, 1.0), {"kind": np.where(has, kind.astype(object), None)})
        found = importance(columns, chart_axes([], columns.params))
        assert found is not None
        assert found.explained == pytest.approx(explained, rel=0.01)

    def test_equal_losses_say_nothing(self) -> None:
        assert set(shares(sampled(100, lambda x: 0 * x["x0"])).values()) == {0.0}

    def test_a_constant_axis_has_none(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.uniform(0, 1, 200)
        found = shares(trials(x.tolist(), {"x": x.tolist(), "one": [4] * 200, "only": ["Adam"] * 200}))
        assert found == {"x": 1.0, "one": 0.0, "only": 0.0}

    def test_choices_and_whole_numbers_are_axes_like_others(self) -> None:
        rng = np.random.default_rng(1)
        kind, depth = rng.choice(["a", "b", "c"], 600), rng.integers(1, 9, 600)
        noise = rng.uniform(0, 0.1, 600)
        by_kind = shares(trials(((kind != "b") + noise).tolist(), {"kind": kind.tolist(), "depth": depth.tolist()}))
        by_depth = shares(trials((abs(depth - 5) + noise).tolist(), {"kind": kind.tolist(), "depth": depth.tolist()}))
        assert by_kind["kind"] > 0.97
        assert by_depth["depth"] > 0.97

    def test_a_logarithmic_axis_is_seen_by_its_logarithm(self) -> None:
        rng = np.random.default_rng(1)
        rate = 10 ** rng.uniform(-6, 0, 400)
        space = {"rate": {"kind": "float", "low": 1e-6, "high": 1.0, "log": True}}
        columns = trials(np.abs(np.log10(rate) + 4.5).tolist(), {"rate": rate.tolist(), "x": rng.uniform(size=400)})
        assert shares(columns, [space])["rate"] > 0.95

    def test_an_axis_that_not_all_trials_have_counts_where_it_is(self) -> None:
        rng = np.random.default_rng(2)
        layers, width = rng.integers(1, 4, 1500), rng.integers(1, 50, 1500)
        units_3 = [int(value) if deep else None for value, deep in zip(width, layers == 3, strict=True)]
        flat = trials(rng.uniform(size=1500).tolist(), {"layers": layers.tolist(), "units_3": units_3})
        matters = np.where(layers == 3, np.abs(width - 20) / 50, 0.3 + rng.uniform(0, 0.01, 1500))
        found = shares(trials(matters.tolist(), {"layers": layers.tolist(), "units_3": units_3}))
        assert set(shares(flat).values()) == {0.0}
        assert found["units_3"] > 0.2
        assert found["layers"] > 0.2, "only networks of three layers are ever good"

    def test_that_an_axis_is_absent_is_not_its_doing(self) -> None:
        rng = np.random.default_rng(3)
        layers, width = rng.integers(1, 4, 1500), rng.integers(1, 50, 1500)
        units_3 = [int(value) if deep else None for value, deep in zip(width, layers == 3, strict=True)]
        found = shares(trials((layers + rng.uniform(0, 0.5, 1500)).tolist(), {"layers": layers, "units_3": units_3}))
        assert found == {"layers": 1.0, "units_3": 0.0}

    def test_good_trials_are_found_within_their_stage(self) -> None:
        """The second stage trains longer, in a part of x0's range; within each stage x1 alone matters."""
        rng = np.random.default_rng(4)
        x1 = rng.uniform(0, 1, 600)
        x0 = np.where(np.arange(600) < 300, rng.uniform(0, 1, 600), rng.uniform(0.4, 0.5, 600))
        stage = [0] * 300 + [1] * 300
        columns = trials((x1 + 10 * (1 - np.array(stage))).tolist(), {"x0": x0, "x1": x1}, stage=stage)
        assert shares(columns)["x1"] > 0.97

    def test_too_few_trials_say_nothing(self) -> None:
        columns = sampled(LEAST - 1, lambda x: x["x0"])
        assert importance(columns, chart_axes([], columns.params)) is None
        columns = sampled(2 * LEAST - 2, lambda x: x["x0"], stage=[0, 1] * (LEAST - 1))
        assert importance(columns, chart_axes([], columns.params)) is None
        columns = sampled(LEAST, lambda x: x["x0"])
        assert importance(columns, chart_axes([], columns.params)) is not None

    @given(st.integers(LEAST, 80), st.integers(0, 1000), st.integers(1, 4))
    @settings(max_examples=40)
    def test_it_is_finite_and_the_same_whenever_it_is_asked_for(self, count: int, seed: int, digits: int) -> None:
        columns = sampled(count, lambda x: np.round(x["x0"] * x["x1"], digits), seed=seed)
        axes = chart_axes([], columns.params)
        found, again = importance(columns, axes), importance(columns, axes)
        assert found == again
        assert found is not None
        assert all(0 <= share <= 1 for share in found.shares)
        assert sum(found.shares) == pytest.approx(1) or not any(found.shares)
        assert 0 <= found.explained <= 1

    @given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.data())
    def test_equal_losses_at_the_border_weigh_the_same(self, losses: list[int], data: st.DataObject) -> None:
        best = data.draw(st.integers(1, len(losses)))
        weights = best_weights(np.array(losses, dtype=np.float64), best)
        assert weights.sum() == pytest.approx(best)
        for value in set(losses):
            assert len({weight for weight, loss in zip(weights, losses, strict=True) if loss == value}) == 1


class TestThinning:
    @given(st.integers(0, 2000), st.integers(2, 300))
    def test_even_places_keep_both_ends_and_no_more_than_may_be(self, count: int, most: int) -> None:
        places = evenly(count, most).tolist()
        assert len(places) == min(count, most)
        assert places == sorted(set(places))
        if count:
            assert (places[0], places[-1]) == (0, count - 1)
        if count > most:
            assert max(np.diff(places)) <= count / (most - 1) + 1

    @given(LOSSES, st.integers(6, 60))
    def test_the_best_are_all_there_and_the_others_evenly_spread(self, losses: list[float], most: int) -> None:
        places = best_and_even(np.array(losses), most)
        assert len(places) == min(len(losses), most)
        assert np.all(np.diff(places) > 0)
        best = sorted(range(len(losses)), key=lambda place: (losses[place], place))[: most // 3]
        assert set(best) <= set(places.tolist())

    @given(LOSSES, st.integers(1, 20))
    def test_extremes_are_kept(self, losses: list[float], buckets: int) -> None:
        places = extremes(np.array(losses), buckets)
        assert len(places) <= max(2 * buckets, 0) or len(losses) <= 2 * buckets
        if losses:
            kept = [losses[place] for place in places]
            assert (min(kept), max(kept)) == (min(losses), max(losses))

    @given(st.lists(st.integers(0, 9), max_size=60))
    def test_improvements_are_the_new_minima(self, losses: list[int]) -> None:
        expected = [place for place, loss in enumerate(losses) if loss < min(losses[:place], default=99)]
        assert improvements(np.array(losses, dtype=np.float64)).tolist() == expected

    def test_numbers_have_six_digits_and_what_is_not_finite_is_null(self) -> None:
        assert plain(np.array([1.23456789e-7, np.nan, np.inf, 123456789.0])) == [1.23457e-7, None, None, 123457000.0]


class TestAxes:
    def test_bounds_are_those_of_all_stages_and_hold_every_value(self) -> None:
        rate = {"kind": "float", "low": 0.01, "high": 0.1, "log": True}
        wide = {"rate": rate, "depth": {"kind": "int", "low": 2, "high": 4}}
        narrow = {"rate": {**rate, "low": 0.02}, "kind": {"kind": "categorical", "choices": ["a"]}}
        columns = trials([1, 2], {"depth": [9, 3], "kind": ["b", "a"], "rate": [0.5, 0.02], "extra": [0.5, None]})
        assert chart_axes([wide, narrow], columns.params) == [
            ChartAxis("rate", "float", 0.01, 0.5, True),
            ChartAxis("depth", "int", 2, 9),
            ChartAxis("kind", "categorical", choices=("a", "b")),
            ChartAxis("extra", "float", 0.5, 0.5),
        ]

    def test_a_logarithmic_axis_with_a_value_of_zero_is_linear(self) -> None:
        space = {"rate": {"kind": "float", "low": 0.01, "high": 0.1, "log": True}}
        (axis,) = chart_axes([space], trials([1], {"rate": [0.0]}).params)
        assert not axis.log

    def test_values_are_places_among_all_choices(self) -> None:
        columns = trials([1, 2, 3], {"kind": ["b", None, "a"]})
        axis = ChartAxis("kind", "categorical", choices=("z", "a", "b"))
        np.testing.assert_array_equal(axis.values(columns.params["kind"], 3), [2, np.nan, 1])
        np.testing.assert_array_equal(axis.values(None, 2), [np.nan, np.nan])

    @given(st.floats(1e-9, 1e9), st.floats(1.0001, 1e9), st.booleans(), st.floats(0, 1))
    def test_places_and_values_are_each_others_inverse(self, low: float, ratio: float, log: bool, unit: float) -> None:
        axis = ChartAxis("x", "float", low, low * ratio, log)
        assert axis.unit(axis.at(np.array([unit])))[0] == pytest.approx(unit, abs=1e-6)


class TestLossScale:
    def test_it_is_logarithmic_over_more_than_a_decade(self) -> None:
        assert charts.loss_scale(trials([0.5, 1.0, 6.0]))["log"]
        assert not charts.loss_scale(trials([0.5, 1.0, 4.0]))["log"]
        assert not charts.loss_scale(trials([-0.5, 1.0, 400.0]))["log"]

    def test_a_loss_of_zero_does_not_spoil_a_logarithmic_scale(self) -> None:
        scale = charts.loss_scale(trials([0.0, 0.001, 0.1, 1.0]))
        assert scale["log"]
        assert scale["low"] == pytest.approx(0.001)

    @pytest.mark.parametrize("huge", [1e30, 1e250])
    def test_a_huge_loss_lies_beyond_the_scale(self, huge: float) -> None:
        losses = np.linspace(1, 40, 60).tolist()
        scale = charts.loss_scale(trials([*losses, huge]))
        assert scale["high"] == pytest.approx(40)
        assert scale["beyond"] == 1
        assert scale["left_out"] == 0

    def test_what_is_not_finite_is_left_out_and_counted(self) -> None:
        scale = charts.loss_scale(trials([1.0, float("nan"), float("inf"), None, 1e290, 2.0]))
        assert scale == {"log": False, "low": 1.0, "high": 2.0, "beyond": 0, "left_out": 4}

    def test_without_losses_there_is_no_scale(self) -> None:
        expected = {"log": False, "low": None, "high": None, "beyond": 0, "left_out": 1}
        assert charts.loss_scale(trials([None])) == expected
        assert charts.loss_scale(trials([0.0]))["low"] == 0.0


def mixed(count: int, seed: int = 0) -> TrialColumns:
    """Trials of every kind: conditional axes, three stages, pruned and failed ones, a worker each."""
    rng = np.random.default_rng(seed)
    layers = rng.integers(1, 11, count)
    params: dict[str, list[Any]] = {
        "learning_rate": (10 ** rng.uniform(-5, -1, count)).tolist(),
        "kind": rng.choice(["relu", "tanh"], count).tolist(),
        "layers": layers.tolist(),
    }
    for layer in range(1, 11):
        units = rng.integers(1, 500, count)
        params[f"units_{layer}"] = np.where(layer <= layers, units.astype(object), None).tolist()
    states = rng.choice(["COMPLETED", "COMPLETED", "COMPLETED", "PRUNED", "FAILED"], count).tolist()
    losses = (10 ** rng.normal(0, 2, count)).tolist()
    start = np.arange(count) / 3
    return trials(
        [loss if state == "COMPLETED" else None for loss, state in zip(losses, states, strict=True)],
        params,
        states,
        val_loss=losses,
        stage=(np.arange(count) * 3 // max(count, 1)).tolist(),
        worker=[f"worker_{number % 12}" for number in range(count)],
        started=start.tolist(),
        finished=(start + rng.uniform(0.1, 3.9, count)).tolist(),
    )


ANSWERS: dict[str, Callable[[TrialColumns], Any]] = {
    "parallel": lambda columns: charts.parallel(columns, chart_axes([], columns.params)),
    "slice": lambda columns: charts.slices(columns, chart_axes([], columns.params)),
    "history": lambda columns: charts.history(columns, "val_loss"),
    "edf": charts.edf,
    "timeline": lambda columns: charts.timeline(columns, 1e6),
    "contour": lambda columns: charts.contour(
        columns, ChartAxis("learning_rate", "float", 1e-5, 1e-1, True), ChartAxis("units_1", "int", 1, 500)
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("count", [0, 1, 2, 10_000, 30_000])
def test_an_answer_is_plain_json_and_small_however_many_trials_there_are(kind: str, count: int) -> None:
    text = json.dumps(ANSWERS[kind](mixed(count)), allow_nan=False)
    assert len(text) < 150_000


@pytest.mark.parametrize("kind", ANSWERS)
def test_huge_and_absent_losses_break_no_answer(kind: str) -> None:
    count = 60
    columns = trials(
        [float("nan"), float("inf"), 1e308, None, 0.0, -1.0][:6] * 10,
        {"learning_rate": [1e-3] * count, "units_1": [None, 3] * 30},
        worker=[None] * count,
        started=[0.0] * count,
        finished=[0.0] * count,
    )
    json.dumps(ANSWERS[kind](columns), allow_nan=False)


class TestParallel:
    def test_the_best_are_all_there_with_null_for_axes_that_a_trial_lacks(self) -> None:
        columns = mixed(5000)
        found = ANSWERS["parallel"](columns)
        done, lines = charts.completed(columns), found["lines"]
        assert found["total"] == len(done)
        assert len(lines["number"]) == charts.MOST_LINES
        best = done.number[np.argsort(done.loss)][: charts.MOST_LINES // 3]
        assert set(best.tolist()) <= set(lines["number"])
        assert all(len(values) == charts.MOST_LINES for values in lines["values"].values())
        for layers, third in zip(lines["values"]["layers"], lines["values"]["units_3"], strict=True):
            assert (third is None) is (layers < 3)
        assert set(lines["values"]["kind"]) == {0, 1}

    def test_every_trial_is_there_when_they_are_few(self) -> None:
        found = ANSWERS["parallel"](trials([1.0, 2.0, None], {"learning_rate": [0.1, 0.2, 0.3]}))
        lines = found["lines"]
        assert lines["number"] == [1, 2]
        assert lines["values"] == {"learning_rate": [0.1, 0.2]}


class TestSlices:
    def test_each_axis_has_the_trials_that_have_it(self) -> None:
        found = {part["axis"]["name"]: part for part in ANSWERS["slice"](mixed(3000))["slices"]}
        assert None not in found["units_10"]["points"]["values"]
        assert 0 < found["units_10"]["total"] < found["layers"]["total"]
        for part in found.values():
            assert len({len(column) for column in part["points"].values()}) == 1

    def test_one_axis_alone_has_more_points(self) -> None:
        columns = mixed(5000)
        (one,) = charts.slices(columns, [ChartAxis("layers", "int", 1, 10)])["slices"]
        assert len(one["points"]["number"]) == charts.MOST_SLICE
        assert len(ANSWERS["slice"](columns)["slices"][0]["points"]["number"]) < charts.MOST_SLICE


class TestContour:
    def test_a_place_has_the_loss_of_the_trials_around_it(self) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.uniform(0, 10, 4000), rng.uniform(0, 1, 4000)
        columns = trials((1 + x + 5 * y).tolist(), {"x": x, "y": y})
        found = charts.contour(columns, *chart_axes([], columns.params))
        assert not charts.loss_scale(trials([1.0, 2.0]))["log"]
        for row, at_y in list(enumerate(found["grid"]["y"]))[4:-4]:
            for place, at_x in list(enumerate(found["grid"]["x"]))[4:-4]:
                assert found["grid"]["z"][row][place] == pytest.approx(1 + at_x + 5 * at_y, rel=0.2)

    def test_where_no_trial_is_near_there_is_nothing(self) -> None:
        columns = trials([1.0, 2.0, 3.0], {"x": [0.0, 0.1, 10.0], "y": [0.0, 0.1, 10.0]})
        grid = charts.contour(columns, *chart_axes([], columns.params))["grid"]["z"]
        assert grid[0][0] == pytest.approx(1.5, rel=0.2)
        assert grid[-1][-1] == pytest.approx(3.0)
        assert grid[0][-1] is grid[-1][0] is None

    def test_an_axis_of_choices_has_a_row_for_each(self) -> None:
        columns = trials([1.0, 3.0, 100.0], {"x": [0.5, 0.5, 0.5], "kind": ["a", "a", "b"]})
        x, _ = chart_axes([], columns.params)
        found = charts.contour(columns, x, ChartAxis("kind", "categorical", choices=("a", "b", "c")))
        assert (found["grid"]["x"], found["grid"]["y"]) == ([0.5], ["a", "b", "c"])
        assert found["grid"]["z"] == [[pytest.approx(3**0.5, rel=1e-3)], [100], [None]]
        assert found["points"]["y"] == [0, 0, 1]

    def test_trials_that_lack_an_axis_are_not_in_it(self) -> None:
        columns = trials([1.0, 2.0, 3.0], {"x": [1, 2, 3], "units_3": [None, 5, 6]})
        found = charts.contour(columns, *chart_axes([], columns.params))
        assert found["total"] == 2
        assert found["points"]["number"] == [2, 3]

    def test_one_huge_loss_does_not_hide_its_neighbours(self) -> None:
        losses = [*np.linspace(1, 2, 50).tolist(), 1e200]
        columns = trials(losses, {"x": [0.5] * 51, "y": [0.5] * 51})
        assert charts.contour(columns, *chart_axes([], columns.params))["grid"]["z"][0][0] < 2


class TestHistory:
    @given(st.lists(st.one_of(st.none(), st.floats(1e-9, 1e9)), min_size=1, max_size=1200))
    @settings(max_examples=25)
    def test_every_improvement_is_kept_with_all_its_digits(self, losses: list[float | None]) -> None:
        states = ["FAILED" if loss is None else "COMPLETED" for loss in losses]
        found = charts.history(trials(losses, states=states), "val_loss")
        best, expected = float("inf"), []
        for number, loss in enumerate(losses, start=1):
            if loss is not None and loss < best:
                best = loss
                expected.append((number, loss))
        assert list(zip(found["best"]["number"], found["best"]["losses"], strict=True)) == expected
        assert set(found["best"]["number"]) <= set(found["completed"]["number"])

    def test_pruned_trials_have_what_they_reached_and_failed_ones_their_state(self) -> None:
        states = ["COMPLETED", "PRUNED", "FAILED", "STOPPED", "RUNNING", "PRUNED"]
        columns = trials(
            [0.5, None, None, None, None, None], states=states, stage=[0, 0, 0, 1, 1, 1],
            val_loss=[0.5, 0.7, None, None, 0.1, None], train_loss=[0.5, 0.6, None, None, 0.1, None],
        )  # fmt: skip
        found = charts.history(columns, "val_loss")
        assert found["pruned"] == {"number": [2, 6], "stage": [0, 1], "losses": [0.7, None]}
        assert found["failed"] == {"number": [3, 4], "stage": [0, 1], "state": ["FAILED", "STOPPED"]}
        assert found["states"] == {"COMPLETED": 1, "FAILED": 1, "PRUNED": 2, "RUNNING": 1, "STOPPED": 1}
        assert found["total"] == 6
        assert charts.history(columns, "train_loss")["pruned"]["losses"] == [0.6, None]

    def test_a_history_that_only_improves_stays_small(self) -> None:
        found = charts.history(trials(np.linspace(9, 1, 20_000).tolist()), "val_loss")
        assert len(found["best"]["number"]) == charts.MOST_BEST
        assert set(found["best"]["number"]) <= set(found["completed"]["number"])
        assert found["best"]["losses"][-1] == 1.0


class TestEdf:
    @given(st.lists(st.integers(1, 9), min_size=1, max_size=200))
    def test_a_share_of_the_trials_has_at_most_this_loss(self, losses: list[int]) -> None:
        found = charts.edf(trials([float(loss) for loss in losses]))["all"]
        assert found["total"] == len(losses)
        assert found["losses"] == sorted(set(losses))
        for loss, share in zip(found["losses"], found["shares"], strict=True):
            assert share == pytest.approx(sum(value <= loss for value in losses) / len(losses), rel=1e-5)

    def test_stages_have_steps_of_their_own_and_no_more_than_may_be(self) -> None:
        found = charts.edf(mixed(6000))
        assert [stage["stage"] for stage in found["stages"]] == [0, 1, 2]
        assert sum(stage["total"] for stage in found["stages"]) == found["all"]["total"]
        for part in (found["all"], *found["stages"]):
            assert len(part["losses"]) == charts.MOST_STEPS
            assert part["shares"][-1] == 1.0


def timed(*spans: tuple[float, float | None], **columns: Any) -> TrialColumns:
    """Trials of one worker, from and to these seconds."""
    count = len(spans)
    columns = {"worker": ["worker_0"] * count, **columns}
    states = ["RUNNING" if end is None else "COMPLETED" for _, end in spans]
    return trials(
        [1.0] * count, states=columns.pop("states", states), started=[start for start, _ in spans],
        finished=[end for _, end in spans], **columns,
    )  # fmt: skip


class TestTimeline:
    def test_each_worker_has_its_trials_as_intervals(self) -> None:
        columns = timed(
            (100, 101), (100, 104), (102, 103), (104, None),
            worker=["worker_2", "worker_10", "worker_2", "worker_2"],
            states=["COMPLETED", "PRUNED", "FAILED", "RUNNING"],
        )  # fmt: skip
        found = charts.timeline(columns, now=108)
        assert (found["start"], found["end"], found["total"], found["merged"]) == (100, 8, 4, False)
        second, tenth = found["workers"]
        assert second == {
            "worker": "worker_2",
            "total": 3,
            "busy": 0.75,
            "intervals": {
                "start": [0, 2, 4], "end": [1, 3, 8], "busy": [1, 1, 4], "number": [1, 3, 4], "stage": [0, 0, 0],
                "trials": [1, 1, 1], "states": {"COMPLETED": [1, 0, 0], "FAILED": [0, 1, 0], "RUNNING": [0, 0, 1]},
            },
        }  # fmt: skip
        assert tenth["worker"] == "worker_10"
        assert tenth["busy"] == 0.5

    def test_trials_that_never_began_are_not_in_it(self) -> None:
        columns = timed((100, 101), (102, None), states=["COMPLETED", "QUEUED"])
        assert charts.timeline(columns, 200)["total"] == 1
        assert charts.timeline(trials([None], states=["QUEUED"]), 9)["workers"] == []

    @given(
        st.integers(0, 10**6), st.lists(st.integers(0, 1999), max_size=6, unique=True), st.sampled_from([0.8, 1.2, 500])
    )
    @settings(max_examples=20)
    def test_merged_intervals_keep_idle_gaps_and_the_time_of_training(
        self, seed: int, idle: list[int], long: float
    ) -> None:
        rng = np.random.default_rng(seed)
        pauses, lengths = rng.uniform(0, 0.5, 2000), rng.uniform(0.01, 2, 2000)
        pauses[idle] += long
        ends = np.cumsum(pauses + lengths)
        spans, now = list(zip((ends - lengths).tolist(), ends.tolist(), strict=True)), float(ends[-1])
        found = charts.timeline(timed(*spans), now)
        (worker,) = found["workers"]
        intervals = worker["intervals"]
        assert found["merged"]
        assert len(intervals["start"]) <= charts.MOST_INTERVALS
        assert sum(intervals["trials"]) == len(spans) == sum(intervals["states"]["COMPLETED"])
        trained = sum(end - start for start, end in spans)
        assert sum(intervals["busy"]) == pytest.approx(trained, rel=0.01)
        assert worker["busy"] == pytest.approx(trained / found["end"], rel=0.01)
        drawn = np.array(intervals["end"]) - np.array(intervals["start"])
        assert np.all(np.array(intervals["busy"]) <= drawn + 2e-3)
        resolution = 0.6 * found["end"] / charts.MOST_INTERVALS  # half of what merged intervals last, and some
        gaps = [after - before for (_, before), (after, _) in pairwise(spans)]
        drawn_gaps = np.array(intervals["start"][1:]) - np.array(intervals["end"][:-1])
        for gap in gaps:
            if gap > resolution:
                assert np.any(np.abs(drawn_gaps - gap) < 2e-3)

    def test_stages_are_never_merged(self) -> None:
        spans = [(float(place), place + 0.9) for place in range(4000)]
        intervals = charts.timeline(timed(*spans, stage=[0] * 1999 + [1] * 2001), 4000)["workers"][0]["intervals"]
        place = intervals["stage"].index(1)
        assert intervals["number"][place] == 2000
