"""A trained network, ready to predict: its parameters and the normalisation of its data. Plain numpy.

`about` is what `Parts.about` or `Texts.about` gave, `params` the point of the search space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.texts import FIRST, PADDING, encode, numbers_of
from engine.errors import DataError
from engine.models.lstm import Stack
from engine.models.regressor import Architecture

WINDOWS = 4
"""Windows of a text, evenly spread, whose scores are averaged."""


@dataclass(frozen=True, slots=True)
class TrainedRegressor:
    """Predicts the target, in its own units, from features in theirs."""

    params: Mapping[str, Any]
    about: Mapping[str, Any]
    flat: NDArray[np.float32]

    @property
    def architecture(self) -> Architecture:
        return Architecture.of(self.params, len(self.about["feature_mean"]), 1)

    def predict(self, rows: Sequence[Sequence[float]]) -> list[float]:
        """The prediction for each row of features.

        Raises:
            DataError: a row has another number of features, or something that is not a finite number.
        """
        mean, scale = (np.array(self.about[key], dtype=np.float32) for key in ("feature_mean", "feature_scale"))
        for number, row in enumerate(rows, start=1):
            if len(row) != len(mean):
                raise DataError(f"row {number} has {len(row)} values; the model takes {len(mean)} features")
        x = np.array(rows, dtype=np.float32).reshape(len(rows), len(mean))
        if not np.isfinite(x).all():
            raise DataError("every value must be a finite number")
        predicted = self.architecture.predict(self.flat, (x - mean) / scale)[:, 0]
        return [float(value) for value in predicted * self.about["target_scale"] + self.about["target_mean"]]


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """Predicts the class of a text."""

    params: Mapping[str, Any]
    about: Mapping[str, Any]
    flat: NDArray[np.float32]

    @property
    def stack(self) -> Stack:
        return Stack.of(self.params, FIRST + len(self.about["vocabulary"]), len(self.about["classes"]))

    def predict(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """The probability of each class for each text.

        Raises:
            DataError: a text without a token.
        """
        numbers, stack = numbers_of(self.about["vocabulary"]), self.stack
        found = []
        for number, text in enumerate(texts, start=1):
            tokens = encode(text, numbers)
            if not tokens:
                raise DataError(f"text {number} is empty")
            scores = stack.scores(self.flat, windows(tokens, stack.length)).mean(axis=0)
            powers = np.exp(scores - scores.max())
            shares = powers / powers.sum()
            found.append({label: float(share) for label, share in zip(self.about["classes"], shares, strict=True)})
        return found


def windows(tokens: Sequence[int], length: int) -> NDArray[np.int32]:
    """WINDOWS windows of *length* tokens, evenly spread; a shorter text is padded in front."""
    padded = np.array([PADDING] * max(0, length - len(tokens)) + list(tokens), dtype=np.int32)
    spare = len(padded) - length
    return np.array([padded[spare * n // (WINDOWS - 1) : spare * n // (WINDOWS - 1) + length] for n in range(WINDOWS)])


def must_be_built_in(config: Mapping[str, Any]) -> None:
    """
    Raises:
        DataError: the sweep trained a class of the user's own, which runs in TensorFlow alone.
    """
    if config.get("model_class"):
        raise DataError(
            f"the sweep trains {config['model_class']}; models of one's own classes can be neither downloaded nor "
            "tried here yet"
        )


def trained(model: str, params: Mapping[str, Any], about: Mapping[str, Any], parameters: bytes) -> Any:
    """The trained network of a trial: `TrainedRegressor` or `TrainedClassifier`."""
    kind = TrainedRegressor if model == "Regressor" else TrainedClassifier
    return kind(params, about, np.frombuffer(parameters, dtype=np.float32))
