"""Trained networks as TensorFlow modules that take what a user has: features in their own units, or texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from engine.data.texts import FIRST, MOST_CHARACTERS, OTHER, PADDING
from engine.models.trained import WINDOWS, TrainedClassifier, TrainedRegressor
from engine.training.sequence import LstmClassifier


def regressor(network: TrainedRegressor) -> Any:
    """A module whose `predict` takes features [rows, inputs], float32; {target: [rows]}."""
    about, architecture = network.about, network.architecture
    mean, scale = (np.array(about[key], dtype=np.float32) for key in ("feature_mean", "feature_scale"))
    matrices = architecture.matrices(network.flat)
    activation = {"relu": tf.nn.relu, "tanh": tf.tanh}[architecture.activation]
    module = tf.Module(name="regressor")
    module.weights = [tf.Variable(weights, trainable=False) for weights, _ in matrices]
    module.biases = [tf.Variable(biases, trainable=False) for _, biases in matrices]

    @tf.function(input_signature=[tf.TensorSpec([None, len(mean)], tf.float32, name="features")], autograph=False)
    def predict(features):  # type: ignore[no-untyped-def]
        hidden = (features - mean) / scale
        for layer, (weights, biases) in enumerate(zip(module.weights, module.biases, strict=True)):
            hidden = tf.matmul(hidden if layer == 0 else activation(hidden), weights, transpose_b=True) + biases
        return {about["target_name"]: hidden[:, 0] * about["target_scale"] + about["target_mean"]}

    module.predict = predict
    return module


def classifier(network: TrainedClassifier) -> Any:
    """A module whose `predict` takes texts [count], UTF-8; {label: [count], probabilities: [count, classes]}."""
    stack, classes = network.stack, list(network.about["classes"])
    graph = LstmClassifier(stack)
    module = tf.Module(name="classifier")
    module.parameters = tf.Variable(network.flat, trainable=False)
    vocabulary = tf.constant(list(network.about["vocabulary"]))
    module.numbers = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(vocabulary, tf.range(FIRST, FIRST + len(network.about["vocabulary"]))),
        OTHER,
    )
    labels = tf.constant(classes)

    def one(text: Any) -> Any:
        """The mean scores of a text's windows, [classes]."""
        text = tf.strings.substr(text, 0, MOST_CHARACTERS, unit="UTF8_CHAR")
        apart = tf.strings.regex_replace(text, "([a-zA-Z0-9]+|[^a-zA-Z0-9 ])", r" \1 ")
        tokens = module.numbers.lookup(tf.strings.split(apart))
        missing = tf.maximum(stack.length - tf.shape(tokens)[0], 0)
        padded = tf.concat([tf.fill([missing], PADDING), tokens], 0)
        spare = tf.shape(padded)[0] - stack.length
        windows = [tf.slice(padded, [spare * number // (WINDOWS - 1)], [stack.length]) for number in range(WINDOWS)]
        arguments = [tf.constant(argument) for argument in graph.arguments]
        return tf.reduce_mean(graph.scores(module.parameters, arguments, tf.stack(windows)), 0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")], autograph=False)
    def predict(texts):  # type: ignore[no-untyped-def]
        scores = tf.map_fn(one, texts, fn_output_signature=tf.TensorSpec([len(classes)], tf.float32))
        return {"label": tf.gather(labels, tf.argmax(scores, axis=1)), "probabilities": tf.nn.softmax(scores)}

    module.predict = predict
    return module
