"""Charts as inline SVG: axes with round ticks, lines, dots and crosses. Pure; colours come from CSS classes.

Whatever the values are, a chart comes of them: what is not finite is left out, and equal values get room around them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from webapp.filters import figure

WIDTH, HEIGHT = 460, 300
TOP, LEGEND, RIGHT, BOTTOM = 30, 20, 14, 46
CHARACTER = 6.4
"""The width of a character of a tick's label."""
MOST_TICKS = 7
LARGEST, LEAST = 1e280, 1e-280
"""Nothing beyond the first is drawn, and what is below the second is zero: differences and ratios must be finite."""
NEAR = 1e-9
"""Values that differ by a smaller part of themselves are equal."""
ROOM = 0.04
"""Of an axis, left free at both ends."""

Point = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """Points (x, y) of one kind. *look*: line, dashed, dots or crosses; *colour* is a number from 0 to 5."""

    name: str
    points: Sequence[Point]
    look: str = "line"
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Axis:
    """From *low* to *high*; *log* places by the logarithm. *ticks* are round, *labels* what is written at them."""

    low: float
    high: float
    log: bool
    ticks: Sequence[float]
    labels: Sequence[str]

    def place(self, value: float) -> float:
        """Where *value* lies: 0 at the low end, 1 at the high one."""
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


def axis(values: Iterable[float], log: bool = False) -> Axis:
    """An axis that has room for *values*; it is linear where *log* is asked for and no value is above zero."""
    given = list(values)
    low, high = (min(given), max(given)) if given else (0.0, 1.0)
    if log and low > 0:
        wide = math.log10(high) - math.log10(low)
        room = wide * ROOM if wide > NEAR else 0.5
        low, high = low / 10**room, high * 10**room
        marks = log_ticks(low, high)
        return Axis(low, high, True, marks, log_labels(marks))
    apart = high - low > NEAR * max(abs(low), abs(high))
    room = (high - low) * ROOM if apart else abs(high) * 0.1 or 1.0
    low, high = low - room, high + room
    marks = ticks(low, high)
    return Axis(low, high, False, marks, labels(marks))


def ticks(low: float, high: float) -> list[float]:
    """At most MOST_TICKS multiples of 1, 2 or 5 times a power of ten from *low* to *high*."""
    rough = (high - low) / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - NEAR))
    first, last = math.ceil(low / step - NEAR), math.floor(high / step + NEAR)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """At most MOST_TICKS powers of ten from *low* to *high*; over few of them 1, 2 and 5 times a power of ten."""
    first, last = math.ceil(math.log10(low) - NEAR), math.floor(math.log10(high) + NEAR)
    if last - first >= 2:
        step = math.ceil((last - first + 1) / MOST_TICKS)
        return [float(f"1e{power}") for power in range(first, last + 1, step)]
    finer = [factor * 10.0**power for power in range(first - 1, last + 1) for factor in (1, 2, 5)]
    inside = [float(f"{value:.12g}") for value in finer if low <= value <= high]
    return inside if len(inside) > 1 else [value for value in ticks(low, high) if value > 0]


def labels(marks: Sequence[float]) -> list[str]:
    """The ticks of an axis in words, with as many digits as tell them apart."""
    largest = max((abs(value) for value in marks), default=0.0)
    if not largest:
        return ["0" for _ in marks]
    near = min((abs(b - a) for a, b in pairwise(marks)), default=largest)
    if 1e-3 <= largest < 1e6 and near >= 1e-6:
        return [_text(value, max(0, -_exponent(near))) for value in marks]
    return [_scientific(value, near) for value in marks]


def log_labels(marks: Sequence[float]) -> list[str]:
    """The ticks of a logarithmic axis in words, each with the digits it has itself."""
    if marks and marks[0] >= 1e-4 and marks[-1] < 1e6:
        return [f"{value:,.6g}" for value in marks]
    return [_scientific(value, 0.1 * value) for value in marks]


def chart(
    title: str,
    across: str,
    up: str,
    series: Sequence[Series],
    log: bool = False,
    diagonal: bool = False,
) -> Markup:
    """A chart of *series* as an SVG picture with its description.

    Args:
        across, up: what the axes are.
        log: whether the upright axis is logarithmic.
        diagonal: mark where both axes are equal; they then have the same bounds.
    """
    drawn = [(one, [point for point in one.points if _drawable(point)]) for one in series]
    log = log and any(y > 0 for _, points in drawn for _, y in _pairs(points))
    if log:
        drawn = [(one, [point for point in points if (point[1] or 0) > LEAST]) for one, points in drawn]
    points = [pair for _, found in drawn for pair in _pairs(found)]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_axis, y_axis = (axis(xs + ys), axis(xs + ys)) if diagonal else (axis(xs), axis(ys, log))
    left = 30 + CHARACTER * max((len(label) for label in y_axis.labels), default=1)
    top = TOP + (LEGEND if len(series) > 1 else 0)
    frame = _Frame(left, WIDTH - RIGHT, top, HEIGHT - BOTTOM, x_axis, y_axis)
    content = [_text_at("plot-title", 0, 15, title), _legend(series) if len(series) > 1 else ""]
    content += [_axes(frame, across, up, bool(points))]
    if not points:
        content.append(
            _text_at("plot-none", (left + WIDTH - RIGHT) / 2, (top + HEIGHT - BOTTOM) / 2, "Nothing to draw")
        )
    elif diagonal:
        low, high = x_axis.low, x_axis.high
        content.append(f'<path class="plot-diagonal" d="{frame.line([(low, low), (high, high)])}"/>')
    content += [frame.draw(one, _pairs(found)) for one, found in drawn]
    spoken = "; ".join(_spoken(one, found) for one, found in drawn)
    head = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="'
    label = escape(f"{title}: {up} over {across}. {spoken}.")
    return Markup("{}{}{}{}{}").format(Markup(head), label, Markup('">'), Markup("".join(content)), Markup("</svg>"))  # noqa: S704 - escaped where it is made


