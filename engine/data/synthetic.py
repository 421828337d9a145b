"""The synthetic regression problems, from numpy's legacy generator so that a seed gives the known arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEED = 1234


def bounded_cosine(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """cos(1 / (|x| + 0.75)), element by element."""
    return np.asarray(np.cos(1.0 / (np.abs(x) + 0.75)))


def linear_cosine(instances: int, features: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The default family: f = normal·2, y = cos(1 / (|f·c| + 0.75)).

    Returns:
        features [instances, features] and target [instances, 1], float32.
    """
    rng = np.random.RandomState(SEED)
    table = rng.normal(size=(instances, features)) * 2
    coefficients = rng.normal(size=(features, 1))
    return table.astype(np.float32), bounded_cosine(table @ coefficients).astype(np.float32)


def powers(
    instances: int, features: int, cosine: bool, noise: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The power method: features x¹ … x^M of one normal x (or their bounded cosine), a target linear in them.

    Args:
        cosine: the features are cos(1 / (|x|ᵏ + 0.75)) of the powers.
        noise: normal noise of deviation 2 is added to the target.

    Returns:
        features [instances, features] and target [instances, 1], float32.
    """
    rng = np.random.RandomState(SEED)
    x = rng.normal(size=(instances, 1))
    coefficients = rng.normal(size=(features, 1))
    table = np.power(x, np.arange(1, features + 1))
    if cosine:
        table = bounded_cosine(table)
    target = table @ coefficients
    if noise:
        target = target + rng.normal(size=(instances, 1)) * 2
    return table.astype(np.float32), target.astype(np.float32)
