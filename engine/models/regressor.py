"""The regressor: a feed-forward network that predicts one number.

All parameters of a network lie in one flat vector, layer by layer: one optimizer step is then a handful of
operations whatever the depth, and the vector is the whole checkpoint. Each layer is one matrix that holds its
biases in the last column: every layer but the last has one more unit, which is always 1, fed by a fixed last row.
Matrices are feature-major ([units, batch]), which is twice as fast here as batch-major.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.space import Value, hidden_units

KEEPS_ONE = {"relu": 1.0, "tanh": 20.0}
"""What the activation must be given to return 1."""
GAIN = {"relu": 2.0, "tanh": 1.0}
"""Variance of scaled weights times the layer's inputs: He et al., 2015, and LeCun et al., 1998."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Nodes of every layer, input and output included, and the activation of the hidden ones."""

    nodes: tuple[int, ...]
    activation: str

    @staticmethod
    def of(params: Mapping[str, Value], inputs: int, outputs: int) -> Architecture:
        """The network of a point of the search space."""
        return Architecture((inputs, *hidden_units(params), outputs), str(params["activation"]))

    @property
    def layers(self) -> int:
        """Matrices in the network: the hidden layers and the linear last one."""
        return len(self.nodes) - 1

    @property
    def shapes(self) -> NDArray[np.int32]:
        """The shape of each matrix as it is stored, [layers, 2]."""
        last = self.layers - 1
        return np.array(
            [(out + (layer < last), into + 1) for layer, (into, out) in enumerate(pairwise(self.nodes))], dtype=np.int32
        )

    @property
    def sizes(self) -> NDArray[np.int32]:
        """How many numbers of the flat vector each matrix takes, [layers]."""
        return np.array([out * into for out, into in self.shapes], dtype=np.int32)

    @property
    def learns(self) -> Matrix:
        """1 for each number of the flat vector that is learnt, 0 for the fixed rows."""
        return self._flat([(np.ones((out, into)), np.ones(out), 0.0) for into, out in pairwise(self.nodes)])

    def initial(self, seed: int, weight_init: str) -> Matrix:
        """Fresh parameters, flat; biases are zero.

        Args:
            weight_init: "normal", weights N(0, 1); "scaled", N(0, gain / inputs of the layer).
        """
        rng = np.random.default_rng(seed)
        parts = []
        for into, out in pairwise(self.nodes):
            scale = np.sqrt(GAIN[self.activation] / into) if weight_init == "scaled" else 1.0
            weights = rng.standard_normal(out * into).reshape(out, into) * scale
            parts.append((weights, np.zeros(out), KEEPS_ONE[self.activation]))
        return self._flat(parts)

    def matrices(self, flat: Matrix) -> list[tuple[Matrix, Matrix]]:
        """The weights [out, in] and biases [out] of each layer in a flat vector."""
        pieces = np.split(flat, np.cumsum(self.sizes)[:-1])
        stored = [piece.reshape(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]
        return [(matrix[:out, :-1], matrix[:out, -1]) for matrix, out in zip(stored, self.nodes[1:], strict=True)]

    def predict(self, flat: Matrix, x: Matrix) -> Matrix:
        """The network's output for standardised rows *x* [rows, inputs], in plain numpy; [rows, outputs]."""
        *hidden, (weights, biases) = self.matrices(flat)
        for w, b in hidden:
            x = x @ w.T + b
            x = np.maximum(x, 0) if self.activation == "relu" else np.tanh(x)
        return x @ weights.T + biases

    def _flat(self, parts: list[tuple[NDArray[np.float64], NDArray[np.float64], float]]) -> Matrix:
        """The vector of (weights, biases, the fixed row's last number) of each layer."""
        stored = []
        for shape, (weights, biases, one) in zip(self.shapes, parts, strict=True):
            matrix = np.zeros(shape, dtype=np.float32)
            matrix[: len(biases), :-1] = weights
            matrix[: len(biases), -1] = biases
            matrix[len(biases) :, -1] = one
            stored.append(matrix.ravel())
        return np.concatenate(stored)
