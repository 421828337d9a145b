"""The ends of the log files of a sweep's processes, read on the machine that has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.settings import ROOT

LINES = 300
BYTES = 200_000
OPTIMIZER = "optimizer"


def path_of(sweep: Mapping[str, Any], name: str) -> Path:
    """Where the optimizer of *sweep* and its processes write; it works in the program's own folder."""
    folder = Path(str(sweep["config"]["train_log_dir"]))
    with suppress(RuntimeError):  # this account has no home: then nothing lies there
        folder = folder.expanduser()
    return ROOT / folder / str(sweep["_id"]) / f"{'hyper_opt' if name == OPTIMIZER else name}.log"


def path_of_server(data_dir: Path, key: str) -> Path:
    """Where the server that is kept for another machine's sweep writes; *key* is "sweep/name"."""
    return data_dir / "servers" / f"{key.replace('/', '-')}.log"


def end_of(path: Path) -> list[str] | None:
    """The last LINES lines of a file; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except (OSError, ValueError):  # the latter where no file can have such a name
        return None
    return lines[size > BYTES :][-LINES:]
