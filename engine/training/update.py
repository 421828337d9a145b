"""The optimizers Adam, sgd and Adagrad as one update rule with different numbers.

    m ← m·keep_m + g·add_m        v ← v·keep_v + g²·add_v        w ← w − rate_t · m / (√v + epsilon)

So the optimizer is an argument of the traced function, not a branch in it. Adam: Kingma & Ba, 2015; Adagrad:
Duchi, Hazan & Singer, 2011, with TensorFlow's initial accumulator of 0.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

ADAGRAD_START = 0.1


@dataclass(frozen=True, slots=True)
class Rule:
    """The numbers of one optimizer; *bias_corrected* is Adam's correction of the first steps."""

    keep_m: float
    add_m: float
    keep_v: float
    add_v: float
    epsilon: float
    start_v: float
    bias_corrected: bool

    def vector(self, learning_rate: float) -> NDArray[np.float32]:
        """The rule as the argument of a traced function."""
        return np.array(
            [
                self.keep_m,
                self.add_m,
                self.keep_v,
                self.add_v,
                self.epsilon,
                learning_rate,
                float(self.bias_corrected),
            ],
            dtype=np.float32,
        )


RULES = {
    "Adam": Rule(0.9, 0.1, 0.999, 0.001, 1e-8, 0.0, bias_corrected=True),
    "sgd": Rule(0.0, 1.0, 0.0, 0.0, 1.0, 0.0, bias_corrected=False),
    "Adagrad": Rule(0.0, 1.0, 1.0, 1.0, 1e-10, ADAGRAD_START, bias_corrected=False),
}


def rates(rule: Any, first: Any, stop: Any) -> Any:
    """The rate of each step from *first*, counted from 0, to *stop*; [stop - first].

    In double precision: a vector's power differs from a scalar's in the last bits, and so with the place in it.
    """
    keep_m, _, keep_v, _, _, rate, corrected = tf.unstack(tf.cast(rule, tf.float64), num=7)
    t = tf.cast(tf.range(first + 1, stop + 1), tf.float64)
    adam = tf.sqrt(1.0 - tf.pow(keep_v, t)) / (1.0 - tf.pow(keep_m, t))
    return tf.cast(rate * tf.where(corrected > 0, adam, 1.0), rule.dtype)


def apply(rule: Any, rate: Any, flat: Any, m: Any, v: Any, gradient: Any) -> tuple[Any, Any, Any]:
    """One step of the rule given as `Rule.vector`, at this step's *rate*. All of *flat*'s shape; returns flat, m, v."""
    keep_m, add_m, keep_v, add_v, epsilon, _, _ = tf.unstack(rule, num=7)
    m = m * keep_m + gradient * add_m
    v = v * keep_v + tf.square(gradient) * add_v
    return flat - rate * m / (tf.sqrt(v) + epsilon), m, v
