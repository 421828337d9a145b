"""The trials of a sweep as columns: what charts of thousands of trials are made from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Document: TypeAlias = dict[str, Any]

PLAIN = ("number", "stage", "state", "worker", "confirms", "retries", "loss", "val_loss", "train_loss")
MOMENTS = ("started", "finished")


@dataclass(frozen=True, slots=True)
class Column:
    """One value a trial: *numbers*, NaN where there is none. With *choices*, they are places among these."""

    numbers: Floats
    choices: tuple[str, ...] | None = None

    def take(self, rows: Ints | Mask) -> Column:
        return Column(self.numbers[rows], self.choices)

    def equal(self, *texts: str) -> Mask:
        """Where the value is one of *texts*."""
        places = [place for place, choice in enumerate(self.choices or ()) if choice in texts]
        return np.isin(self.numbers, places)

    def places(self, choices: Sequence[str]) -> Floats:
        """The places of the values of a column that has choices among other *choices*, which hold all of its own."""
        if self.choices == choices:
            return self.numbers
        places = np.array([*(choices.index(choice) for choice in self.choices or ()), np.nan])
        return places[np.where(np.isnan(self.numbers), len(places) - 1, self.numbers).astype(np.int64)]

    def texts(self) -> list[str | None]:
        """The values of a column that has choices."""
        choices = self.choices or ()
        return [None if np.isnan(number) else choices[int(number)] for number in self.numbers]


@dataclass(frozen=True, slots=True)
class TrialColumns:
    """Trials in the order of their numbers. Moments are seconds since 1970, in UTC; losses as `Trial` has them."""

    number: Ints
    stage: Ints
    state: Column
    worker: Column
    confirms: Floats
    retries: Floats
    loss: Floats
    val_loss: Floats
    train_loss: Floats
    started: Floats
    finished: Floats
    params: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: Ints | Mask) -> TrialColumns:
        """Some of the trials."""
        taken: Document = {"params": {name: column.take(rows) for name, column in self.params.items()}}
        for field in fields(self):
            part = getattr(self, field.name)
            if field.name != "params":
                taken[field.name] = part.take(rows) if isinstance(part, Column) else part[rows]
        return TrialColumns(**taken)

    def searched(self) -> TrialColumns:
        """The trials of the search: without those that confirm others."""
        return self.take(np.isnan(self.confirms))


def pack(documents: Iterable[Mapping[str, Any]]) -> Document:
    """Stored trials as lists, one for each column: what `unpack` reads, as plain JSON."""
    packed: Document = {name: [] for name in (*PLAIN, *MOMENTS)}
    params: dict[str, list[Any]] = {}
    for row, document in enumerate(documents):
        for name in PLAIN:
            packed[name].append(document.get(name))
        for name in MOMENTS:
            packed[name].append(_seconds(document.get(name)))
        point = document.get("params") or {}
        for name in dict.fromkeys([*params, *point]):
            params.setdefault(name, [None] * row).append(point.get(name))
    return packed | {"params": params}


def unpack(parts: Sequence[Mapping[str, Any]]) -> TrialColumns:
    """What `pack` has packed, one part after the other, by number; what a part lacks is absent in its trials."""
    lengths = [len(part["number"]) for part in parts]

    def joined(name: str, given: Sequence[Mapping[str, Any]]) -> list[Any]:
        whole: list[Any] = []
        for part, length in zip(given, lengths, strict=True):
            whole += part.get(name) or [None] * length
        return whole

    params = [part.get("params") or {} for part in parts]
    names = dict.fromkeys(name for part in params for name in part)
    found = {name: joined(name, parts) for name in (*PLAIN, *MOMENTS)}
    columns = TrialColumns(
        number=np.array(found["number"], dtype=np.int64),
        stage=np.array(found["stage"], dtype=np.int64),
        state=_texts(found["state"]),
        worker=_texts(found["worker"]),
        params={name: _column(joined(name, params)) for name in names},
        **{name: _numbers(found[name]) for name in ("confirms", "retries", "loss", "val_loss", "train_loss", *MOMENTS)},
    )
    return columns.take(np.argsort(columns.number, kind="stable"))


def join(old: TrialColumns, new: TrialColumns) -> TrialColumns:
    """The trials of both; one that is in both is as *new* has it."""
    if not len(new):
        return old
    kept = old.take(~np.isin(old.number, new.number))
    order = np.argsort(np.concatenate([kept.number, new.number]), kind="stable")
    names = dict.fromkeys([*kept.params, *new.params])
    params = {name: _joined(kept.params.get(name), new.params.get(name), len(kept), len(new)) for name in names}
    whole: Document = {"params": params}
    for field in fields(TrialColumns):
        before, after = getattr(kept, field.name), getattr(new, field.name)
        if isinstance(before, Column):
            whole[field.name] = _joined(before, after, len(kept), len(new))
        elif field.name != "params":
            whole[field.name] = np.concatenate([before, after])
    return TrialColumns(**whole).take(order)


def _joined(before: Column | None, after: Column | None, rows_before: int, rows_after: int) -> Column:
    first, second = before or _nothing(rows_before), after or _nothing(rows_after)
    if first.choices is None and second.choices is None:
        return Column(np.concatenate([first.numbers, second.numbers]))
    first, second = _with_choices(first), _with_choices(second)
    choices = tuple(sorted({*(first.choices or ()), *(second.choices or ())}))
    return Column(np.concatenate([first.places(choices), second.places(choices)]), choices)


def _nothing(rows: int) -> Column:
    return Column(np.full(rows, np.nan))


def _with_choices(column: Column) -> Column:
    """A column of numbers as one of texts."""
    if column.choices is not None:
        return column
    return _texts([None if np.isnan(number) else f"{number:g}" for number in column.numbers])


def _column(values: Sequence[Any]) -> Column:
    """Numbers, where all values are; else texts."""
    return Column(_numbers(values)) if set(map(type, values)) <= {int, float, type(None)} else _texts(values)


def _texts(values: Sequence[Any]) -> Column:
    texts = [value if value is None or isinstance(value, str) else str(value) for value in values]
    choices = tuple(sorted({text for text in texts if text is not None}))
    places: dict[str | None, float] = {choice: float(place) for place, choice in enumerate(choices)} | {None: np.nan}
    return Column(np.array([places[text] for text in texts], dtype=np.float64), choices)


def _numbers(values: Sequence[Any]) -> Floats:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array([_number(value) for value in values], dtype=np.float64)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _seconds(moment: Any) -> float | None:
    if not isinstance(moment, datetime):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
