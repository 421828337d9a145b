"""What is typed into the form of a new sweep: one or more texts by the name of each input.

There are no rules here: what is typed goes to `engine.config` as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from werkzeug.datastructures import MultiDict

from engine.config import SweepConfig
from webapp.sweeps import axes
from webapp.sweeps.axes import Typed

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

EITHER_ORDER = ("learning_rate",)
"""Pairs whose two bounds may come in either order; the form has the lower one first."""


def typed_from(values: Mapping[str, Any]) -> Typed:
    """What a form shows when it starts from *values*; missing keys have their defaults."""
    typed: Typed = MultiDict()
    for key, info in SweepConfig.model_fields.items():
        _put(typed, key, values.get(key, info.get_default(call_default_factory=True)))  # type: ignore[call-arg, unused-ignore]
    return typed


def with_values(typed: Typed, values: Mapping[str, Any]) -> Typed:
    """What was *typed*, with *values* in place of what was typed for their keys."""
    changed: Typed = MultiDict(
        [(name, text) for name, text in typed.items(multi=True) if name.partition(".")[0] not in values]
    )
    for key, value in values.items():
        _put(changed, key, value)
    return changed


def fits(key: str, value: Any) -> bool:
    """Whether the inputs of a key can hold *value*, be it right or wrong."""
    typed: Typed = MultiDict()
    if value is None:
        return is_optional(SweepConfig.model_fields[key])
    try:
        _put(typed, key, value)
    except (TypeError, ValueError, LookupError, AttributeError):
        return False
    back, given = _texts(read(typed).get(key)), _texts(value)
    if key in EITHER_ORDER and isinstance(back, list) and isinstance(given, list):
        return sorted(map(str, back)) == sorted(map(str, given))
    return bool(back == given)


def read(typed: Typed) -> dict[str, Any]:
    """The values for `engine.config.parse`: text as typed; empty optional fields left out."""
    values: dict[str, Any] = {}
    for key, info in SweepConfig.model_fields.items():
        kind = kind_of(key)
        text = _text(typed, key)
        if kind == "switch":
            values[key] = key in typed
        elif kind == "choices":
            values[key] = typed.getlist(key)
        elif kind == "pair":
            parts = [_number(_text(typed, f"{key}.{place}")) for place in (0, 1)]
            if any(parts) or not is_optional(info):
                values[key] = parts
        elif kind == "stages":
            values[key] = [[_number(text) for text in row] for row in rows(key, typed) if any(row)]
        elif kind == "axes":
            values[key] = axes.read(typed, lambda name: _number(_text(typed, name)))
        elif key in ("tags", "notify"):
            values[key] = text.split(",")
        elif key == "rnn_state_dim" and "," in text:
            values[key] = [part.strip() for part in text.split(",") if part.strip()]
        elif text or not is_optional(info):
            values[key] = _number(text) if kind == "number" else text
    return values


def of_key(key: str, typed: Typed) -> dict[str, list[str]]:
    """All that was typed for a key."""
    return {name: typed.getlist(name) for name in typed if name == key or name.startswith(f"{key}.")}


def rows(key: str, typed: Typed) -> list[list[str]]:
    """The stages as typed, in the order of their numbers, whatever numbers were used."""
    pattern = re.compile(rf"{key}\.(\d{{1,4}})\.[01]")
    numbers = sorted({int(found[1]) for name in typed if (found := pattern.fullmatch(name))})
    return [[_text(typed, f"{key}.{number}.{place}") for place in (0, 1)] for number in numbers]


def show(value: Any) -> str:
    """A value as a person would type it: 1e-8, not 1e-08."""
    return re.sub(r"e([+-])0+", r"e\1", str(value))


def kind_of(key: str) -> str:
    """What the inputs of a key look like: text, number, switch, select, cards, choices, pair, stages or axes."""
    info = SweepConfig.model_fields[key]
    types = types_of(info)
    if key in PAIRS:
        return "pair"
    if key == axes.KEY:
        return "axes"
    if info.annotation == list[list[int]]:
        return "stages"
    if info.annotation is bool:
        return "switch"
    if get_origin(info.annotation) is Literal:
        return "cards" if extra_of(info)["choices"] else "select"
    if choices_of(info):
        return "choices"
    return "number" if types & {int, float} and list not in types else "text"


def types_of(info: FieldInfo) -> set[Any]:
    """The plain types that a key's values are made of: {int, NoneType} for int | None."""
    return _types(info.annotation)


def choices_of(info: FieldInfo) -> list[str]:
    """The values that a key, or each of its parts, may have; empty: they are not counted."""
    annotation = info.annotation
    if get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    return [str(choice) for choice in get_args(annotation)] if get_origin(annotation) is Literal else []


def is_optional(info: FieldInfo) -> bool:
    return NoneType in types_of(info)


def extra_of(info: FieldInfo) -> dict[str, Any]:
    """What `engine.config` says of a key beside its title and help."""
    return dict(info.json_schema_extra) if isinstance(info.json_schema_extra, dict) else {}


def _put(typed: Typed, key: str, value: Any) -> None:
    """Fill in the inputs of one key."""
    kind = kind_of(key)
    if kind == "switch":
        if value:
            typed[key] = "true"
    elif kind == "choices":
        typed.setlist(key, [str(item) for item in value])
    elif kind == "pair":
        shown = sorted(value) if value and key in EITHER_ORDER else value
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


def _texts(value: Any) -> Any:
    """A value as the texts that it is typed as, so that values can be compared with what was typed."""
    if isinstance(value, Mapping):
        return {str(name): _texts(part) for name, part in value.items() if part is not None and part is not False}
    if isinstance(value, list):
        return [_texts(part) for part in value] if len(value) > 1 else _texts(value[0]) if value else ""
    text = "" if value is None else re.sub(r",\s+", ",", show(value).strip())
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def _text(typed: Typed, name: str) -> str:
    """What was typed; no keyboard types a NUL, and no file name or database field may hold one."""
    return typed.get(name, "").replace("\0", "").strip()


def _number(text: str) -> str:
    """A number without the commas that part its thousands."""
    return text.replace(",", "") if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", text) else text


def _types(annotation: Any) -> set[Any]:
    if isinstance(annotation, UnionType):
        return {kind for part in get_args(annotation) for kind in _types(part)}
    if get_origin(annotation) is list:
        return {list, *(kind for part in get_args(annotation) for kind in _types(part))}
    return {annotation} if isinstance(annotation, type) else set()
