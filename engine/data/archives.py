"""ZIP files of texts, one folder a class, read in memory and never unpacked to disk.

`<anything>/<label>/**`, or `<anything>/data_files/<label>/**` with a keywords.json beside data_files. What is not
text (a NUL in its first 50,000 bytes) is left out, and so are hidden files and __MACOSX.
"""

from __future__ import annotations

import json
import re
import stat
import struct
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from engine.data.texts import MOST_CHARACTERS, MOST_FILES
from engine.errors import DataError

Document = dict[str, Any]
Member = tuple[str, str, zipfile.ZipInfo]
"""Label, file name below the label's folder, entry."""

KEYWORDS = "keywords.json"
DATA_FILES = "data_files"
LEAST_CLASSES = 2
LEAST_FILES = 20
MOST_CLASSES = 1000
MOST_ENTRIES = 100_000
MOST_BYTES = 2**30
MOST_RATIO = 100
"""Text is packed to a tenth or so; what grows a hundred times is made to."""
SMALL = 2**20
"""A file of up to so many bytes may be of any ratio."""
MOST_KEYWORDS_BYTES = 2**20
LONGEST_LABEL = 100
BLOCK = 2**20
TOGETHER = 50
"""Entries that are looked at before others get their turn."""
TURN = 0.0001
"""Seconds of a turn: with zero, gevent would not look at any socket."""
DIRECTORY_BYTES_PER_ENTRY = 1024


def describe(file: BinaryIO) -> Document:
    """What a ZIP file holds: {classes: [{name, files, characters}], files, characters, ignored, has_keywords}.

    Characters beyond the 50,000 of a file that are read do not count. Every entry is unpacked once, so that a broken
    one is found now.

    Raises:
        DataError: one sentence, naming the entry where there is one.
    """
    files: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    with opened_archive(file) as archive:
        members = _members(archive)
        for number, (label, _, entry) in enumerate(members):
            if number % TOGETHER == 0:
                time.sleep(TURN)
            if _read_through(archive, entry):
                files[label] += 1
                characters[label] += min(entry.file_size, MOST_CHARACTERS)
        has_keywords = _keywords(archive) is not None
        entries = sum(not entry.is_dir() for entry in archive.infolist()) - has_keywords
    if len(files) < LEAST_CLASSES:
        found = f"only the class {next(iter(files))!r}" if files else "no folder of texts"
        raise DataError(f"the ZIP file holds {found}; it needs {LEAST_CLASSES} folders of texts or more, one a class")
    if len(files) > MOST_CLASSES:
        raise DataError(f"the ZIP file holds {len(files):,} classes; at most {MOST_CLASSES:,} can be taken")
    if files.total() < LEAST_FILES:
        raise DataError(f"the ZIP file holds {files.total()} texts; at least {LEAST_FILES} are needed")
    return {
        "classes": [{"name": name, "files": files[name], "characters": characters[name]} for name in sorted(files)],
        "files": files.total(),
        "characters": characters.total(),
        "ignored": entries - files.total(),
        "has_keywords": has_keywords,
    }


def texts(path: Path) -> Iterator[tuple[str, str, str]]:
    """(label, file name, text) of every text, by label and name; latin-1, at most 2,000 files of a class and the first
    50,000 characters of each.

    Raises:
        DataError: the file cannot be read.
    """
    taken: Counter[str] = Counter()
    with path.open("rb") as file, opened_archive(file) as archive:
        for label, name, entry in _members(archive):
            if taken[label] < MOST_FILES:
                with archive.open(entry) as opened:
                    content = opened.read(MOST_CHARACTERS)
                if b"\0" not in content:
                    taken[label] += 1
                    yield label, name, content.decode("latin-1")


def keywords(path: Path) -> dict[str, list[str]] | None:
    """The keywords of each language in the file's keywords.json; None where there is none.

    Raises:
        DataError: the file, or its keywords.json, cannot be read.
    """
    with path.open("rb") as file, opened_archive(file) as archive:
        return _keywords(archive)


@contextmanager
def opened_archive(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """The archive, once its entries have been found harmless.

    Raises:
        DataError: it is broken, or made to do harm; also for what goes wrong while entries are read.
    """
    try:
        _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            _check_entries(archive.infolist(), file.seek(0, 2))
            yield archive
    except NotImplementedError:
        raise DataError("the ZIP file is packed in a way that cannot be read here; pack it with deflate") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error) as error:
        raise DataError(f"the ZIP file is broken: {_reason(error)}; pack it again") from None


