"""The LSTM classifier's graph: windows drawn from files, stacked LSTM layers, softmax cross-entropy.

TensorFlow's fused BlockLSTM runs a layer over all time steps in one operation. Its second version's gradient is wrong;
this is the first, with the gates in the order input, cell, forget, output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import raw_ops as raw

from engine.data.texts import PADDING, Texts
from engine.models.lstm import FORGET, Stack
from engine.training.network import Data, Graph, Rows, Table, uniform

WINDOWS = 4
"""Windows of each file that a part is measured on, evenly spread."""
ROWS = 250
"""Windows that are measured at once."""


class LstmClassifier:
    """A stack of LSTM layers; its rows are (tokens [batch, length], class [batch])."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._layers = stack.layers
        self._classes = stack.classes
        self.key = ("lstm", stack.layers, stack.classes)
        self.arguments: tuple[NDArray[Any], ...] = (stack.sizes, stack.shapes, np.array(stack.length, dtype=np.int32))

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """(sizes, shapes, length) of `Stack`"""
        matrices = 2 * self._layers + 3
        return [
            tf.TensorSpec([matrices], tf.int32), tf.TensorSpec([matrices, 2], tf.int32), tf.TensorSpec([], tf.int32)
        ]  # fmt: skip

    def initial(self, seed: int) -> NDArray[np.float32]:
        return self._stack.initial(seed)

    def tables(self, data: Data, part: str) -> list[Table]:
        """(tokens, starts, lengths, labels) of `TextPart`, and the first file and number of files of each class."""
        assert isinstance(data, Texts)  # noqa: S101 - `accept` sees to it
        texts = data.part(part)
        counts = np.bincount(texts.labels, minlength=len(data.classes)).astype(np.int32)
        firsts = (np.cumsum(counts) - counts).astype(np.int32)
        present = np.flatnonzero(counts)
        return [texts.tokens, texts.starts, texts.lengths, texts.labels, firsts[present], counts[present]]

    def rows(self, tables: Sequence[Graph], batch: Graph, key: Graph, step: Graph, arguments: Sequence[Graph]) -> Rows:
        """A class is drawn, then one of its files, then a window of it: so the classes are balanced."""
        tokens, starts, lengths, labels, firsts, counts = tables
        length = arguments[2]
        drawn = [uniform(batch, key, step, stream) for stream in range(3)]
        place = _scaled(drawn[0], tf.fill([batch], tf.shape(firsts)[0]))
        file = tf.gather(firsts, place) + _scaled(drawn[1], tf.gather(counts, place))
        spare = tf.maximum(tf.gather(lengths, file) - length, 0)
        offset = _scaled(drawn[2], spare + 1)
        return [_windows(tokens, starts, lengths, file, offset, length), tf.gather(labels, file)]

    def gradient(self, flat: Graph, arguments: Sequence[Graph], rows: Rows, of: Graph = None) -> tuple[Graph, Graph]:
        with tf.GradientTape() as tape:
            tape.watch(flat)
            losses = self._losses(self.scores(flat, arguments, rows[0]), rows[1])
            loss = tf.reduce_sum(losses) / tf.cast(tf.shape(losses)[0] if of is None else of, flat.dtype)
        return loss, tape.gradient(loss, flat)

    def measure(self, flat: Graph, arguments: Sequence[Graph], tables: Sequence[Graph]) -> dict[str, Graph]:
        """Loss, error rate and confusion [true, predicted] of WINDOWS windows of each file, every class weighing the
        same."""
        tokens, starts, lengths, labels, _, counts = tables
        length = arguments[2]
        total = tf.shape(starts)[0] * WINDOWS
        weights = 1.0 / (tf.cast(tf.shape(counts)[0], tf.float32) * WINDOWS * tf.cast(counts, tf.float32))
        weight_of = tf.repeat(weights, counts)

        def body(first: Graph, loss: Graph, confusion: Graph) -> tuple[Graph, Graph, Graph]:
            index = tf.range(first, tf.minimum(first + ROWS, total))
            file = index // WINDOWS
            spare = tf.maximum(tf.gather(lengths, file) - length, 0)
            offset = spare * (index % WINDOWS) // (WINDOWS - 1)
            scores = self.scores(flat, arguments, _windows(tokens, starts, lengths, file, offset, length))
            truth, weight = tf.gather(labels, file), tf.gather(weight_of, file)
            found = tf.argmax(scores, axis=1, output_type=tf.int32)
            cell = tf.math.unsorted_segment_sum(weight, truth * self._classes + found, self._classes**2)
            return first + ROWS, loss + tf.reduce_sum(self._losses(scores, truth) * weight), confusion + cell

        start = (tf.constant(0), tf.constant(0.0), tf.zeros([self._classes**2]))
        _, loss, cells = tf.while_loop(lambda first, *_: first < total, body, start, parallel_iterations=1)
        confusion = tf.reshape(cells, [self._classes, self._classes])
        return {"loss": loss, "error": 1.0 - tf.linalg.trace(confusion), "confusion": confusion}

    @staticmethod
    def _losses(scores: Graph, labels: Graph) -> Graph:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=scores)

    def scores(self, flat: Graph, arguments: Sequence[Graph], windows: Graph) -> Graph:
        """The scores of the classes, [batch, classes]."""
        sizes, shapes, _ = arguments
        count = 2 * self._layers + 3
        pieces = tf.split(flat, sizes, num=count)
        kernel, recurrent, *others = [
            tf.reshape(piece, shape) for piece, shape in zip(pieces, tf.unstack(shapes, num=count), strict=True)
        ]
        # The input kernel's rows stand in for the input, so that the layer itself must pass them on as they are.
        hidden = _lstm(
            tf.gather(kernel, tf.transpose(windows)),
            tf.concat([tf.eye(tf.shape(kernel)[1]), recurrent], 0),
            others[0],
        )
        for matrix, biases in zip(others[1:-2:2], others[2:-2:2], strict=True):
            hidden = _lstm(hidden, matrix, biases)
        return tf.matmul(hidden[-1], others[-2]) + others[-1]


def _lstm(inputs: Graph, kernel: Graph, biases: Graph) -> Graph:
    """One LSTM layer: [time, batch, units] of *inputs* [time, batch, width], *kernel* [width + units, 4 units]."""
    units = tf.shape(kernel)[1] // 4
    zeros = tf.zeros([tf.shape(inputs)[1], units])
    unused = tf.zeros([units])
    return raw.BlockLSTM(
        seq_len_max=tf.cast(tf.shape(inputs)[0], tf.int64), x=inputs, cs_prev=zeros, h_prev=zeros, w=kernel,
        wci=unused, wcf=unused, wco=unused, b=biases[0], forget_bias=FORGET, cell_clip=-1.0, use_peephole=False,
    ).h  # fmt: skip


def _windows(tokens: Graph, starts: Graph, lengths: Graph, file: Graph, offset: Graph, length: Graph) -> Graph:
    """Windows of *length* tokens of each *file* [batch] from *offset*; a shorter file is padded in front."""
    missing = tf.maximum(length - tf.gather(lengths, file), 0)
    position = tf.range(length)[tf.newaxis] - missing[:, tf.newaxis]
    index = (tf.gather(starts, file) + offset)[:, tf.newaxis] + tf.maximum(position, 0)
    return tf.where(position < 0, PADDING, tf.gather(tokens, index))


def _scaled(drawn: Graph, limit: Graph) -> Graph:
    """A whole number from 0 to *limit*, excluded, for each number *drawn* from [0, 1)."""
    return tf.minimum(tf.cast(drawn * tf.cast(limit, tf.float32), tf.int32), limit - 1)
