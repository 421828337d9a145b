"""What is asked for under a key is done once, whoever asks at the same time, and whoever dies meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from engine.errors import ConfigError, StateError, StoreUnavailable
from engine.store import Store
from engine.store.creations import KEPT
from webapp.errors import QueryError
from webapp.services import creations
from webapp.services.accounts import Account

ADA, BOB = Account("ada", "ada", "admin", 0), Account("bob", "bob", "editor", 0)


def test_fifty_who_ask_at_once_get_the_one_answer(store: Store) -> None:
    made: list[str] = []

    def work(new: str) -> dict[str, str]:
        made.append(new)
        return {"text": new}

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: creations.once(store, ADA, "key", "asked", work), range(50)))
    assert len(made) == 1
    assert {answer["text"] for answer, _ in answers} == set(made)
    assert [again for _, again in answers].count(False) == 1


def test_another_request_under_a_key_is_refused_and_another_account_has_its_own(store: Store) -> None:
    creations.once(store, ADA, "key", "asked", lambda made: {"text": made})
    with pytest.raises(ConfigError, match="something else was asked for"):
        creations.once(store, ADA, "key", "otherwise", lambda made: {"text": made})
    assert creations.once(store, BOB, "key", "otherwise", lambda _: {"text": "Bob's"}) == ({"text": "Bob's"}, False)


def test_what_fails_is_done_when_it_is_asked_for_again(store: Store) -> None:
    def fail(_: str) -> dict[str, str]:
        raise StateError("not now")

    with pytest.raises(StateError, match="not now"):
        creations.once(store, ADA, "key", "asked", fail)
    assert creations.once(store, ADA, "key", "asked", lambda _: {"text": "done"}) == ({"text": "done"}, False)


def test_what_a_dead_process_has_begun_is_done_under_the_id_it_had(store: Store) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    store.creations.take("ada/key", "asked", "first", long_ago, creations.LEASE)
    assert creations.once(store, ADA, "key", "asked", lambda made: {"text": made}) == ({"text": "first"}, False)


def test_what_a_silent_database_cut_short_is_done_again_under_the_id_it_had(store: Store) -> None:
    tried: list[str] = []

    def silent(made: str) -> dict[str, str]:
        tried.append(made)
        raise StoreUnavailable("no answer: it may have been written")

    with pytest.raises(StoreUnavailable):
        creations.once(store, ADA, "key", "asked", silent)
    assert creations.once(store, ADA, "key", "asked", lambda made: {"text": made}) == ({"text": tried[0]}, False)


def test_an_answer_is_forgotten_after_a_day(store: Store) -> None:
    before = datetime.now(UTC) - KEPT - timedelta(minutes=1)
    store.creations.take("ada/key", "asked", "first", before, creations.LEASE)
    store.creations.settle("ada/key", {"text": "old"})
    answer, again = creations.once(store, ADA, "key", "otherwise", lambda made: {"text": "new"})
    assert (answer, again) == ({"text": "new"}, False)


def test_who_waits_too_long_is_told_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creations, "PATIENCE", 0.0)
    store.creations.take("ada/key", "asked", "first", datetime.now(UTC), creations.LEASE)
    with pytest.raises(StateError, match="is being worked on"):
        creations.once(store, ADA, "key", "asked", lambda made: {"text": made})


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "schlüssel"])
def test_a_key_that_cannot_be_one_is_refused(store: Store, key: str) -> None:
    with pytest.raises(QueryError, match="Idempotency-Key must be"):
        creations.once(store, ADA, key, "asked", lambda made: {"text": made})
