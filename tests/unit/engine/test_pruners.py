"""Pruners: which trials go on beyond their rungs."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.pruners import Pruner, make

NAMES = ["none", "median", "asha", "hyperband"]
names = st.sampled_from(NAMES)
INF = math.inf


def rungs(pruner: Pruner, steps: int, number: int = 1) -> list[int]:
    return [rung for rung, _ in pruner.limits(number, steps)]


def limit(pruner: Pruner, number: int, steps: int, step: int) -> float:
    return dict(pruner.limits(number, steps))[step]


def told(pruner: Pruner, steps: int, step: int, losses: Iterable[float], first: int = 1) -> Pruner:
    """The pruner after trials *first*, *first* + 1, … have had *losses* at *step*."""
    for number, loss in enumerate(losses, start=first):
        pruner.report(number, steps, step, loss)
    return pruner


def ends_at(pruner: Pruner, number: int, steps: int, curve: Sequence[float]) -> int:
    """Where trial *number* ends whose losses at its rungs are *curve*'s."""
    for (rung, most), loss in zip(pruner.limits(number, steps), curve, strict=False):
        pruner.report(number, steps, rung, loss)
        if loss > most:
            return rung
    return steps


@given(names, st.integers(1, 100_000), st.integers(2, 9), st.integers(0, 500), st.integers(1, 1000))
def test_rungs_rise_and_lie_below_the_steps_and_not_below_the_least(
    name: str, steps: int, eta: int, least: int, number: int
) -> None:
    found = rungs(make(name, eta, least), steps, number)
    assert found == sorted(set(found))
    assert all(max(1, least) <= rung < steps for rung in found)


@given(names, st.integers(1, 10_000))
def test_a_trial_of_one_step_or_of_less_than_the_least_has_no_rung(name: str, steps: int) -> None:
    assert rungs(make(name), 1) == []
    assert rungs(make(name, min_steps=steps), steps) == []


def test_the_rungs_are_the_tenths_after_the_first_two_or_the_steps_divided_by_eta_again_and_again() -> None:
    assert rungs(make("none"), 1000) == []
    assert rungs(make("median"), 1000) == [200, 300, 400, 500, 600, 700, 800, 900]
    assert rungs(make("median", min_steps=450), 1000) == [500, 600, 700, 800, 900]
    assert rungs(make("median"), 5) == [1, 2, 3, 4]
    assert rungs(make("asha"), 1000) == [37, 111, 333]
    assert rungs(make("asha", min_steps=100), 1000) == [111, 333]
    assert rungs(make("asha", min_steps=1), 1000) == [1, 4, 12, 37, 111, 333]
    assert rungs(make("asha", eta=2), 1000) == [62, 125, 250, 500]
    assert rungs(make("asha"), 5) == [1]


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_is_known_every_trial_goes_on(name: str) -> None:
    assert all(most == INF for _, most in make(name).limits(1, 1000))


def test_of_all_that_have_reached_a_rung_the_best_third_goes_on() -> None:
    pruner = make("asha")
    expected = [
        # n-th to come, the limit that it finds: the smallest of the others up to the fifth, then the second smallest
        (0.5, INF), (0.4, 0.5), (0.9, 0.4), (0.3, 0.4), (0.8, 0.3), (0.6, 0.4), (0.35, 0.4), (0.1, 0.35), (0.7, 0.35),
    ]  # fmt: skip
    for number, (loss, most) in enumerate(expected, start=1):
        assert limit(pruner, number, 1000, 37) == most, f"trial {number}"
        pruner.report(number, 1000, 37, loss)
    assert limit(pruner, 99, 1000, 37) == 0.35, "10 with it: of 0.1, 0.3, 0.35, … the third"
    assert limit(pruner, 99, 1000, 111) == INF, "nobody has come so far"


def test_with_the_same_loss_as_the_last_that_goes_on_a_trial_goes_on() -> None:
    pruner = told(make("asha"), 1000, 37, [0.5] * 7)
    assert ends_at(pruner, 8, 1000, [0.5]) == 1000
    assert ends_at(pruner, 9, 1000, [0.6]) == 37


