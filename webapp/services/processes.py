"""The ends of the log files of a sweep's processes, where this machine has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import NotFound
from engine.settings import ROOT
from engine.store import Store

Document = dict[str, Any]

LINES = 300
BYTES = 200_000
LONGEST = 60
"""Of what is repeated of a wrong name."""
OPTIMIZER = "optimizer"


def tail(store: Store, sweep_id: str, name: str) -> Document:
    """The last LINES lines of a process's log: {name, where, lines}.

    Raises:
        NotFound: there is no such sweep, it has no such process, or its log is not on this machine; in words.
    """
    sweep = store.sweeps.get(sweep_id)
    known = [OPTIMIZER, *members(sweep)]
    if name not in known:
        raise NotFound(f"the sweep has no process {name[:LONGEST]!r}; it has {', '.join(known)}")
    path = _folder(sweep) / f"{'hyper_opt' if name == OPTIMIZER else name}.log"
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        machine = (sweep.get("lease") or {}).get("machine")
        where = f"on {machine}, " if machine else ""
        raise NotFound(f"the log of {name} is not on this machine; it should lie {where}at {path}") from None
    lines = text.splitlines()
    return {"name": name, "where": str(path), "lines": lines[size > BYTES :][-LINES:]}


def members(sweep: Mapping[str, Any]) -> list[str]:
    """What the processes of a sweep's cluster are called."""
    found = (sweep.get("processes") or {}).values()
    return sorted({one["role"] if one["role"] == "chief" else f"{one['role']}_{one['index']}" for one in found})


def _folder(sweep: Mapping[str, Any]) -> Path:
    """Where the optimizer writes the logs; it works in the program's own folder."""
    folder = Path(str(sweep["config"]["train_log_dir"]))
    with suppress(RuntimeError):  # this account has no home: then nothing lies there
        folder = folder.expanduser()
    return ROOT / folder / str(sweep["_id"])
