"""Models to download: made by the engine in a process of its own, the newest kept in the data directory."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.domain import ENDED
from engine.errors import NotFound
from engine.models.trained import must_be_built_in
from engine.settings import Settings
from engine.store import Store
from webapp.services.helpers import Helper
from webapp.services.report import plain_name

KEPT = 20
LIMIT_SECONDS = 120.0
ABANDONED_SECONDS = 3600.0
"""A folder that is older was left by a server that was killed."""

exporter = Helper("engine.export", "making the ZIP file of a model", LIMIT_SECONDS, most=2)


def zip_of(store: Store, settings: Settings, sweep_id: str, number: int) -> tuple[Path, str]:
    """The ZIP file of a trial's model, made now unless it is at hand, and what it is to be called.

    Raises:
        NotFound: there is no such sweep, or the model is not kept.
        Busy, HelperError: as `Helper.run`.
    """
    sweep = must_have(store, sweep_id, number)
    folder = settings.data_dir / "exports"
    folder.mkdir(exist_ok=True)
    path = folder / f"{sweep_id}-{number}-{_age(sweep)}.zip"
    if path.exists():
        os.utime(path)
    else:
        _make(settings, sweep_id, number, path)
        prune(folder)
    return path, f"{plain_name(sweep['name'])}-trial-{number}.zip"


def must_have(store: Store, sweep_id: str, number: int) -> dict[str, Any]:
    """The sweep of a trial whose model is kept.

    Raises:
        NotFound: there is no such sweep, or the model is not kept.
        DataError: the model is a class of the user's own.
    """
    sweep = store.sweeps.get(sweep_id)
    must_be_built_in(sweep["config"])
    if not store.models.has(sweep_id, number):
        raise NotFound(
            f"the model of trial {number} is not kept; only completed trials have one, and it must not be too large"
        )
    return sweep


def prune(folder: Path) -> None:
    """Keep the newest files, and nothing that was left half made."""
    zips = sorted(folder.glob("*.zip"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in zips[KEPT:]:
        path.unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _age(sweep: dict[str, Any]) -> str:
    """What makes an older file of the same trial outdated: the figures that go with the model."""
    return f"{'ended' if sweep['state'] in ENDED else 'open'}{len(sweep.get('confirmed') or [])}"


def _make(settings: Settings, sweep_id: str, number: int, path: Path) -> None:
    """Make the file beside its place, so that nobody is sent half of it, and nothing is left of a failure."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / "model.zip"
        exporter.run(settings, [sweep_id, str(number), str(made)], environ={**os.environ, "TMPDIR": folder})
        made.replace(path)
