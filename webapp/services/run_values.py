"""The nested values of a run, of its configuration above all: as a tree, flat, compared, and as a command."""

from __future__ import annotations

import ast
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.services.runs import rounded, text, unwrap

DEEPEST = 12
MOST_NODES = 2000
LONGEST_VALUE = 2000
MISSING = object()
"""What a place holds that is not there."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its name: *text*, or the nodes below it.

    *was* is what else is there where it is compared, "" where that is the same; *by_hand* says that whoever started the
    run set it; *exact* is the whole value where *text* has rounded it.
    """

    name: str
    path: str
    text: str
    below: Sequence[Node]
    was: str = ""
    by_hand: bool = False
    exact: str = ""

    @property
    def differs(self) -> int:
        """How many values differ in and below it."""
        return bool(self.was) + sum(node.differs for node in self.below)


def tree(value: Any, others: Mapping[str, Any] | None = None, by_hand: frozenset[str] = frozenset()) -> list[Node]:
    """The values of a mapping or list as nodes, at most MOST_NODES.

    Args:
        others: what *value* is compared with, as `flat` gives it.
        by_hand: paths of the values that were set by hand.
    """
    return list(_nodes(value, "", others, by_hand, 0, [MOST_NODES]))


def _nodes(
    value: Any, above: str, others: Mapping[str, Any] | None, by_hand: frozenset[str], depth: int, room: list[int]
) -> Iterator[Node]:
    items = list(value.items()) if isinstance(value, Mapping) else list(enumerate(value))
    for name, item in items:
        if room[0] <= 0:
            yield Node("…", "", "more is stored than is shown here", ())
            return
        room[0] -= 1
        path = f"{above}{name}"
        item = unwrap(item)
        if _is_branch(item) and depth < DEEPEST:
            yield Node(str(name), path, "", list(_nodes(item, f"{path}.", others, by_hand, depth + 1, room)))
        else:
            was = "" if others is None else _told(item, others.get(path, MISSING))
            hand = any(path == one or path.startswith(f"{one}.") for one in by_hand)
            exact, shown = text(item, LONGEST_VALUE), text(rounded(item), LONGEST_VALUE)
            if was and was == shown:
                was, shown = text(others.get(path)) if others else was, exact
            yield Node(str(name), path, shown, (), was, hand, exact if exact != shown else "")


def _is_branch(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, Mapping) for item in value)
    return isinstance(value, Mapping) and bool(value)


def _told(value: Any, other: Any) -> str:
    if same(value, other):
        return ""
    return "nothing" if other is MISSING else text(rounded(other)) or '""'


def flat(value: Any, above: str = "", depth: int = 0) -> dict[str, Any]:
    """The leaves of a nested value by their dotted paths, as the nodes of `tree` have them."""
    found: dict[str, Any] = {}
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        path, item = f"{above}{name}", unwrap(item)
        if len(found) >= MOST_NODES:
            break
        if _is_branch(item) and depth < DEEPEST:
            found |= flat(item, f"{path}.", depth + 1)
        else:
            found[path] = item
    return found


def same(value: Any, other: Any) -> bool:
    """Whether two stored values are one: NaN is NaN, true is not 1."""
    if isinstance(value, float) and isinstance(other, float) and math.isnan(value) and math.isnan(other):
        return True
    if isinstance(value, bool) != isinstance(other, bool):
        return False
    return bool(value == other)


def updates(values: Mapping[str, Any]) -> str:
    """*values*, by dotted path, as Sacred's command line takes them; "" where there are none."""
    return " ".join(shlex.quote(f"{path}={_literal(value)}") for path, value in values.items())


def _literal(value: Any) -> str:
    """A value as Sacred reads it: what is no Python literal is a string."""
    value = unwrap(value)
    if isinstance(value, str):
        try:
            ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return value if value and value == value.strip() and "\n" not in value else repr(value)
        return repr(value)
    return repr(value)
