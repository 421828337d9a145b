"""What the training loops need from a model, and the mini-batches they draw."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import raw_ops as raw

from engine.data.parts import Parts
from engine.data.texts import Texts

PHILOX = 1
"""TensorFlow's number of the counter-based generator of Salmon et al., 2011."""

Table = NDArray[Any]
"""[rows, …]: one entry for each row of the data."""
Graph = Any
"""A tensor in a graph."""
Rows = Sequence[Graph]
"""The tensors of a mini-batch, [batch, …] each."""
Data = Parts | Texts


class Network(Protocol):
    """One architecture of a model.

    `rows`, `gradient` and `measure` are called while a function is traced, and may depend on `key` alone: whatever
    else tells two architectures apart is in their `arguments`, so that a new one of a known key costs no tracing.
    """

    @property
    def key(self) -> Hashable:
        """Networks with the same key share their traced functions."""

    @property
    def lasting(self) -> bool:
        """Whether traced functions are kept for good: there are few keys. Else only those of the newest keys are."""

    @property
    def units(self) -> Mapping[str, int]:
        """The power of the target's unit that a figure has, where it is not 0: real targets are standardised."""

    @property
    def arguments(self) -> tuple[NDArray[Any], ...]:
        """What tells this architecture from others of its key."""

    @property
    def specs(self) -> list[tf.TensorSpec]:
        """Shape and type of each of the arguments, whatever the architecture."""

    def tables(self, data: Data, part: str) -> Sequence[Table]:
        """The part of the data ("train", "val" or "test") as `rows` and `measure` take it; the same for every
        architecture."""

    def rows(self, tables: Sequence[Graph], batch: Graph, key: Graph, step: Graph, arguments: Sequence[Graph]) -> Rows:
        """A mini-batch of a table of the training part: a function of (key, step) alone."""

    def initial(self, seed: int) -> NDArray[np.float32]:
        """Fresh parameters, flat."""

    def gradient(self, flat: Graph, arguments: Sequence[Graph], rows: Rows, of: Graph = None) -> tuple[Graph, Graph]:
        """The summed loss of *rows* divided by *of* (how many they are), and its gradient, flat."""

    def measure(self, flat: Graph, arguments: Sequence[Graph], tables: Sequence[Graph]) -> dict[str, Graph]:
        """How good the network is on a whole part: "loss", its mean loss, and other figures of the model."""


def constants(tables: Sequence[Table]) -> list[Graph]:
    return [tf.constant(table) for table in tables]


def specs_of(tables: Sequence[Graph]) -> list[tf.TensorSpec]:
    """Shape and type of each table, whatever its number of rows."""
    return [tf.TensorSpec([None, *table.shape[1:]], table.dtype) for table in tables]


def random_key(seed: Graph) -> Graph:
    """The key of a trial's mini-batches."""
    return tf.reshape(tf.cast(seed, tf.uint64), [1])


def counter(step: Graph, stream: int = 0) -> Graph:
    """The generator's 128-bit counter at *step*: its upper half, so that no two steps share numbers.

    Args:
        stream: another sequence of numbers for the same steps.
    """
    return tf.stack([tf.constant(stream << 40, tf.uint64), tf.cast(step, tf.uint64)])


def sample(tables: Sequence[Graph], batch: Graph, key: Graph, step: Graph) -> list[Graph]:
    """Rows drawn with replacement."""
    rows = raw.StatelessRandomUniformIntV2(
        shape=tf.reshape(batch, [1]),
        key=key,
        counter=counter(step),
        alg=PHILOX,
        minval=0,
        maxval=tf.shape(tables[0])[0],
    )
    return [tf.gather(table, rows) for table in tables]


def uniform(count: Graph, key: Graph, step: Graph, stream: int) -> Graph:
    """*count* numbers from 0 (included) to 1 (excluded)."""
    return raw.StatelessRandomUniformV2(
        shape=tf.reshape(count, [1]), key=key, counter=counter(step, stream), alg=PHILOX, dtype=tf.float32
    )


VECTOR = tf.TensorSpec([None], tf.float32)
NUMBER = tf.TensorSpec([], tf.float32)
WHOLE = tf.TensorSpec([], tf.int32)
RULE = tf.TensorSpec([7], tf.float32)
