"""The lives of sweeps and trials."""

from __future__ import annotations

from itertools import product

import pytest

from engine.domain import ENDED, SWEEP_MOVES, SweepState, Trial, TrialState, move
from engine.errors import StateError

SWEEP_LIFE = {
    ("QUEUED", "RUNNING"), ("QUEUED", "STOPPED"), ("QUEUED", "FAILED"),
    ("RUNNING", "PAUSED"), ("RUNNING", "COMPLETED"), ("RUNNING", "FAILED"), ("RUNNING", "STOPPED"),
    ("PAUSED", "RUNNING"), ("PAUSED", "COMPLETED"), ("PAUSED", "STOPPED"), ("PAUSED", "FAILED"),
}  # fmt: skip
TRIAL_LIFE = {
    ("QUEUED", "RUNNING"), ("QUEUED", "STOPPED"), ("RUNNING", "COMPLETED"), ("RUNNING", "PRUNED"),
    ("RUNNING", "FAILED"), ("RUNNING", "LOST"), ("RUNNING", "STOPPED"), ("LOST", "QUEUED"), ("LOST", "FAILED"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new"), [*product(SweepState, SweepState)])
def test_a_sweep_moves_only_along_its_life(old: SweepState, new: SweepState) -> None:
    if (old, new) in SWEEP_LIFE:
        assert move(SWEEP_MOVES, old, new) is new
    else:
        with pytest.raises(StateError, match=f"{old} cannot become {new}"):
            move(SWEEP_MOVES, old, new)


@pytest.mark.parametrize(("old", "new"), [*product(TrialState, TrialState)])
def test_a_trial_moves_only_along_its_life(old: TrialState, new: TrialState) -> None:
    trial = Trial("s", 1, 0, {}, 10, 1, state=old)
    if (old, new) in TRIAL_LIFE:
        trial.move(new)
        assert trial.state is new
    else:
        with pytest.raises(StateError, match=f"{old} cannot become {new}"):
            trial.move(new)
        assert trial.state is old


def test_ended_sweeps_never_move() -> None:
    assert {state for state in SweepState if not SWEEP_MOVES[state]} == ENDED


def test_a_refusal_says_what_would_be_possible() -> None:
    with pytest.raises(StateError, match="it can become FAILED, RUNNING, STOPPED"):
        move(SWEEP_MOVES, SweepState.QUEUED, SweepState.PAUSED)
    with pytest.raises(StateError, match="nothing: it has ended"):
        move(SWEEP_MOVES, SweepState.STOPPED, SweepState.RUNNING)
