"""Trying a trial's model: what is typed, pasted or uploaded becomes its prediction, made outside the web process."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import ConfigError, Problem
from engine.settings import Settings
from engine.store import Store
from webapp.errors import Busy, HelperError
from webapp.filters import figure
from webapp.services.exports import must_have
from webapp.services.helpers import Helper
from webapp.services.plain import plain

LIMIT_SECONDS = 30.0
MOST_ROWS = 10_000
"""What engine.predict takes at once."""
MOST_INPUTS = 200
"""Features that have an input each; with more of them rows are pasted or uploaded."""
SHOWN_ROWS = 200
SHOWN_COLUMNS = 6
DELIMITERS = ("\t", ";", ",")
ONE, MANY = "one", "many"
"""Which part of the form was sent: the row in the inputs, or the pasted and uploaded ones."""

Rows = list[list[float]]

predictor = Helper("engine.predict", "predicting", LIMIT_SECONDS, most=4)


@dataclass(frozen=True, slots=True)
class Input:
    """The input of one feature."""

    key: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a regressor answers: the first SHOWN_ROWS rows as texts (features, prediction), and all of them as CSV."""

    columns: Sequence[str]
    rows: Sequence[tuple[Sequence[str], str]]
    count: int
    csv: str


@dataclass(frozen=True, slots=True)
class Classes:
    """What a classifier answers of one text: its classes with their probabilities, the likeliest first."""

    name: str
    shares: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class TryPage:
    """What templates/models/try.html shows: the form as it was sent, problems by field, and the answer."""

    sweep_id: str
    sweep_name: str
    trial: Mapping[str, Any]
    classifier: bool
    target: str
    columns: Sequence[str]
    inputs: Sequence[Input]
    typed: str
    off_by: float | None
    problems: Mapping[str, str] = field(default_factory=dict)
    numbers: Numbers | None = None
    classes: Sequence[Classes] = ()
    status: int = 200


def page(store: Store, sweep_id: str, number: int) -> TryPage:
    """The form, filled with a row of the test part.

    Raises:
        NotFound: there is no such sweep, or the model is not kept.
    """
    sweep = must_have(store, sweep_id, number)
    about = store.models.about(sweep_id)
    (trial,) = store.trials.some(sweep_id, [number])
    classifier = sweep["config"]["nn_model"] != "Regressor"
    count = len(about.get("feature_mean", ()))
    columns = about.get("columns") or [f"x{place}" for place in range(1, count + 1)]
    example = zip(columns, about.get("example", ()), strict=False)
    inputs = [Input(f"feature-{place}", name, figure(value, 6)) for place, (name, value) in enumerate(example)]
    return TryPage(
        sweep_id=sweep_id,
        sweep_name=sweep["name"],
        trial=plain(trial),
        classifier=classifier,
        target=about.get("target_name", "class"),
        columns=columns,
        inputs=inputs if len(inputs) <= MOST_INPUTS else [],
        typed="",
        off_by=None if classifier else _root(trial.get("val_loss")),
    )


def predicted(
    store: Store,
    settings: Settings,
    sweep_id: str,
    number: int,
    typed: Mapping[str, str],
    filename: str = "",
    content: bytes = b"",
) -> TryPage:
    """The form as it was sent, and the predictions, or what is wrong at which field.

    Raises:
        NotFound: there is no such sweep, or the model is not kept.
    """
    shown = page(store, sweep_id, number)
    shown = replace(
        shown,
        typed=typed.get("typed", ""),
        inputs=[replace(one, text=typed.get(one.key, one.text)) for one in shown.inputs],
    )
    try:
        if shown.classifier:
            texts = _texts(shown.typed, filename, content)
            return replace(shown, classes=_classes(_ask(settings, shown, {"texts": list(texts.values())}), list(texts)))
        rows = _rows(shown, typed.get("what", ONE), filename, content)
        return replace(shown, numbers=_numbers(shown, rows, _ask(settings, shown, {"rows": rows})))
    except ConfigError as error:
        return replace(shown, problems={one.key: one.message for one in error.problems}, status=400)
    except HelperError as error:
        return replace(shown, problems={"form": str(error)}, status=429 if isinstance(error, Busy) else 503)


def too_large(store: Store, sweep_id: str, number: int, most: int) -> TryPage:
    """The form again, for what is larger than the server takes."""
    problem = {"form": f"what was sent is larger than {most // 2**20} MB, the most that this page takes"}
    return replace(page(store, sweep_id, number), problems=problem, status=413)


