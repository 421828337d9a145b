"""Turning the driver's errors into ours, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import ConnectionFailure, DuplicateKeyError, ExecutionTimeout, PyMongoError, WTimeoutError

from engine.errors import StoreError, StoreUnavailable


@contextmanager
def answered() -> Iterator[None]:
    """Around calls to the database: a silent one is `StoreUnavailable`, a refusal `StoreError`.

    `DuplicateKeyError` passes through: callers use it as an answer.
    """
    try:
        yield
    except DuplicateKeyError:
        raise
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        raise StoreUnavailable(f"the database does not answer: {_short(error)}") from error
    except PyMongoError as error:
        if error.timeout:
            raise StoreUnavailable(f"the database does not answer: {_short(error)}") from error
        raise StoreError(f"the database refused the call: {_short(error)}") from error


def _short(error: PyMongoError) -> str:
    return str(error).split(", Timeout:")[0].split(" (configured timeouts")[0][:200]
