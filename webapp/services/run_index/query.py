"""What a page of the list asks of the index, as SQL.

Values compare within their kind: numbers with numbers, texts with texts. A value that reads as a number is compared as
one, and for equality also as a text. In any order numbers come before texts, and runs without the field last.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import regex

from webapp.errors import QueryError
from webapp.services.plain import aware
from webapp.services.run_index import where
from webapp.services.run_index.fields import DATES, EPOCH, WORD, Value, stored_name

LONGEST_PATTERN = 200
PATTERN_SECONDS = 1.0
"""About the longest that the patterns of one question may take in all. Other threads go on meanwhile."""
MOST_WORDS = 10

ALIASES = {"tags": "tag", "status": "state", "_id": "id", "probably dead": "dead"}
NOTHING = 2
"""The rank of runs without the field that they are ordered by."""
STATE = "CASE WHEN r.status = 'running' AND (r.deadline IS NULL OR r.deadline < :now) THEN 'dead' ELSE r.status END"
SPAN = re.compile(r"-?(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")
UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True, slots=True)
class Query:
    """Which runs, in which order."""

    filter: where.Filter = where.EVERYTHING
    words: str = ""
    sort: str = "started"
    down: bool = True
    archived: bool = False
    """Whether archived runs are among them; deleted ones never are."""

    def fields(self) -> list[str]:
        """The fields that it asks for."""
        return [canonical(name) for name in (*where.fields(self.filter), self.sort)]


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two runs in an order: the value's rank (0 number, 1 text, 2 none), the value, the row."""

    rank: int
    value: Value | None
    n: int


class Patterns:
    """The regular expressions of one question. A wild one ends the question, not the server."""

    def __init__(self) -> None:
        self._patterns: list[Any] = []
        self._left = PATTERN_SECONDS
        self.tired = False

    def add(self, text: str) -> int:
        """
        Raises:
            QueryError: it is no regular expression.
        """
        if len(text) > LONGEST_PATTERN:
            raise QueryError(f"a regular expression may have {LONGEST_PATTERN} characters")
        try:
            self._patterns.append(regex.compile(text, regex.IGNORECASE))
        except (regex.error, OverflowError, RecursionError, ValueError) as error:
            raise QueryError(f"{text[:60]!r} is not a regular expression: {error}") from None
        return len(self._patterns) - 1

    def matches(self, index: int, value: Value | None) -> int:
        """What SQL calls."""
        if value is None:
            return 0
        begun = time.monotonic()
        try:
            return 1 if self._patterns[index].search(str(value), timeout=max(self._left, 0.001), concurrent=True) else 0
        except TimeoutError:
            self.tired = True
            raise
        finally:
            self._left -= time.monotonic() - begun


