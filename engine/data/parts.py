"""The parts of a data set: training, validation, test; standardised by what the training part knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import SweepConfig
from engine.data import synthetic
from engine.data.check import DATASETS, reads_folder
from engine.data.sources import installed_sources
from engine.data.tables import Table, diabetes, read_csv
from engine.data.texts import TextFile, Texts, prepare_texts, read_folder
from engine.data.uploads import open_table, read_keywords, read_texts
from engine.errors import DataError

SPLIT_SEED = 42
FOLDED = ("x_train", "y_train", "x_val", "y_val")
"""What differs from fold to fold."""

Array = NDArray[np.float32]
Fetch = Callable[[str], tuple[Path, Mapping[str, Any]]]
"""Brings an uploaded data set here, by `name` or `name@version`: (its file, what is known of it)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Standardised features [rows, columns] and targets [rows, 1] of each part, float32.

    Real targets are standardised for training; a loss in those units times target_scale² is in the target's own.
    Synthetic targets are left as they are (target_scale 1).
    """

    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    x_test: Array
    y_test: Array
    feature_mean: Array
    feature_scale: Array
    target_mean: float
    target_scale: float
    columns: tuple[str, ...] = ()
    target_name: str = "y"
    others: tuple[Parts, ...] = ()
    """The other folds of a cross-validation."""

    @property
    def folds(self) -> tuple[Parts, ...]:
        """All folds; without cross-validation this alone."""
        return (self, *self.others)

    def part(self, name: str) -> tuple[Array, Array]:
        """Features and targets of the part "train", "val" or "test"."""
        return getattr(self, f"x_{name}"), getattr(self, f"y_{name}")

    def save(self, path: Path) -> None:
        """Write all parts to *path*, an .npz file."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "others"}
        for number, fold in enumerate(self.others, start=1):
            own |= {f"{name}_{number}": getattr(fold, name) for name in FOLDED}
        np.savez(path, **own)

    @staticmethod
    def read(stored: Mapping[str, Any]) -> Parts:
        """What `save` wrote, from the opened file."""
        values = {field.name: stored[field.name] for field in fields(Parts) if field.name != "others"}
        for name in ("target_mean", "target_scale"):
            values[name] = float(values[name])
        values["columns"] = tuple(str(name) for name in values["columns"])
        values["target_name"] = str(values["target_name"])
        first = Parts(**values)
        others: list[Parts] = []
        while f"x_train_{len(others) + 1}" in stored:
            number = len(others) + 1
            others.append(replace(first, **{name: stored[f"{name}_{number}"] for name in FOLDED}))
        return replace(first, others=tuple(others))

    def linear_baseline(self) -> dict[str, float]:
        """What least squares on the training part is worth on the test part, in the target's units: rmse, mae, r2."""
        ones = np.ones((len(self.x_train), 1))
        weights, *_ = np.linalg.lstsq(np.hstack([self.x_train, ones]), self.y_train[:, 0], rcond=None)
        errors = self.x_test @ weights[:-1] + weights[-1] - self.y_test[:, 0]
        loss, variance = float(np.mean(errors**2)), float(np.var(self.y_test))
        return {
            "rmse": math.sqrt(loss) * self.target_scale,
            "mae": float(np.mean(np.abs(errors))) * self.target_scale,
            "r2": 1 - loss / variance if variance else 0.0,
        }

    def about(self) -> dict[str, Any]:
        """What it takes to use a network that was trained on this, as plain JSON."""
        return {
            "columns": list(self.columns),
            "target_name": self.target_name,
            "feature_mean": self.feature_mean.tolist(),
            "feature_scale": self.feature_scale.tolist(),
            "target_mean": self.target_mean,
            "target_scale": self.target_scale,
            "example": (self.x_test[0] * self.feature_scale + self.feature_mean).tolist(),
        }


def load(path: Path) -> Parts | Texts:
    """The data that was saved to *path*."""
    with np.load(path, allow_pickle=False) as stored:
        return Texts.read(stored) if "classes" in stored else Parts.read(stored)


