"""Trials as columns, and back and forth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.columns import Column, TrialColumns, join, pack, unpack

VALUES = st.one_of(
    st.none(), st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from("abc")
)
DOCUMENTS = st.dictionaries(
    st.integers(1, 60),
    st.fixed_dictionaries(
        {
            "state": st.sampled_from(["COMPLETED", "RUNNING", "PRUNED"]),
            "worker": st.sampled_from([None, "worker_0", "worker_10"]),
            "loss": st.one_of(st.none(), st.floats(allow_nan=False)),
            "params": st.dictionaries(st.sampled_from(["depth", "rate", "kind"]), VALUES, max_size=3),
        }
    ),
).map(lambda found: [{"number": number, "stage": number % 3, **rest} for number, rest in sorted(found.items())])


def values(column: Column) -> list[Any]:
    """A column's values as they were given; numbers among texts have become texts."""
    if column.choices is not None:
        return list(column.texts())
    return [None if np.isnan(number) else float(number) for number in column.numbers]


def same(one: TrialColumns, other: TrialColumns) -> bool:
    """Whether both say the same; an axis that no trial has need not be there."""
    names = {*one.params, *other.params}
    nothing = Column(np.full(len(one), np.nan))
    return (
        one.number.tolist() == other.number.tolist()
        and one.stage.tolist() == other.stage.tolist()
        and values(one.state) == values(other.state)
        and values(one.worker) == values(other.worker)
        and np.array_equal(one.loss, other.loss, equal_nan=True)
        and all(values(one.params.get(n, nothing)) == values(other.params.get(n, nothing)) for n in names)
    )


@given(DOCUMENTS, st.data())
def test_however_trials_are_cut_into_blocks_the_columns_are_the_same(documents: list[Any], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(documents)))
    whole = unpack([pack(documents)])
    assert same(unpack([pack(documents[cut:]), pack(documents[:cut])]), whole)
    assert whole.number.tolist() == [document["number"] for document in documents]


@given(DOCUMENTS, DOCUMENTS)
def test_joining_keeps_the_newer_of_each_trial(old: list[Any], new: list[Any]) -> None:
    merged = {document["number"]: document for document in [*old, *new]}
    together = join(unpack([pack(old)]), unpack([pack(new)]))
    expected = unpack([pack([merged[number] for number in sorted(merged)])])
    mixed = {name for name, column in expected.params.items() if column.choices is not None}
    plain = {name for name, column in together.params.items() if column.choices is None}
    assert together.number.tolist() == expected.number.tolist()
    assert values(together.state) == values(expected.state)
    assert np.array_equal(together.loss, expected.loss, equal_nan=True)
    assert not mixed & plain, "a text has become a number"
    for name in expected.params:
        absent = [value is None for value in values(expected.params[name])]
        assert [value is None for value in values(together.params[name])] == absent


def test_a_packed_trial_is_plain_json_with_moments_in_seconds() -> None:
    started = datetime(2026, 3, 4, 5, 6, 7, 500_000, tzinfo=UTC)
    packed = pack([{"number": 3, "stage": 1, "state": "RUNNING", "started": started, "params": {"depth": 2}}])
    assert packed["started"] == [started.timestamp()]
    assert packed["finished"] == [None]
    assert packed["params"] == {"depth": [2]}
    assert pack([{"number": 1, "started": started.replace(tzinfo=None)}])["started"] == [started.timestamp()]


def test_what_an_older_block_does_not_know_is_absent() -> None:
    old = {"number": [1, 2], "stage": [0, 0], "state": ["COMPLETED", "PRUNED"]}
    found = unpack([old, pack([{"number": 3, "stage": 0, "state": "COMPLETED", "loss": 0.5, "params": {"depth": 2}}])])
    np.testing.assert_array_equal(found.loss, [np.nan, np.nan, 0.5])
    np.testing.assert_array_equal(found.params["depth"].numbers, [np.nan, np.nan, 2])


@pytest.mark.parametrize("strange", [True, [1, 2], {"a": 1}])
def test_strange_values_become_texts(strange: Any) -> None:
    found = unpack([pack([{"number": 1, "stage": 0, "state": "COMPLETED", "params": {"odd": strange}}])])
    assert found.params["odd"].texts() == [str(strange)]


def test_a_loss_that_is_no_number_is_absent() -> None:
    found = unpack([pack([{"number": 1, "stage": 0, "state": "COMPLETED", "loss": "none", "params": None}])])
    assert np.isnan(found.loss).tolist() == [True]
