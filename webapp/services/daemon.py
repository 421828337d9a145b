"""Seeing to it that a daemon of the engine runs on this machine: as a program of its own, never as an import."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime

from engine.settings import ROOT, Settings
from engine.store import Store

PRIVATE = ("NHOP_ADMIN_USER", "NHOP_ADMIN_PASSWORD")


def ensure_daemon(settings: Settings, store: Store, now: datetime, environ: Mapping[str, str] = os.environ) -> bool:
    """Start a daemon on this machine where none is alive anywhere; whether one was started.

    It runs detached, so that stopping the web application leaves sweeps alone. A second daemon of one
    machine ends by itself, so that starting one too many does no harm.
    """
    if environ.get("NHOP_NO_DAEMON"):
        return False
    if any(machine["alive"] for machine in store.machines.all(now)):
        return False
    inherited = {name: value for name, value in environ.items() if name not in PRIVATE}
    with (settings.data_dir / "daemon.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "engine.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=ROOT,
            env={**inherited, **settings.environment()},
        )
    return True
