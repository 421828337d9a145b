"""The journal of a sweep: what must not be lost, on this machine's disk before anywhere else.

One record a line, `checksum json`. A line torn by a crash ends the journal; it is cut off at the next opening.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

from engine.errors import JournalError
from engine.points import reached

Record = dict[str, Any]


class Journal:
    """An append-only file of records."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            JournalError: the file cannot be opened.
        """
        self.path = path
        try:
            self.records, sound = _read(path)
            self._file = path.open("ab")
            self._file.truncate(sound)
        except OSError as error:
            raise JournalError(f"{path}: the journal cannot be opened: {error.strerror}") from error

    def append(self, record: Record) -> None:
        """Write *record* and wait until the disk has it.

        Raises:
            JournalError: it could not be written.
        """
        data = json.dumps(record, separators=(",", ":"), default=str).encode()
        try:
            self._file.write(b"%08x %s\n" % (zlib.crc32(data), data))
            self._file.flush()
            reached("journal-written")
            os.fsync(self._file.fileno())
        except OSError as error:
            raise JournalError(f"{self.path}: the journal cannot be written: {error.strerror}") from error
        reached("journal-synced")

    def close(self) -> None:
        self._file.close()


def _read(path: Path) -> tuple[list[Record], int]:
    """The sound records of a journal, and how many bytes they take."""
    if not path.exists():
        return [], 0
    records, sound = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        checksum, _, data = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(data):
            break
        records.append(json.loads(data))
        sound += len(line)
    return records, sound
