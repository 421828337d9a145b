"""The parts of a data set: training, validation, test; standardised by what the training part knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import SweepConfig
from engine.data import synthetic
from engine.data.check import DATASETS
from engine.data.sources import installed_sources
from engine.data.tables import Table, diabetes, read_csv
from engine.data.texts import TextFile, Texts, prepare_texts, read_folder
from engine.data.uploads import open_table, read_keywords, read_texts
from engine.errors import DataError

SPLIT_SEED = 42

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

    def part(self, name: str) -> tuple[Array, Array]:
        """Features and targets of the part "train", "val" or "test"."""
        return getattr(self, f"x_{name}"), getattr(self, f"y_{name}")

    def save(self, path: Path) -> None:
        """Write all parts to *path*, an .npz file."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @staticmethod
    def read(stored: Mapping[str, Any]) -> Parts:
        """What `save` wrote, from the opened file."""
        values = {field.name: stored[field.name] for field in fields(Parts)}
        for name in ("target_mean", "target_scale"):
            values[name] = float(values[name])
        values["columns"] = tuple(str(name) for name in values["columns"])
        values["target_name"] = str(values["target_name"])
        return Parts(**values)

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
    if config.nn_model == "Custom":
        files, keywords = _texts(config, fetch)
        return prepare_texts(files, keywords, config.validation_fraction, config.test_fraction, SPLIT_SEED)
    return split(_table(config, fetch), config)


def split(table: Table, config: SweepConfig) -> Parts:
    """The parts of a table; real targets are standardised."""
    from sklearn.model_selection import train_test_split

    real = config.load_data or config.dataset != "synthetic"
    rows = len(table.features)
    rest_x, test_x, rest_y, test_y = train_test_split(
        table.features, table.target, test_size=math.ceil(rows * config.test_fraction), random_state=SPLIT_SEED
    )
    train_x, val_x, train_y, val_y = train_test_split(
        rest_x, rest_y, test_size=math.ceil(rows * config.validation_fraction), random_state=SPLIT_SEED
    )
    mean, scale = _standard(train_x)
    target_mean, target_scale = (float(part[0]) for part in _standard(train_y)) if real else (0.0, 1.0)

    def features(part: Array) -> Array:
        return ((part - mean) / scale).astype(np.float32)

    def target(part: Array) -> Array:
        return ((part - target_mean) / target_scale).astype(np.float32)

    return Parts(
        features(train_x),
        target(train_y),
        features(val_x),
        target(val_y),
        features(test_x),
        target(test_y),
        mean,
        scale,
        target_mean,
        target_scale,
        table.columns,
        table.target_name,
    )


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
