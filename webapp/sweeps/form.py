"""The form of a new sweep, made from SweepConfig: what each key looks like, and what was typed into it.

There are no rules here: what is typed goes to `engine.config.parse` as it is, and its problems come back to
the field of their key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from werkzeug.datastructures import MultiDict

from engine.config import GROUPS, LAPTOP_STAGES, LARGE_STAGES, SweepConfig
from engine.errors import Problem
from engine.space import Axis
from webapp.sweeps import axes
from webapp.sweeps.axes import AxisField

PAIRS = {
    "nn_dimensions": ("input", "output"),
    "hidden_layers": ("from", "to"),
    "nodes_per_layer": ("from", "to"),
    "batch_size": ("from", "to"),
    "learning_rate": ("from", "to"),
    "rnn_layers": ("from", "to"),
    "rnn_units": ("from", "to"),
    "rnn_seq_length": ("from", "to"),
}
"""Keys of two values side by side, with the word before each."""

MORE = frozenset(
    {
        *("webhook", "notify", "trainer", "file2distribute", "rnn_max_seq_length", "rnn_state_dim", "running_stage"),
        *("train_epoch", "opt_epoch", "train_tolerance", "opt_tolerance", "max_attempts", "num_gpus"),
        *("sync_replicas", "train_log_dir", "target_column", "load_data", "load_data_dir"),
        *("add_noise", "add_cosine", "power_method", "confirm", "confirm_seeds", "folds"),
        *("model_class", "model_space"),
        *("grid_levels", "narrowing", "shrink", "quantile", "pruner_eta", "pruner_min_steps"),
        *("max_seconds", "target_loss", "patience", "max_failures"),
        *("rnn_layers", "rnn_units", "rnn_seq_length", "missing_hosts", "worker_deadline"),
    }
)
"""Keys that few sweeps change: shown when their group's "More" is opened."""

FIXED = frozenset({"running_stage", "trainer", "file2distribute"})
"""Keys that are shown and not typed."""

PRESETS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "laptop": ("Laptop", "The default: nine trials, a result in seconds", {"opt_stages": LAPTOP_STAGES}),
    "quick": ("Quick look", "Does it run at all?", {"opt_stages": [[200, 4], [200, 2]]}),
    "large": ("Large", "The full schedule, 2,250 trials", {"opt_stages": LARGE_STAGES}),
    "lstm": (
        "Source code",
        "An LSTM learns to tell languages apart, in minutes",
        {
            "nn_model": "Custom",
            "dataset": "installed-sources",
            "rnn_state_dim": [50],
            "rnn_layers": [1, 2],
            "rnn_units": [30, 60],
            "rnn_seq_length": [40, 100],
            "batch_size": [32, 100],
            "learning_rate": [0.002, 0.01],
            "log_scale": True,
            "train_optimizer": ["Adam"],
            "opt_stages": [[150, 8], [600, 2]],
            "confirm": 1,
            "confirm_seeds": 2,
        },
    ),
}
"""What to start from: label, explanation, and the values that differ from the defaults."""

