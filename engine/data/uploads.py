"""Uploaded data sets: their names, what kind a file is, what it holds, and reading it again for a sweep."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from engine.data import archives, columns
from engine.data.check import DATASETS
from engine.data.tables import Table
from engine.errors import ConfigError, DataError, Problem

Document = dict[str, Any]

TABLE, TEXTS = "table", "texts"
LONGEST_NAME = 60


def check_name(name: str) -> None:
    """
    Raises:
        DataError: no data set can be called so.
    """
    if not re.fullmatch(rf"[a-z0-9_-]{{1,{LONGEST_NAME}}}", name):
        raise DataError(f"the name must be 1 to {LONGEST_NAME} lower-case letters, digits, - or _")
    if name in DATASETS:
        raise DataError(f"the name {name} belongs to a data set that is built in; choose another one")


def name_from(filename: str) -> str:
    """A name made of a file's: "Boston Housing (1).csv" → "boston-housing-1"; empty where nothing of it will do."""
    stem = re.sub(r"\.(csv|tsv|txt|zip)$", "", filename.lower())
    return re.sub(r"[^a-z0-9_]+", "-", stem).strip("-")[:LONGEST_NAME].strip("-")


def describe(file: BinaryIO) -> tuple[str, Document]:
    """(kind, what the file holds): of a ZIP file `archives.describe`, of any other `columns.describe`.

    Raises:
        DataError: one sentence that says what is wrong and where.
    """
    file.seek(0)
    head = file.read(4)
    if not head:
        raise DataError("the file is empty")
    if head[:2] == b"PK":
        return TEXTS, archives.describe(file)
    return TABLE, columns.describe(file)


def choose(about: Mapping[str, Any], target: str, features: Sequence[str]) -> tuple[str, list[str]]:
    """*target*, and *features* without it in the order of the columns, if a network can learn the one from the others.

    Raises:
        ConfigError: with every problem, at `target` or `features`.
    """
    reasons = {column["name"]: column["reason"] for column in about["columns"]}
    problems = []
    if target not in reasons:
        problems.append(Problem("target", "choose the column to predict"))
    elif reasons[target]:
        problems.append(Problem("target", f"column {target!r} cannot be predicted: {reasons[target]}"))
    for name in features:
        if name == target:
            continue
        if name not in reasons:
            problems.append(Problem("features", f"there is no column {name[:60]!r}"))
        elif reasons[name]:
            problems.append(Problem("features", f"column {name!r} cannot be a feature: {reasons[name]}"))
    if not set(features) - {target}:
        problems.append(Problem("features", "choose at least one column beside the target"))
    if problems:
        raise ConfigError(problems)
    return target, [name for name in reasons if name in features and name != target]


def open_table(source: Path | bytes, about: Mapping[str, Any]) -> Table:
    """The chosen columns of an uploaded table: features [rows, features] and target [rows, 1].

    Raises:
        DataError: *source* is not the file that *about* describes, or cannot be read.
    """
    if isinstance(source, bytes):
        return columns.read(BytesIO(source), about)
    try:
        with source.open("rb") as file:
            return columns.read(file, about)
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}") from None


def read_texts(path: Path) -> Iterator[tuple[str, str, str]]:
    """(label, file name, text) of the texts in a ZIP file, as `archives.texts` gives them."""
    return archives.texts(path)


def read_keywords(path: Path) -> dict[str, list[str]] | None:
    """The keywords of each language, where the ZIP file has a keywords.json."""
    return archives.keywords(path)
