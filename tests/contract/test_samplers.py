"""What is promised of every sampler."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.config import parse
from engine.domain import Trial, TrialState
from engine.lattice import Lattice
from engine.samplers import PLACES, Sampler, make
from engine.samplers.base import key_of
from engine.space import LAYERS, Categorical, Float, Int, Params, SearchSpace, hidden_units

NAMES = sorted(PLACES)
LEARNED = ["CMA-ES", "NSGA-II", "TPE"]
SPACE = parse({"hidden_layers": [1, 4], "nodes_per_layer": [2, 9], "log_scale": True}).space()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = 100


def loss(params: Params) -> float:
    """Least at two layers, whose first has 7 units, tanh, Adam, and a learning rate of 3e-4."""
    units = hidden_units(params)
    rate = abs(np.log(float(params["learning_rate"])) - np.log(3e-4))
    choices = (params["activation"] != "tanh") + (params["train_optimizer"] != "Adam")
    return float(rate + choices + abs(int(params[LAYERS]) - 2) + abs(units[0] - 7) / 4)


def ended(number: int, params: Params, state: TrialState = TrialState.COMPLETED, steps: int = STEPS) -> Trial:
    trial = Trial("s", number, 0, params, steps, 1, state, step=steps, finished=NOW + timedelta(seconds=number))
    if state is TrialState.COMPLETED:
        trial.loss = loss(params)
    elif state is TrialState.PRUNED:
        trial.step, trial.rungs = steps // 3, [[steps // 3, loss(params)]]
    return trial


def search(sampler: Sampler, count: int, parallel: int = 1, first: int = 1) -> list[Trial]:
    """*count* trials, *parallel* of them in training at a time, every fifth one pruned and every seventh failed."""
    finished: list[Trial] = []
    running: list[Trial] = []
    for number in range(first, first + count):
        news = [running.pop(0)] if len(running) == parallel else []
        for trial in news:
            state = TrialState.FAILED if trial.number % 7 == 0 else TrialState.COMPLETED
            state = TrialState.PRUNED if trial.number % 5 == 0 else state
            finished.append(ended(trial.number, trial.params, state))
        sampler.update(finished[-1:] if news else [], running)
        points = sampler.suggest([number])
        if not points:
            break
        running.append(Trial("s", number, 0, points[0], STEPS, 1, TrialState.RUNNING))
    return [*finished, *running]


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Spaces with every kind of axis, some of a single value, some with axes that only some points have."""
    low = draw(st.floats(1e-6, 1.0))
    axes = {
        "real": Float(low, low + draw(st.sampled_from([0.0, 1e-9, 3.0])), log=draw(st.booleans())),
        "whole": Int(-3, draw(st.integers(-3, 200))),
        "choice": Categorical(("a", "b", "c")[: draw(st.integers(1, 3))]),
        LAYERS: Int(1, draw(st.integers(1, 4))),
    }
    axes |= {f"units_{layer}": Int(1, draw(st.integers(1, 6))) for layer in (1, 2, 3, 4)}
    return SearchSpace(axes, {f"units_{layer}": (LAYERS, layer) for layer in (1, 2, 3, 4)})


@pytest.mark.parametrize("name", NAMES)
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(space=spaces(), seed=st.integers(0, 2**31 - 1))
def test_every_point_lies_in_the_space_whatever_was_learned(name: str, space: SearchSpace, seed: int) -> None:
    sampler = make(name, space, seed, 1, STEPS)
    rng = np.random.default_rng(seed)
    for number in range(1, 41):
        for params in sampler.suggest([number]):
            assert params in space
            trial = Trial("s", number, 0, params, STEPS, 1, TrialState.COMPLETED, step=STEPS, loss=float(rng.random()))
            sampler.update([trial], [])


@pytest.mark.parametrize("name", NAMES)
def test_both_bounds_of_every_axis_are_reached(name: str) -> None:
    space = SearchSpace({"whole": Int(3, 6), "choice": Categorical(("a", "b")), "other": Int(0, 30)})
    sampler = make(name, space, 5, 1, STEPS)
    points = sampler.suggest(range(1, 101))
    assert {point["whole"] for point in points} == ({3, 5, 6} if name == "grid" else {3, 4, 5, 6})
    assert {point["choice"] for point in points} == {"a", "b"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "grid"])
def test_a_logarithmic_axis_is_searched_in_its_logarithm(name: str) -> None:
    space = SearchSpace({"rate": Float(1e-5, 1e-1, log=True), "other": Float(0, 1)})
    rates = [point["rate"] for point in make(name, space, 1, 1, STEPS).suggest(range(1, 401))]
    assert 0.4 < np.mean(np.array(rates) < 1e-3) < 0.6, "half of the points lie below the middle of the logarithm"


def test_the_values_of_a_grid_are_evenly_spaced_on_each_axis() -> None:
    space = SearchSpace({"rate": Float(1e-5, 1e-1, log=True), "whole": Int(2, 10), "few": Int(1, 2)})
    points = make("grid", space, 1, 1, STEPS, levels=3).suggest(range(1, 100))
    assert len(points) == 3 * 3 * 2
    assert sorted({float(point["rate"]) for point in points}) == pytest.approx([1e-5, 1e-3, 1e-1])
    assert {point["whole"] for point in points} == {2, 6, 10}
    assert {point["few"] for point in points} == {1, 2}


