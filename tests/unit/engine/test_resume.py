"""What a resumed sweep takes for known, when its journal and the database differ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.domain import Trial, TrialState
from engine.resume import known as known_of
from engine.resume import not_ours
from engine.store.journal import Journal
from engine.store.trials import to_document

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
SWEEP: dict[str, Any] = {"stages": []}


def trial(state: str, attempt: int = 1, loss: float | None = None, later: float = 0.0) -> Trial:
    made = Trial("s", 1, 0, {"batch_size": 20}, 100, 7, TrialState(state), attempt, loss=loss, created=BEGUN)
    made.attempts = [{"attempt": number, "error": "killed"} for number in range(1, attempt)]
    if state in ("COMPLETED", "FAILED"):
        made.finished = BEGUN + timedelta(seconds=1 + later)
    return made


def known(path: Path, journal: list[tuple[Trial, int]], stored: tuple[Trial, int] | None) -> Trial:
    written = Journal(path / "journal")
    for one, fence in journal:
        written.append({"trial": to_document(one, fence)}, wait=one.finished is not None)
    written.close()
    documents = {} if stored is None else {1: to_document(*stored)}
    (found,), _ = known_of(documents, SWEEP, Journal(path / "journal").records)
    return found


@pytest.mark.parametrize(
    ("journal", "stored", "expected"),
    [
        # begun, and the optimizer was killed before the database knew
        ([(trial("RUNNING"), 1)], None, ("RUNNING", 1, None)),
        ([(trial("RUNNING", 2), 1)], (trial("QUEUED", 2), 1), ("RUNNING", 2, None)),
        ([(trial("RUNNING", 2), 1)], (trial("RUNNING", 1), 1), ("RUNNING", 2, None)),
        # ended here, and the database does not know
        ([(trial("RUNNING"), 1), (trial("COMPLETED", 1, 0.5), 1)], (trial("RUNNING"), 1), ("COMPLETED", 1, 0.5)),
        ([(trial("COMPLETED", 1, 0.5), 1)], (trial("RUNNING", 2), 2), ("COMPLETED", 1, 0.5)),
        # another machine has gone on since
        ([(trial("RUNNING", 1), 1)], (trial("COMPLETED", 2, 0.7), 2), ("COMPLETED", 2, 0.7)),
        ([(trial("COMPLETED", 1, 0.5), 1)], (trial("COMPLETED", 2, 0.7, later=60), 2), ("COMPLETED", 2, 0.7)),
        ([(trial("RUNNING", 1), 1)], (trial("QUEUED", 3), 2), ("QUEUED", 3, None)),
    ],
)
def test_what_is_known_of_a_trial_is_the_latest_that_was_recorded(
    tmp_path: Path, journal: list[tuple[Trial, int]], stored: tuple[Trial, int] | None, expected: tuple[Any, ...]
) -> None:
    found = known(tmp_path, journal, stored)
    assert (found.state, found.attempt, found.loss) == expected


def test_the_last_stage_of_a_search_that_was_ended_early_is_open_for_what_the_user_takes_back() -> None:
    stages = [{"index": 0, "ended": 1}, {"index": 1, "ended": 1}]
    documents = {}
    for number, stage in ((1, 0), (2, 1)):
        made = trial("COMPLETED", loss=0.5)
        made.number, made.stage = number, stage
        documents[number] = to_document(made, 1)
    assert known_of(documents, {"stages": stages}, [])[1] == {0, 1}
    assert known_of(documents, {"stages": stages, "ended_because": "enough"}, [])[1] == {0}


def test_a_stage_that_was_closed_stays_so_on_a_machine_without_its_journal() -> None:
    stages = [{"index": 0, "ended": None, "closed": True}]
    assert known_of({1: to_document(trial("RUNNING"), 1)}, {"stages": stages}, [])[1] == {0}


def test_a_trial_that_was_to_end_with_a_sweep_that_goes_on_waits_again() -> None:
    stopped = trial("STOPPED")
    stopped.finished, stopped.error = BEGUN, "stopped with the sweep"
    documents = {1: to_document(stopped, 1)}
    (found,), _ = known_of(documents, SWEEP, [])
    assert (found.state, found.finished, found.error) == ("QUEUED", None, None)
    (found,), _ = known_of(documents, {**SWEEP, "stop_requested": True}, [])
    assert found.state == "STOPPED"


def test_what_came_after_a_trial_was_to_end_with_its_sweep_is_known(tmp_path: Path) -> None:
    stopped, again = trial("STOPPED"), trial("RUNNING")
    stopped.finished, stopped.error = BEGUN, "stopped with the sweep"
    found = known(tmp_path, [(trial("RUNNING"), 1), (stopped, 1), (again, 2)], (again, 2))
    assert found.state == "RUNNING"


def test_files_of_a_trial_that_ended_otherwise_elsewhere_are_not_its_own(tmp_path: Path) -> None:
    ours, theirs = trial("COMPLETED", loss=0.5), trial("COMPLETED", loss=0.7, later=60)
    journal = Journal(tmp_path / "journal")
    journal.append({"trial": to_document(ours, 1)})
    journal.close()
    records = Journal(tmp_path / "journal").records
    assert not_ours([theirs], records) == [1]
    assert not_ours([ours], records) == []
    assert not_ours([theirs], []) == [], "nothing is known of what lies here"