def prepare(config: SweepConfig, fetch: Fetch | None = None) -> Parts | Texts:
    """Load or make the data of *config* and split it; *fetch* brings an uploaded data set.

    The test part is the one that scikit-learn's train_test_split with random_state 42 takes from the whole, the
    validation part likewise from what is left.

    Raises:
        DataError: a file cannot be read or used.
        NotFound: there is no such data set any more.
    """
    if _holds_texts(config, fetch):
        files, keywords = _texts(config, fetch)
        return prepare_texts(files, keywords, config.validation_fraction, config.test_fraction, SPLIT_SEED)
    return split(_table(config, fetch), config)


def _holds_texts(config: SweepConfig, fetch: Fetch | None) -> bool:
    """Whether *config*'s data is texts; a class of the user's own learns from tables too."""
    if config.nn_model != "Custom" or not config.model_class:
        return config.nn_model == "Custom"
    if config.load_data:
        return reads_folder(config)
    if config.dataset in DATASETS or fetch is None:
        return config.dataset == "installed-sources"
    return bool(fetch(config.dataset)[1]["kind"] == "texts")


def split(table: Table, config: SweepConfig) -> Parts:
    """The parts of a table; features, and real targets, are standardised by what the training part knows.

    With cross-validation there is one training and one validation part for each fold, and the rows of all folds
    standardise them, so that every network sees the same units.
    """
    from sklearn.model_selection import KFold, train_test_split

    real = config.load_data or config.dataset != "synthetic"
    rows = np.arange(len(table.features))
    rest, test = train_test_split(rows, test_size=math.ceil(len(rows) * config.test_fraction), random_state=SPLIT_SEED)
    if config.folds > 1:
        folds = KFold(config.folds, shuffle=True, random_state=SPLIT_SEED).split(rest)
        pairs = [(rest[train], rest[val]) for train, val in folds]
        known = rest
    else:
        judging = math.ceil(len(rows) * config.validation_fraction)
        train, val = train_test_split(rest, test_size=judging, random_state=SPLIT_SEED)
        pairs, known = [(train, val)], train
    mean, scale = _standard(table.features[known])
    target_mean, target_scale = (float(part[0]) for part in _standard(table.target[known])) if real else (0.0, 1.0)
    x = ((table.features - mean) / scale).astype(np.float32)
    y = ((table.target - target_mean) / target_scale).astype(np.float32)
    units = (mean, scale, target_mean, target_scale, table.columns, table.target_name)
    made = [Parts(x[train], y[train], x[val], y[val], x[test], y[test], *units) for train, val in pairs]
    return replace(made[0], others=tuple(made[1:]))


def _texts(config: SweepConfig, fetch: Fetch | None) -> tuple[Iterable[TextFile], list[str]]:
    """The text files of *config*'s data, and the keywords that come with them."""
    if config.load_data:
        return read_folder(Path(config.load_data_dir))
    if config.dataset == "installed-sources":
        return installed_sources(SPLIT_SEED), []
    if fetch is None:
        raise DataError(f"the data set {config.dataset!r} is not built in, and nothing here can fetch it")
    path, _ = fetch(config.dataset)
    words = {word for of_language in (read_keywords(path) or {}).values() for word in of_language}
    return (TextFile(*file) for file in read_texts(path)), sorted(words)


def _table(config: SweepConfig, fetch: Fetch | None) -> Table:
    if config.load_data:
        return read_csv(Path(config.load_data_dir), config.target_column)
    if config.dataset == "diabetes":
        return diabetes()
    if config.dataset not in DATASETS:
        if fetch is None:
            raise DataError(f"the data set {config.dataset!r} is not built in, and nothing here can fetch it")
        return open_table(*fetch(config.dataset))
    if config.power_method:
        made = synthetic.powers(config.data_instances, config.data_features, config.add_cosine, config.add_noise)
    else:
        made = synthetic.linear_cosine(config.data_instances, config.data_features)
    return Table(*made, tuple(f"x{i}" for i in range(1, config.data_features + 1)), "y")


def _standard(part: Array) -> tuple[Array, Array]:
    """The mean and deviation of each column; 1 for the deviation of a constant one."""
    mean = part.mean(axis=0, dtype=np.float64)
    scale = part.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    return mean.astype(np.float32), scale.astype(np.float32)
