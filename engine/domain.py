"""Sweeps and trials: what they are, the states they can be in, and the moves between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from engine.errors import StateError
from engine.space import Params

S = TypeVar("S", bound=StrEnum)


class SweepState(StrEnum):
    """QUEUED → RUNNING ⇄ PAUSED → COMPLETED | FAILED | STOPPED."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


class TrialState(StrEnum):
    """QUEUED → RUNNING → COMPLETED | PRUNED | FAILED | LOST | STOPPED.

    PRUNED ended early, by a pruner or by hand; FAILED is an error in the trial itself; LOST, that its process or
    machine died: it is queued again as its next attempt; STOPPED, that the sweep was stopped, or failed, before the
    trial had ended.
    """

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    PRUNED = "PRUNED"
    FAILED = "FAILED"
    LOST = "LOST"
    STOPPED = "STOPPED"


SWEEP_MOVES: Mapping[SweepState, frozenset[SweepState]] = {
    SweepState.QUEUED: frozenset({SweepState.RUNNING, SweepState.STOPPED, SweepState.FAILED}),
    SweepState.RUNNING: frozenset({SweepState.PAUSED, SweepState.COMPLETED, SweepState.FAILED, SweepState.STOPPED}),
    SweepState.PAUSED: frozenset({SweepState.RUNNING, SweepState.COMPLETED, SweepState.STOPPED, SweepState.FAILED}),
    SweepState.COMPLETED: frozenset(),
    SweepState.FAILED: frozenset(),
    SweepState.STOPPED: frozenset(),
}

TRIAL_MOVES: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.QUEUED: frozenset({TrialState.RUNNING, TrialState.STOPPED}),
    TrialState.RUNNING: frozenset(
        {TrialState.COMPLETED, TrialState.PRUNED, TrialState.FAILED, TrialState.LOST, TrialState.STOPPED}
    ),
    TrialState.LOST: frozenset({TrialState.QUEUED, TrialState.FAILED}),
    TrialState.COMPLETED: frozenset(),
    TrialState.PRUNED: frozenset(),
    TrialState.FAILED: frozenset(),
    TrialState.STOPPED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Edit:
    """What made a version of a sweep's configuration, the first of which is 1; one of three, or several.

    Attributes:
        changes: {key: [value before, value after]}.
        points: to be tried in addition.
        retries: numbers of failed trials that are to be tried again.
        made: an id of what asked for it, so that it is made once; "" where nobody asks twice.
    """

    version: int
    by: str
    at: datetime
    changes: Mapping[str, list[Any]] = field(default_factory=dict)
    points: Sequence[Params] = ()
    retries: Sequence[int] = ()
    made: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants of a sweep that runs: end it, end its search with the trials in training (*finish*), hold it,
    end some of its trials early, replace processes (*restart*: their names, in the order asked for), search otherwise.

    *config* is the configuration as the newest of *edits* has left it.
    """

    stop: bool = False
    finish: bool = False
    pause: bool = False
    cancel: frozenset[int] = frozenset()
    restart: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """Of the configuration."""
        return self.edits[-1].version if self.edits else 1


ENDED = frozenset({SweepState.COMPLETED, SweepState.FAILED, SweepState.STOPPED})
"""The states a sweep never leaves."""


def move(moves: Mapping[S, frozenset[S]], old: S, new: S) -> S:
    """*new*, if *moves* allows it from *old*.

    Raises:
        StateError: the table has no such move.
    """
    if new not in moves[old]:
        allowed = ", ".join(sorted(moves[old])) or "nothing: it has ended"
        raise StateError(f"{old} cannot become {new}; it can become {allowed}")
    return new


@dataclass(slots=True)
class Trial:
    """One point of the search space and what came of training it.

    Losses are mean squared errors in the target's units, squared, or a classifier's cross-entropies. A point of *curve*
    is [step, training loss (smoothed over mini-batches), validation loss, where it was measured]; it has at most 200
    points. *figures* are what else the model measured last on the validation part.

    A trial that *confirms* another one, by its number, trains the same configuration from another seed after the
    search; *test* is what it measured on the test part. A trial that the user asked for has the version of the
    configuration that did so as its *edit*; one that repeats a failed trial *retries* it, by its number. *rungs* are
    [step, loss] where a pruner looked at it.
    """

    sweep_id: str
    number: int
    stage: int
    params: Params
    steps: int
    seed: int
    state: TrialState = TrialState.QUEUED
    attempt: int = 1
    worker: str | None = None
    step: int = 0
    train_loss: float | None = None
    val_loss: float | None = None
    loss: float | None = None
    curve: list[list[float | None]] = field(default_factory=list)
    created: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    seconds: float | None = None
    error: str | None = None
    figures: dict[str, float] = field(default_factory=dict)
    confirms: int | None = None
    test: dict[str, Any] | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    rungs: list[list[float]] = field(default_factory=list)
    edit: int | None = None
    retries: int | None = None

    def move(self, new: TrialState) -> None:
        self.state = move(TRIAL_MOVES, self.state, new)