KEYS = re.compile(r"\b(" + "|".join(key for key in SweepConfig.model_fields if "_" in key) + r")\b")
"""The keys that cannot be taken for words."""
SPARE_ROWS = 2
GROUP_TITLES = {
    "sweep": "The sweep",
    "model": "Model",
    "data": "Data",
    "search": "Search space",
    "stages": "Stages",
    "cluster": "Cluster",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One key of the form. *kind*: text, number, switch, select, choices, pair, stages or axes.

    *text* is what stands in a text, number or select; *parts* in a pair; *rows* in the stages; *chosen* are the
    ticked choices. *words* come before the two inputs of a pair; *suggestions* are what else a text may be.
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
    suggestions: Sequence[str] = ()
    chosen: Sequence[str] = ()
    axes: Sequence[AxisField] = ()
    decimal: bool = False
    optional: bool = False
    fixed: bool = False
    changed: bool = False
    problem: str = ""

    @property
    def first_input(self) -> str:
        """The id of the input that a label and the summary of problems lead to."""
        if self.kind == "axes":
            return next((axis.first_input for axis in self.axes), "model_class")
        return {"pair": f"{self.key}-0", "stages": f"{self.key}-0-0", "choices": f"{self.key}-0"}.get(
            self.kind, self.key
        )


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the form: the keys that are always shown, and those behind "More"."""

    key: str
    title: str
    help: str
    fields: Sequence[Field]
    more: Sequence[Field]

    @property
    def open(self) -> bool:
        """Whether "More" is open: something in it is to be fixed, or is not as it was."""
        return any(field.problem or field.changed or any(axis.problem for axis in field.axes) for field in self.more)


@dataclass(frozen=True, slots=True)
class FormPage:
    """What templates/sweeps/new.html shows. *problems* that belong to no field stand only in the summary."""

    groups: Sequence[Group]
    problems: Sequence[tuple[str, str, str]] = ()
    presets: Mapping[str, Any] = field(default_factory=lambda: PRESETS)
    copied_from: str = ""

    @property
    def preset_stages(self) -> dict[str, list[list[int]]]:
        """The presets that change the stages alone: the page fills them in by itself."""
        return {name: values["opt_stages"] for name, (_, _, values) in self.presets.items() if len(values) == 1}


def page(
    typed: MultiDict[str, str],
    problems: Iterable[Problem] = (),
    copied_from: str = "",
    datasets: Sequence[str] = (),
    own: Mapping[str, Axis] | None = None,
    classes: Sequence[str] = (),
) -> FormPage:
    """The form with what was *typed* in it, every problem at its field, and the names of the *datasets* there are.

    Args:
        classes: those of uploaded files.
        own: the axes of the class that is typed, where they are known.
    """
    wrong: dict[str, str] = {}
    shown_axes = {f"{axes.KEY}.{name}" for name in axes.names(typed)}
    for problem in problems:
        key = problem.key if problem.key in shown_axes else problem.key.split(".")[0]
        wrong.setdefault(key, in_titles(problem.message))
    suggested = {"dataset": datasets, "model_class": classes}
    by_group: dict[str, list[Field]] = {group: [] for group in GROUPS}
    untouched = typed_from({})
    for key, info in SweepConfig.model_fields.items():
        by_group[_extra(info)["group"]].append(
            _field(key, info, typed, untouched, wrong.get(key, ""), suggested.get(key, ()))
        )
    by_group["model"] = [
        replace(item, axes=axes.fields(typed, wrong, own or {})) if item.kind == "axes" else item
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
    summary = [(*places.get(key, ("", key)), wrong[key]) for key in order]
    return FormPage(groups, summary, copied_from=copied_from)


def typed_from(values: Mapping[str, Any]) -> MultiDict[str, str]:
    """What a form shows when it starts from *values*; missing keys have their defaults."""
    typed: MultiDict[str, str] = MultiDict()
    for key, info in SweepConfig.model_fields.items():
        value = values.get(key, info.get_default(call_default_factory=True))  # type: ignore[call-arg, unused-ignore]
        kind = _kind(key, info)
        if kind == "switch":
            if value:
                typed[key] = "true"
        elif kind == "choices":
            typed.setlist(key, [str(item) for item in value])
        elif kind == "pair":
            shown = sorted(value) if value and PAIRS[key] == ("from", "to") else value
            for place in (0, 1):
                typed[f"{key}.{place}"] = show(shown[place]) if value else ""
        elif kind == "stages":
            for row, stage in enumerate(value):
                typed[f"{key}.{row}.0"], typed[f"{key}.{row}.1"] = show(stage[0]), show(stage[1])
        elif kind == "axes":
            axes.put(typed, value)
        elif isinstance(value, list):
            typed[key] = ", ".join(show(item) for item in value)
        elif key.endswith("_hosts"):
            typed[key] = ", ".join(str(value).split(","))
        else:
            typed[key] = "" if value is None else show(value)
    return typed


def read(typed: MultiDict[str, str]) -> dict[str, Any]:
    """The values for `engine.config.parse`: text as typed; empty optional fields left out."""
    values: dict[str, Any] = {}
    for key, info in SweepConfig.model_fields.items():
        kind = _kind(key, info)
        text = _text(typed, key)
        if kind == "switch":
            values[key] = key in typed
        elif kind == "choices":
            values[key] = typed.getlist(key)
        elif kind == "pair":
            parts = [_number(_text(typed, f"{key}.{place}")) for place in (0, 1)]
            if any(parts) or not _optional(info):
                values[key] = parts
        elif kind == "stages":
            values[key] = [[_number(text) for text in row] for row in _rows(key, typed) if any(row)]
        elif kind == "axes":
            values[key] = axes.read(typed, lambda name: _number(_text(typed, name)))
        elif key == "tags":
            values[key] = text.split(",")
        elif key == "rnn_state_dim" and "," in text:
            values[key] = [part.strip() for part in text.split(",") if part.strip()]
        elif text or not _optional(info):
            values[key] = _number(text) if kind == "number" else text
    return values


def goes_with_class(typed: MultiDict[str, str]) -> list[Problem]:
    """What else must be chosen for a class of the user's own."""
    if typed.get("nn_model") == "Custom":
        return []
    return [Problem("nn_model", "a class of your own goes with the model Custom; choose it")]


def show(value: Any) -> str:
    """A default as a person would type it: 1e-8, not 1e-08."""
    return re.sub(r"e([+-])0+", r"e\1", str(value))


def _field(
    key: str,
    info: FieldInfo,
    typed: MultiDict[str, str],
    untouched: MultiDict[str, str],
    problem: str,
    suggestions: Sequence[str],
) -> Field:
    kind = _kind(key, info)
    rows = [*_rows(key, typed), *([["", ""]] * SPARE_ROWS)] if kind == "stages" else []
    return Field(
        key=key,
        kind=kind,
        title=info.title or key,
        help=info.description or "",
        unit=_extra(info)["unit"],
        text=typed.get(key, ""),
        on=key in typed,
        parts=[typed.get(f"{key}.{place}", "") for place in (0, 1)],
        words=PAIRS.get(key, ()),
        rows=rows,
        choices=_choices(info),
        suggestions=suggestions,
        chosen=typed.getlist(key),
        decimal=float in _types(info.annotation),
        optional=_optional(info),
        fixed=key in FIXED,
        changed=_of_key(key, typed) != _of_key(key, untouched),
        problem=problem,
    )


def _of_key(key: str, typed: MultiDict[str, str]) -> dict[str, list[str]]:
    """All that was typed for a key."""
    return {name: typed.getlist(name) for name in typed if name == key or name.startswith(f"{key}.")}


def _rows(key: str, typed: MultiDict[str, str]) -> list[list[str]]:
    """The stages as typed, in the order of their numbers, whatever numbers were used."""
    pattern = re.compile(rf"{key}\.(\d{{1,4}})\.[01]")
    numbers = sorted({int(found[1]) for name in typed if (found := pattern.fullmatch(name))})
    return [[_text(typed, f"{key}.{number}.{place}") for place in (0, 1)] for number in numbers]


def _text(typed: MultiDict[str, str], name: str) -> str:
    """What was typed; no keyboard types a NUL, and no file name or database field may hold one."""
    return typed.get(name, "").replace("\0", "").strip()


def _number(text: str) -> str:
    """A number without the commas that part its thousands."""
    return text.replace(",", "") if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text) else text


