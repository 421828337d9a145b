"""The report of a sweep as one page: the numbers first, then stage by stage what its best trial does, in charts."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from engine.domain import ENDED
from engine.settings import ROOT
from engine.store import Store
from engine.store.sweeps import public
from webapp.filters import figure
from webapp.services.monitor import TITLES, axis_label
from webapp.services.plain import dig, plain
from webapp.services.plots import Series, chart, span

Document = dict[str, Any]
Part = tuple[str, str]
"""A part of the data: its key in the report, and what the page calls it."""

TRAINING: Part = ("train", "training")
VALIDATION: Part = ("val", "validation")
TEST: Part = ("test", "test")
STYLES = ("nhop.css", "report.css")
"""What the report's own file holds of static/css."""
FIGURES = ("loss", "rmse", "mae", "r2", "error")
"""The figures of a confirmed configuration that the page begins with."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A confirmed configuration. *figures* are (name, mean ± deviation); *optimism* is in words."""

    trial: int
    loss: float | None
    params: Mapping[str, Any]
    seeds: int
    failed: int
    figures: Sequence[tuple[str, str]]
    optimism: str
    kept: bool

    def figure(self, name: str) -> str:
        """The figure of this name, or a dash."""
        return dict(self.figures).get(name, "–")


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """An axis of a stage's space: its range, the best trial's value, and which part of the first stage's range it is,
    as a bar and in words; without a bar where nothing can be narrowed."""

    name: str
    range: str
    best: str
    bar: Markup | None
    narrowed: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """A classifier's confusion: for each class its files' share that was taken for each class, and its accuracy."""

    title: str
    classes: Sequence[str]
    rows: Sequence[Sequence[float]]
    of_class: Sequence[float | None]
    accuracy: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Section:
    """The best trial of a stage, or of all: its parameters, its figures by part, charts and confusions."""

    title: str
    trial: Mapping[str, Any]
    kept: bool
    space: Sequence[SpaceRow]
    figures: Sequence[tuple[str, Mapping[str, Any]]]
    charts: Sequence[Markup]
    confusions: Sequence[Confusion]
    note: str


@dataclass(frozen=True, slots=True)
class ReportPage:
    """What templates/reports/ show. *facts* are rows of (name, value); *best* is what the search chose, *best_root* the
    root of its loss where that is a mean squared error."""

    sweep: Mapping[str, Any]
    facts: Sequence[tuple[str, Any]]
    best: Mapping[str, Any] | None
    best_name: str
    best_root: float | None
    best_kept: bool
    confirmed: Sequence[Confirmed]
    names: Sequence[str]
    confirming: str
    stages: Sequence[Section]
    final: Section | None
    config: Sequence[tuple[str, str, str]]

    @property
    def ended(self) -> bool:
        return self.sweep["state"] in ENDED

    @property
    def empty(self) -> bool:
        """Whether there is nothing to report yet."""
        return not self.stages

    @property
    def file_name(self) -> str:
        """What the report is called as a file."""
        return f"{plain_name(self.sweep['name'])}-report.html"


def page(store: Store, sweep_id: str) -> ReportPage:
    """The report of a sweep.

    Raises:
        NotFound: there is no such sweep.
    """
    sweep = store.sweeps.get(sweep_id)
    report = store.reports.get(sweep_id) or {"own": bool(sweep["config"].get("model_class"))}
    stages = [stage for stage in sweep.get("stages") or [] if stage.get("best") is not None]
    best = sweep.get("best") or None
    numbers = sorted({stage["best"] for stage in stages} | ({best["number"]} if best else set()))
    trials = {trial["number"]: plain(trial) for trial in store.trials.some(sweep_id, numbers)}
    kept = set() if report.get("own") else set(store.models.kept(sweep_id))
    confirmed = [_confirmed(one, kept) for one in plain(sweep.get("confirmed") or [])]
    told = {stage["index"]: stage for stage in plain(report.get("stages") or [])}
    return ReportPage(
        sweep=plain(public(sweep)),
        facts=_facts(sweep),
        best=plain(best),
        best_name="validation loss" if sweep["config"].get("objective") != "train_loss" else "training loss",
        best_root=_root(sweep, best),
        best_kept=dig(best, "number") in kept,
        confirmed=confirmed,
        names=_names(confirmed),
        confirming=_confirming(sweep, confirmed),
        stages=[
            _stage(stage, stages[0], trials.get(stage["best"], {}), told.get(stage["index"], {}), report, kept)
            for stage in plain(stages)
        ],
        final=_final(trials.get(dig(best, "number"), {}), plain(report.get("final")), report, kept),
        config=[(TITLES.get(key, key), key, _value(value)) for key, value in plain(sweep["config"]).items()],
    )


