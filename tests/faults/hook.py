"""What the processes of a test do at the program's named points: note them in the ledger, and die or fail where told.

TEST_POINTS loads it into them (`engine.points`). In the folder TEST_POINTS_DIR lie `ledger`, one JSON object a line,
each on the disk before its writer goes on; and orders: `armed/<point>` holds {"id", "pass", "action", "standing"}.
Whoever comes to the point for the pass-th time since obeys it, once or, while it is *standing*, each time. `clock`
says by how many seconds the clocks of daemon and optimizer are wrong.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

VARIABLES = ("TEST_POINTS", "TEST_POINTS_DIR")
NOTED = frozenset({
    "sweep-claimed", "optimizer-begins", "lease-renewed", "trials-stored", "fields-stored", "events-stored",
    "sweep-finished", "trial-begins", "trial-ends",
})  # fmt: skip

FOLDER = Path(os.environ["TEST_POINTS_DIR"])
CLOCK = FOLDER / "clock"
_passes: Counter[str] = Counter()
_owner: dict[int, int | None] = {}
CLOCKS = {"engine.daemon": ("__main__", "_now"), "engine.child": ("engine.session", "clock")}
"""Where the processes that have one keep their clock: by how they are started, module and name."""


def reached(point: str, **about: Any) -> None:
    if not _passes:
        shift_clock()
    _passes["any"] += 1
    if point in NOTED:
        if "keep" in about:
            about = {"sweep": Path(about["keep"]).parts[-3], "number": about["number"], "attempt": about["attempt"]}
        note(point, owner=owner(), **about)
    order = FOLDER / "armed" / point
    try:
        wanted = json.loads(order.read_text())
    except (FileNotFoundError, ValueError):
        return
    _passes[wanted["id"]] += 1
    if _passes[wanted["id"]] < wanted["pass"]:
        return
    if not wanted["standing"]:
        try:
            order.rename(FOLDER / "taken" / wanted["id"])
        except FileNotFoundError:
            return
    note("obeyed", order=wanted["id"], at_point=point)
    obey(wanted["action"])


def obey(action: str) -> None:
    kind, _, value = action.partition(" ")
    if kind == "signal":
        os.kill(os.getpid(), signal.Signals[value])
    elif kind == "exit":
        os._exit(int(value))
    elif kind == "fail":
        number = getattr(errno, value)
        raise OSError(number, os.strerror(number))


def shift_clock() -> None:
    """Have this process's clock be wrong by the seconds that file `clock` says, from now on."""
    for program, (module, name) in CLOCKS.items():
        if program in sys.orig_argv:
            setattr(sys.modules[module], name, _shifted(getattr(sys.modules[module], name)))


def _shifted(clock: Callable[[], datetime]) -> Callable[[], datetime]:
    return lambda: clock() + timedelta(seconds=float(CLOCK.read_text()))


def note(point: str, **about: Any) -> None:
    line = json.dumps({"point": point, "at": time.monotonic(), "pid": os.getpid(), **about}) + "\n"
    file = os.open(FOLDER / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line.encode())
        os.fsync(file)
    finally:
        os.close(file)


def owner() -> int | None:
    """The optimizer that this process is, or belongs to."""
    own = os.getpid()
    if own not in _owner:
        _owner[own] = _find_owner(own)
    return _owner[own]


def _find_owner(pid: int) -> int | None:
    with suppress(OSError):
        while pid > 1:
            if b"engine.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None
