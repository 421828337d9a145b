"""A process is known by more than its number."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from engine.identity import identity
from engine.store.embedded import Embedded
from tests.waiting import wait_until


def test_a_process_keeps_its_identity_and_shares_it_with_no_other() -> None:
    own = identity(os.getpid())
    assert own is not None
    assert identity(os.getpid()) == own
    assert identity(os.getppid()) not in (None, own)


def test_one_that_has_ended_has_none_even_before_it_is_reaped() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, 10, "its end")
    assert identity(process.pid) is None
    process.wait()
    assert identity(process.pid) is None


def test_a_database_is_known_by_its_process_and_by_what_earlier_versions_wrote_of_it() -> None:
    pid = os.getpid()
    own = identity(pid)
    assert own is not None
    assert Embedded(pid, 1, own).alive()
    assert not Embedded(pid, 1, own + "0").alive()
    created = psutil.Process(pid).create_time()
    assert Embedded(pid, 1, created).alive()
    assert not Embedded(pid, 1, created - 100).alive()