def style() -> str:
    """The styles that the report's own file holds: nothing in it refers to anything else."""
    return "\n".join((ROOT / "static" / "css" / name).read_text(encoding="utf-8") for name in STYLES)


def policy(css: str) -> str:
    """The content security policy of the report's own file: its one style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def plain_name(name: str) -> str:
    """A name as a part of a file's name: letters, digits, dots, dashes."""
    return "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in name).strip(".-")[:80] or "sweep"


def _facts(sweep: Mapping[str, Any]) -> list[tuple[str, Any]]:
    config = sweep["config"]
    data = config.get("load_data_dir") if config.get("load_data") else config.get("dataset")
    return [
        ("Owner", sweep["owner"]),
        ("State", str(sweep["state"]).capitalize()),
        ("Created", sweep.get("created")),
        ("Started", sweep.get("started")),
        ("Ended", sweep.get("finished")),
        ("Machine", dig(sweep, "lease", "machine") or "–"),
        ("Seed", str(sweep.get("seed", "–"))),
        ("Data set", str(data or "–")),
        ("Sweep", sweep["_id"]),
    ]


def _confirmed(one: Mapping[str, Any], kept: set[int]) -> Confirmed:
    figures = {name: figure for name, figure in one["figures"].items() if isinstance(figure.get("std"), int | float)}
    ordered = [name for name in FIGURES if name in figures] + [name for name in figures if name not in FIGURES]
    return Confirmed(
        trial=one["trial"],
        loss=one["loss"],
        params=one["params"],
        seeds=one["seeds"],
        failed=one["failed"],
        figures=[(name, spread(figures[name]["mean"], figures[name]["std"])) for name in ordered],
        optimism=_optimism(one["optimism"], one["loss"]),
        kept=one["trial"] in kept,
    )


def spread(mean: float | None, deviation: float) -> str:
    """2767 ± 160: the deviation with two digits, and the mean with as many places."""
    if mean is None:
        return "–"
    if not deviation:
        return f"{figure(mean)} ± 0"
    places = 1 - math.floor(math.log10(deviation))
    if places > 8 or abs(mean) >= 1e7 or deviation >= 1e7:
        return f"{figure(mean)} ± {figure(deviation, 2)}"
    return f"{round(mean, places):.{max(places, 0)}f} ± {round(deviation, places):.{max(places, 0)}f}"


def _names(confirmed: Iterable[Confirmed]) -> list[str]:
    """The figures that there are, in the order of the first configuration that has any."""
    return next(([name for name, _ in one.figures] for one in confirmed if one.figures), [])


def _optimism(value: float | None, loss: float | None) -> str:
    if value is None:
        return "–"
    sign = "−" if value < 0 else "+"
    part = f" ({sign}{abs(100 * value / loss):.0f} %)" if loss else ""
    return f"{sign}{figure(abs(value), 3)}{part}"


def _confirming(sweep: Mapping[str, Any], confirmed: Sequence[Confirmed]) -> str:
    """Why there are no confirmed figures; empty where there are."""
    if any(one.figures for one in confirmed):
        return ""
    if confirmed:
        return "Every training that was to confirm a configuration failed."
    if not sweep["config"].get("confirm"):
        return "This sweep confirms nothing: its setting confirm is 0."
    if sweep["state"] in ENDED:
        return "The sweep ended before anything was confirmed."
    return "Confirmed figures come after the last stage, when the best configurations have been trained again."


def _stage(
    stage: Mapping[str, Any],
    first: Mapping[str, Any],
    trial: Mapping[str, Any],
    told: Mapping[str, Any],
    report: Mapping[str, Any],
    kept: set[int],
) -> Section:
    title = f"Stage {stage['index'] + 1}: {stage['trials']:,} trials of {stage['steps']:,} steps"
    space = [
        _space_row(name, axis, first["space"].get(name, axis), dig(trial, "params", name))
        for name, axis in (stage.get("space") or {}).items()
    ]
    told = told if told.get("trial") == trial.get("number") else {}
    return _section(title, trial, told, report, kept, (TRAINING, VALIDATION), space)


def _final(
    trial: Mapping[str, Any], told: Mapping[str, Any] | None, report: Mapping[str, Any], kept: set[int]
) -> Section | None:
    if not told:
        return None
    return _section("The best trial of all", trial, told, report, kept, (TRAINING, VALIDATION, TEST), [])


