"""Whether a configuration and its data fit together, found out before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config import SweepConfig, examine
from engine.data.tables import csv_shape
from engine.data.texts import count_files
from engine.errors import ConfigError, DataError, Problem

DIABETES_SHAPE = (442, 10)
DATASETS = ("synthetic", "diabetes", "installed-sources")
"""Those that are built in; the last holds texts, the others are tables."""
DATA_KEYS = {"dataset", "load_data", "load_data_dir", "target_column", "data_instances", "data_features"}
"""The keys that say what the data is: with one of them wrong, nothing can be compared with it."""

Find = Callable[[str], Mapping[str, Any] | None]
"""Looks an uploaded data set up, by `name` or `name@version`: what `store.datasets.find` does."""


@dataclass(frozen=True, slots=True)
class Data:
    """What is known of a sweep's data. *kind*: table or texts; *features* is 0 for texts, *rows* where not known.

    *name* is the data set's, with its version where it has versions.
    """

    kind: str
    rows: int
    features: int
    name: str = ""


def look_up(config: SweepConfig, find: Find | None = None) -> Data:
    """The data that *config* names.

    Raises:
        ConfigError: there is no such data, or it cannot be read.
    """
    if config.load_data:
        if reads_folder(config):
            return Data("texts", _count(Path(config.load_data_dir)), 0, config.dataset)
        return Data("table", *_shape(Path(config.load_data_dir), config.target_column), config.dataset)
    if config.dataset == "diabetes":
        return Data("table", *DIABETES_SHAPE, config.dataset)
    if config.dataset == "synthetic":
        return Data("table", config.data_instances, config.data_features, config.dataset)
    if config.dataset == "installed-sources":
        return Data("texts", 0, 0, config.dataset)
    about = find(config.dataset) if find else None
    if about is None:
        uploaded = "" if find is None else ", and those that the page Data sets lists"
        known = f"known are {', '.join(DATASETS)}{uploaded}"
        raise ConfigError([Problem("dataset", f"there is no data set {config.dataset!r}; {known}")])
    name = f"{about['name']}@{about['sha256'][:12]}"
    if about["kind"] == "texts":
        return Data("texts", about["files"], 0, name)
    return Data("table", about["rows"], len(about["features"]), name)


def _count(folder: Path) -> int:
    """The text files of a folder.

    Raises:
        ConfigError: it cannot be used.
    """
    try:
        return count_files(folder)
    except DataError as error:
        raise ConfigError([Problem("load_data_dir", str(error))]) from None


def _shape(path: Path, target: str) -> tuple[int, int]:
    """(rows, features) of a CSV file.

    Raises:
        ConfigError: it cannot be used, or has no such target column.
    """
    try:
        return csv_shape(path, target)
    except DataError as error:
        key = "load_data_dir"
        if target:
            with suppress(DataError):
                csv_shape(path)
                key = "target_column"  # with another one all is well
        raise ConfigError([Problem(key, str(error))]) from None


def reads_folder(config: SweepConfig) -> bool:
    """Whether one's own data, given by its path, is a folder of texts and not a table."""
    return config.nn_model == "Custom" and not (config.model_class and Path(config.load_data_dir).is_file())


def accept(values: Mapping[str, Any], find: Find | None = None) -> SweepConfig:
    """The configuration that *values* describe, if it is right and fits its data.

    An uploaded data set is named with its version, so that the sweep uses the same data whenever it runs.

    Raises:
        ConfigError: with every problem at once, each naming its key and the fix.
    """
    config, problems = examine(values)
    wrong = {problem.key for problem in problems}
    if not wrong & DATA_KEYS:
        try:
            data = look_up(config, find)
        except ConfigError as error:
            problems += error.problems
        else:
            problems += [problem for problem in _mismatches(config, data) if problem.key not in wrong]
            config = config.model_copy(update={"dataset": data.name})
    if problems:
        raise ConfigError(problems)
    return config


def _mismatches(config: SweepConfig, data: Data) -> list[Problem]:
    """Where the model does not match the data, or a part of it would be empty."""
    if config.nn_model == "Custom" and not config.model_class and data.kind == "table":
        fix = "choose Regressor, a data set of texts, or name a class of your own in model_class"
        return [Problem("nn_model", f"the LSTM classifies texts, and the data set {config.dataset!r} is a table; {fix}")]
    if config.nn_model != "Custom" and data.kind == "texts":
        fix = "choose the text classifier (Custom), or a data set that is a table"
        message = f"a {config.nn_model} learns from numbers, and the data set {config.dataset!r} holds texts; {fix}"
        return [Problem("nn_model", message)]
    problems = []
    if data.kind == "table" and config.model_class and config.nn_dimensions[1] != 1:
        problems.append(Problem("nn_dimensions", f"a table has 1 output node, got {config.nn_dimensions[1]}"))
    if config.folds > 1 and data.kind == "texts":
        problems.append(Problem("folds", f"cross-validation is for tables, and {config.dataset!r} holds texts"))
    if config.folds > 1 and data.rows and data.rows * (1 - config.test_fraction) / config.folds < 2:
        problems.append(Problem("folds", f"leaves fewer than 2 of {data.rows} rows in a fold; choose fewer folds"))
    if data.kind == "table" and config.nn_dimensions[0] != data.features:
        fix = f"set it to [{data.features}, 1]"
        if not config.load_data and config.dataset == "synthetic":
            fix += f", or data_features to {config.nn_dimensions[0]}"
        count = "one feature" if data.features == 1 else f"{data.features} features"
        problems.append(
            Problem("nn_dimensions", f"the first number is {config.nn_dimensions[0]} but the data has {count}; {fix}")
        )
    for key, fraction in (
        ("validation_fraction", config.validation_fraction),
        ("test_fraction", config.test_fraction),
    ):
        if data.rows and data.rows * fraction < 2:
            what = "rows" if data.kind == "table" else "texts"
            problems.append(Problem(key, f"leaves fewer than 2 of {data.rows} {what}; choose a larger part"))
    return problems
