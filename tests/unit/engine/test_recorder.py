"""What waits for the database, while that is silent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.events import EventType
from engine.recorder import newest
from engine.store import journal
from engine.store.events import draft

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_of_events_that_carry_whole_values_only_the_newest_wait_in_their_order() -> None:
    drafts = [
        draft(EventType.TRIAL, {"number": 1, "state": "RUNNING"}, NOW),
        draft(EventType.LOG, {"lines": ["a"]}, NOW),
        draft(EventType.PROCESS, {"role": "worker", "index": 0, "state": "training"}, NOW),
        draft(EventType.PROCESS, {"role": "worker", "index": 1, "state": "training"}, NOW),
        draft(EventType.TRIAL, {"number": 2, "state": "RUNNING"}, NOW),
        draft(EventType.TRIAL, {"number": 1, "state": "COMPLETED"}, NOW),
        draft(EventType.LOG, {"lines": ["b"]}, NOW),
        draft(EventType.STAGE, {"index": 0}, NOW),
        draft(EventType.PROCESS, {"role": "worker", "index": 0, "state": "ready"}, NOW),
        draft(EventType.STAGE, {"index": 1}, NOW),
    ]
    kept = newest(drafts)
    assert kept == [drafts[place] for place in (1, 3, 4, 5, 6, 7, 8, 9)]
    assert newest(kept) == kept


def test_a_disk_is_full_before_its_last_byte_and_one_that_is_not_there_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert journal.lacks_room(tmp_path) is None
    assert journal.lacks_room(tmp_path / "gone") is None
    monkeypatch.setattr(journal, "LEAST_ROOM", (10**18, 1.0))
    assert journal.lacks_room(tmp_path) == f"the disk of {tmp_path} is nearly full"