class Conditions:
    """The condition of a question as SQL, with its parameters. *number* gives the number of a field, None: unknown."""

    def __init__(self, number: Callable[[str], int | None], now: float) -> None:
        self._number = number
        self._now = now
        self.params: dict[str, Any] = {"now": now}
        self.patterns = Patterns()

    def of(self, query: Query) -> str:
        """The condition that runs `r` must meet."""
        parts = [self._filter(query.filter)]
        for word in WORD.findall(query.words)[:MOST_WORDS]:
            name = self._param(f" {word.lower()}")
            parts.append(f"r.n IN (SELECT n FROM words WHERE instr(text, {name}))")  # noqa: S608 - a name
        hidden = ("deleted",) if query.archived else ("deleted", "archived")
        parts += [f"NOT {self._has(number, '1')}" for name in hidden if (number := self._number(name)) is not None]
        return " AND ".join(parts)

    def after(self, place: Place, value: str, rank: str, down: bool) -> str:
        """The condition that a run comes after *place*; *value* and *rank* are the order's expressions."""
        sign = "<" if down else ">"
        n, placed = self._param(place.n), self._param(place.rank)
        same = f"r.n {sign} {n}"
        if place.rank != NOTHING:
            than = self._param(place.value)
            same = f"({value} {sign} {than} OR {value} = {than} AND {same})"
        return f"({rank} > {placed} OR {rank} = {placed} AND {same})"

    def _filter(self, part: where.Filter) -> str:
        if isinstance(part, where.Condition):
            return self._condition(part)
        if isinstance(part, where.Not):
            return f"NOT ({self._filter(part.part)})"
        word, nothing = (" AND ", "1") if isinstance(part, where.All) else (" OR ", "0")
        return "(" + (word.join(self._filter(item) for item in part.parts) or nothing) + ")"

    def _condition(self, condition: where.Condition) -> str:
        field = canonical(condition.field)
        operator, values = condition.operator, condition.values
        if operator == "!=":
            return f"NOT ({self._condition(where.Condition(field, '=', values))})"
        if field == "state":
            return self._state(operator, values)
        number = self._number(field)
        if operator == "missing":
            return f"NOT ({self._condition(where.Condition(field, 'exists'))})"
        if operator == "exists":
            return self._has(number, "1")
        if operator in ("=", "in"):
            return "(" + " OR ".join(self._has(number, self._equals(field, value)) for value in values) + ")"
        if operator == "~":
            index = self._param(self.patterns.add(values[0]))
            return self._has(number, f"matches({index}, v)")
        return self._has(number, self._compares(field, operator, values[0]))

    def _has(self, number: int | None, test: str) -> str:
        if number is None:
            return "0"
        return f"r.n IN (SELECT n FROM cells WHERE f = {number} AND {test})"  # noqa: S608 - built from names

    def _state(self, operator: str, values: Sequence[str]) -> str:
        names = [ALIASES.get(value.lower(), value.lower()) for value in values]
        if operator in ("=", "in"):
            return f"({STATE}) IN ({', '.join(self._param(name) for name in names)})"
        if operator == "~":
            return f"matches({self._param(self.patterns.add(values[0]))}, {STATE})"
        if operator in ("exists", "missing"):
            return "1" if operator == "exists" else "0"
        return f"({STATE}) {operator} {self._param(names[0])}"

    def _equals(self, field: str, value: str) -> str:
        if field == "tag":
            tag = self._param(f"\n{' '.join(value.split())}\n")
            return f"instr(v, {tag})"
        if field in DATES:
            start, end = self._span_of(field, value)
            return f"v >= {self._param(start)} AND v < {self._param(end)}"
        found = [self._param(value)]
        if (number := as_number(value, field)) is not None:
            found.append(self._param(number))
        return f"v IN ({', '.join(found)})"

    def _compares(self, field: str, operator: str, value: str) -> str:
        if field in DATES:
            start, end = self._span_of(field, value)
            return (
                f"v {operator} {self._param(end if operator == '<=' else start)}"
                if operator != ">"
                else (f"v >= {self._param(end)}")
            )
        number = as_number(value, field)
        if number is not None:
            return f"v {operator} {self._param(number)} AND v < ''"
        return f"v {operator} {self._param(value)} AND v >= ''"

    def _span_of(self, field: str, value: str) -> tuple[float, float]:
        """The moments that *value* stands for: a day from its begin to its end, else one moment.

        Raises:
            QueryError: it is neither a moment nor a span before now, such as 7d.
        """
        if span := SPAN.fullmatch(value.strip()):
            moment = self._now - float(span[1]) * UNITS[span[2]]
            return moment, moment
        try:
            start = aware(datetime.fromisoformat(value.strip().replace("Z", "+00:00"))).astimezone(UTC)
            seconds = (start - EPOCH).total_seconds()
            whole_day = len(value.strip()) == len("2026-01-31")
            return seconds, seconds + (timedelta(days=1).total_seconds() if whole_day else 0.0)
        except (ValueError, OverflowError):
            raise QueryError(
                f"{field}: {value[:40]!r} is no moment; write 2026-01-31, 2026-01-31T14:00 (UTC), "
                "or a span before now such as 90m, 24h, 7d or 2w"
            ) from None

    def _param(self, value: Any) -> str:
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f":{name}"


def canonical(name: str) -> str:
    """The field that a name stands for."""
    return stored_name(ALIASES.get(name, name))


def as_number(value: str, field: str = "") -> int | float | None:
    """The number that *value* says; of a duration also with a unit."""
    if field == "duration" and (span := SPAN.fullmatch(value.strip())):
        return float(span[1]) * UNITS[span[2]]
    try:
        whole = int(value)
        return whole if abs(whole) < 2**63 else float(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return None
    return number if number == number else None


def order(sort: str, down: bool, backwards: bool = False) -> tuple[str, str, str]:
    """(value, rank, ORDER BY) of an order, over runs `r` and the cells `s` of its field."""
    value = f"({STATE})" if canonical(sort) == "state" else "s.v"
    rank = f"(CASE typeof({value}) WHEN 'null' THEN {NOTHING} WHEN 'text' THEN 1 ELSE 0 END)"
    way = "DESC" if down != backwards else "ASC"
    return value, rank, f"{rank} {'DESC' if backwards else 'ASC'}, {value} {way}, r.n {way}"
