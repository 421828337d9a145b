"""The regressor's graph: forward, squared error, and its gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import raw_ops as raw

from engine.data.parts import Parts
from engine.models.regressor import Architecture
from engine.training.network import VECTOR, Data, Graph, Rows, Table, sample


class Regression:
    """A feed-forward network; its rows are (inputs and a 1 [batch, inputs + 1], target [batch])."""

    lasting = True
    units: ClassVar[Mapping[str, int]] = {"loss": 2, "mae": 1}

    def __init__(self, architecture: Architecture, weight_init: str) -> None:
        self._architecture = architecture
        self._weight_init = weight_init
        self._layers = architecture.layers
        self._relu = architecture.activation == "relu"
        self.key = (architecture.layers, architecture.activation)
        self.arguments: tuple[NDArray[Any], ...] = (architecture.sizes, architecture.shapes, architecture.learns)

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """(sizes, shapes, learns) of `Architecture`"""
        return [tf.TensorSpec([self._layers], tf.int32), tf.TensorSpec([self._layers, 2], tf.int32), VECTOR]

    def initial(self, seed: int) -> NDArray[np.float32]:
        return self._architecture.initial(seed, self._weight_init)

    def tables(self, data: Data, part: str) -> list[Table]:
        assert isinstance(data, Parts)  # noqa: S101 - `accept` sees to it
        x, y = data.part(part)
        return [np.concatenate([x, np.ones((len(x), 1), x.dtype)], axis=1), y[:, 0]]

    def rows(self, tables: Sequence[Graph], batch: Graph, key: Graph, step: Graph, arguments: Sequence[Graph]) -> Rows:
        return sample(tables, batch, key, step)

    def measure(self, flat: Graph, arguments: Sequence[Graph], tables: Sequence[Graph]) -> dict[str, Graph]:
        """Mean squared and mean absolute error, and the part of the variance that is explained (R²)."""
        errors = self._errors(self._unpack(flat, *arguments[:2]), tables)[0]
        loss = tf.reduce_mean(tf.square(errors))
        variance = tf.math.reduce_variance(tables[1])
        return {"loss": loss, "mae": tf.reduce_mean(tf.abs(errors)), "r2": 1.0 - tf.math.divide_no_nan(loss, variance)}

    def gradient(self, flat: Graph, arguments: Sequence[Graph], rows: Rows, of: Graph = None) -> tuple[Graph, Graph]:
        """Backpropagation by hand: the tape's takes twice as many operations, and these networks are so small that an
        operation costs more than its arithmetic."""
        sizes, shapes, learns = arguments
        x, y = rows
        matrices = self._unpack(flat, sizes, shapes)
        errors, given = self._errors(matrices, rows)
        share = 2.0 / tf.cast(tf.shape(y)[0] if of is None else of, flat.dtype)
        loss = raw.L2Loss(t=errors) * share
        slope = errors * share
        slopes = []
        for matrix, hidden in zip(matrices[:0:-1], given[:0:-1], strict=True):
            slopes.append(tf.reshape(tf.matmul(slope, hidden, transpose_b=True), [-1]))
            slope = tf.matmul(matrix, slope, transpose_a=True)
            slope = raw.ReluGrad(gradients=slope, features=hidden) if self._relu else raw.TanhGrad(y=hidden, dy=slope)
        slopes.append(tf.reshape(tf.matmul(slope, x), [-1]))
        return loss, tf.concat(slopes[::-1], 0) * learns

    def _unpack(self, flat: Graph, sizes: Graph, shapes: Graph) -> list[Graph]:
        """The matrices in a flat vector, as `Architecture` stores them."""
        pieces = tf.split(flat, sizes, num=self._layers)
        return [tf.reshape(*pair) for pair in zip(pieces, tf.unstack(shapes, num=self._layers), strict=True)]

    def _errors(self, matrices: list[Graph], rows: Rows) -> tuple[Graph, list[Graph]]:
        """Predictions less targets [outputs, batch], and what each layer was given."""
        x, y = rows
        given = [x]
        hidden = tf.matmul(matrices[0], x, transpose_b=True)
        for matrix in matrices[1:]:
            given.append(raw.Relu(features=hidden) if self._relu else raw.Tanh(x=hidden))
            hidden = tf.matmul(matrix, given[-1])
        return hidden - y, given
