"""How values are written in templates."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Flask, g, url_for
from markupsafe import Markup

from engine.space import LAYERS, units_axis

COUNTABLE = 10**15
"""Larger numbers are told by their power of ten."""
PLAIN_ID = re.compile(r"\d+|[0-9a-f]{24}")
"""Ids of runs that stand in a path; a string may hold anything, and be the name of another page."""


def register(app: Flask) -> None:
    """Install the filters, `run_url`, and `viewer`: the account that is logged in, or None."""
    app.jinja_env.filters.update(
        number=number,
        amount=amount,
        pace=pace,
        loss=loss,
        size=size,
        bars=bars,
        sentence=sentence,
        when=when,
        duration=duration,
        params=params,
        layers=layers,
        island=island,
    )
    app.jinja_env.globals.update(run_url=run_url)
    app.context_processor(lambda: {"viewer": g.get("viewer")})


def number(value: Any) -> str:
    """1234567 → 1,234,567."""
    return f"{value:,}" if isinstance(value, int | float) else "–"


def amount(value: int) -> str:
    """1234567 → 1,234,567; what nobody counts to by its power of ten."""
    return number(value) if value < COUNTABLE else f"more than 10^{len(str(value)) - 1}"


def pace(seconds: float) -> str:
    """The seconds of a step as those of 1,000: 0.00009 → 0.09 s."""
    return f"{1000 * seconds:.2g} s" if seconds < 0.1 else duration(1000 * seconds)


def figure(value: float, digits: int = 4) -> str:
    """A number with *digits* significant digits, as static/js/text.js writes it: 0.01234, 12340, 3.149e-5; nan."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    rounded = float(f"{value:.{digits}g}")
    if 1e-4 <= abs(rounded) < 10 ** (digits + 1):
        return f"{rounded:.15g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def loss(value: Any) -> str:
    """A loss; what is none as a dash."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return "–"
    return figure(value)


def size(value: Any) -> str:
    """Bytes: 1234567 → 1.2 MB."""
    if not isinstance(value, int) or value < 0:
        return "–"
    if value < 1024:
        return f"{value} bytes"
    power = next((power for power in (1, 2) if value < 1000 * 1024**power), 3)
    amount, unit = value / 1024**power, ("kB", "MB", "GB")[power - 1]
    return f"{amount:.1f} {unit}" if amount < 9.95 else f"{amount:,.0f} {unit}"


def sentence(value: Any) -> str:
    """A message that begins with a key's value, as a sentence of its own: a capital, and a full stop."""
    text = str(value or "")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def bars(counts: Sequence[int], width: int = 100, height: int = 24) -> str:
    """A histogram as the path of an SVG of *width* by *height*; a bin that holds anything is at least 1 high."""
    step, most = width / max(len(counts), 1), max([*counts, 1])
    drawn = [(place, max(1.0, height * count / most)) for place, count in enumerate(counts) if count]
    return "".join(f"M{place * step:g} {height}v-{high:.1f}h{step - 1:g}v{high:.1f}z" for place, high in drawn)


def when(value: Any) -> Markup:
    """A moment as <time>; the browser writes it in its own zone (static/js/app.js)."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return Markup("–")
    if not isinstance(value, datetime):
        return Markup("–")
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), f"{moment:%Y-%m-%d %H:%M} UTC")


def duration(seconds: Any) -> str:
    """95 → 1 min 35 s."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 0:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def layers(point: Any) -> str:
    """The network of a point: 6 layers: 4·7·9·5·4·8."""
    if not isinstance(point, Mapping) or not isinstance(point.get(LAYERS), int):
        return ""
    count = point[LAYERS]
    units = [str(point.get(units_axis(layer), "?")) for layer in range(1, min(count, 100) + 1)]
    return f"{count} layer{'s' if count != 1 else ''}: {'·'.join(units)}"


def params(point: Any) -> list[tuple[str, str]]:
    """The values of a point, layers in one: [(name, value), …]."""
    if not isinstance(point, Mapping):
        return []
    shown = [("network", layers(point))] if layers(point) else []
    for name, value in point.items():
        if name != LAYERS and not name.startswith("units_"):
            text = (
                figure(value) if isinstance(value, float) else number(value) if isinstance(value, int) else str(value)
            )
            shown.append((name.replace("_", " "), text))
    return shown


def island(value: Any) -> Markup:
    """Data for a script, as the content of <script type="application/json">."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704 - escaped here


def run_url(run_id: str) -> str:
    """The address of a run's page, by its id as webapp.services.runs.RunRow has it."""
    if PLAIN_ID.fullmatch(run_id):
        return url_for("history.run", run_id=run_id)
    return url_for("history.run", id=run_id)
