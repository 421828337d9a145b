"""Every error of the engine.

NhopError
├── ConfigError        a sweep's configuration has problems (all of them, each at its key)
├── SettingsError      a setting of this installation is wrong
├── SpaceError         an axis or a search space cannot exist
├── DataError          a data set cannot be read or used
├── ModelError         a user's own class cannot be used as a model
├── StateError         a sweep or trial cannot move from this state to that one
├── ClusterError       the TensorFlow processes cannot be started or kept
├── StoreError
│   ├── StoreUnavailable   the database does not answer
│   │   └── StoreBroken    it answers, but has failed within
│   └── NotFound           there is no such document
├── JournalError       the local journal cannot be written or read
├── NoticeError        a notification has not been sent; it may be tried again
│   └── NoticeRefused      and trying again is of no use
└── LeaseLost          another optimizer owns the sweep now
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when there is no room for a file: on the disk, in a user's share of it, or by a limit."""


MOST_WORDS = 20_000
"""Characters of an error that are kept."""


def clipped(text: str, most: int = MOST_WORDS) -> str:
    """Of a text from anywhere what every database and stream takes: no half of a pair, and no more than so many
    characters, the last ones."""
    return text[-most:].encode(errors="replace").decode()


class NhopError(Exception):
    """The base of all errors; its text is fit to be shown to a user."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to fix: the configuration *key* (dotted for nested values) and what to do about it."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


class ConfigError(NhopError):
    """A configuration was refused; *problems* names everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsError(NhopError):
    """A setting of this installation (port, directory, database address) is wrong."""


class SpaceError(NhopError):
    """An axis or a search space cannot exist."""


class DataError(NhopError):
    """A data set cannot be read or used."""


class ModelError(NhopError):
    """A user's own class cannot be used as a model; the text says what it must do."""


class StateError(NhopError):
    """A sweep or a trial cannot move from its state to the one asked for."""


class ClusterError(NhopError):
    """The TensorFlow processes cannot be started or kept running."""


class StoreError(NhopError):
    """The database refused something."""


class StoreUnavailable(StoreError):
    """The database does not answer."""


class StoreBroken(StoreUnavailable):
    """The database has failed within, as when its disk was full: it is of no use until it is started anew."""


class NotFound(StoreError):
    """There is no such document."""


class JournalError(NhopError):
    """The local journal cannot be written or read."""


class NoticeError(NhopError):
    """A notification has not been sent; its text names no part of an address."""


class NoticeRefused(NoticeError):
    """A notification will never be sent: its address is refused, or was answered with a refusal."""


class LeaseLost(NhopError):
    """Another optimizer owns the sweep now; this one must stop without writing anything more."""
