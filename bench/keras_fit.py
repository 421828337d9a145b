"""The same trials with Keras' fit, driven by Optuna or by KerasTuner, as their users would write it.

    python -m bench.keras_fit optuna|keras_tuner TRIALS STEPS

Prints seconds and CPU seconds, TensorFlow's import not counted. Data, architectures, batch sizes, optimizers, learning
rates and steps are the engine's own; mini-batches come from tf.data, drawn with replacement; the loss on the validation
part is evaluated once, at the end.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import Any

import numpy as np

from bench.training import jobs
from engine.config import parse
from engine.data import prepare


def main(driver: str, count: int, steps: int) -> None:
    import keras
    import tensorflow as tf

    config = parse({})
    data = prepare(config)
    work = jobs(config, count, steps)
    optimizers = {"Adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD, "Adagrad": keras.optimizers.Adagrad}

    def build(number: int) -> Any:
        job = work[number]
        network = job.architecture
        model = keras.Sequential([keras.Input((network.nodes[0],))])
        for units in network.nodes[1:-1]:
            model.add(keras.layers.Dense(units, activation=network.activation))
        model.add(keras.layers.Dense(network.nodes[-1]))
        model.compile(optimizers[str(job.params["train_optimizer"])](float(job.params["learning_rate"])), loss="mse")
        return model

    trained = []

    def train(model: Any, number: int) -> float:
        trained.append(number)
        batch = int(work[number].params["batch_size"])
        rows = len(data.x_train)
        dataset = tf.data.Dataset.from_tensor_slices((data.x_train, data.y_train)).shuffle(rows, seed=number).repeat()
        model.fit(dataset.batch(batch).prefetch(2), steps_per_epoch=steps, epochs=1, verbose=0)
        return float(model.evaluate(data.x_val, data.y_val, batch_size=len(data.x_val), verbose=0))

    begun, cpu = time.monotonic(), time.process_time()
    if driver == "optuna":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
        study.optimize(lambda trial: train(build(trial.number), trial.number), n_trials=count)
    else:
        import keras_tuner

        class Network(keras_tuner.HyperModel):  # type: ignore[misc]
            def build(self, hp: Any) -> Any:
                return build(hp.Int("number", 0, count - 1))

            def fit(self, hp: Any, model: Any, *_: Any, **__: Any) -> float:
                return train(model, hp.get("number"))

        with tempfile.TemporaryDirectory() as folder:
            tuner = keras_tuner.RandomSearch(
                Network(), max_trials=count, directory=folder, seed=1, max_consecutive_failed_trials=1
            )
            tuner.search(verbose=0)
    if len(trained) != count:
        raise SystemExit(f"{driver} trained {len(trained)} of {count} trials")
    print(time.monotonic() - begun, time.process_time() - cpu)


if __name__ == "__main__":
    np.random.seed(0)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)