def test_a_trial_worse_than_the_median_of_the_others_ends() -> None:
    pruner = told(make("median"), 1000, 200, [0.5, 0.1, 0.4, 0.9])
    assert limit(pruner, 5, 1000, 200) == INF, "four others are too few"
    pruner.report(5, 1000, 200, 0.3)
    assert limit(pruner, 6, 1000, 200) == 0.4
    assert limit(pruner, 5, 1000, 200) == INF, "its own report does not count"
    pruner.report(6, 1000, 200, 0.2)
    assert limit(pruner, 7, 1000, 200) == pytest.approx(0.35)
    assert limit(pruner, 7, 1000, 300) == INF, "nobody has come so far"


def test_the_median_counts_those_that_ended_before_with_what_they_had() -> None:
    pruner = told(make("median", startup=2), 1000, 200, [0.1, 0.2, 0.7, 0.8, 0.9])
    told(pruner, 1000, 300, [0.05, 0.15])
    assert limit(pruner, 6, 1000, 300) == 0.7, "of 0.05, 0.15 and the three that never came"
    assert limit(pruner, 6, 1000, 200) == 0.7


def test_the_median_of_consistent_trials_ends_about_half_of_them() -> None:
    """If only those that went on were counted, each of the eight rungs would halve them."""
    pruner = make("median")
    qualities = np.random.default_rng(5).uniform(size=400)
    ends = [ends_at(pruner, number, 1000, [quality + 1 / rung for rung in range(1, 9)])
            for number, quality in enumerate(qualities, start=1)]  # fmt: skip
    # A whole trial for each that is better than the median so far: 200, deviation 10.
    assert 150 < ends.count(1000) < 250


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_successive_halving_keeps_about_one_in_eta_at_every_rung(eta: int) -> None:
    """Trial n goes on with probability max(1, n // eta) / n; the limits are five deviations away."""
    pruner = make("asha", eta, min_steps=10)
    rng = np.random.default_rng(3)
    steps, count = 10 * eta**2, 1000
    ends = Counter(ends_at(pruner, number, steps, rng.uniform(size=2)) for number in range(1, count + 1))
    first, second = 10, 10 * eta

    def bounds(trials: int) -> tuple[float, float]:
        chances = [max(1, n // eta) / n for n in range(1, trials + 1)]
        deviation = math.sqrt(sum(chance * (1 - chance) for chance in chances))
        return sum(chances) - 5 * deviation, sum(chances) + 5 * deviation

    beyond = count - ends[first]
    low, high = bounds(count)
    assert low < beyond < high
    low, high = bounds(beyond)
    assert low < beyond - ends[second] < high


@given(names, st.lists(st.lists(st.floats(0, 1), min_size=8, max_size=8), min_size=1, max_size=60), st.integers(2, 5))
def test_a_trial_that_ends_is_worse_than_another_at_its_rung(name: str, curves: list[list[float]], eta: int) -> None:
    pruner = make(name, eta, startup=2)
    known: dict[int, list[float]] = {}
    """The losses of each trial, rung by rung."""
    for number, curve in enumerate(curves, start=1):
        steps = rungs(pruner, 1000, number)
        end = ends_at(pruner, number, 1000, curve)
        known[number] = curve[: steps.index(end) + 1 if end in steps else len(steps)]
        if end == 1000:
            continue
        place = len(known[number]) - 1
        others = [losses[min(place, len(losses) - 1)] for other, losses in known.items() if other != number and losses]
        assert min(others) < known[number][-1], "the best of all was ended"


places = st.lists(
    st.tuples(st.integers(1, 8), st.sampled_from([90, 1000]), st.integers(0, 7)), min_size=20, max_size=90, unique=True
)
"""(trial, steps, the how-manieth of its rungs)"""


def filled(name: str, order: Iterable[tuple[int, int, int]], but: int = 0) -> Pruner:
    """A pruner that has heard of *order*, *but* for one trial."""
    pruner = make(name, startup=2)
    for number, steps, place in order:
        steps_of_rungs = rungs(pruner, steps, number)
        if place < len(steps_of_rungs) and number != but:
            pruner.report(number, steps, steps_of_rungs[place], float(number * 37 % 11 + place))
    return pruner


@given(names, places, st.randoms(use_true_random=False))
def test_the_limits_do_not_depend_on_the_order_of_the_reports_nor_on_their_repetition(
    name: str, order: list[tuple[int, int, int]], rnd: random.Random
) -> None:
    shuffled = [*order, *order[::3]]
    rnd.shuffle(shuffled)
    one, other = filled(name, order), filled(name, shuffled)
    for steps in (90, 1000):
        for number in range(1, 10):
            assert one.limits(number, steps) == other.limits(number, steps)


@given(names, places)
def test_a_trial_is_measured_by_the_others_alone(name: str, order: list[tuple[int, int, int]]) -> None:
    for number in range(1, 9):
        assert filled(name, order).limits(number, 1000) == filled(name, order, but=number).limits(number, 1000)


@pytest.mark.parametrize("name", NAMES)
def test_trials_of_other_steps_are_not_compared(name: str) -> None:
    pruner = make(name)
    for rung in (200, 333):
        told(pruner, 1000, rung, [0.1] * 20)
    assert all(most == INF for _, most in pruner.limits(50, 1001)), "200 and 333 are their rungs, too"


@pytest.mark.parametrize("name", ["median", "asha"])
def test_the_last_report_of_a_trial_counts(name: str) -> None:
    """An attempt that was lost is trained again."""
    step = rungs(make(name), 1000)[0]
    pruner = told(make(name), 1000, step, [0.9] * 7)
    assert limit(pruner, 8, 1000, step) == 0.9
    told(pruner, 1000, step, [0.2] * 7)
    assert limit(pruner, 8, 1000, step) == 0.2


@pytest.mark.parametrize("name", NAMES)
def test_a_report_at_no_rung_is_ignored_and_one_that_is_no_number_is_the_worst(name: str) -> None:
    pruner = make(name)
    for number in range(1, 200):
        pruner.report(number, 1000, 123, 0.0)
    assert all(most == INF for _, most in pruner.limits(500, 1000))
    for number in range(1, 200):
        for step in rungs(pruner, 1000, number):
            pruner.report(number, 1000, step, math.nan if number % 2 else 0.5)
    assert all(most in (0.5, INF) for _, most in pruner.limits(500, 1000))


def test_each_bracket_has_one_rung_less_and_its_share_of_any_stretch_of_trials() -> None:
    pruner = make("hyperband")
    brackets = [tuple(rungs(pruner, 1000, number)) for number in range(1, 2001)]
    shares = {(37, 111, 333): 27, (111, 333): 12, (333,): 6, (): 4}  # of 49: ⌈4·3^s / (s + 1)⌉ for s = 3, 2, 1, 0
    assert set(brackets) == set(shares)
    for first in range(0, 1900, 10):
        counts = Counter(brackets[first : first + 98])
        for bracket, share in shares.items():
            assert abs(counts[bracket] - 2 * share) <= 4, (first, bracket)


def test_trials_are_compared_within_their_bracket() -> None:
    pruner = make("hyperband")
    by_rungs: dict[int, list[int]] = {}
    for number in range(1, 100):
        by_rungs.setdefault(len(rungs(pruner, 1000, number)), []).append(number)
    for number in by_rungs[3][:-1]:
        pruner.report(number, 1000, 333, 0.2)
    assert limit(pruner, by_rungs[3][-1], 1000, 333) == 0.2
    assert limit(pruner, by_rungs[2][0], 1000, 333) == INF
    pruner.report(by_rungs[2][0], 1000, 111, 0.4)
    assert limit(pruner, by_rungs[2][1], 1000, 111) == 0.4


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("best",), "no pruner 'best'"),
        (("asha", 1), "eta must be at least 2, got 1"),
        (("asha", 3, -1), "min_steps must be at least 0, got -1"),
        (("median", 3, 0, 0), "startup must be at least 1, got 0"),
    ],
)
def test_a_pruner_that_makes_no_sense_cannot_be_made(values: tuple[object, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(*values)  # type: ignore[arg-type]
