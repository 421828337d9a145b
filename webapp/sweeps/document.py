"""A configuration as text: YAML to edit, and a link that opens the form with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import yaml

from engine.config import GROUPS, NOT_PLAIN, PRIVATE, SERVER_SECTION, SweepConfig, examine, is_plain
from engine.errors import ConfigError, Problem
from webapp.sweeps.axes import KEY, Typed
from webapp.sweeps.typed import extra_of, fits, kind_of, show, typed_from
from webapp.sweeps.typed import read as read_typed

TEXT = "yaml"
"""The key of problems with the text as a whole."""
UNFIT = "the form has no place for this value; a sweep can be started from here with it"
LONGEST = 50_000
"""Characters of a text that is read."""


class _Loader(yaml.SafeLoader):
    """YAML's plain values, without aliases: a few lines of these can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.current_event.start_mark
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not taken", problem_mark=mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """Lists on one line, nothing by reference: what `_Loader` takes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)


def write(values: Mapping[str, Any]) -> str:
    """Plain *values* as YAML, group by group; keys that there are not come last."""
    text = ""
    for group, about in GROUPS.items():
        text += f"# {group}: {about}\n"
        for key, info in SweepConfig.model_fields.items():
            if key in values and extra_of(info)["group"] == group:
                text += _dump({key: values[key]})
        text += "\n"
    strangers = {key: value for key, value in values.items() if key not in SweepConfig.model_fields}
    return text + _dump(strangers) if strangers else text.rstrip("\n") + "\n"


def read(text: str) -> dict[str, Any]:
    """The values of a YAML text; a part `webapp`, the server's settings in config.yaml, is left out.

    Raises:
        ConfigError: it is no YAML mapping, or has a key twice; at TEXT or the key.
    """
    text = text.replace("\r\n", "\n")
    if len(text) > LONGEST:
        raise _refused(f"is longer than {LONGEST:,} characters")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            values = {} if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise _refused(f"{where}{error.problem or error.context or 'is not valid YAML'}") from None
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        raise _refused(f"is not valid YAML: {' '.join(str(error).split())[:200]}") from None
    except RecursionError:
        raise _refused("is nested too deeply") from None
    if not isinstance(values, dict):
        raise _refused("must hold `key: value` lines")
    if not is_plain(values):
        raise _refused(NOT_PLAIN)
    seen: set[str] = set()
    for key, line in _keys(node):
        if key in seen:
            raise ConfigError([Problem(key[:80], f"line {line}: stands here a second time; keep one of the two")])
        seen.add(key)
    return {str(key): value for key, value in values.items() if key != SERVER_SECTION}


def lines(text: str) -> dict[str, int]:
    """The line, counted from 1, of each key of a YAML text; nothing where it cannot be read."""
    try:
        return dict(_keys(yaml.compose(text[:LONGEST], _Loader)))
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}


def typed_of(values: Mapping[str, Any]) -> Typed:
    """The form filled in with *values*, wrong ones too.

    Raises:
        ConfigError: no input can hold one of them; with every problem.
    """
    config, problems = examine(values)
    right = config.whole()
    wrong = {problem.key.partition(".")[0] for problem in problems}
    shown = {key: values.get(key, right[key]) if key in wrong else right[key] for key in right}
    unfit = {key for key in values if key not in shown or not fits(key, shown[key])}
    if unfit:
        raise ConfigError(problems + [Problem(key, UNFIT) for key in values if key in unfit - wrong])
    return typed_from(shown)


def values_of(typed: Typed) -> dict[str, Any]:
    """What is typed into the form, every key; right values as they are, wrong ones as they were typed."""
    given = read_typed(typed)
    config, problems = examine(given)
    wrong = {problem.key.partition(".")[0] for problem in problems}
    right = config.whole()
    return {key: _plain(given[key], key) if key in wrong and key in given else right[key] for key in right}


def line(values: Mapping[str, Any]) -> str:
    """What `read` understands, on one line, of the values that are not the defaults, and not private."""
    defaults = values_of(typed_from({}))
    changed = {
        key: value
        for key, value in values.items()
        if key not in PRIVATE and (key not in defaults or value != defaults[key])
    }
    return _dump(changed, True).strip()


def _dump(values: Mapping[str, Any], flow: bool = False) -> str:
    return yaml.dump(
        dict(values), Dumper=_Dumper, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=float("inf")
    )


def _keys(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Each key of a mapping with its line, and those of the mapping in model_space as `model_space.name`."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        yield str(key.value), key.start_mark.line + 1
        if key.value == KEY:
            yield from ((f"{KEY}.{name}", line) for name, line in _keys(value))


def _plain(value: Any, key: str) -> Any:
    """What was typed for a key, numbers as numbers where they are written as we write them."""
    if isinstance(value, Mapping):
        return {name: _plain(part, key) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part, key) for part in value]
    if isinstance(value, str) and kind_of(key) in ("number", "pair", "stages", "axes"):
        for kind in (int, float):
            with suppress(ValueError):
                if show(kind(value)) == value:
                    return kind(value)
    return value


def _refused(message: str) -> ConfigError:
    return ConfigError([Problem(TEXT, message)])
