"""Samplers: the points a sweep proposes. What is promised of all of them is in tests/contract/test_samplers.py."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.config import parse
from engine.samplers import RandomSampler
from engine.space import LAYERS, hidden_units

SPACE = parse({}).space()


@given(st.integers(0, 2**31 - 1), st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_a_random_point_depends_on_seed_and_number_alone(seed: int, counts: list[int]) -> None:
    numbers = range(1, sum(counts) + 1)
    at_once = RandomSampler(SPACE, seed).suggest(numbers)
    assert RandomSampler(SPACE, seed).suggest(numbers[-1:]) == at_once[-1:]
    assert [RandomSampler(SPACE, seed).suggest([number])[0] for number in numbers] == at_once


def test_another_seed_proposes_other_points() -> None:
    assert RandomSampler(SPACE, 1).suggest(range(5)) != RandomSampler(SPACE, 2).suggest(range(5))


def test_no_two_numbers_share_their_point() -> None:
    rates = {point["learning_rate"] for point in RandomSampler(SPACE, 3).suggest(range(500))}
    assert len(rates) == 500


def chi_square(counts: Counter[object], cells: int) -> float:
    expected = sum(counts.values()) / cells
    return sum((count - expected) ** 2 / expected for count in counts.values()) + (cells - len(counts)) * expected


def test_proposals_follow_the_distributions_of_the_reference() -> None:
    """Discrete uniform, both bounds included. The limits are exceeded by chance once in a million seeds."""
    points = RandomSampler(SPACE, 7).suggest(range(1, 4001))
    assert chi_square(Counter(point[LAYERS] for point in points), 7) < 38.3
    assert chi_square(Counter(point["units_1"] for point in points), 7) < 38.3
    assert chi_square(Counter(point["train_optimizer"] for point in points), 3) < 27.6
    assert chi_square(Counter(point["activation"] for point in points), 2) < 23.9
    tenths = Counter(int((int(point["batch_size"]) - 100) * 10 / 1901) for point in points)
    assert chi_square(tenths, 10) < 44.8
    rates = Counter(int((float(point["learning_rate"]) - 1e-4) / 9e-5) for point in points)
    assert chi_square(rates, 10) < 44.8


def test_the_axes_of_a_point_are_drawn_apart() -> None:
    points = RandomSampler(SPACE, 7).suggest(range(1, 4001))
    columns = np.array([[p["batch_size"], p["learning_rate"], p[LAYERS], p["units_1"], p["units_2"]] for p in points])
    correlations = np.corrcoef(columns.astype(float), rowvar=False) - np.eye(5)
    # A correlation of independent columns has deviation 1/√4000 = 0.0158; five deviations, ten pairs: 6e-6.
    assert abs(correlations).max() < 5 * 0.0158


def test_the_largest_network_of_the_space_is_proposed() -> None:
    points = RandomSampler(SPACE, 7).suggest(range(1, 4001))
    assert max(int(point[LAYERS]) for point in points) == 10
    assert max(max(hidden_units(point)) for point in points) == 10
