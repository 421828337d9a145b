"""Windows of text files in a graph: mini-batches of balanced classes, and evenly spread ones to measure a part on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from engine.data.texts import PADDING, Texts
from engine.training.network import Data, Graph, Table, uniform

WINDOWS = 4
"""Windows of each file that a part is measured on, evenly spread."""
ROWS = 250
"""Windows that are measured at once."""


def text_tables(data: Data, part: str) -> list[Table]:
    """(tokens, starts, lengths, labels) of `TextPart`, and the first file and number of files of each class."""
    assert isinstance(data, Texts)  # noqa: S101 - `accept` sees to it
    texts = data.part(part)
    counts = np.bincount(texts.labels, minlength=len(data.classes)).astype(np.int32)
    firsts = (np.cumsum(counts) - counts).astype(np.int32)
    present = np.flatnonzero(counts)
    return [texts.tokens, texts.starts, texts.lengths, texts.labels, firsts[present], counts[present]]


def draw(tables: Sequence[Graph], batch: Graph, key: Graph, step: Graph, length: Graph) -> list[Graph]:
    """[windows [batch, length], class [batch]]: a class is drawn, then one of its files, then a window of it: so the
    classes are balanced."""
    tokens, starts, lengths, labels, firsts, counts = tables
    drawn = [uniform(batch, key, step, stream) for stream in range(3)]
    place = _scaled(drawn[0], tf.fill([batch], tf.shape(firsts)[0]))
    file = tf.gather(firsts, place) + _scaled(drawn[1], tf.gather(counts, place))
    spare = tf.maximum(tf.gather(lengths, file) - length, 0)
    offset = _scaled(drawn[2], spare + 1)
    return [_windows(tokens, starts, lengths, file, offset, length), tf.gather(labels, file)]


def spread(tables: Sequence[Graph], index: Graph, length: Graph) -> tuple[Graph, Graph]:
    """(windows [count, length], file [count]) of the windows of a part by their numbers, WINDOWS of each file."""
    tokens, starts, lengths = tables[:3]
    file = index // WINDOWS
    spare = tf.maximum(tf.gather(lengths, file) - length, 0)
    offset = spare * (index % WINDOWS) // (WINDOWS - 1)
    return _windows(tokens, starts, lengths, file, offset, length), file


def weights(tables: Sequence[Graph]) -> Graph:
    """What a window of each file weighs in a part, [files]: every class the same, all windows together 1."""
    counts = tables[5]
    each = 1.0 / (tf.cast(tf.shape(counts)[0], tf.float32) * WINDOWS * tf.cast(counts, tf.float32))
    return tf.repeat(each, counts)


def _windows(tokens: Graph, starts: Graph, lengths: Graph, file: Graph, offset: Graph, length: Graph) -> Graph:
    """Windows of *length* tokens of each *file* [batch] from *offset*; a shorter file is padded in front."""
    missing = tf.maximum(length - tf.gather(lengths, file), 0)
    position = tf.range(length)[tf.newaxis] - missing[:, tf.newaxis]
    index = (tf.gather(starts, file) + offset)[:, tf.newaxis] + tf.maximum(position, 0)
    return tf.where(position < 0, PADDING, tf.gather(tokens, index))


def _scaled(drawn: Graph, limit: Graph) -> Graph:
    """A whole number from 0 to *limit*, excluded, for each number *drawn* from [0, 1)."""
    return tf.minimum(tf.cast(drawn * tf.cast(limit, tf.float32), tf.int32), limit - 1)
