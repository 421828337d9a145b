"""Training one trial within one process: whole chunks of steps inside one graph."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from engine.data import Parts
from engine.training.job import Job, Progress
from engine.training.pace import Pace
from engine.training.regression import STILL_STEPS, Chunks
from engine.training.update import RULES


class LocalTrainer:
    """Trains the trials of one process, one after the other."""

    def __init__(self, data: Parts) -> None:
        self._chunks = Chunks(data)
        self._loss_scale = data.target_scale**2

    def train(self, job: Job) -> Iterator[Progress]:
        """Train *job*, reporting at every chunk boundary; stop by not asking for more."""
        network = job.architecture
        rule = RULES[str(job.params["train_optimizer"])]
        flat = network.initial(job.seed, job.weight_init)
        state = (flat, np.zeros_like(flat), np.full_like(flat, rule.start_v), np.float32(-1), np.int32(0), np.int32(0))
        chunk = self._chunks[network.layers, network.activation]
        fixed = (
            network.sizes,
            network.shapes,
            rule.vector(float(job.params["learning_rate"])),
            np.int32(job.params["batch_size"]),
            np.int32(job.seed),
            np.float32(job.tolerance),
        )
        pace = Pace()
        step = 0
        while step < job.steps:
            begun = time.monotonic()
            stop = step + pace.next(job.steps - step)
            *state_out, train, val = chunk(*state, np.int32(stop), *fixed)
            state = tuple(state_out)
            still, reached = int(state[4]), int(state[5])
            pace.took(max(1, reached - step), time.monotonic() - begun)
            step = reached
            done = step >= job.steps or still >= STILL_STEPS
            yield Progress(step, float(train) * self._loss_scale, float(val) * self._loss_scale, done)
            if done:
                return
