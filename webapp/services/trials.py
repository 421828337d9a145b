"""The trials of a sweep as its table shows them: sorted and filtered from columns, rows when they are looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.columns import Column, Mask, TrialColumns
from engine.domain import TrialState
from engine.space import LAYERS
from engine.store import Store
from engine.store import trials as trial_store
from webapp.errors import QueryError
from webapp.services.plain import plain

Document = dict[str, Any]

MOST_ROWS = 200
"""Rows in one answer."""
MOST_WORDS = 10
MOST_ERRORS = 5000
"""Failed trials whose errors are searched, the newest."""
LONGEST = 60
"""Of what is repeated of a wrong question."""

SORTED = {
    "number": "Trial",
    "stage": "Stage",
    "state": "State",
    "val_loss": "Validation loss",
    "train_loss": "Training loss",
    "seconds": "Time",
    "worker": "Worker",
}
"""What trials can be sorted by, with the headings of its columns; beside these any axis."""
TEXTS = ("state", "worker")
"""Those of SORTED that are no numbers."""

COMPARISON = re.compile(r"(?P<axis>[a-z][a-z0-9_]*)(?P<how><=|>=|<|>|=)(?P<value>.+)", re.IGNORECASE)


def rows(store: Store, sweep_id: str, numbers: Sequence[int]) -> list[Document]:
    """The rows of the trials of these *numbers*, at most MOST_ROWS, by number.

    Raises:
        NotFound: there is no such sweep.
    """
    store.sweeps.get(sweep_id)
    return [row(trial) for trial in store.trials.some(sweep_id, list(numbers)[:MOST_ROWS])]


def row(trial: Mapping[str, Any]) -> Document:
    """A trial as the table shows it."""
    return dict(plain(trial_store.public(trial)))


def order(store: Store, sweep_id: str, query: Mapping[str, str]) -> Document:
    """{total: how many trials there are, numbers: of those that are asked for, in the order asked for}.

    *query* may have: `sort`, a key of SORTED or an axis, and `down`; `state`; `stage`, from 0; `kind`: search or
    confirming; `low` and `high` bounds of the loss, both included; `text`: words that must all be found in a trial's
    choices, state, worker or error, or be its number, and comparisons such as `batch_size>300`.

    Raises:
        NotFound: there is no such sweep.
        QueryError: the query cannot be answered.
    """
    trials = store.columns.of_sweep(store.sweeps.get(sweep_id))
    kept = np.ones(len(trials), dtype=bool)
    if state := query.get("state", ""):
        kept &= trials.state.equal(_one_of("state", state, [str(name) for name in TrialState]))
    if kind := query.get("kind", ""):
        searched = np.isnan(trials.confirms)
        kept &= searched if _one_of("kind", kind, ("search", "confirming")) == "search" else ~searched
    if stage := query.get("stage", ""):
        kept &= (trials.stage == _number("stage", stage)) & np.isnan(trials.confirms)
    if low := query.get("low", ""):
        kept &= trials.loss >= _number("the lowest loss", low)
    if high := query.get("high", ""):
        kept &= trials.loss <= _number("the highest loss", high)
    words = list(dict.fromkeys(query.get("text", "").split()))
    if len(words) > MOST_WORDS:
        raise QueryError(f"at most {MOST_WORDS} words can be searched for at once, got {len(words):,}")
    errors: dict[int, str] | None = None
    for word in words:
        mask = _matches(trials, word)
        if mask is None:
            errors = _errors(store, sweep_id, trials) if errors is None else errors
            mask = _holds(trials, errors, word.lower())
        kept &= mask
    found = trials.take(kept)
    places = _sorted(_column(found, query.get("sort", "number")), query.get("down", "0") not in ("", "0"))
    return {"total": len(trials), "numbers": found.number[places].tolist()}


def _column(trials: TrialColumns, key: str) -> Column:
    """What to sort by: numbers, or places among sorted texts."""
    if key in trials.params:
        return trials.params[key]
    if key == "seconds":
        return Column(trials.finished - trials.started)
    if key in TEXTS:
        return Column(getattr(trials, key).numbers)  # choices are sorted: so are their places
    if key in SORTED:
        return Column(np.asarray(getattr(trials, key), dtype=np.float64))
    raise QueryError(f"trials cannot be sorted by {key[:LONGEST]!r}; by {', '.join([*SORTED, *trials.params])}")


def _sorted(column: Column, down: bool) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The places of a column's values in order, those that are missing last, equal ones by number."""
    values = -column.numbers if down else column.numbers
    return np.argsort(values, kind="stable")  # NaN is sorted last


def _matches(trials: TrialColumns, word: str) -> Mask | None:
    """The trials for which a comparison holds, or the one of a number; None where the *word* is neither."""
    if (found := COMPARISON.fullmatch(word)) and (axis := found["axis"].lower()) in trials.params:
        return _compare(trials.params[axis], axis, found["how"], found["value"])
    if re.fullmatch(r"#?\d+", word):
        return np.asarray(trials.number == int(word.lstrip("#")[:18]), dtype=bool)
    return None


def _errors(store: Store, sweep_id: str, trials: TrialColumns) -> dict[int, str]:
    """What the newest trials that have failed have said, in lower case."""
    failed = trials.number[trials.state.equal(str(TrialState.FAILED), str(TrialState.LOST))][-MOST_ERRORS:]
    return {number: error.lower() for number, error in store.trials.errors(sweep_id, failed.tolist()).items()}


def _holds(trials: TrialColumns, errors: Mapping[int, str], text: str) -> Mask:
    """The trials that have a word in a choice, their state, worker or error."""
    mask = np.zeros(len(trials), dtype=bool)
    for column in (trials.state, trials.worker, *trials.params.values()):
        if column.choices:
            mask |= column.equal(*(choice for choice in column.choices if text in choice.lower()))
    return mask | np.isin(trials.number, [number for number, error in errors.items() if text in error])


def _compare(column: Column, axis: str, how: str, value: str) -> Mask:
    if column.choices is not None:
        if how != "=":
            raise QueryError(f"{axis} has choices; ask for one of them, as in {axis}={column.choices[0]}")
        return column.equal(*(choice for choice in column.choices if choice.lower() == value.lower()))
    given = _number(axis, value)
    with np.errstate(invalid="ignore"):
        match how:
            case "<":
                return column.numbers < given
            case ">":
                return column.numbers > given
            case "<=":
                return column.numbers <= given
            case ">=":
                return column.numbers >= given
    return np.isclose(column.numbers, given, rtol=1e-3 if axis != LAYERS else 0)


def _number(what: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise QueryError(f"{what} must be a number, got {text[:LONGEST]!r}") from None


def _one_of(what: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise QueryError(f"{what} must be one of {', '.join(choices)}, got {value[:LONGEST]!r}")
    return value