def in_titles(message: str) -> str:
    """A message with the fields called what the form calls them: “Features” for data_features."""
    return KEYS.sub(lambda found: f"“{SweepConfig.model_fields[found[0]].title}”", message)


def _kind(key: str, info: FieldInfo) -> str:
    types = _types(info.annotation)
    if key in PAIRS:
        return "pair"
    if key == axes.KEY:
        return "axes"
    if info.annotation == list[list[int]]:
        return "stages"
    if info.annotation is bool:
        return "switch"
    if get_origin(info.annotation) is Literal:
        return "select"
    if _choices(info):
        return "choices"
    return "number" if types & {int, float} and list not in types else "text"


def _types(annotation: Any) -> set[Any]:
    """The plain types that an annotation is made of: {int, NoneType} for int | None."""
    if isinstance(annotation, UnionType):
        return {kind for part in get_args(annotation) for kind in _types(part)}
    origin = get_origin(annotation)
    if origin is list:
        return {list, *(kind for part in get_args(annotation) for kind in _types(part))}
    return {annotation} if isinstance(annotation, type) else set()


def _choices(info: FieldInfo) -> list[str]:
    annotation = info.annotation
    if get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    return [str(choice) for choice in get_args(annotation)] if get_origin(annotation) is Literal else []


def _optional(info: FieldInfo) -> bool:
    return NoneType in _types(info.annotation)


def _extra(info: FieldInfo) -> dict[str, str]:
    extra = info.json_schema_extra
    return {key: str(value) for key, value in extra.items()} if isinstance(extra, dict) else {}
