"""The ends of the log files of a sweep's processes, whichever machine has them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.errors import NotFound
from engine.logs import OPTIMIZER, end_of, path_of
from engine.store import Store

Document = dict[str, Any]

LONGEST = 60
"""Of what is repeated of a wrong name."""
WAIT_SECONDS = 3.0
"""For another machine's daemon, which looks twice a second for what is asked."""
LOOK_SECONDS = 0.1


def tail(store: Store, sweep_id: str, name: str) -> Document:
    """The last lines of a process's log: {name, where, lines}.

    Raises:
        NotFound: there is no such sweep, it has no such process, or nobody has its log; in words.
    """
    sweep = store.sweeps.get(sweep_id)
    known = [OPTIMIZER, *members(sweep)]
    if name not in known:
        raise NotFound(f"the sweep has no process {name[:LONGEST]!r}; it has {', '.join(known)}")
    path = path_of(sweep, name)
    lines = end_of(path)
    if lines is not None:
        return {"name": name, "where": str(path), "lines": lines}
    key = f"{sweep_id}/{name}"
    machine = store.servers.machine_of(key) or (sweep.get("lease") or {}).get("machine")
    answer = _ask(store, key, machine) if machine else None
    if answer is None:
        where = f"on {machine}, " if machine else ""
        raise NotFound(f"nobody has the log of {name} any more; it should lie {where}at {path}")
    return {"name": name, "where": f"{machine}: {answer['where']}", "lines": answer["lines"]}


def _ask(store: Store, key: str, machine: str) -> Document | None:
    """What another machine's daemon answers; None where it does not, or has no such log."""
    now = datetime.now(UTC)
    if not any(one["_id"] == machine and one["alive"] for one in store.machines.all(now)):
        return None
    store.logs.ask(key, machine, now)
    deadline = time.monotonic() + WAIT_SECONDS
    while (answer := store.logs.answer_to(key, now)) is None and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return answer if answer and answer["where"] else None


def members(sweep: Mapping[str, Any]) -> list[str]:
    """What the processes of a sweep's cluster are called."""
    found = (sweep.get("processes") or {}).values()
    return sorted({one["role"] if one["role"] == "chief" else f"{one['role']}_{one['index']}" for one in found})
