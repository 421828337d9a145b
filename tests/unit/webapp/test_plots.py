"""Charts: what is drawn, and that any values can be."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.services.plots import MOST_TICKS, Series, axis, chart, log_ticks, span, ticks

NAN, INFINITE = float("nan"), float("inf")
values = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


@given(st.lists(st.tuples(values, values), max_size=6), st.booleans(), st.booleans())
def test_whatever_the_values_are_a_chart_comes_of_them(
    points: list[tuple[float | None, float | None]], log: bool, diagonal: bool
) -> None:
    svg = chart("t", "x", "y", [Series("a", points), Series("b", points, "crosses", 1)], log=log, diagonal=diagonal)
    root = parsed(svg)
    assert root.get("role") == "img"
    for path in root.iter("path"):
        numbers = [float(found) for found in re.findall(r"-?\d+\.?\d*", path.get("d") or "")]
        assert all(math.isfinite(number) and -1000 < number < 1000 for number in numbers)
        assert "n" not in (path.get("d") or ""), "nan or inf"


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_round_and_inside(low: float, wide: float) -> None:
    found = ticks(low, low + wide)
    assert 1 <= len(found) <= MOST_TICKS + 1
    slack = 1e-6 * max(abs(low), wide)
    assert all(low - slack <= tick <= low + wide + slack for tick in found)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-5, 123_456, ["0", "50,000", "100,000"]),
        (1e-9, 3e-9, ["1e−9", "1.5e−9", "2e−9", "2.5e−9", "3e−9"]),
        (1e7, 3e7, ["1e7", "1.5e7", "2e7", "2.5e7", "3e7"]),
        (5, 5, ["4.6", "4.8", "5.0", "5.2", "5.4"]),
    ],
)
def test_ticks_are_written_with_the_digits_they_need(low: float, high: float, labels: list[str]) -> None:
    assert list(axis([low, high]).labels) == labels


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.01, 1, [0.01, 0.1, 1]), (2, 30, [2, 5, 10, 20]), (1e-8, 1e8, [1e-8, 1e-5, 1e-2, 10, 1e4, 1e7])],
)
def test_logarithmic_ticks_are_powers_of_ten_where_there_are_enough(
    low: float, high: float, expected: list[float]
) -> None:
    assert log_ticks(low, high) == pytest.approx(expected)


def test_a_chart_says_what_it_shows() -> None:
    svg = chart("Loss <b>", "step", "loss", [Series("training", [(1, 0.5), (2, 0.25), (3, NAN), (4, None)])])
    assert parsed(svg).get("aria-label") == "Loss <b>: loss over step. training: 2 points from 0.25 to 0.5."
    assert "<b>" not in svg
    assert "Loss &lt;b&gt;" in svg


def test_values_lie_where_they_belong() -> None:
    root = parsed(chart("t", "x", "y", [Series("a", [(0, 0), (10, 1)])]))
    (line,) = [path for path in root.iter("path") if "plot-line" in (path.get("class") or "")]
    x0, y0, x1, y1 = (float(found) for found in re.findall(r"-?\d+\.\d+", line.get("d") or ""))
    assert x0 < x1
    assert y0 > y1, "upwards is less in SVG"
    labels = [text.text for text in root.iter("text") if "plot-tick" in (text.get("class") or "")]
    assert labels == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0", "0", "2", "4", "6", "8", "10"]


def test_a_single_point_is_a_dot_and_none_is_said() -> None:
    assert "plot-dots" in chart("t", "x", "y", [Series("a", [(1, 1)])])
    empty = chart("t", "x", "y", [Series("a", [(1, NAN), (INFINITE, 1)])])
    assert "Nothing to draw" in empty
    assert "plot-tick" not in empty


def test_a_logarithmic_chart_leaves_out_what_is_not_above_zero() -> None:
    svg = chart("t", "x", "y", [Series("a", [(0, 0.0), (1, 0.1), (2, 10.0)], "dots")], log=True)
    assert "a: 2 points from 0.1 to 10" in svg
    assert "plot-line" not in svg


def test_with_a_diagonal_both_axes_have_the_same_bounds() -> None:
    root = parsed(chart("t", "x", "y", [Series("a", [(0, 5), (1, 9)], "dots")], diagonal=True))
    (diagonal,) = [path for path in root.iter("path") if path.get("class") == "plot-diagonal"]
    (frame,) = [path for path in root.iter("path") if "V" in (path.get("d") or "")]
    left, top, bottom, right = (float(found) for found in re.findall(r"\d+\.?\d*", frame.get("d") or ""))
    ends = [float(found) for found in re.findall(r"\d+\.?\d*", diagonal.get("d") or "")]
    assert ends == pytest.approx([left, bottom, right, top], abs=0.1)


def test_a_span_shows_its_part_of_the_whole() -> None:
    rects = [(rect.get("class"), rect.get("x"), rect.get("width")) for rect in parsed(span(25, 50, (0, 100), 30))]
    assert rects == [("span-rail", None, "100"), ("span-part", "25.0", "25.00"), ("span-best", "30.00", "1.5")]
    (_, x, width) = [
        (rect.get("class"), rect.get("x"), rect.get("width")) for rect in parsed(span(0.01, 0.1, (0.001, 1), log=True))
    ][1]
    assert float(x or 0) == pytest.approx(33.33, abs=0.02)
    assert float(width or 0) == pytest.approx(33.33, abs=0.02)
