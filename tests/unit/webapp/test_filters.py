"""How figures are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.filters import figure


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 4, "0"),
        (-0.25, 4, "-0.25"),
        (0.0123456, 4, "0.01235"),
        (12345.6, 4, "12350"),
        (99999.0, 4, "1e5"),
        (0.0001, 4, "0.0001"),
        (0.0000314924, 4, "3.149e-5"),
        (0.0000314924, 6, "3.14924e-5"),
        (123456.7, 6, "123457"),
        (1e-10, 2, "1e-10"),
        (1e300, 4, "1e300"),
        (math.inf, 4, "inf"),
    ],
)
def test_a_figure_has_its_digits_and_no_zeros_that_tell_nothing(value: float, digits: int, text: str) -> None:
    assert figure(value, digits) == text


@given(st.floats(-1e300, 1e300), st.integers(2, 6))
def test_a_figure_is_the_number_but_for_the_digits_left_out(value: float, digits: int) -> None:
    assert float(figure(value, digits)) == pytest.approx(value, rel=10.0 ** (1 - digits))
