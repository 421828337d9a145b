"""The form of a new sweep, made from SweepConfig: what each key looks like, what was typed for it, and what is wrong.

There are no rules here: they are the engine's, and its problems come back to the field of their key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic.fields import FieldInfo

from engine.config import GROUPS, SweepConfig, parse
from engine.errors import Problem
from engine.space import Axis
from engine.store.sweeps import new_id
from webapp.filters import amount, number
from webapp.services.forecast import Forecast
from webapp.services.titles import in_titles
from webapp.sweeps import axes, document
from webapp.sweeps.axes import AxisField, Typed
from webapp.sweeps.pictures import Picture, pictures
from webapp.sweeps.presets import PRESETS, Preset
from webapp.sweeps.typed import (
    PAIRS,
    choices_of,
    extra_of,
    is_optional,
    kind_of,
    of_key,
    rows,
    typed_from,
    types_of,
)  # fmt: skip

MORE = frozenset(
    {
        *("webhook", "notify", "trainer", "file2distribute", "running_stage", "train_epoch", "opt_epoch"),
        *("train_tolerance", "opt_tolerance", "max_attempts", "num_gpus", "sync_replicas", "train_log_dir"),
        *("target_column", "load_data", "load_data_dir", "add_noise", "add_cosine", "power_method", "confirm"),
        *("confirm_seeds", "folds", "max_seconds", "target_loss", "patience", "max_failures", "missing_hosts"),
        *("worker_deadline", "checkpoint_seconds"),
    }
)
"""Keys that few sweeps change: shown when their group's "More" is opened."""

FIXED = frozenset({"running_stage", "trainer", "file2distribute"})
"""Keys that are shown and not typed."""

SPARE_ROWS = 2
GROUP_TITLES = {
    "sweep": "The sweep",
    "model": "Model",
    "data": "Data",
    "search": "Search space",
    "stages": "Stages",
    "cluster": "Cluster",
}
REVIEW = "review"

