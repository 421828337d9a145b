"""The journal: what a crash leaves of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

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
def test_a_flipped_bit_is_never_read_as_a_record(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("flipped") / "journal"
    content = bytearray(written(path))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content))
    line = bytes(written(path.with_name("sound")))[:at].count(b"\n")
    assert reopened(path) == RECORDS[:line]


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
    with pytest.raises(JournalError, match="journal cannot be written: No space left"):
        journal.append({"a": 1})
    _redirect(journal, os.devnull)
    journal.close()


def _redirect(journal: Journal, path: str) -> None:
    file = os.open(path, os.O_WRONLY)
    os.dup2(file, journal._file.fileno())
    os.close(file)
