"""Turning the driver's errors into ours, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from engine.errors import StoreBroken, StoreError, StoreUnavailable

DUPLICATE_KEY = 11000
INTERNAL_ERROR = 1


@contextmanager
def answered() -> Iterator[None]:
    """Around calls to the database: a silent one is `StoreUnavailable`, a refusal `StoreError`.

    `DuplicateKeyError` passes through, that of one among many writes as well: callers use it as an answer.
    """
    try:
        yield
    except DuplicateKeyError:
        raise
    except BulkWriteError as error:
        if any(item.get("code") == DUPLICATE_KEY for item in error.details.get("writeErrors", [])):
            raise DuplicateKeyError("a key is taken", DUPLICATE_KEY) from error
        raise StoreError(f"the database refused the call: {_short(error)}") from error
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        raise StoreUnavailable(f"the database does not answer: {_short(error)}") from error
    except PyMongoError as error:
        if error.timeout:
            raise StoreUnavailable(f"the database does not answer: {_short(error)}") from error
        if isinstance(error, OperationFailure) and error.code == INTERNAL_ERROR:
            raise StoreBroken(f"the database has failed: {_short(error)}") from error
        raise StoreError(f"the database refused the call: {_short(error)}") from error


def _short(error: PyMongoError) -> str:
    return str(error).split(", Timeout:")[0].split(" (configured timeouts")[0][:200]
