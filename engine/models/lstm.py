"""The LSTM classifier: which class a text is of, from a window of its tokens.

A stack of LSTM layers reads the window token by token; the last output of the last layer gives the classes' scores. A
token is one-hot: multiplying it with the first layer's input kernel is taking a row of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.space import SEQUENCE, Value, hidden_units

GATES = 4
FORGET = 1.0
"""Added to the forget gate, so that a fresh network remembers."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stack:
    """The units of each LSTM layer, the numbers a token can have, the classes, and the tokens of a window."""

    units: tuple[int, ...]
    tokens: int
    classes: int
    length: int

    @staticmethod
    def of(params: Mapping[str, Value], tokens: int, classes: int) -> Stack:
        """The network of a point of the search space."""
        return Stack(tuple(hidden_units(params)), tokens, classes, int(params[SEQUENCE]))

    @property
    def layers(self) -> int:
        return len(self.units)

    @property
    def shapes(self) -> NDArray[np.int32]:
        """The shape of each matrix in the flat vector, [2 · layers + 3, 2].

        Of the first layer: input kernel [tokens, 4 units], recurrent kernel [units, 4 units], biases [1, 4 units]. Of
        each other: both kernels in one [units before + units, 4 units], biases. Last, scores [units, classes] and their
        biases [1, classes].
        """
        first, last = self.units[0], self.units[-1]
        shapes = [(self.tokens, GATES * first), (first, GATES * first), (1, GATES * first)]
        for before, units in zip(self.units, self.units[1:], strict=False):
            shapes += [(before + units, GATES * units), (1, GATES * units)]
        return np.array([*shapes, (last, self.classes), (1, self.classes)], dtype=np.int32)

    @property
    def sizes(self) -> NDArray[np.int32]:
        """How many numbers of the flat vector each matrix takes."""
        return np.array([rows * columns for rows, columns in self.shapes], dtype=np.int32)

    def initial(self, seed: int) -> NDArray[np.float32]:
        """Fresh parameters, flat: normal, divided by the square root of the layer's units; biases are zero."""
        rng = np.random.default_rng(seed)
        parts = []
        for rows, columns in self.shapes:
            scale = 0.0 if rows == 1 else 1.0 / np.sqrt(columns / GATES if columns % GATES == 0 else rows)
            parts.append(rng.standard_normal(rows * columns) * scale)
        return np.concatenate(parts).astype(np.float32)

    def scores(self, flat: Matrix, windows: NDArray[np.int32]) -> Matrix:
        """The scores of the classes for *windows* [batch, length] of tokens, in plain numpy; [batch, classes]."""
        pieces = np.split(flat, np.cumsum(self.sizes)[:-1])
        kernel, *matrices = [piece.reshape(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]
        inputs = kernel[windows.T]
        for layer, units in enumerate(self.units):
            recurrent, biases = matrices[2 * layer], matrices[2 * layer + 1]
            if layer > 0:
                inputs = inputs @ recurrent[:-units]
            inputs = _read(inputs + biases, recurrent[-units:])
        scores: Matrix = inputs[-1] @ matrices[-2] + matrices[-1]
        return scores


def _read(inputs: Matrix, recurrent: Matrix) -> Matrix:
    """One layer's outputs [time, batch, units] for its gates' inputs [time, batch, 4 units]."""
    h: Matrix = np.zeros((inputs.shape[1], len(recurrent)), inputs.dtype)
    c = h
    outputs = np.empty((*inputs.shape[:2], len(recurrent)), inputs.dtype)
    for time, x in enumerate(inputs):
        i, g, f, o = np.split(x + h @ recurrent, GATES, axis=1)
        c = _sigmoid(f + np.float32(FORGET)) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        outputs[time] = h
    return outputs


def _sigmoid(z: Matrix) -> Matrix:
    squashed: Matrix = np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * z)
    return squashed
