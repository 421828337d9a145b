"""A convolutional network that finds the class of a text.

As `nn_model: Custom` and `model_class: docs.examples.text_cnn:TextCNN`, with a data set of texts.
"""

import numpy as np
import tensorflow as tf

from engine.space import Categorical, Int


class TextCNN:
    """Tokens → vectors → a convolution over each few neighbours → the strongest answer of each filter → classes."""

    axes = {
        "width": Int(8, 32),
        "filters": Int(16, 64),
        "kernel": Int(2, 5),
        "pooling": Categorical(("max", "mean")),
        "sequence_length": Int(40, 120),  # so many tokens are read at once
    }

    def build(self, params, shape, rng):
        width, filters, kernel = params["width"], params["filters"], params["kernel"]

        def normal(*size, scale):
            return (rng.standard_normal(size) * scale).astype(np.float32)

        return {
            "tokens": normal(shape.inputs, width, scale=0.3),
            "kernel": normal(kernel, width, filters, scale=np.sqrt(2 / (kernel * width))),
            "biases": np.zeros(filters),
            "scores": normal(filters, shape.outputs, scale=np.sqrt(1 / filters)),
        }

    def forward(self, variables, x, params):
        vectors = tf.gather(variables["tokens"], x)
        found = tf.nn.relu(tf.nn.conv1d(vectors, variables["kernel"], stride=1, padding="SAME") + variables["biases"])
        pooled = tf.reduce_max(found, axis=1) if params["pooling"] == "max" else tf.reduce_mean(found, axis=1)
        return tf.matmul(pooled, variables["scores"])

    def loss(self, outputs, y):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=outputs)
