"""The pace: reports come about every third of a second, whatever a step costs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.training.pace import FIRST_STEPS, REPORT_SECONDS, Pace


@given(st.floats(1e-6, 2.0), st.integers(1, 100_000))
def test_all_steps_are_done_and_no_chunk_is_much_longer_than_a_report(cost: float, steps: int) -> None:
    pace, left, chunks = Pace(), steps, 0
    while left and chunks < 500:
        chunk = pace.next(left)
        assert 1 <= chunk <= left
        if chunks:
            assert chunk * cost <= max(REPORT_SECONDS, cost) * 1.2 + cost
        pace.took(chunk, chunk * cost)
        left -= chunk
        chunks += 1
    assert left == 0 or chunks == 500


def test_the_pace_grows_to_one_report_every_third_of_a_second() -> None:
    pace = Pace()
    assert pace.next(10**6) == FIRST_STEPS
    for _ in range(6):
        chunk = pace.next(10**6)
        pace.took(chunk, chunk * 1e-4)
    assert pace.next(10**6) == 3000


def test_a_slow_first_chunk_is_forgotten() -> None:
    pace = Pace()
    pace.took(FIRST_STEPS, 5.0)
    assert pace.next(10**6) == 1
    for _ in range(5):
        chunk = pace.next(10**6)
        pace.took(chunk, chunk * 1e-4)
    assert pace.next(10**6) == 3000


def test_it_grows_at_most_tenfold_at_a_time() -> None:
    pace = Pace()
    pace.took(FIRST_STEPS, 1e-9)
    assert pace.next(10**6) == 10 * FIRST_STEPS


def test_a_short_rest_is_taken_along() -> None:
    pace = Pace()
    pace.took(1, 1e-9)
    assert pace.next(12) == 12
    assert pace.next(13) == 10