_IDLE = [
    parse(values).idle for values in ({}, {"nn_model": "Custom"}, {"nn_model": "Custom", "model_class": "module:Class"})
]
OF_SOME_NETWORKS = frozenset().union(*_IDLE).difference(frozenset.intersection(*_IDLE))
"""The keys that belong to some networks and not to others."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values of a key, with its title, and when to take it."""

    value: str
    title: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Field:
    """One key of the form. *kind*: as `kind_of` gives it.

    *text* is what stands in a text, number or select, or which of the *cards* is taken; *parts* in a pair; *rows* in
    the stages; *chosen* are the ticked choices. *words* come before the two inputs of a pair; *suggestions* are what
    else a text may be. *off*: it says nothing beside what else is chosen. *note* is what follows from its value.
    """

    key: str
    kind: str
    title: str
    help: str
    unit: str
    text: str = ""
    on: bool = False
    parts: Sequence[str] = ()
    words: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    choices: Sequence[str] = ()
    cards: Sequence[Choice] = ()
    suggestions: Sequence[str] = ()
    chosen: Sequence[str] = ()
    axes: Sequence[AxisField] = ()
    decimal: bool = False
    optional: bool = False
    fixed: bool = False
    changed: bool = False
    off: bool = False
    note: str = ""
    picture: Picture | None = None
    problem: str = ""

    @property
    def first_input(self) -> str:
        """The id of the input that a label and the summary of problems lead to."""
        if self.kind == "axes":
            return next((axis.first_input for axis in self.axes), "model_class")
        first = {"pair": "-0", "stages": "-0-0", "choices": "-0", "cards": "-0"}
        return self.key + first.get(self.kind, "")

    @property
    def wrong(self) -> int:
        """How much is to be fixed in it."""
        return bool(self.problem) + sum(bool(axis.problem) for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the form: the keys that are always shown, and those behind "More"; *hidden*: why some are not."""

    key: str
    title: str
    help: str
    fields: Sequence[Field]
    more: Sequence[Field]

    @property
    def open(self) -> bool:
        """Whether "More" is open: something in it is to be fixed, or is not as it was."""
        return any(item.wrong or (item.changed and not item.off) for item in self.more)

    @property
    def wrong(self) -> int:
        """How much is to be fixed in it."""
        return sum(item.wrong for item in (*self.fields, *self.more))

    @property
    def hidden(self) -> str:
        """The keys that are not shown because they belong to another model, in a sentence; empty: none."""
        titles = [
            item.title
            for item in (*self.fields, *self.more)
            if item.off and not item.wrong and item.key in OF_SOME_NETWORKS
        ]
        return (
            f"Hidden, for they belong to another model: {', '.join(titles)}. They keep their values." if titles else ""
        )


@dataclass(frozen=True, slots=True)
class ToFix:
    """A line of the summary of problems. *target* is the id of its input, *line* that of a text; where there is one."""

    target: str
    title: str
    message: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class FormPage:
    """What templates/sweeps/new.html shows: the form, or where *text* is not None, the same as YAML.

    *problems* that belong to no field stand only in the summary. *source* says what the form was filled in from.
    *preset* is the one whose values these are; *link* opens the form with them, and is empty where they are too many.
    *made* is the form's own number: the same form sent twice makes one sweep.
    """

    groups: Sequence[Group]
    problems: Sequence[ToFix]
    config: SweepConfig
    forecast: Forecast | None = None
    text: str | None = None
    preset: str = ""
    link: str = ""
    source: str = ""
    presets: Mapping[str, Preset] = field(default_factory=lambda: PRESETS)
    made: str = field(default_factory=new_id)

    @property
    def fields(self) -> dict[str, Field]:
        """All fields by their keys."""
        return {item.key: item for group in self.groups for item in (*group.fields, *group.more)}

    @property
    def choice_titles(self) -> dict[str, str]:
        """What the chosen algorithm, pruner and so on are called."""
        described = {key: extra_of(info)["choices"] for key, info in SweepConfig.model_fields.items()}
        return {key: choices[getattr(self.config, key)][0] for key, choices in described.items() if choices}


def page(
    typed: Typed,
    problems: Iterable[Problem] = (),
    config: SweepConfig | None = None,
    datasets: Sequence[str] = (),
    own: Mapping[str, Axis] | None = None,
    classes: Sequence[str] = (),
    **rest: Any,
) -> FormPage:
    """The form with what was *typed* in it, every problem at its field, and the names of the *datasets* there are.

    Args:
        config: what is typed, with defaults in place of what is wrong.
        own: the axes of the class that is typed, where they are known.
        classes: those of uploaded files.
        rest: of the page.
    """
    config = config or SweepConfig()
    wrong: dict[str, str] = {}
    shown_axes = {f"{axes.KEY}.{name}" for name in axes.names(typed)}
    for problem in problems:
        key = problem.key if problem.key in shown_axes else problem.key.split(".")[0]
        wrong.setdefault(key, in_titles(problem.message))
    context = _Context(
        typed,
        typed_from({}),
        wrong,
        {"dataset": datasets, "model_class": classes},
        config.idle,
        _notes(config, wrong),
        {key: drawn for key, drawn in pictures(config).items() if key not in wrong},
    )
    by_group: dict[str, list[Field]] = {group: [] for group in GROUPS}
    for key, info in SweepConfig.model_fields.items():
        by_group[extra_of(info)["group"]].append(_field(key, info, context))
    by_group["model"] = [
        replace(item, axes=axes.fields(typed, wrong, own or {}, context.pictures)) if item.kind == "axes" else item
        for item in by_group["model"]
    ]
    groups = [
        Group(
            name,
            GROUP_TITLES.get(name, name.capitalize()),
            GROUPS[name],
            [item for item in fields if item.key not in MORE],
            [item for item in fields if item.key in MORE],
        )
        for name, fields in by_group.items()
    ]
    fields = {item.key: item for group in groups for item in (*group.fields, *group.more)}
    places = {key: (item.first_input, item.title) for key, item in fields.items()}
    places |= {f"{axes.KEY}.{axis.name}": (axis.first_input, axis.name) for axis in fields[axes.KEY].axes}
    order = [key for key in places if key in wrong] + [key for key in wrong if key not in places]
    summary = [ToFix(*places.get(key, ("", key)), wrong[key]) for key in order]
    return FormPage(groups, summary, config, **rest)


def text_page(text: str, problems: Iterable[Problem], config: SweepConfig, **rest: Any) -> FormPage:
    """The YAML *text*, every problem with its line."""
    found = document.lines(text)
    summary = []
    for problem in problems:
        line = found.get(problem.key) or found.get(problem.key.partition(".")[0], 0)
        title = "The text" if problem.key == document.TEXT else problem.key
        summary.append(ToFix("yaml-text", title, problem.message, line))
    return FormPage([], sorted(summary, key=lambda item: item.line), config, text=text, **rest)


def goes_with_class(typed: Typed) -> list[Problem]:
    """What else must be chosen for a class of the user's own."""
    if typed.get("nn_model") == "Custom":
        return []
    title = extra_of(SweepConfig.model_fields["nn_model"])["choices"]["Custom"][0]
    return [Problem("nn_model", f"a class of your own goes with the model “{title}”; choose it")]


@dataclass(frozen=True, slots=True)
class _Context:
    """What the fields of a page are made from."""

    typed: Typed
    untouched: Typed
    wrong: Mapping[str, str]
    suggestions: Mapping[str, Sequence[str]]
    idle: frozenset[str]
    notes: Mapping[str, str]
    pictures: Mapping[str, Picture]


def _field(key: str, info: FieldInfo, context: _Context) -> Field:
    kind, typed = kind_of(key), context.typed
    return Field(
        key=key,
        kind=kind,
        title=info.title or key,
        help=info.description or "",
        unit=extra_of(info)["unit"],
        text=typed.get(key, ""),
        on=key in typed,
        parts=[typed.get(f"{key}.{place}", "") for place in (0, 1)],
        words=PAIRS.get(key, ()),
        rows=[*rows(key, typed), *([["", ""]] * SPARE_ROWS)] if kind == "stages" else [],
        choices=choices_of(info),
        cards=_cards(info, typed.get(key, "")) if kind == "cards" else (),
        suggestions=context.suggestions.get(key, ()),
        chosen=typed.getlist(key),
        decimal=float in types_of(info),
        optional=is_optional(info),
        fixed=key in FIXED,
        changed=of_key(key, typed) != of_key(key, context.untouched),
        off=key in context.idle,
        note=context.notes.get(key, ""),
        picture=context.pictures.get(key),
        problem=context.wrong.get(key, ""),
    )


def _cards(info: FieldInfo, text: str) -> list[Choice]:
    """The choices, and what was typed where it is none of them, so that it is seen."""
    described = [Choice(value, *words) for value, words in extra_of(info)["choices"].items()]
    return described if not text or text in choices_of(info) else [*described, Choice(text, text, "")]


def _notes(config: SweepConfig, wrong: Mapping[str, str]) -> dict[str, str]:
    """What follows from the values of some keys, in words."""
    notes = {}
    trials, points = config.total_trials, config.grid_points if config.hyperparam_opt == "grid" else 0
    if points and not wrong.keys() & {"grid_levels", *pictures(config)}:
        if points < trials:
            rest = f"fewer than the {number(trials)} trials: a stage ends when all are tried"
        else:
            rest = f"{_trials(trials)} will try {number(trials)} of them"
        notes["hyperparam_opt"] = f"The grid has {amount(points)} points; {rest}."
    if "opt_stages" not in wrong:
        notes["opt_stages"] = f"{_trials(trials)}, {number(config.total_steps)} steps"
    return notes


def _trials(trials: int) -> str:
    return f"{number(trials)} trial{'' if trials == 1 else 's'}"
