"""Doing what a client asks for under a key of its own once, however often it asks."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.errors import ConfigError, NotFound, Problem, StateError, StoreError
from engine.store import Store
from engine.store.sweeps import new_id
from webapp.errors import Forbidden, HelperError, QueryError
from webapp.services.accounts import Account

Document = dict[str, Any]

HEADER = "Idempotency-Key"
LONGEST = 200
REFUSALS = (ConfigError, StateError, NotFound, Forbidden, QueryError, HelperError)
"""Errors of what was asked for, which are found before anything is written."""
LEASE = timedelta(minutes=2)
"""Whoever has not done it after so long has died, and the next one does it."""
PATIENCE = 20.0
"""Seconds for which one waits for another that does the same."""
PAUSE, LONGEST_PAUSE = 0.02, 0.5


def once(
    store: Store, account: Account, key: str, request: str, work: Callable[[str], Mapping[str, Any]]
) -> tuple[Document, bool]:
    """What *work* answers, kept for 24 hours: asked for again under the same *key*, it is not done again.

    Args:
        request: a digest of what is asked for.
        work: does it, given an id for what it makes, the same one should it have to be begun again; doing it twice
            under one id does it once.

    Returns:
        the answer, and whether it had been given before.

    Raises:
        QueryError: the key cannot be one.
        ConfigError: something else was asked for under it.
        StateError: the same is being done, and takes long.
    """
    if not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        raise QueryError(f"{HEADER} must be 1 to {LONGEST} printable ASCII characters")
    name, pause, end = f"{account.id}/{key}", PAUSE, time.monotonic() + PATIENCE
    while True:
        mine, found = store.creations.take(name, request, new_id(), datetime.now(UTC), LEASE)
        if found["request"] != request:
            raise ConfigError([Problem(HEADER, "something else was asked for under this key; take a new one")])
        if mine:
            return _do(store, name, found["made"], work), False
        if found["answer"] is not None:
            return found["answer"], True
        if time.monotonic() > end:
            raise StateError("the same request is being worked on; ask for it again in a moment")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def id_of(account: Account, sent: Any) -> str:
    """The id of what is made of a form: the same one when the form, with a number of its own, is sent again."""
    return hashlib.blake2b(json.dumps([account.id, sent]).encode(), digest_size=6).hexdigest()


def _do(store: Store, name: str, made: str, work: Callable[[str], Mapping[str, Any]]) -> Document:
    try:
        answer = dict(work(made))
    except REFUSALS:
        store.creations.give_up(name)
        raise
    except BaseException:  # perhaps it was done, all or in part: whoever asks again does it under the same id
        with suppress(StoreError):
            store.creations.let_go(name, datetime.now(UTC))
        raise
    store.creations.settle(name, answer)
    return answer
