"""A step of the LSTM classifier, by this engine and by Keras: 3 layers of 50 units, 100 tokens, vocabulary 300, one
thread. Run in a process of its own, since the number of threads is fixed at the first operation.

    python -m bench.sequence ours|embedding|one-hot BATCH STEPS

Prints seconds a step, the first steps not counted.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np

from engine.cluster.process import ENVIRONMENT

LAYERS, UNITS, LENGTH, VOCABULARY, CLASSES, FILES = 3, 50, 100, 300, 12, 240


def ours(batch: int, steps: int) -> float:
    from engine.data.texts import FIRST, TextPart, Texts
    from engine.training.job import Job
    from engine.training.local import LocalTrainer

    rng = np.random.default_rng(1)
    lengths = np.full(FILES, 1000, dtype=np.int32)
    part = TextPart(
        rng.integers(0, VOCABULARY, FILES * 1000).astype(np.int32),
        (np.arange(FILES) * 1000).astype(np.int32),
        lengths,
        np.repeat(np.arange(CLASSES), FILES // CLASSES).astype(np.int32),
    )
    small = TextPart(
        part.tokens[:24_000], part.starts[:24], part.lengths[:24], np.repeat(np.arange(12), 2).astype("i4")
    )
    words = tuple(f"w{index}" for index in range(VOCABULARY - FIRST))
    data = Texts(part, small, small, tuple(f"c{index}" for index in range(CLASSES)), words)
    units = {f"units_{layer}": UNITS for layer in range(1, LAYERS + 1)}
    params = {"batch_size": batch, "learning_rate": 0.001, "train_optimizer": "Adam", "layers": LAYERS, **units,
              "sequence_length": LENGTH}  # fmt: skip
    trainer = LocalTrainer(data)
    job = Job(1, 1, params, 10**6, 1, 0.0, VOCABULARY, CLASSES, "scaled", "Custom")
    next(iter(trainer.train(job)))
    assert trainer._trial is not None
    trainer._trial.advance(3)
    begun = time.monotonic()
    trainer._trial.advance(3 + steps)
    return (time.monotonic() - begun) / steps


def keras_step(batch: int, steps: int, one_hot: bool) -> float:
    import keras
    import tensorflow as tf

    layers: list[Any] = [keras.Input((LENGTH,), dtype="int32")]
    if one_hot:
        layers.append(keras.layers.Lambda(lambda tokens: tf.one_hot(tokens, VOCABULARY)))
    else:
        layers.append(keras.layers.Embedding(VOCABULARY, UNITS))
    layers += [keras.layers.LSTM(UNITS, return_sequences=layer < LAYERS - 1) for layer in range(LAYERS)]
    model = keras.Sequential([*layers, keras.layers.Dense(CLASSES)])
    model.compile(keras.optimizers.Adam(0.001), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, VOCABULARY, (batch, LENGTH)), rng.integers(0, CLASSES, batch)
    dataset = tf.data.Dataset.from_tensors((x, y)).repeat()
    model.fit(dataset, steps_per_epoch=3, epochs=1, verbose=0)
    begun = time.monotonic()
    model.fit(dataset, steps_per_epoch=steps, epochs=1, verbose=0)
    return (time.monotonic() - begun) / steps


def main(way: str, batch: int, steps: int) -> None:
    os.environ.update(ENVIRONMENT)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(ours(batch, steps) if way == "ours" else keras_step(batch, steps, way == "one-hot"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)
