"""The metrics of a sweep's run: appended to, whatever answer is lost, and never too large for a document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.errors import LeaseLost, StoreUnavailable
from engine.store import Store
from engine.store import metrics as metrics_module
from engine.store.metrics import Metrics, Point

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def points(first: int, last: int) -> list[Point]:
    return [(step, 1 / step, NOW + timedelta(seconds=step)) for step in range(first, last + 1)]


def stored(store: Store) -> list[int]:
    (metric,) = store.runs.metrics(7)
    assert metric["values"] == pytest.approx([1 / step for step in metric["steps"]])
    assert len(metric["timestamps"]) == len(metric["steps"])
    return list(metric["steps"])


def test_points_are_appended_and_a_new_metric_is_listed_once(store: Store) -> None:
    metrics = Metrics(store.runs, 1)
    metrics.add("loss", points(1, 3))
    (listed,) = metrics.flush(7) or []
    assert listed["name"] == "loss"
    assert listed["id"] == str(store.runs.metrics(7)[0]["_id"])
    metrics.add("loss", points(4, 5))
    assert metrics.flush(7) is None
    assert metrics.flush(7) is None
    assert stored(store) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("call", ["put_metric", "append_metric"])
@pytest.mark.parametrize("arrived", [True, False])
def test_a_call_without_an_answer_is_made_again_and_costs_no_point(
    store: Store, monkeypatch: pytest.MonkeyPatch, call: str, arrived: bool
) -> None:
    metrics = Metrics(store.runs, 1)
    if call == "append_metric":
        metrics.add("loss", points(1, 2))
        metrics.flush(7)
    genuine = getattr(store.runs, call)

    def unanswered(*given: Any) -> None:
        if arrived:
            genuine(*given)
        raise StoreUnavailable("no answer")

    metrics.add("loss", points(3, 4) if call == "append_metric" else points(1, 4))
    with monkeypatch.context() as patched:
        patched.setattr(store.runs, call, unanswered)
        with pytest.raises(StoreUnavailable):
            metrics.flush(7)
    metrics.add("loss", points(5, 6))
    metrics.flush(7)
    metrics.flush(7)
    assert stored(store) == [1, 2, 3, 4, 5, 6]


def test_the_next_process_begins_with_what_it_knows_and_the_one_before_writes_no_more(store: Store) -> None:
    before = Metrics(store.runs, 1)
    before.add("loss", points(1, 4))
    before.flush(7)
    after = Metrics(store.runs, 2)
    after.restore({"loss": points(1, 5)})
    after.flush(7)
    before.add("loss", points(5, 5))
    with pytest.raises(LeaseLost):
        before.flush(7)
    late = Metrics(store.runs, 1)
    late.restore({"loss": points(1, 2)})
    with pytest.raises(LeaseLost):
        late.flush(7)
    after.add("loss", points(6, 6))
    after.flush(7)
    assert stored(store) == [1, 2, 3, 4, 5, 6]


def test_a_metric_with_too_many_points_is_thinned_and_stays_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "MOST_POINTS", 8)
    metrics = Metrics(store.runs, 1)
    for first in range(1, 21, 3):
        metrics.add("loss", points(first, first + 2))
        metrics.flush(7)
    assert stored(store) == [1, 5, 9, 13, 17, 21]
    again = Metrics(store.runs, 2)
    again.restore({"loss": points(1, 21)})
    again.flush(7)
    assert stored(store) == [1, 5, 9, 13, 17, 21]


def test_a_metric_that_has_lost_points_with_the_database_goes_on(store: Store) -> None:
    metrics = Metrics(store.runs, 1)
    metrics.add("loss", points(1, 4))
    metrics.flush(7)
    store.runs.put_metric(7, "loss", [1, 2], [1.0, 0.5], [NOW, NOW], 1)
    for step in (5, 6):
        metrics.add("loss", points(step, step))
        metrics.flush(7)
    assert stored(store) == [1, 2, 6]