def parse_rows(text: str, columns: Sequence[str]) -> Rows:
    """Rows of features from CSV text, whose values are separated by commas, semicolons or tabs.

    A header line is recognised by the names in it; its columns may come in any order, with others between them.

    Raises:
        ValueError: in words, naming the line.
    """
    first = text.lstrip("\ufeff\r\n").split("\n", 1)[0]
    delimiter = next((sign for sign in DELIMITERS if sign in first), ",")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter)
    try:
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ValueError(f"this is not CSV: {error}") from None
    if not lines:
        raise ValueError("give at least one row")
    places, width = list(range(len(columns))), len(columns)
    names = [cell.strip() for cell in lines[0][1]]
    if not any(_is_number(name) for name in names) or set(columns) <= set(names):
        if missing := [name for name in columns if name not in names]:
            raise ValueError(f"the header line lacks the column {missing[0]!r}; needed are {', '.join(columns)[:300]}")
        places, width, lines = [names.index(name) for name in columns], len(names), lines[1:]
    if not lines:
        raise ValueError("there is no row below the header line")
    if len(lines) > MOST_ROWS:
        raise ValueError(f"these are {len(lines):,} rows; at most {MOST_ROWS:,} at once")
    rows = []
    for number, row in lines:
        if len(row) != width:
            raise ValueError(f"line {number} has {len(row)} values, and {width} are needed: {', '.join(columns)[:300]}")
        rows.append([_at_line(number, columns[place], row[column]) for place, column in enumerate(places)])
    return rows


def number(text: str) -> float:
    """
    Raises:
        ValueError: in words.
    """
    text = text.strip()
    if not text:
        raise ValueError("give a number")
    try:
        value = float(text)
    except ValueError:
        shown = f"{text[:30]!r} is not a number"
        raise ValueError(f"{shown}; write decimals with a point" if "," in text else shown) from None
    if not math.isfinite(value):
        raise ValueError("give a finite number")
    return value


def _rows(shown: TryPage, what: str, filename: str, content: bytes) -> Rows:
    """
    Raises:
        ConfigError: with every problem, each at its field.
    """
    if what == ONE and shown.inputs:
        values, problems = [], []
        for one in shown.inputs:
            try:
                values.append(number(one.text))
            except ValueError as error:
                problems.append(Problem(one.key, str(error)))
        if problems:
            raise ConfigError(problems)
        return [values]
    if filename or content:
        try:
            return parse_rows(content.decode("utf-8-sig"), shown.columns)
        except UnicodeDecodeError:
            raise ConfigError([Problem("file", "this is not UTF-8 text; save it as CSV in UTF-8")]) from None
        except ValueError as error:
            raise ConfigError([Problem("file", str(error))]) from None
    try:
        return parse_rows(shown.typed, shown.columns)
    except ValueError as error:
        raise ConfigError([Problem("typed", str(error))]) from None


def _texts(typed: str, filename: str, content: bytes) -> dict[str, str]:
    """Texts by name; files are read as training reads them.

    Raises:
        ConfigError: there is none.
    """
    texts = {"The text": typed} if typed.strip() else {}
    if filename or content:
        texts[filename[-200:] or "The file"] = content.decode("latin-1")
        if not content.strip():
            raise ConfigError([Problem("file", "this file is empty")])
    if not texts:
        raise ConfigError([Problem("typed", "type or paste a text, or choose a file")])
    return texts


def _ask(settings: Settings, shown: TryPage, request: Mapping[str, Any]) -> list[Any]:
    """
    Raises:
        ConfigError: the model refuses what it was given.
        Busy, HelperError: as `Helper.run`.
    """
    number = str(shown.trial["number"])
    answer = json.loads(predictor.run(settings, [shown.sweep_id, number], json.dumps(request)))
    if "error" in answer:
        raise ConfigError([Problem("form", answer["error"])])
    return list(answer["predictions"])


def _numbers(shown: TryPage, rows: Rows, answers: Sequence[float]) -> Numbers:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*shown.columns, f"predicted {shown.target}"])
    writer.writerows([*row, answer] for row, answer in zip(rows, answers, strict=True))
    listed = [
        (
            [figure(value, 6) for value in row[:SHOWN_COLUMNS]],
            figure(answer, 6) if math.isfinite(answer) else "not a number",
        )
        for row, answer in zip(rows[:SHOWN_ROWS], answers, strict=False)
    ]
    return Numbers(shown.columns[:SHOWN_COLUMNS], listed, len(rows), written.getvalue())


def _classes(answers: Sequence[Mapping[str, float]], names: Sequence[str]) -> list[Classes]:
    return [
        Classes(name, sorted(shares.items(), key=lambda item: -item[1]))
        for name, shares in zip(names, answers, strict=True)
    ]


def _at_line(line: int, column: str, text: str) -> float:
    try:
        return number(text)
    except ValueError as error:
        raise ValueError(f"line {line}, column {column!r}: {error}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _root(loss: Any) -> float | None:
    return math.sqrt(loss) if isinstance(loss, int | float) and math.isfinite(loss) and loss >= 0 else None