def span(low: float, high: float, whole: tuple[float, float], at: float | None = None, log: bool = False) -> Markup:
    """The part from *low* to *high* of the *whole* as a bar, with a mark *at* a value."""
    first, last = whole
    log = log and first > 0

    def place(value: float) -> float:
        if first >= last:
            return 50.0
        part = math.log(value / first) / math.log(last / first) if log else (value - first) / (last - first)
        return round(100 * min(max(part, 0.0), 1.0), 2)

    begin, end = (place(low), place(high)) if first < last else (0.0, 100.0)
    bar = f'<rect class="span-part" x="{begin}" y="2" width="{max(end - begin, 1.5):.2f}" height="8" rx="1"/>'
    mark = f'<rect class="span-best" x="{min(place(at), 98.5):.2f}" width="1.5" height="12"/>' if at is not None else ""
    return Markup(  # noqa: S704 - numbers only
        '<svg class="span" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="span-rail" y="2" width="100" height="8" rx="1"/>{bar}{mark}</svg>'
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the axes lie in the picture."""

    left: float
    right: float
    top: float
    bottom: float
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[str, str]:
        across = self.left + self.x.place(x) * (self.right - self.left)
        return f"{across:.1f}", f"{self.bottom - self.y.place(y) * (self.bottom - self.top):.1f}"

    def line(self, points: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join(" ".join(self.at(*point)) for point in points)

    def draw(self, series: Series, points: Sequence[tuple[float, float]]) -> str:
        if not points:
            return ""
        if series.look in ("line", "dashed"):
            look = series.look if len(points) > 1 else "dots"
            path = self.line(points) if len(points) > 1 else self._marks(points, "h.01")
        else:
            look = series.look
            path = self._marks(points, "h.01" if look == "dots" else "m-3-3l6 6m0-6l-6 6")
        return f'<path class="plot-{look} plot-c{series.colour % 6}" d="{path}"/>'

    def _marks(self, points: Sequence[tuple[float, float]], mark: str) -> str:
        return "".join(f"M{' '.join(self.at(*point))}{mark}" for point in points)


def _axes(frame: _Frame, across: str, up: str, marked: bool) -> str:
    """The frame with its ticks, and what the axes are."""
    content = []
    for value, label in zip(frame.y.ticks, frame.y.labels, strict=True) if marked else ():
        height = frame.at(frame.x.low, value)[1]
        content.append(f'<path class="plot-grid" d="M{frame.left:.1f} {height}H{frame.right}"/>')
        content.append(_text_at("plot-tick plot-tick-y", frame.left - 7, float(height) + 4, label))
    for value, label in zip(frame.x.ticks, _sparse(frame.x.labels), strict=True) if marked else ():
        place = frame.at(value, frame.y.low)[0]
        content.append(f'<path class="plot-axis" d="M{place} {frame.bottom}v4"/>')
        content.append(_text_at("plot-tick", float(place), frame.bottom + 17, label))
    content.append(f'<path class="plot-axis" d="M{frame.left:.1f} {frame.top}V{frame.bottom}H{frame.right}"/>')
    middle = (frame.top + frame.bottom) / 2
    content.append(_text_at("plot-label", (frame.left + frame.right) / 2, HEIGHT - 8, _cut(across)))
    content.append(_text_at("plot-label", 12, middle, _cut(up, 32), f' transform="rotate(-90 12 {middle})"'))
    return "".join(content)


def _sparse(given: Sequence[str]) -> list[str]:
    """Every second label where all of them would touch."""
    every = 2 if sum(len(label) + 2 for label in given) * CHARACTER > WIDTH - 90 else 1
    return [label if place % every == 0 else "" for place, label in enumerate(given)]


def _legend(series: Sequence[Series]) -> str:
    content, left = [], 0.0
    for one in series:
        colour = f"plot-c{one.colour % 6}"
        if one.look in ("line", "dashed"):
            mark = f'<path class="plot-{one.look} {colour}" d="M{left:.1f} 33h20"/>'
        else:
            shape = "h.01" if one.look == "dots" else "m-3-3l6 6m0-6l-6 6"
            mark = f'<path class="plot-{one.look} {colour}" d="M{left + 10:.1f} 33{shape}"/>'
        content.append(mark + _text_at("plot-name", left + 26, 37, _cut(one.name, 30)))
        left += 26 + CHARACTER * (min(len(one.name), 30) + 2.5)
    return "".join(content)


def _text_at(look: str, x: float, y: float, text: str, more: str = "") -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>' if text else ""


def _cut(text: str, most: int = 48) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _spoken(series: Series, points: Sequence[Point]) -> str:
    ys = [y for _, y in _pairs(points)]
    count = f"{series.name}: {len(ys)} point{'' if len(ys) == 1 else 's'}"
    return f"{count} from {figure(min(ys))} to {figure(max(ys))}" if ys else count


def _pairs(points: Iterable[Point]) -> list[tuple[float, float]]:
    return [(_near_zero(x), _near_zero(y)) for x, y in points if x is not None and y is not None]


def _near_zero(value: float) -> float:
    return float(value) if abs(value) > LEAST else 0.0


def _drawable(point: Point) -> bool:
    return all(value is not None and math.isfinite(value) and abs(value) < LARGEST for value in point[:2])


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)) + NEAR)


def _text(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".replace("-", "−")


def _scientific(value: float, near: float) -> str:
    """1.5e-7; with as many digits as a distance of *near* asks for."""
    if not value:
        return "0"
    digits = min(max(0, _exponent(value) - _exponent(near)), 12)
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")
