"""What the training loops need from a model, and the mini-batches they draw."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import raw_ops as raw

from engine.data import Parts

PHILOX = 1
"""TensorFlow's number of the counter-based generator of Salmon et al., 2011."""

Table = NDArray[Any]
"""[rows, …]: one entry for each row of the data."""
Graph = Any
"""A tensor in a graph."""


class Network(Protocol):
    """One architecture of a model.

    `gradient` and `loss` are called while a function is traced, and may depend on `key` alone: whatever else tells two
    architectures apart is in their `arguments`, so that a new one of a known key costs no tracing.
    """

    @property
    def key(self) -> Hashable:
        """Networks with the same key share their traced functions."""

    @property
    def arguments(self) -> tuple[NDArray[Any], ...]:
        """What tells this architecture from others of its key."""

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """Shape and type of each of the arguments, whatever the architecture."""

    def initial(self, seed: int) -> NDArray[np.float32]:
        """Fresh parameters, flat."""

    def gradient(
        self, flat: Graph, arguments: Sequence[Graph], rows: Sequence[Graph], of: Graph = None
    ) -> tuple[Graph, Graph]:
        """The summed loss of *rows* divided by *of* (how many they are), and its gradient, flat."""

    def loss(self, flat: Graph, arguments: Sequence[Graph], rows: Sequence[Graph]) -> Graph:
        """The mean loss of *rows*; a scalar."""


def constants(tables: Sequence[Table]) -> list[Graph]:
    return [tf.constant(table) for table in tables]


def random_key(seed: Graph) -> Graph:
    """The key of a trial's mini-batches."""
    return tf.reshape(tf.cast(seed, tf.uint64), [1])


def sample(tables: Sequence[Graph], batch: Graph, key: Graph, step: Graph) -> list[Graph]:
    """A mini-batch drawn with replacement: a function of (key, step) alone.

    The step is the upper half of the generator's 128-bit counter, so that no two steps share numbers.
    """
    counter = tf.stack([tf.constant(0, tf.uint64), tf.cast(step, tf.uint64)])
    rows = raw.StatelessRandomUniformIntV2(
        shape=tf.reshape(batch, [1]), key=key, counter=counter, alg=PHILOX, minval=0, maxval=tables[0].shape[0]
    )
    return [tf.gather(table, rows) for table in tables]


VECTOR = tf.TensorSpec([None], tf.float32)
NUMBER = tf.TensorSpec([], tf.float32)
WHOLE = tf.TensorSpec([], tf.int32)
RULE = tf.TensorSpec([7], tf.float32)


def tables_of(data: Parts, part: str) -> tuple[Table, ...]:
    """The rows of a part of the data ("train", "val", "test") as the networks take them."""
    x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
    return np.concatenate([x, np.ones((len(x), 1), x.dtype)], axis=1), y[:, 0]