def test_a_grid_has_every_combination_of_conditional_axes_once_and_then_ends() -> None:
    space = parse(
        {"hidden_layers": [1, 3], "nodes_per_layer": [1, 2], "learning_rate": [0.1, 0.1], "batch_size": [9, 9],
         "train_optimizer": ["Adam"], "activation": ["relu"]}
    ).space()  # fmt: skip
    sampler = make("grid", space, 1, 1, STEPS)
    points = sampler.suggest(range(1, 1000))
    assert sorted(map(hidden_units, points)) == sorted(
        [[a] for a in (1, 2)] + [[a, b] for a in (1, 2) for b in (1, 2)]
        + [[a, b, c] for a in (1, 2) for b in (1, 2) for c in (1, 2)]
    )  # fmt: skip
    assert sampler.suggest([1000]) == []
    assert Lattice(space, 3).count == len(points) == 14


@pytest.mark.parametrize("name", NAMES)
def test_units_exist_for_the_layers_that_there_are(name: str) -> None:
    trials = search(make(name, SPACE, 3, 1, STEPS), 60)
    for trial in trials:
        units = {axis for axis in trial.params if axis.startswith("units_")}
        assert units == {f"units_{layer}" for layer in range(1, int(trial.params[LAYERS]) + 1)}


@pytest.mark.parametrize("name", NAMES)
def test_no_point_is_proposed_twice_with_eight_in_training(name: str) -> None:
    points = [trial.params for trial in search(make(name, SPACE, 3, 1, STEPS), 300, parallel=8)]
    assert len({key_of(point) for point in points}) == 300


@pytest.mark.parametrize("name", NAMES)
def test_every_point_of_a_small_space_is_proposed_before_any_is_again(name: str) -> None:
    space = SearchSpace({"whole": Int(1, 6), "choice": Categorical(("a", "b", "c"))})
    sampler = make(name, space, 3, 1, STEPS, levels=6)
    finished: list[Params] = []
    for number in range(1, 19):
        (params,) = sampler.suggest([number])
        finished.append(params)
        sampler.update([Trial("s", number, 0, params, STEPS, 1, TrialState.COMPLETED, step=STEPS, loss=1.0)], [])
    assert len({key_of(point) for point in finished}) == 18
    again = sampler.suggest([19])
    assert again == [] if name == "grid" else again[0] in space


def test_minus_one_and_minus_two_are_two_points() -> None:
    points = make("grid", SearchSpace({"whole": Int(-3, 0)}), 1, 1, STEPS, levels=4).suggest(range(1, 9))
    assert sorted(int(point["whole"]) for point in points) == [-3, -2, -1, 0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("known", [0, 3, 25, 70])
def test_a_search_that_died_goes_on_as_it_would_have(name: str, known: int) -> None:
    whole = search(make(name, SPACE, 11, 1, STEPS), known + 12)
    resumed = make(name, SPACE, 11, 1, STEPS)
    before = [trial for trial in whole if trial.state is not TrialState.RUNNING][:known]
    resumed.update(before, [])
    expected = make(name, SPACE, 11, 1, STEPS)
    for trial in before:  # as they came, one by one
        expected.suggest([trial.number])
        expected.update([trial], [])
    number = known + 1
    point = resumed.suggest([number])
    assert point == expected.suggest([number])
    assert point == [trial.params for trial in whole if trial.number == number]


@pytest.mark.parametrize("name", NAMES)
def test_it_survives_a_change_of_bounds_and_uses_what_still_lies_in_them(name: str) -> None:
    before = search(make(name, SPACE, 4, 1, STEPS), 60)
    finished = [trial for trial in before if trial.state is not TrialState.RUNNING]
    other = parse(
        {"hidden_layers": [2, 5], "nodes_per_layer": [4, 12], "learning_rate": [1e-5, 5e-4], "log_scale": True,
         "activation": ["tanh"]}
    ).space()  # fmt: skip
    sampler = make(name, other, 4, 1, STEPS)
    sampler.update(finished, [])
    points = [trial.params for trial in search(sampler, 40, first=61)]
    assert all(point in other for point in points)
    taken = {key_of(trial.params) for trial in finished}
    assert not taken & {key_of(point) for point in points}, "what was tried before the change is not tried again"


@pytest.mark.parametrize("name", LEARNED)
def test_what_it_has_learned_makes_it_better_than_chance(name: str) -> None:
    """Of 150 trials, the last 50 against 50 random ones: medians over seeds, far apart."""
    late, chance = [], []
    for seed in range(5):
        trials = search(make(name, SPACE, seed, 1, STEPS), 150, parallel=2)
        late += [loss(trial.params) for trial in trials if trial.number > 100]
        chance += [loss(params) for params in make("RS", SPACE, seed, 1, STEPS).suggest(range(1, 51))]
    assert np.median(late) < 0.6 * np.median(chance)


@pytest.mark.parametrize("name", LEARNED)
def test_trials_outside_the_space_teach_nothing(name: str) -> None:
    narrow = parse({"hidden_layers": [1, 2], "nodes_per_layer": [2, 9], "log_scale": True}).space()
    outside = [ended(number, point) for number, point in enumerate(points_of(SPACE, 40), 1) if point not in narrow]
    taught, untaught = make(name, narrow, 2, 1, STEPS), make(name, narrow, 2, 1, STEPS)
    taught.update(outside, [])
    assert taught.suggest(range(100, 110)) == untaught.suggest(range(100, 110))


def points_of(space: SearchSpace, count: int) -> list[Params]:
    return [space.draw(np.random.default_rng([9, number])) for number in range(count)]


def test_sobol_covers_each_axis_more_evenly_than_chance() -> None:
    space = SearchSpace({"a": Float(0, 1), "b": Float(0, 1)})
    points = make("sobol", space, 1, 1, STEPS).suggest(range(1, 65))
    cells = {(int(float(point["a"]) * 8), int(float(point["b"]) * 8)) for point in points}
    assert len(cells) == 64, "of 64 points each of 64 cells has one"
