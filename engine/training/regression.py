"""The traced functions of the regressor: forward, loss, gradient, and a chunk of training steps.

One function for each (number of layers, activation); widths, optimizer, learning rate, batch size, seed and steps
are its arguments, so a new architecture of a known depth costs no tracing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from engine.data import Parts
from engine.training import update

SMOOTHING = 0.02
"""Weight of the newest mini-batch's loss in the smoothed loss."""
STILL_STEPS = 50
"""Training has converged when the smoothed loss has stood still for so many steps in a row."""

ACTIVATIONS = {"relu": tf.nn.relu, "tanh": tf.tanh}


def unpack(flat: Any, sizes: Any, shapes: Any, layers: int) -> list[Any]:
    """The matrices and biases in a flat vector: W [out, in], b [out, 1], W, b, …"""
    pieces = tf.split(flat, sizes, num=2 * layers)
    parts = []
    for layer in range(layers):
        parts.append(tf.reshape(pieces[2 * layer], shapes[layer]))
        parts.append(tf.expand_dims(pieces[2 * layer + 1], 1))
    return parts


def forward(parts: list[Any], x: Any, activation: str) -> Any:
    """Predictions [outputs, batch] of the network for rows *x* [batch, inputs]."""
    act = ACTIVATIONS[activation]
    hidden = tf.matmul(parts[0], x, transpose_b=True) + parts[1]
    for w, b in zip(parts[2::2], parts[3::2], strict=True):
        hidden = tf.matmul(w, act(hidden)) + b
    return hidden


def squared_error(parts: list[Any], x: Any, y: Any, activation: str, of: Any = None) -> Any:
    """The squared error of rows *x* [batch, inputs], *y* [batch, 1], divided by *of* rows (these); a scalar."""
    errors = tf.square(forward(parts, x, activation) - tf.transpose(y))
    return tf.reduce_mean(errors) if of is None else tf.reduce_sum(errors) / of


def sample(x: Any, y: Any, batch: Any, seed: Any, step: Any) -> tuple[Any, Any]:
    """A mini-batch drawn with replacement: a function of (seed, step) alone."""
    rows = tf.random.stateless_uniform([batch], seed=tf.stack([seed, step]), maxval=x.shape[0], dtype=tf.int32)
    return tf.gather(x, rows), tf.gather(y, rows)


def gradient(
    flat: Any, sizes: Any, shapes: Any, layers: int, activation: str, x: Any, y: Any, of: Any = None
) -> tuple[Any, Any]:
    """The `squared_error` of a mini-batch and its gradient, flat."""
    parts = unpack(flat, sizes, shapes, layers)
    with tf.GradientTape() as tape:
        tape.watch(parts)
        loss = squared_error(parts, x, y, activation, of)
    gradients = tape.gradient(loss, parts)
    return loss, tf.concat([tf.reshape(part, [-1]) for part in gradients], 0)


def smoothed(losses: NDArray[np.float32], smooth: np.float32, still: int, tolerance: float) -> tuple[np.float32, int]:
    """The smoothed loss after *losses*, and the steps in a row in which it stood still; as in `Chunks`."""
    for loss in losses:
        before, smooth = smooth, loss if smooth < 0 else smooth + np.float32(SMOOTHING) * (loss - smooth)
        still = still + 1 if abs(smooth - before) <= tolerance else 0
        if still >= STILL_STEPS:
            break
    return smooth, still


def signature(*shapes_and_types: tuple[Any, Any]) -> list[Any]:
    """The input signature of a traced function."""
    return [tf.TensorSpec(shape, dtype) for shape, dtype in shapes_and_types]


class Chunks:
    """Chunks of training steps on one process, traced as they are needed."""

    def __init__(self, data: Parts) -> None:
        self._x, self._y = tf.constant(data.x_train), tf.constant(data.y_train)
        self._x_val, self._y_val = tf.constant(data.x_val), tf.constant(data.y_val)
        self._traced: dict[tuple[int, str], Any] = {}

    def __getitem__(self, key: tuple[int, str]) -> Any:
        """The chunk function of networks with (layers, activation):

        (flat, m, v, smooth, still, step, stop, sizes, shapes, rule, batch, seed, tolerance)
        → (flat, m, v, smooth, still, step, mean training loss, validation loss)

        *smooth* is the exponentially smoothed training loss (negative: not begun), *still* counts the steps in
        a row in which it changed by no more than *tolerance*; the chunk ends at STILL_STEPS of them.
        """
        if key not in self._traced:
            self._traced[key] = self._trace(*key)
        return self._traced[key]

    def _trace(self, layers: int, activation: str) -> Any:
        vector: Any = ([None], tf.float32)
        number: Any = ([], tf.float32)
        whole: Any = ([], tf.int32)

        @tf.function(
            autograph=False,
            input_signature=signature(
                vector, vector, vector, number, whole, whole, whole, ([2 * layers], tf.int32),
                ([layers, 2], tf.int32), ([7], tf.float32), whole, whole, number,
            ),
        )  # fmt: skip
        def chunk(  # type: ignore[no-untyped-def]
            flat, m, v, smooth, still, first, stop, sizes, shapes, rule, batch, seed, tolerance
        ):
            def body(step, flat, m, v, smooth, still, total):  # type: ignore[no-untyped-def]
                x, y = sample(self._x, self._y, batch, seed, step)
                loss, slope = gradient(flat, sizes, shapes, layers, activation, x, y)
                flat, m, v = update.apply(rule, step, flat, m, v, slope)
                smoother = tf.where(smooth < 0, loss, smooth + SMOOTHING * (loss - smooth))
                still = tf.where(tf.abs(smoother - smooth) <= tolerance, still + 1, 0)
                return step + 1, flat, m, v, smoother, still, total + loss

            step, flat, m, v, smooth, still, total = tf.while_loop(
                lambda step, flat, m, v, smooth, still, total: (step < stop) & (still < STILL_STEPS),
                body,
                (first, flat, m, v, smooth, still, tf.constant(0.0)),
                parallel_iterations=1,
            )
            parts = unpack(flat, sizes, shapes, layers)
            val = squared_error(parts, self._x_val, self._y_val, activation)
            mean = tf.math.divide_no_nan(total, tf.cast(step - first, tf.float32))
            return flat, m, v, smooth, still, step, mean, val

        return chunk
