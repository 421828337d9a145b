"""Checkpoints: where a trial in training stands, in a file from which another process goes on as if nothing had been.

One file for each trial in training, replaced whole every so often. Mini-batches depend on (seed, step) alone: so a
trial that goes on from its checkpoint ends as one that was never interrupted, wherever one process trains it.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.training.job import Job, Progress

TOLD_APART = (
    "params", "steps", "seed", "tolerance", "inputs", "outputs", "weight_init", "model", "model_class", "length",
    "objective",
)  # fmt: skip
"""Of a job: what a checkpoint must have in common with it."""


@dataclass(frozen=True, slots=True)
class State:
    """A network in training, after *step* steps.

    Attributes:
        flat, m, v: its parameters, and the optimizer's two slots; [parameters] each.
        smooth, still: the smoothed training loss, and the steps in a row in which it stood still.
    """

    flat: NDArray[np.float32]
    m: NDArray[np.float32]
    v: NDArray[np.float32]
    smooth: float = -1.0
    still: int = 0
    step: int = 0

    @staticmethod
    def fresh(flat: NDArray[np.float32], start_v: float) -> State:
        return State(flat, np.zeros_like(flat), np.full_like(flat, start_v))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a trial, how many of its steps that are, and what the folds before have come to."""

    state: State
    step: int
    ended: Sequence[Progress] = ()


def write(job: Job, checkpoint: Checkpoint) -> None:
    """Replace the file of *job* by *checkpoint*, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    path, state = Path(job.checkpoint), checkpoint.state
    about = {
        "job": _about(job), "ended": [asdict(progress) for progress in checkpoint.ended],
        "state": [state.smooth, state.still, state.step], "step": checkpoint.step,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, flat=state.flat, m=state.m, v=state.v, about=np.array(json.dumps(about)))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read(job: Job) -> Checkpoint | None:
    """What the file of *job* holds; None where there is none, or it is spoilt or another job's."""
    try:
        with Path(job.checkpoint).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            if about["job"] != json.loads(json.dumps(_about(job))):
                return None
            state = State(stored["flat"], stored["m"], stored["v"], *about["state"])
        return Checkpoint(state, about["step"], [Progress(**progress) for progress in about["ended"]])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def remove(path: Path) -> None:
    """Delete a trial's checkpoint, whole and begun; one that the system does not let go of does no harm."""
    for file in (path, path.with_suffix(".part")):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _about(job: Job) -> dict[str, object]:
    return {name: getattr(job, name) for name in TOLD_APART}
