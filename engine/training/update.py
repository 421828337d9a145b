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


def apply(rule: Any, step: Any, flat: Any, m: Any, v: Any, gradient: Any) -> tuple[Any, Any, Any]:
    """One step of the rule given as `Rule.vector`; *step* counts from 0. All of *flat*'s shape; returns flat, m, v."""
    keep_m, add_m, keep_v, add_v, epsilon, rate, corrected = tf.unstack(rule, num=7)
    m = m * keep_m + gradient * add_m
    v = v * keep_v + tf.square(gradient) * add_v
    t = tf.cast(step + 1, tf.float32)
    adam = tf.sqrt(1.0 - tf.pow(keep_v, t)) / (1.0 - tf.pow(keep_m, t))
    rate = rate * tf.where(corrected > 0, adam, 1.0)
    return flat - rate * m / (tf.sqrt(v) + epsilon), m, v
