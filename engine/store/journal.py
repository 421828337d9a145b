"""The journal of a sweep: what must not be lost, on this machine's disk before anywhere else.

One record a line, `checksum json`. A line torn by a crash ends the journal; it is cut off at the next opening. A line
that is spoilt in the middle is left out, and counted. What could not be written, or not be synced, is as if it had
never been: the next append begins at the same place.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import NO_ROOM, JournalError
from engine.points import reached

Record = dict[str, Any]


LEAST_ROOM = 10_000_000, 0.05
"""On a disk: bytes, or this part of a small one. With less, files would soon be cut short."""


class Journal:
    """An append-only file of records."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            JournalError: the file cannot be opened.
            OSError: there is no room for it.
        """
        self.path = path
        try:
            self.records, self.spoilt, self._end = _read(path)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(self._file, self._end)
            _sync_folder(path.parent)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise JournalError(f"{path}: the journal cannot be opened: {error.strerror}") from error

    def append(self, record: Record, wait: bool = True) -> None:
        """Write *record* and *wait* until the disk has it; else this process may die from then on, but not the system.

        Raises:
            JournalError: it could not be written. Doing it again later is right.
        """
        data = json.dumps(record, separators=(",", ":"), default=str).encode()
        line = b"%08x %s\n" % (zlib.crc32(data), data)
        try:
            _write(self._file, line, self._end)
            if wait:
                reached("journal-written")
                os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            why = "there is no room on the disk" if error.errno in NO_ROOM else error.strerror
            raise JournalError(f"{self.path} cannot be written: {why}") from error
        self._end += len(line)
        if wait:
            reached("journal-synced")

    def close(self) -> None:
        os.close(self._file)


def lacks_room(folder: Path) -> str | None:
    """That the disk of a folder is nearly full, in words; None: it is not, as far as can be told."""
    with suppress(OSError):
        usage = shutil.disk_usage(folder)
        if usage.free < min(LEAST_ROOM[0], LEAST_ROOM[1] * usage.total):
            return f"the disk of {folder} is nearly full"
    return None


def _write(file: int, data: bytes, at: int) -> None:
    """Write all of *data*; what a failed attempt left there is written over."""
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written


def _sync_folder(folder: Path) -> None:
    """Have the disk know of the files of a folder."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _read(path: Path) -> tuple[list[Record], int, int]:
    """The sound records of a journal, how many lines before the last of them are spoilt, and where it ends."""
    if not path.exists():
        return [], 0, 0
    records: list[Record] = []
    spoilt = since = end = place = 0
    for line in path.read_bytes().splitlines(keepends=True):
        place += len(line)
        checksum, _, data = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(data):
            since += 1
            continue
        records.append(json.loads(data))
        spoilt, since, end = spoilt + since, 0, place
    return records, spoilt, end
