"""Whether a configuration and its data fit together, found out before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.config import SweepConfig, examine
from engine.data.tables import csv_shape
from engine.errors import ConfigError, DataError, Problem

DIABETES_SHAPE = (442, 10)
DATASETS = ("synthetic", "diabetes")
DATA_KEYS = {"dataset", "load_data", "load_data_dir", "target_column", "data_instances", "data_features"}
"""The keys that say what the data is: with one of them wrong, nothing can be compared with it."""


def shape(config: SweepConfig) -> tuple[int, int]:
    """(rows, features) of the data that *config* names.

    Raises:
        ConfigError: there is no such data, or it cannot be read.
    """
    if config.load_data:
        try:
            return csv_shape(Path(config.load_data_dir), config.target_column)
        except DataError as error:
            raise ConfigError([Problem("load_data_dir", str(error))]) from None
    if config.dataset == "diabetes":
        return DIABETES_SHAPE
    if config.dataset == "synthetic":
        return config.data_instances, config.data_features
    raise ConfigError(
        [Problem("dataset", f"there is no data set {config.dataset!r}; known are {', '.join(DATASETS)}")]
    )


def accept(values: Mapping[str, Any]) -> SweepConfig:
    """The configuration that *values* describe, if it is right and fits its data.

    Raises:
        ConfigError: with every problem at once, each naming its key and the fix.
    """
    config, problems = examine(values)
    wrong = {problem.key for problem in problems}
    if not wrong & DATA_KEYS:
        problems += [problem for problem in _mismatches(config) if problem.key not in wrong]
    if problems:
        raise ConfigError(problems)
    return config


def _mismatches(config: SweepConfig) -> list[Problem]:
    """Where the network's dimensions do not match the data, or a part of it would be empty."""
    try:
        rows, features = shape(config)
    except ConfigError as error:
        return list(error.problems)
    problems = []
    if config.nn_dimensions[0] != features:
        fix = f"set it to [{features}, 1]"
        if not config.load_data and config.dataset == "synthetic":
            fix += f", or data_features to {config.nn_dimensions[0]}"
        problems.append(
            Problem(
                "nn_dimensions",
                f"the first number is {config.nn_dimensions[0]} but the data has {features} features; {fix}",
            )
        )
    for key, fraction in (
        ("validation_fraction", config.validation_fraction),
        ("test_fraction", config.test_fraction),
    ):
        if rows * fraction < 2:
            problems.append(Problem(key, f"leaves fewer than 2 of {rows} rows; choose a larger part"))
    return problems
