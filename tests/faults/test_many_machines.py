"""Sweeps across two machines: real daemons, real servers, and networks of their own where the system allows it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.settings import ROOT
from tests.faults.two_machines import SCENARIOS


def _namespaces() -> bool:
    """Whether two networks can be made and joined here."""
    if not (sys.platform.startswith("linux") and shutil.which("ip") and shutil.which("nsenter") and os.geteuid() == 0):
        return False
    return subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_sweep_across_two_machines(scenario: str, tmp_path: Path) -> None:
    where = "namespaces" if _namespaces() else "loopback"
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.two_machines", str(tmp_path), where, scenario],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
