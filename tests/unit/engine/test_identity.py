"""A process is known by more than its number."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from engine.identity import identity
from engine.settings import ROOT
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


def test_a_process_that_reads_a_users_class_dies_with_the_one_that_asked(tmp_path: Path) -> None:
    """Its time limit would be kept by nobody."""
    (tmp_path / "slow.py").write_text(f"import time\nopen({str(tmp_path / 'begun')!r}, 'w').close()\ntime.sleep(600)\n")
    command = [sys.executable, "-m", "engine.models.inspect_model", "slow:Model", str(tmp_path)]
    asking = subprocess.Popen([sys.executable, "-c", f"import subprocess; subprocess.run({command!r})"], cwd=ROOT)
    wait_until((tmp_path / "begun").exists, 30, "the class that is read")
    (reading,) = psutil.Process(asking.pid).children()
    asking.kill()
    asking.wait()
    wait_until(lambda: identity(reading.pid) is None, 10, "the end of the process that reads it")
