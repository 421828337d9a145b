"""What a process is asked to train, and what it tells of it. Pure, and without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.models.regressor import Architecture
from engine.space import Params


@dataclass(frozen=True, slots=True)
class Job:
    """One trial to train: *steps* mini-batch steps of the network that *params* describe.

    *model_class*: the user's own class instead of *model*, as `engine.models.custom.load_class` takes it; *length*: the
    tokens of a text that it reads at once, where it has no axis for them. *keep*: the file that is to hold its
    parameters (.npy, flat) when it is done; empty: none. *checkpoint*: the file that takes every *checkpoint_seconds*
    where it stands (see training.checkpoint), and from which it goes on if there is one; empty: none. *test*: measure
    it on the test part at the end. *limits*: (rung, the largest loss with which it goes on beyond that step), rising;
    the loss is its *objective*, "val_loss" or "train_loss" (smoothed). With cross-validation the rungs are the first
    fold's, and so is the loss there.
    """

    number: int
    attempt: int
    params: Params
    steps: int
    seed: int
    tolerance: float
    inputs: int
    outputs: int
    weight_init: str
    model: str = "Regressor"
    keep: str = ""
    checkpoint: str = ""
    checkpoint_seconds: float = 30.0
    test: bool = False
    model_class: str = ""
    length: int = 0
    objective: str = "val_loss"
    limits: Sequence[tuple[int, float]] = ()

    @property
    def architecture(self) -> Architecture:
        return Architecture.of(self.params, self.inputs, self.outputs)

    def to_message(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_message(message: Mapping[str, Any]) -> Job:
        return Job(**message)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a trial stands after *step* steps.

    Attributes:
        train: the training loss, smoothed over the mini-batches before (see training.convergence).
        val: the loss on the validation part; None where it was not measured, which is never so at the end. Both are
            in the target's units, squared, for a regressor.
        done: there is no more to train.
        figures: what else the model measures on the validation part, by name.
        test: what it measures on the test part, at the end of a job that asks for it.
        rung: the rung that it has reached, and the job's objective there; None between rungs.
    """

    step: int
    train: float
    val: float | None
    done: bool
    figures: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, Any] | None = None
    rung: tuple[int, float] | None = None
