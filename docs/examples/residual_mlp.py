"""A residual network for tables: gated blocks around a stream of constant width.

As `nn_model: Custom` and `model_class: docs.examples.residual_mlp:ResidualMLP`.
"""

import numpy as np
import tensorflow as tf

from engine.space import Float, Int


class ResidualMLP:
    """h ← h + sigmoid(h G) · tanh(h V) W, *blocks* times, with dropout inside each block."""

    axes = {"width": Int(8, 64), "blocks": Int(1, 4), "dropout": Float(0.0, 0.3)}
    units = {"loss": 2, "mae": 1}

    def build(self, params, shape, rng):
        width = params["width"]

        def matrix(rows, columns, gain=1.0):
            return (rng.standard_normal((rows, columns)) * gain / np.sqrt(rows)).astype(np.float32)

        variables = {"in": matrix(shape.inputs, width), "out": matrix(width, shape.outputs), "bias": np.zeros(1)}
        for block in range(params["blocks"]):
            variables[f"gate_{block}"] = matrix(width, width)
            variables[f"value_{block}"] = matrix(width, width)
            variables[f"back_{block}"] = matrix(width, width, gain=0.5)
        return variables

    def forward(self, variables, x, params, chance):
        hidden = tf.matmul(x, variables["in"])
        for block in range(params["blocks"]):
            gate = tf.sigmoid(tf.matmul(hidden, variables[f"gate_{block}"]))
            inner = gate * tf.tanh(tf.matmul(hidden, variables[f"value_{block}"]))
            if chance is not None:
                inner = tf.nn.experimental.stateless_dropout(inner, params["dropout"], seed=chance + [block, 0])
            hidden += tf.matmul(inner, variables[f"back_{block}"])
        return tf.matmul(hidden, variables["out"])[:, 0] + variables["bias"]

    def loss(self, outputs, y):
        return tf.square(outputs - y)

    def metrics(self, outputs, y):
        errors = outputs - y
        explained = 1.0 - tf.math.divide_no_nan(tf.reduce_mean(errors**2), tf.math.reduce_variance(y))
        return {"mae": tf.reduce_mean(tf.abs(errors)), "r2": explained}
