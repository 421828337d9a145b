"""What is made of the trials that confirm a configuration."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.confirmation import confirmation, in_words, spread
from engine.domain import Trial, TrialState
from engine.stages import best_of, ranked

DONE = TrialState.COMPLETED


def trial(number: int, loss: float | None = None, state: TrialState = DONE, **fields: Any) -> Trial:
    return Trial("s", number, 0, {"a": number}, 10, 1, state, loss=loss, **fields)


def test_the_figures_are_means_and_deviations_over_the_seeds() -> None:
    chosen = trial(3, loss=1.0)
    confirming = [
        trial(10, 1.1, confirms=3, test={"loss": 4.0, "mae": 1.5, "r2": 0.5}),
        trial(11, 1.2, confirms=3, test={"loss": 1.0, "mae": 0.5, "r2": 0.9}),
        trial(12, None, TrialState.FAILED, confirms=3),
        trial(13, 1.0, confirms=4, test={"loss": 9.0, "mae": 9.0, "r2": 0.0}),
    ]
    found = confirmation(chosen, [chosen, *confirming])
    assert (found["trial"], found["seeds"], found["failed"]) == (3, 2, 1)
    assert found["figures"]["loss"] == {"mean": 2.5, "std": pytest.approx(math.sqrt(4.5)), "values": [4.0, 1.0]}
    assert found["figures"]["rmse"]["values"] == [2.0, 1.0]
    assert found["optimism"] == 1.5
    assert in_words(found) == "rmse 1.5 ± 0.71 over 2 seeds"


def test_confusions_are_averaged_cell_by_cell() -> None:
    tests = [{"loss": 1.0, "error": 0.5, "confusion": [[a, b], [c, d]]} for a, b, c, d in ((1, 3, 0, 2), (3, 1, 2, 0))]
    confirming = [trial(10 + index, 1.0, confirms=3, test=test) for index, test in enumerate(tests)]
    found = confirmation(trial(3, 1.0), confirming)
    assert found["figures"]["confusion"] == {"mean": [[2.0, 2.0], [1.0, 1.0]]}
    assert in_words(found) == "error 0.5 ± 0 over 2 seeds"


def test_where_every_training_failed_it_says_so() -> None:
    found = confirmation(trial(3, 1.0), [trial(10, None, TrialState.FAILED, confirms=3)])
    assert (found["figures"], found["optimism"], found["failed"]) == ({}, None, 1)
    assert in_words(found) == "nothing could be measured: no training completed"


def test_a_trial_that_confirms_is_never_the_best_of_the_search() -> None:
    trials = [trial(1, 2.0), trial(2, 1.0), trial(3, 0.5, confirms=2), trial(4, 1.0)]
    assert [one.number for one in ranked(trials)] == [2, 4, 1]
    best = best_of(trials)
    assert best is not None
    assert best.number == 2


def test_a_loss_that_is_no_number_has_no_deviation() -> None:
    told = spread([1.0, math.inf, 2.0])
    assert (told["mean"], math.isnan(told["std"])) == (math.inf, True)