def _check_directory(file: BinaryIO) -> None:
    """Look at the size of the list of entries before `zipfile` reads it into memory."""
    size = file.seek(0, 2)
    start = max(0, size - 22 - 2**16)
    file.seek(start)
    tail = file.read()
    file.seek(0)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) - end < 22:
        raise zipfile.BadZipFile("its end is missing")
    directory: int = struct.unpack_from("<L", tail, end + 12)[0]
    if tail[max(0, end - 20) : end].startswith(b"PK\x06\x07") and end >= 76:  # ZIP64: its own end lies before
        directory = struct.unpack_from("<Q", tail, end - 76 + 40)[0]
    if directory > MOST_ENTRIES * DIRECTORY_BYTES_PER_ENTRY:
        raise DataError(f"the ZIP file holds more than {MOST_ENTRIES:,} entries; choose fewer files")


def _check_entries(entries: list[zipfile.ZipInfo], packed: int) -> None:
    if len(entries) > MOST_ENTRIES:
        raise DataError(f"the ZIP file holds {len(entries):,} entries; at most {MOST_ENTRIES:,} can be taken")
    total = 0
    for entry in entries:
        shown, path = repr(entry.filename[:100]), entry.filename.replace("\\", "/")
        if path.startswith("/") or re.match(r"[A-Za-z]:", path):
            raise DataError(f"the entry {shown} has an absolute path; pack the folders with relative ones")
        if ".." in path.split("/"):
            raise DataError(f"the entry {shown} leads out of its folder by '..'; pack the folders again")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise DataError(f"the entry {shown} is a link; pack the file itself")
        if entry.flag_bits & 1:
            raise DataError(f"the entry {shown} is encrypted; pack the folders without a password")
        if entry.file_size > SMALL and entry.file_size > MOST_RATIO * entry.compress_size:
            raise DataError(f"the entry {shown} grows to more than {MOST_RATIO} times its size; such files are refused")
        total += entry.file_size
    if total > SMALL and total > MOST_RATIO * packed:
        raise DataError(f"the ZIP file grows to more than {MOST_RATIO} times its size; such files are refused")
    if total > MOST_BYTES:
        raise DataError(
            f"the ZIP file unpacks to {total / 2**30:.1f} GB; at most {MOST_BYTES // 2**30} GB can be taken"
        )


def _members(archive: zipfile.ZipFile) -> list[Member]:
    """The files in folders of classes, by label and name.

    The label is the folder below data_files, or else the first in which the paths differ.
    """
    found = []
    for entry in archive.infolist():
        parts = [part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", ".")]
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
        if not entry.is_dir() and not hidden and parts and parts[-1] != KEYWORDS:
            found.append((parts, entry))
    if any(DATA_FILES in parts[:-1] for parts, _ in found):
        found = [(parts[parts.index(DATA_FILES) + 1 :], entry) for parts, entry in found if DATA_FILES in parts[:-1]]
    found = [(parts, entry) for parts, entry in found if len(parts) > 1]
    while len({parts[0] for parts, _ in found}) == 1 and any(len(parts) > 2 for parts, _ in found):
        found = [(parts[1:], entry) for parts, entry in found if len(parts) > 2]
    for parts, _ in found:
        if len(parts[0]) > LONGEST_LABEL or not parts[0].isprintable():
            raise DataError(f"the folder {parts[0][:LONGEST_LABEL]!r} has a name that is too long or not printable")
    return sorted(((parts[0], "/".join(parts[1:]), entry) for parts, entry in found), key=lambda member: member[:2])


def _read_through(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Unpack an entry block by block; whether it is text with something in it.

    Raises:
        zipfile.BadZipFile: it is not what its checksum says.
    """
    with archive.open(entry) as opened:
        head = opened.read(BLOCK)
        while opened.read(BLOCK):
            time.sleep(TURN)
    return bool(head) and b"\0" not in head[:MOST_CHARACTERS]


def _keywords(archive: zipfile.ZipFile) -> dict[str, list[str]] | None:
    entries = [
        entry for entry in archive.infolist() if entry.filename.replace("\\", "/").rsplit("/", 1)[-1] == KEYWORDS
    ]
    if not entries:
        return None
    if entries[0].file_size > MOST_KEYWORDS_BYTES:
        raise DataError(f"{KEYWORDS} is larger than {MOST_KEYWORDS_BYTES // 2**20} MB")
    try:
        loaded = json.loads(archive.read(entries[0]))
    except (ValueError, RecursionError):
        raise DataError(f"{KEYWORDS} is not JSON") from None
    words = {name: _words(value) for name, value in loaded.items()} if isinstance(loaded, dict) else {}
    if not words or None in words.values():
        raise DataError(f'{KEYWORDS} must hold {{"language": {{"keywords": ["word", …]}}, …}}')
    return {name: value for name, value in words.items() if value is not None}


def _words(value: Any) -> list[str] | None:
    words = value.get("keywords") if isinstance(value, Mapping) else None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _reason(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].lower()}{text[1:120]}" if text else type(error).__name__
