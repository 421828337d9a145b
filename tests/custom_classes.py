"""A file as an administrator uploads it: a good class, and classes that go wrong in every way, for tests."""

SOURCE = '''
import numpy as np
import tensorflow as tf

from engine.space import Categorical, Float, Int


class Line:
    """A linear model with a bend."""

    axes = {"width": Int(2, 8), "bend": Float(0.01, 1.0, log=True), "kind": Categorical(("tanh", "relu"))}
    units = {"loss": 2, "mae": 1}

    def build(self, params, shape, rng):
        width = params["width"]
        return {
            "in": rng.standard_normal((shape.inputs, width)).astype(np.float32) * 0.5,
            "out": rng.standard_normal(width) * 0.5,
        }

    def forward(self, variables, x, params):
        squash = {"tanh": tf.tanh, "relu": tf.nn.relu}[params["kind"]]
        inner = tf.matmul(x, variables["in"])
        return tf.linalg.matvec(inner + params["bend"] * squash(inner), variables["out"])

    def loss(self, outputs, y):
        return tf.square(outputs - y)

    def metrics(self, outputs, y):
        return {"mae": tf.reduce_mean(tf.abs(outputs - y))}


class Breaks(Line):
    """Goes wrong in `build` when its width is odd."""

    axes = {"width": Int(2, 8)}

    def build(self, params, shape, rng):
        if params["width"] % 2:
            raise RuntimeError("an odd width is not for me")
        return super().build({**params}, shape, rng)

    def forward(self, variables, x, params):
        return super().forward(variables, x, {"kind": "tanh", "bend": 0.1})


class Nameless(Line):
    axes = {"batch_size": Int(1, 2)}
'''
