"""Places in the data directory for servers that share it: each has one of its own."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

MOST_SERVERS = 16


def own_place(folder: Path, begin: str = "") -> tuple[Path, int] | None:
    """A path in *folder*, `BEGIN1` or `BEGIN2` and so on, that no other process holds, and the lock that holds it as
    long as it is open; None when there are MOST_SERVERS. The folder is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number in range(1, MOST_SERVERS + 1):
        path = folder / f"{begin}{number}"
        lock = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        return path, lock
    return None
