"""Which process a number means: the system gives the number of one that has ended to another.

Start times are counted from the machine's start, since a clock that is set moves all that are told by it.
"""

from __future__ import annotations

from pathlib import Path

import psutil

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
