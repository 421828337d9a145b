"""The optimizers' common rule, against plain numpy and against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

RATE, STEPS, SIZE = 0.01, 50, 12

Vector = NDArray[np.float64]


def gradient(w: Vector, step: int) -> Vector:
    """Of an uneven quadratic bowl with a little ripple."""
    return np.linspace(0.1, 5, SIZE) * (w - 1.5) + 0.3 * np.sin(step + np.arange(SIZE))


def adam(steps: int) -> Vector:
    """Kingma & Ba, 2015, algorithm 1, in its efficient order (section 2)."""
    w, m, v = np.zeros(SIZE), np.zeros(SIZE), np.zeros(SIZE)
    for t in range(1, steps + 1):
        g = gradient(w, t - 1)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        w = w - RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
    return w


def sgd(steps: int) -> Vector:
    w = np.zeros(SIZE)
    for step in range(steps):
        w = w - RATE * gradient(w, step)
    return w


def adagrad(steps: int) -> Vector:
    """Duchi, Hazan & Singer, 2011, with TensorFlow's initial accumulator."""
    w, v = np.zeros(SIZE), np.full(SIZE, 0.1)
    for step in range(steps):
        g = gradient(w, step)
        v = v + g**2
        w = w - RATE * g / np.sqrt(v)
    return w


PLAIN = {"Adam": adam, "sgd": sgd, "Adagrad": adagrad}


def ours(name: str) -> Vector:
    import tensorflow as tf

    from engine.training.update import RULES, apply, rates

    rule = RULES[name]
    vector = tf.constant(rule.vector(RATE))
    w, m = tf.zeros(SIZE), tf.zeros(SIZE)
    v = tf.fill([SIZE], np.float32(rule.start_v))
    rate = rates(vector, 0, STEPS)
    for step in range(STEPS):
        slope = tf.constant(gradient(w.numpy().astype(np.float64), step), tf.float32)
        w, m, v = apply(vector, rate[step], w, m, v, slope)
    return w.numpy()


@pytest.mark.parametrize("name", PLAIN)
def test_a_rule_is_the_published_one(name: str) -> None:
    expected = PLAIN[name](STEPS)
    assert np.abs(expected).max() > 0.1, "the rule under test did not move"
    np.testing.assert_allclose(ours(name), expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_a_rule_is_kerass(name: str) -> None:
    import tensorflow as tf

    makers: dict[str, Any] = {
        "Adam": lambda: tf.keras.optimizers.Adam(RATE, epsilon=1e-8),
        "sgd": lambda: tf.keras.optimizers.SGD(RATE),
        "Adagrad": lambda: tf.keras.optimizers.Adagrad(RATE, initial_accumulator_value=0.1, epsilon=1e-10),
    }
    optimizer = makers[name]()
    w = tf.Variable(tf.zeros(SIZE))
    for step in range(STEPS):
        slope = tf.constant(gradient(w.numpy().astype(np.float64), step), tf.float32)
        optimizer.apply_gradients([(slope, w)])
    np.testing.assert_allclose(ours(name), w.numpy(), rtol=2e-4, atol=2e-5)


def test_the_rules_differ() -> None:
    results = [ours(name) for name in PLAIN]
    assert np.abs(results[0] - results[1]).max() > 0.01
    assert np.abs(results[1] - results[2]).max() > 0.01
