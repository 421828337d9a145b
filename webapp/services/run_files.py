"""The artifacts and sources of a run: any file that anybody has put there, so nothing that they say of themselves is
believed. What a browser may show is found out from the bytes."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

from engine.errors import NotFound
from engine.store.run_parts import RunParts, StoredFile
from webapp.services.plain import dig
from webapp.services.runs import text

MOST_FILES = 1000
LOOKED_AT = 512
"""Bytes that tell the kind of a file."""
LONGEST_TEXT = 400_000
MOST_ROWS = 300
MOST_COLUMNS = 50
LONGEST_NAME = 150

PICTURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
SVG = "image/svg+xml"
SANDBOX = "default-src 'none'; img-src data: blob:; media-src data:; style-src 'unsafe-inline'; font-src data:; {}base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox{}"  # noqa: E501
STILL = SANDBOX.format("", "")
"""The policy of a file that a browser shows: nothing from elsewhere, no script, no origin."""
SCRIPTED = SANDBOX.format("script-src 'unsafe-inline' 'unsafe-eval' blob:; ", " allow-scripts")
"""Likewise, with its own scripts, which reach neither these pages nor any address."""

KINDS = ("artifact", "source")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file in the list of a run: its place there, and its name."""

    at: int
    name: str
    seems_picture: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown of a file. *kind* is image, html, table, code, text or other; *cut* says that it goes on."""

    name: str
    kind: str
    size: int
    code: Markup | str = ""
    rows: Sequence[Sequence[str]] = ()
    cut: bool = False


def listed(document: Mapping[str, Any], kind: str) -> list[Listed]:
    """The artifacts or sources of a run."""
    names = [name for name, _ in _entries(document, kind)]
    return [Listed(at, name, name.lower().endswith(IMAGE_SUFFIXES)) for at, name in enumerate(names)]


def _entries(document: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
    """(name, id of the file) of each artifact, {name, file_id}, or source, [name, id]."""
    given = document.get("artifacts") if kind == "artifact" else dig(document, "experiment", "sources")
    entries: list[tuple[str, Any]] = []
    for item in (given if isinstance(given, list) else [])[:MOST_FILES]:
        if isinstance(item, Mapping):
            name, file_id = item.get("name"), item.get("file_id")
        elif isinstance(item, list) and item:
            name, file_id = item[0], item[1] if len(item) > 1 else None
        else:
            name, file_id = item, None
        entries.append((text(name) if name not in (None, "") else "unnamed", file_id))
    return entries


def opened(parts: RunParts, document: Mapping[str, Any], kind: str, at: int) -> tuple[str, StoredFile]:
    """The name and content of a file of a run.

    Raises:
        NotFound: the run has no such file, or it is not stored.
    """
    entries = _entries(document, kind) if kind in KINDS else []
    if not 0 <= at < len(entries):
        raise NotFound("this run has no such file")
    name, file_id = entries[at]
    if file_id is None:
        raise NotFound(f"the file {name} is named by the run, but not stored")
    return name, parts.file(file_id)


def type_of(name: str, start: bytes) -> str:
    """The media type under which a browser may show a file that begins with *start*; "" if none."""
    for sign, found in PICTURES.items():
        if start.startswith(sign):
            return found
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    if not _is_text(start):
        return ""
    begin = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    suffix = PurePosixPath(name.lower()).suffix
    if suffix == ".svg" and (b"<svg" in start.lower()):
        return SVG
    if suffix in (".html", ".htm") or begin.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    return "text/plain"


def _is_text(start: bytes) -> bool:
    return not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", start)


def preview(name: str, file: StoredFile, kind: str) -> Preview:
    """What is shown of a file of this name.

    Raises:
        NotFound: it is not stored in full.
    """
    start = file.start(LONGEST_TEXT)
    found = type_of(name, start[:LOOKED_AT])
    size, cut = file.length, file.length > LONGEST_TEXT
    if kind == "source":
        found = "text/plain" if found else ""
    if found.startswith("image/"):
        return Preview(name, "image", size)
    if found == "text/html":
        return Preview(name, "html", size)
    if not found:
        return Preview(name, "other", size)
    content = start.decode("utf-8-sig", "replace")
    suffix = PurePosixPath(name.lower()).suffix
    if kind == "artifact" and suffix in (".csv", ".tsv"):
        rows, more = table(content, "\t" if suffix == ".tsv" else None)
        return Preview(name, "table", size, rows=rows, cut=cut or more)
    return Preview(name, "code", size, code=coloured(name, content), cut=cut)


def table(content: str, delimiter: str | None) -> tuple[list[list[str]], bool]:
    """The first rows of a CSV file, and whether there are more."""
    if delimiter is None:
        line = content.partition("\n")[0]
        delimiter = max(",;\t", key=line.count)
    rows: list[list[str]] = []
    more = False
    try:
        for row in csv.reader(io.StringIO(content, newline=""), delimiter=delimiter):
            if len(rows) > MOST_ROWS:
                more = True
                break
            rows.append([cell[:500] for cell in row[:MOST_COLUMNS]])
            more = more or len(row) > MOST_COLUMNS
    except csv.Error:
        more = True
    return rows, more


def coloured(name: str, content: str) -> Markup:
    """A text with the colours of its language, which its name tells; its classes are those of static/css/code.css."""
    try:
        lexer = get_lexer_for_filename(PurePosixPath(name).name, stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    return Markup(highlight(content, lexer, HtmlFormatter(nowrap=True)))  # noqa: S704 - Pygments escapes


def plain_file_name(name: str) -> str:
    """A name for a downloaded file: the last part, without what a header or a file system could take amiss."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(sign for sign in last if sign.isprintable() and sign not in '"*:<>?|;').strip(". ")
    return kept[-LONGEST_NAME:] or "file"


def zipped(parts: RunParts, document: Mapping[str, Any], kind: str) -> Iterator[bytes]:
    """All artifacts or sources of a run as a ZIP file, piece by piece; what is not stored in full stands in it with
    a note instead."""
    sink = _Sink()
    taken: set[str] = set()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for at, (name, _) in enumerate(_entries(document, kind)):
            path = unique_path(inner_path(name), taken)
            try:
                _, file = opened(parts, document, kind, at)
                with archive.open(path, "w", force_zip64=True) as entry:
                    for piece in file:
                        entry.write(piece)
                        yield sink.taken()
            except NotFound as error:
                archive.writestr(unique_path(f"{path}.missing.txt", taken), f"{error}\n")
            yield sink.taken()
    yield sink.taken()


def inner_path(name: str) -> str:
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
    return "/".join(plain_file_name(part) for part in parts[-8:]) or "file"


def unique_path(path: str, taken: set[str]) -> str:
    """*path*, with a number where it is *taken*, among which it is then."""
    free, number = path, 2
    while free.lower() in taken:
        stem, dot, suffix = path.rpartition(".")
        free = f"{stem} ({number}).{suffix}" if dot and "/" not in suffix else f"{path} ({number})"
        number += 1
    taken.add(free.lower())
    return free


class _Sink(io.RawIOBase):
    """What a ZIP file is written to, and taken from piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
