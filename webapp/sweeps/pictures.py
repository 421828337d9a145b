"""A small picture of how the values of an axis are drawn: its density as inline SVG, with a caption in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from engine.config import SweepConfig
from engine.space import LAYERS, SEQUENCE, Axis, Categorical, Float, Int, axis_of, units_axis
from webapp.filters import figure, number

WIDTH, HEIGHT = 200, 30
MOST_BARS = 40
"""More values are drawn as so many bars."""
POINTS = 40
"""Of a curve."""

AXES: dict[str, dict[str, str]] = {
    "regressor": {"activation": "activation", "hidden_layers": LAYERS, "nodes_per_layer": units_axis(1)},
    "lstm": {"rnn_layers": LAYERS, "rnn_units": units_axis(1), "rnn_seq_length": SEQUENCE},
    "class": {},
}
"""The keys that make the axes of each network, and the axis that is drawn for each."""
COMMON = {name: name for name in ("batch_size", "learning_rate", "train_optimizer")}


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG of WIDTH by HEIGHT, stretched to the place it has; *caption*, its accessible name, says the same."""

    svg: Markup
    caption: str


def pictures(config: SweepConfig) -> dict[str, Picture]:
    """The picture of each axis that *config* searches, by its key, or as `model_space.` and its name."""
    space = config.space().axes
    keys = COMMON | AXES[config.network]
    if len({space[name] for name in space if name.startswith("units_")}) > 1:
        del keys["rnn_units"]  # every layer has a size of its own
    found = {key: picture(space[name]) for key, name in keys.items()}
    own = {f"model_space.{name}": picture(axis_of(document)) for name, document in config.model_space.items()}
    return found | own


def picture(axis: Axis) -> Picture:
    """How the values of *axis* are drawn."""
    shapes, caption = _shapes(axis)
    svg = Markup('<svg viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>')
    return Picture(svg.format(WIDTH, HEIGHT, caption, Markup().join(shapes)), caption)


def _shapes(axis: Axis) -> tuple[list[Markup], str]:
    if isinstance(axis, Categorical):
        count = len(axis.choices)
        names = ", ".join(axis.choices)
        return _bars(count, 1 / count), f"{names}, 1 in {count} each" if count > 1 else f"always {names}"
    if axis.low == axis.high:
        return _bars(1, 1.0), f"always {_show(axis.low)}"
    bounds = f"{_show(axis.low)} to {_show(axis.high)}"
    if isinstance(axis, Int):
        count = axis.high - axis.low + 1
        return _bars(min(count, MOST_BARS), 0.6), f"whole numbers {bounds}, all {number(count)} alike"
    if not axis.log:
        return _bars(1, 0.6, 0.0), f"uniform, {bounds}"
    return [_falling(axis)], f"log-uniform, {bounds}, half of them below {figure(math.sqrt(axis.low * axis.high), 2)}"


def _bars(count: int, height: float, gap: float = 0.25) -> list[Markup]:
    """*count* bars side by side, of a *height* from 0 to 1; a single one that stands for one value is narrow."""
    step = WIDTH / count
    width = step * (1 - gap) if count > 1 or not gap else WIDTH / 16
    shape = Markup('<rect x="{:g}" y="{:g}" width="{:g}" height="{:g}"/>')
    high = HEIGHT * height
    return [
        shape.format(round(step * (place + 0.5) - width / 2, 2), HEIGHT - high, round(width, 2), high)
        for place in range(count)
    ]


def _falling(axis: Float) -> Markup:
    """The density of a log-uniform axis over its values: 1/x."""
    xs = [axis.low + (axis.high - axis.low) * point / POINTS for point in range(POINTS + 1)]
    line = " ".join(
        f"L{WIDTH * point / POINTS:g} {HEIGHT - HEIGHT * max(axis.low / x, 0.04):.2f}" for point, x in enumerate(xs)
    )
    return Markup('<path d="M0 {} {} L{} {}z"/>').format(HEIGHT, line, WIDTH, HEIGHT)


def _show(value: float) -> str:
    return number(value) if isinstance(value, int) else figure(value, 6)
