"""The analysis of a sweep: what its charts draw, each kind as one small answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.analysis import charts
from engine.analysis.axes import ChartAxis, chart_axes
from engine.analysis.importance import LEAST, importance
from engine.columns import TrialColumns
from engine.domain import ENDED
from engine.errors import NotFound
from engine.store import Store
from webapp.errors import QueryError
from webapp.services.monitor import axis_label
from webapp.services.plain import aware

Document = dict[str, Any]
MOST_CHOICES = 100
"""Of an axis in a contour."""
LONGEST = 60
"""Of what is repeated of a wrong question."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: *trials* and *axes* are those of *stage* alone, where one is asked for; *searched* are the trials
    without those that confirm others.
    """

    sweep: Document
    trials: TrialColumns
    searched: TrialColumns
    axes: Sequence[ChartAxis]
    stage: int | None
    query: Mapping[str, str]
    now: datetime

    def axis(self, name: str) -> ChartAxis:
        """
        Raises:
            QueryError: the sweep has no such axis.
        """
        axes = {axis.name: axis for axis in self.axes}
        if name not in axes:
            there_are = f"its axes are {', '.join(axes)}" if axes else "none of its trials has begun yet"
            raise QueryError(f"the sweep has no axis {name[:LONGEST]!r}; {there_are}")
        return axes[name]


def answer(store: Store, sweep_id: str, kind: str, query: Mapping[str, str], now: datetime) -> Document:
    """The data of the chart of this *kind*, with a label for each axis; *query* may have a `stage`, from 0, and what
    the kind asks for.

    Raises:
        NotFound: there is no such sweep, or no such kind.
        QueryError: the query names a stage or an axis that the sweep has not.
    """
    if kind not in KINDS:
        raise NotFound(f"there is no analysis {kind[:LONGEST]}; there are {', '.join(KINDS)}")
    sweep = store.sweeps.get(sweep_id)
    stage = _stage(sweep, query.get("stage", ""))
    trials = store.columns.of_sweep(sweep)
    if stage is not None:
        trials = trials.take(trials.stage == stage)
    searched = trials.searched()
    begun = [one for one in sweep.get("stages") or [] if one.get("space") and stage in (None, one.get("index"))]
    axes = chart_axes([one["space"] for one in begun], searched.params)
    found = KINDS[kind](Asked(sweep, trials, searched, axes, stage, query, now))
    labels = {axis.name: axis_label(axis.name) for axis in axes}
    return {"sweep": sweep_id, "stage": stage, "labels": labels, **found}


def _importance(asked: Asked) -> Document:
    """{enough, message, trials, good, explained, axes: [{name, kind, share}]}, the most important axis first."""
    done, axes = charts.completed(asked.searched), asked.axes
    found = importance(done, axes)
    if found is None:
        stage = "" if asked.stage is not None or len(asked.sweep.get("stages") or []) < 2 else " in any stage"
        message = f"Not enough trials yet: importance needs {LEAST} completed ones{stage}; there are {len(done)}."
        return {"enough": False, "message": message, "trials": 0, "good": 0, "explained": None, "axes": []}
    message = "" if any(found.shares) else "No axis stands out yet: good trials lie where all trials lie."
    ranked = sorted(zip(axes, found.shares, strict=True), key=lambda pair: -pair[1])
    return {
        "enough": True,
        "message": message,
        "trials": found.trials,
        "good": found.good,
        "explained": round(found.explained, 4),
        "axes": [{"name": axis.name, "kind": axis.kind, "share": round(share, 4)} for axis, share in ranked],
    }


def _parallel(asked: Asked) -> Document:
    return charts.parallel(asked.searched, asked.axes)


def _slice(asked: Asked) -> Document:
    names = [name for name in asked.query.get("axis", "").split(",") if name]
    axes: Sequence[ChartAxis] = [asked.axis(name) for name in dict.fromkeys(names)] or asked.axes
    return charts.slices(asked.searched, axes)


def _contour(asked: Asked) -> Document:
    names = [asked.query.get(place, "") for place in ("x", "y")]
    if not all(names):
        raise QueryError("name two axes, as in ?x=learning_rate&y=batch_size")
    x, y = (asked.axis(name) for name in names)
    if x == y:
        raise QueryError(f"name two different axes; both are {x.name}")
    if large := [axis.name for axis in (x, y) if len(axis.choices) > MOST_CHOICES]:
        raise QueryError(f"{large[0]} has more than {MOST_CHOICES} choices, too many for a contour")
    return charts.contour(asked.searched, x, y)


def _history(asked: Asked) -> Document:
    return charts.history(asked.searched, asked.sweep["config"].get("objective", "val_loss"))


def _edf(asked: Asked) -> Document:
    return charts.edf(asked.searched)


def _timeline(asked: Asked) -> Document:
    ended = asked.sweep.get("finished") if asked.sweep["state"] in ENDED else None
    return charts.timeline(asked.trials, aware(ended or asked.now).timestamp())


KINDS: Mapping[str, Callable[[Asked], Document]] = {
    "importance": _importance,
    "parallel": _parallel,
    "slice": _slice,
    "contour": _contour,
    "history": _history,
    "edf": _edf,
    "timeline": _timeline,
}


def _stage(sweep: Mapping[str, Any], text: str) -> int | None:
    """The stage that a query asks for; None: all. A stage that has not begun has no trials; the one after the last is
    that of the trials which confirm the best."""
    if not text:
        return None
    count = max(len(sweep["config"].get("opt_stages") or []), len(sweep.get("stages") or []), 1)
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= count):
        raise QueryError(f"stage must be a whole number from 0 to {count - 1}, got {text[:LONGEST]!r}")
    return int(text)
