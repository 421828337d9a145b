"""The LSTM classifier's graph: windows drawn from files, stacked LSTM layers, softmax cross-entropy.

TensorFlow's fused BlockLSTM runs a layer over all time steps in one operation. Its second version's gradient is wrong;
this is the first, with the gates in the order input, cell, forget, output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import raw_ops as raw

from engine.models.lstm import FORGET, GATES, Stack
from engine.training.network import Data, Graph, Rows, Table
from engine.training.windows import ROWS, WINDOWS, draw, spread, text_tables, weights


class LstmClassifier:
    """A stack of LSTM layers; its rows are (tokens [batch, length], class [batch])."""

    lasting = True
    units: ClassVar[Mapping[str, int]] = {}

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
        """As `text_tables`."""
        return text_tables(data, part)

    def rows(self, tables: Sequence[Graph], batch: Graph, key: Graph, step: Graph, arguments: Sequence[Graph]) -> Rows:
        """Windows of files, as `draw` gives them."""
        return draw(tables, batch, key, step, arguments[2])

    def gradient(self, flat: Graph, arguments: Sequence[Graph], rows: Rows, of: Graph = None) -> tuple[Graph, Graph]:
        with tf.GradientTape() as tape:
            tape.watch(flat)
            losses = self._losses(self.scores(flat, arguments, rows[0]), rows[1])
            loss = tf.reduce_sum(losses) / tf.cast(tf.shape(losses)[0] if of is None else of, flat.dtype)
        return loss, tape.gradient(loss, flat)

    def measure(self, flat: Graph, arguments: Sequence[Graph], tables: Sequence[Graph]) -> dict[str, Graph]:
        """Loss, error rate and confusion [true, predicted] of WINDOWS windows of each file, every class weighing the
        same."""
        starts, labels = tables[1], tables[3]
        total = tf.shape(starts)[0] * WINDOWS
        weight_of = weights(tables)

        def body(first: Graph, loss: Graph, confusion: Graph) -> tuple[Graph, Graph, Graph]:
            index = tf.range(first, tf.minimum(first + ROWS, total))
            windows, file = spread(tables, index, arguments[2])
            scores = self.scores(flat, arguments, windows)
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
        hidden = _first_lstm(tf.gather(kernel, tf.transpose(windows)), recurrent, others[0])
        for matrix, biases in zip(others[1:-2:2], others[2:-2:2], strict=True):
            hidden = _lstm(hidden, matrix, biases)
        return tf.matmul(hidden[-1], others[-2]) + others[-1]


def _lstm(inputs: Graph, kernel: Graph, biases: Graph) -> Graph:
    """One LSTM layer: [time, batch, units] of *inputs* [time, batch, width], *kernel* [width + units, 4 units]."""
    return _block(inputs, kernel, biases).h


def _block(inputs: Graph, kernel: Graph, biases: Graph) -> Any:
    """A layer's outputs with everything that its gradient needs."""
    units = tf.shape(kernel)[1] // GATES
    zeros = tf.zeros([tf.shape(inputs)[1], units])
    unused = tf.zeros([units])
    return raw.BlockLSTM(
        seq_len_max=tf.cast(tf.shape(inputs)[0], tf.int64), x=inputs, cs_prev=zeros, h_prev=zeros, w=kernel,
        wci=unused, wcf=unused, wco=unused, b=biases[0], forget_bias=FORGET, cell_clip=-1.0, use_peephole=False,
    )  # fmt: skip


@tf.custom_gradient
def _first_lstm(gates: Graph, recurrent: Graph, biases: Graph) -> Any:
    """The first LSTM layer, whose input kernel's rows *gates* [time, batch, 4 units] are its gates' inputs already.

    The fused operation must be told to pass them on as they are, by an identity as its input kernel. Its own gradient
    would then spend most of its time on that identity; this one does not know of it.
    """
    width = tf.shape(gates)[2]
    kernel = tf.concat([tf.eye(width), recurrent], 0)
    made = _block(gates, kernel, biases)

    def gradient(slopes: Graph) -> tuple[Graph, Graph, Graph]:
        length, batch = tf.shape(gates)[0], tf.shape(gates)[1]
        zeros = tf.zeros([batch, width // GATES])
        unused = tf.zeros([width // GATES])
        no_input = tf.zeros([batch, width])

        def body(time: Graph, h_slope: Graph, c_slope: Graph, gate_slopes: Graph) -> tuple[Graph, ...]:
            before = tf.cond(time > 0, lambda: made.cs[time - 1], lambda: zeros)
            found = raw.LSTMBlockCellGrad(
                x=no_input, cs_prev=before, h_prev=zeros, w=kernel, wci=unused, wcf=unused, wco=unused, b=biases[0],
                i=made.i[time], cs=made.cs[time], f=made.f[time], o=made.o[time], ci=made.ci[time], co=made.co[time],
                cs_grad=c_slope, h_grad=slopes[time] + h_slope, use_peephole=False,
            )  # fmt: skip
            back = tf.matmul(found.dicfo, recurrent, transpose_b=True)
            return time - 1, back, found.cs_prev_grad, gate_slopes.write(time, found.dicfo)

        start = (length - 1, zeros, zeros, tf.TensorArray(tf.float32, size=length))
        *_, gate_slopes = tf.while_loop(lambda time, *_: time >= 0, body, start, parallel_iterations=1)
        every = gate_slopes.stack()
        flat = tf.reshape(every, [-1, width])
        earlier = tf.reshape(tf.concat([zeros[tf.newaxis], made.h[:-1]], 0), [-1, width // GATES])
        return every, tf.matmul(earlier, flat, transpose_a=True), tf.reduce_sum(flat, 0, keepdims=True)

    return made.h, gradient