def _section(
    title: str,
    trial: Mapping[str, Any],
    told: Mapping[str, Any],
    report: Mapping[str, Any],
    kept: set[int],
    parts: Sequence[Part],
    space: Sequence[SpaceRow],
) -> Section:
    given = [(key, name, told[key]) for key, name in parts if told.get(key)]
    classes = report.get("classes") or []
    return Section(
        title=title,
        trial=trial,
        kept=trial.get("number") in kept,
        space=space,
        figures=[(name, figures) for _, name, figures in given if "rmse" in figures],
        charts=[_curve(trial), *_predictions(told, report, parts)] if trial else [],
        confusions=[_confusion(name, figures, classes) for _, name, figures in given if "confusion" in figures],
        note=_note(bool(given), report),
    )


def _note(known: bool, report: Mapping[str, Any]) -> str:
    folds = report.get("folds", 1)
    if report.get("own"):
        return "What a model of one's own predicts is not reported yet."
    if not known:
        return "What this trial predicts is not known; its figures stand in the table of trials."
    if folds > 1:
        return (
            f"Losses are means over {folds} folds; the figures and charts are the last fold's, whose network is kept."
        )
    return ""


def _curve(trial: Mapping[str, Any]) -> Markup:
    curve = trial.get("curve") or []
    return chart(
        "Loss over steps",
        "step",
        "loss",
        [
            Series("training", [(step, train) for step, train, _ in curve], "dashed", 1),
            Series("validation", [(step, val) for step, _, val in curve if val is not None], "line", 0),
        ],
        log=True,
    )


def _predictions(told: Mapping[str, Any], report: Mapping[str, Any], parts: Sequence[Part]) -> list[Markup]:
    """The reference program's plots: over the first feature, and predicted against true, part by part."""
    target = str(report.get("target", "y"))
    feature = next(iter(report.get("columns") or []), "first feature")
    charts = []
    points = dig(told, "val", "points")
    if points is not None:
        series = [
            Series("truth", [(first, truth) for first, truth, _ in points], "dots", 0),
            Series("prediction", [(first, predicted) for first, _, predicted in points], "crosses", 1),
        ]
        charts.append(chart(f"{target} over {feature}, validation", feature, target, series))
    for key, name in parts:
        points = dig(told, key, "points")
        if points is not None:
            pairs = [point[-2:] for point in points]
            against = [Series(name, pairs, "dots", 0)]
            charts.append(
                chart(
                    f"Predicted against true, {name}", f"true {target}", f"predicted {target}", against, diagonal=True
                )
            )
    return charts


def _confusion(name: str, figures: Mapping[str, Any], classes: Sequence[str]) -> Confusion:
    """Each row as shares of its class."""
    rows = []
    for row in figures["confusion"]:
        values = [value or 0.0 for value in row]
        whole = sum(values)
        rows.append([value / whole if whole > 0 else 0.0 for value in values])
    seeds, files = figures.get("seeds"), figures.get("files")
    note = (
        f"The mean of {seeds} trainings of this configuration from other seeds." if seeds
        else f"Measured on {files:,} files, four windows of each." if files else ""
    )  # fmt: skip
    return Confusion(f"{name.capitalize()} part", classes, rows, figures["of_class"], figures["accuracy"], note)


def _space_row(name: str, axis: Mapping[str, Any], first: Mapping[str, Any], best: Any) -> SpaceRow:
    label = axis_label(name)
    shown = _value(best) if best is not None else "–"
    if axis["kind"] == "categorical":
        return SpaceRow(label, ", ".join(axis["choices"]), shown, None, "")
    low, high, log = axis["low"], axis["high"], bool(axis.get("log"))
    whole = (first["low"], first["high"]) if "low" in first else (low, high)
    wide, was = _width(low, high, axis), _width(*whole, axis)
    text = f"{_value(low)} to {_value(high)}" if low != high else _value(low)
    if was <= 0 or whole[0] == whole[1]:
        return SpaceRow(label, text, shown, None, "")
    return SpaceRow(label, text, shown, span(low, high, whole, best, log), f"{100 * wide / was:.0f} %")


def _width(low: float, high: float, axis: Mapping[str, Any]) -> float:
    """How wide an axis is: whole numbers are counted; a logarithmic one is measured by the logarithm."""
    if axis["kind"] == "int":
        return high - low + 1
    return math.log(high / low) if axis.get("log") and low > 0 else high - low


def _root(sweep: Mapping[str, Any], best: Mapping[str, Any] | None) -> float | None:
    loss = dig(best, "loss")
    squared = sweep["config"].get("nn_model") == "Regressor" and isinstance(loss, int | float) and loss >= 0
    return math.sqrt(loss) if squared else None


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no"}.get(value, "–") if value is not None else "–"
    if isinstance(value, float):
        return figure(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(f"[{_value(item)}]" if isinstance(item, list) else _value(item) for item in value) or "–"
    return str(value) or "–"
