"""Which process a number means, and how a process dies with the one that started it.

The system gives the number of a process that has ended to another. Start times are counted from the machine's start,
since a clock that is set moves all that are told by it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1

BOOT = Path("/proc/sys/kernel/random/boot_id")
START = 19
"""Place of the start time among the fields after the name in /proc/<pid>/stat."""


def identity(pid: int) -> str | None:
    """What tells the process *pid* from all that had or will have its number; None: it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else f"{BOOT.read_text().strip()}/{fields[START]}"
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except OSError:  # it has ended between two of the calls
        return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def die_with_parent(parent: int) -> None:
    """Have the system kill this process when *parent*, which started it, ends; at once if it has already.

    Linux does it in the kernel; elsewhere a thread watches.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
