"""The language of filters: `state in (running, failed) and (config.lr < 0.01 or tag = keep)`.

Pure. A condition is a field, an operator and a value; values with blanks or signs stand in double quotes, as in JSON.
`and` binds more strongly than `or`; `not` and parentheses are understood. The same text is in the page's address, in a
saved view and in the field that it can be typed into.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from webapp.errors import QueryError
from webapp.services.plain import storable

LONGEST = 2000
DEEPEST = 8
MOST_CONDITIONS = 40

OPERATORS = {
    "=": "is",
    "!=": "is not",
    "<": "less than",
    "<=": "at most",
    ">": "more than",
    ">=": "at least",
    "~": "matches",
    "in": "is one of",
    "exists": "is there",
    "missing": "is missing",
}
"""Operators, and how a page calls them."""

TOKEN = re.compile(
    r"""\s*(?: (?P<quoted>"(?:[^"\\]|\\.)*") | (?P<sign>==|!=|<=|>=|[=<>~(),]) | (?P<word>[^\s"(),=<>~!]+) )""",
    re.VERBOSE,
)
PLAIN = re.compile(r"""[^\s"(),=<>~!]+""")
RESERVED = {"and", "or", "not", "in", "exists", "missing"}


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with values: one, or for `in` any number, or for `exists` and `missing` none."""

    field: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of these."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


Filter = Condition | All | Any | Not
EVERYTHING = All(())


def parse(text: str) -> Filter:
    """The filter that *text* says.

    Raises:
        QueryError: naming the place that is not understood.
    """
    if len(text) > LONGEST:
        raise QueryError(f"the filter is longer than {LONGEST} characters")
    if not text.strip():
        return EVERYTHING
    parser = _Parser(_tokens(text))
    found = parser.either(0)
    if parser.peek() is not None:
        raise QueryError(f"the filter is not understood at {parser.peek()!r}: `and` or `or` is missing before it")
    return found


def write(part: Filter, outer: str = "") -> str:
    """*part* as text; `parse` reads it back."""
    if isinstance(part, Condition):
        field = _quoted(part.field)
        if part.operator in ("exists", "missing"):
            return f"{field} {part.operator}"
        if part.operator == "in":
            return f"{field} in ({', '.join(_quoted(value) for value in part.values)})"
        return f"{field} {part.operator} {_quoted(part.values[0])}"
    if isinstance(part, Not):
        return f"not ({write(part.part)})"
    word = "and" if isinstance(part, All) else "or"
    text = f" {word} ".join(write(item, word) for item in part.parts)
    return f"({text})" if outer and outer != word and len(part.parts) > 1 else text


def fields(part: Filter) -> list[str]:
    """The fields that a filter asks for."""
    if isinstance(part, Condition):
        return [part.field]
    if isinstance(part, Not):
        return fields(part.part)
    return [name for item in part.parts for name in fields(item)]


def groups(part: Filter) -> list[list[Condition]] | None:
    """The filter as the page builds it: groups, of each of which one condition must hold; None if it is not so."""
    found: list[list[Condition]] = []
    for item in part.parts if isinstance(part, All) else (part,):
        choices: Sequence[Filter] = item.parts if isinstance(item, Any) else (item,)
        group = [choice for choice in choices if isinstance(choice, Condition)]
        if len(group) != len(choices):
            return None
        found.append(group)
    return found


def _quoted(text: str) -> str:
    plain = PLAIN.fullmatch(text) and text.lower() not in RESERVED
    return text if plain else json.dumps(text, ensure_ascii=False)


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    place, text = 0, text.rstrip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise QueryError(f"the filter is not understood at {text[place : place + 20].strip()!r}")
        kind = str(match.lastgroup)
        token = match[kind]
        if kind == "quoted":
            try:
                token = storable(json.loads(token))
            except ValueError:
                raise QueryError(f"{token[:40]} is not a text in quotes as JSON has it") from None
        found.append((kind, token))
        place = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._conditions = 0

    def peek(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def either(self, depth: int) -> Filter:
        parts = [self._both(depth)]
        while self._keyword("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _both(self, depth: int) -> Filter:
        parts = [self._one(depth)]
        while self._keyword("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, depth: int) -> Filter:
        if depth > DEEPEST:
            raise QueryError("the filter is nested too deeply")
        if self._keyword("not"):
            return Not(self._one(depth + 1))
        if self._sign("("):
            found = self.either(depth + 1)
            if not self._sign(")"):
                raise QueryError("a parenthesis of the filter is not closed")
            return found
        return self._condition()

    def _condition(self) -> Condition:
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            raise QueryError(f"the filter has more than {MOST_CONDITIONS} conditions")
        field = self._value("a field")
        for word in ("exists", "missing"):
            if self._keyword(word):
                return Condition(field, word)
        if self._keyword("in"):
            return Condition(field, "in", self._list(field))
        kind, sign = self._next(f"an operator after {field}")
        if kind != "sign" or sign in "(),":
            raise QueryError(f"after {field} comes one of {', '.join(OPERATORS)}, not {sign!r}")
        return Condition(field, "=" if sign == "==" else sign, (self._value(f"a value after {field} {sign}"),))

    def _list(self, field: str) -> tuple[str, ...]:
        if not self._sign("("):
            raise QueryError(f"the values after `{field} in` stand in parentheses, separated by commas")
        found = [self._value(f"a value after {field} in (")]
        while self._sign(","):
            found.append(self._value(f"a value after {field} in ("))
        if not self._sign(")"):
            raise QueryError(f"the parenthesis after `{field} in` is not closed")
        return tuple(found)

    def _value(self, what: str) -> str:
        kind, token = self._next(what)
        if kind == "sign":
            raise QueryError(f"the filter needs {what}, not {token!r}")
        return token

    def _next(self, what: str) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise QueryError(f"the filter ends where it needs {what}")
        self._at += 1
        return self._tokens[self._at - 1]

    def _keyword(self, word: str) -> bool:
        return self._take("word", word)

    def _sign(self, sign: str) -> bool:
        return self._take("sign", sign)

    def _take(self, kind: str, token: str) -> bool:
        if self._at < len(self._tokens):
            found = self._tokens[self._at]
            if found[0] == kind and found[1].lower() == token:
                self._at += 1
                return True
        return False
