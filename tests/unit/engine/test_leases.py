"""When a lease has run out: by looking at it, not by anybody's wall clock."""

from __future__ import annotations

from engine.store.leases import MOST_GAP, Watch


def test_what_stands_still_grows_old_and_what_changes_is_young() -> None:
    watch = Watch()
    for second in range(100, 131):
        ages = watch.ages({"stands": "x", "changes": second // 10}, float(second))
    assert ages == {"stands": 30.0, "changes": 0.0}


def test_what_is_seen_for_the_first_time_is_young_however_long_nobody_looked() -> None:
    assert Watch().ages({"a": 1}, 1e9) == {"a": 0.0}


def test_time_in_which_nobody_looked_hardly_counts() -> None:
    watch = Watch()
    watch.ages({"a": 1}, 100.0)
    assert watch.ages({"a": 1}, 4000.0) == {"a": MOST_GAP}


def test_what_went_away_begins_anew() -> None:
    watch = Watch()
    watch.ages({"a": 1}, 100.0)
    watch.ages({}, 101.0)
    watch.ages({"a": 1}, 102.0)
    assert watch.ages({"a": 1}, 103.0) == {"a": 1.0}
