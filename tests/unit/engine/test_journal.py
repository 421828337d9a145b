"""The journal: what a crash leaves of it."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import JournalError
from engine.store.journal import Journal

RECORDS = [{"trial": {"number": n, "error": "line\nbreak\r\u2028 é"}} for n in range(1, 6)]


def written(path: Path, records: list[dict[str, object]] = RECORDS) -> bytes:
    journal = Journal(path)
    for record in records:
        journal.append(record)
    journal.close()
    return path.read_bytes()


def reopened(path: Path) -> list[dict[str, object]]:
    journal = Journal(path)
    journal.close()
    return journal.records


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    written(tmp_path / "journal")
    assert reopened(tmp_path / "journal") == RECORDS


def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    assert reopened(tmp_path / "journal") == []


def test_a_record_is_on_the_disk_when_append_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append(RECORDS[0])
    assert (tmp_path / "journal").stat().st_size > 0
    assert reopened(tmp_path / "journal") == RECORDS[:1]
    journal.close()


def test_times_are_kept_as_text_that_reads_back(tmp_path: Path) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    written(tmp_path / "journal", [{"at": now}])
    assert datetime.fromisoformat(str(reopened(tmp_path / "journal")[0]["at"])) == now


@given(data=st.data())
def test_a_journal_torn_anywhere_keeps_exactly_its_whole_records(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("torn") / "journal"
    content = written(path)
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    assert reopened(path) == RECORDS[:whole]
    assert path.stat().st_size == (content[:cut].rfind(b"\n") + 1), "the torn tail was not cut off"


def test_a_record_appended_after_a_torn_tail_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(written(path)[:-4])
    journal = Journal(path)
    journal.append({"new": 1})
    journal.close()
    assert reopened(path) == [*RECORDS[:4], {"new": 1}]


@given(data=st.data())
def test_a_flipped_bit_costs_its_record_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """But for one that ends a line: that joins two, or makes two of one."""
    path = tmp_path_factory.mktemp("flipped") / "journal"
    sound = written(path)
    content = bytearray(sound)
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content))
    line = sound[:at].count(b"\n")
    lost = {line, line + 1} if sound[at] == ord("\n") else {line}
    assert reopened(path) == [record for number, record in enumerate(RECORDS) if number not in lost]


def test_a_record_that_is_longer_than_a_page_is_kept_whole(tmp_path: Path) -> None:
    record = {"curve": [[n, 0.5, None] for n in range(20_000)]}
    written(tmp_path / "journal", [record])
    assert reopened(tmp_path / "journal") == [record]


def test_a_journal_that_cannot_be_opened_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="journal: the journal cannot be opened"):
        Journal(tmp_path / "gone" / "journal")


def test_a_journal_that_cannot_be_written_is_an_error_naming_it(tmp_path: Path) -> None:
    """/dev/full refuses every write, as a full disk does."""
    journal = Journal(tmp_path / "journal")
    _redirect(journal, "/dev/full")
    with pytest.raises(JournalError, match="journal cannot be written: there is no room on the disk"):
        journal.append({"a": 1})
    _redirect(journal, os.devnull)
    journal.close()


def _redirect(journal: Journal, path: str) -> None:
    file = os.open(path, os.O_WRONLY)
    os.dup2(file, journal._file)
    os.close(file)


@pytest.mark.parametrize("call", ["fsync", "pwrite"])
def test_a_record_that_failed_is_there_once_when_it_is_appended_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A write of which a part arrived, and a sync that failed, after which the system may claim that all is well."""
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append(RECORDS[0])
    genuine = os.pwrite

    def fail(file: int, *given: Any) -> int:
        if given:
            genuine(file, given[0][:9], given[1])
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(JournalError, match="Input/output error"):
            journal.append(RECORDS[1])
    assert reopened(path) == RECORDS[:1]
    journal.append(RECORDS[1])
    journal.close()
    assert reopened(path) == RECORDS[:2]


def test_spoilt_lines_are_counted_and_what_follows_them_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    lines = written(path).splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 40 + lines[1] + lines[2] + b"nonsense\n" + lines[3] + b"torn")
    journal = Journal(path)
    journal.append({"new": 1})
    journal.close()
    assert (journal.records, journal.spoilt) == ([RECORDS[0], RECORDS[2], RECORDS[3]], 2)
    assert reopened(path) == [RECORDS[0], RECORDS[2], RECORDS[3], {"new": 1}]
