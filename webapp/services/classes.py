"""A user's own classes for sweeps: their axes, found out in a process of its own, and remembered for a while."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from threading import BoundedSemaphore

from engine.config import MODEL_CLASS, SweepConfig
from engine.errors import ConfigError, ModelError, Problem
from engine.models.inspection import Axes, inspect, settle
from engine.settings import Settings
from engine.store import Store

MOST_AT_ONCE = 2
KEPT_SECONDS = 600.0
MOST_KEPT = 200

_places = BoundedSemaphore(MOST_AT_ONCE)
_known: dict[str, tuple[float, Axes]] = {}


class Remembering:
    """The axes of classes, as `inspect` finds them; *fresh*: even of one that is remembered."""

    def __init__(self, fresh: bool = False) -> None:
        self.axes: Axes = {}
        self._fresh = fresh

    def __call__(self, reference: str, folder: Path) -> Axes:
        """
        Raises:
            ModelError: as `inspect`, or too many are read just now.
        """
        found, axes = _known.get(reference, (float("-inf"), {}))
        if self._fresh or time.monotonic() - found > KEPT_SECONDS:
            if not _places.acquire(blocking=False):
                raise ModelError("classes are being read for others just now; try again in a moment")
            try:
                axes = inspect(reference, folder)
            finally:
                _places.release()
            if len(_known) >= MOST_KEPT:
                _known.clear()
            _known[reference] = (time.monotonic(), axes)
        self.axes = axes
        return axes


def settled(store: Store, settings: Settings, config: SweepConfig) -> SweepConfig:
    """*config* as `engine.models.inspection.settle` completes it.

    Raises:
        ConfigError: there is no such class, or the axes are not its own.
    """
    if not config.model_class:
        return config
    with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
        return settle(config, store.model_files.fetch, Path(folder), Remembering())


def axes(store: Store, settings: Settings, reference: str) -> Axes:
    """The axes of a class as it is now.

    Raises:
        ConfigError: there is none, at `model_class`.
    """
    reference = reference.strip()
    if not MODEL_CLASS.fullmatch(reference):
        message = "name the class as package.module:Class, or as name.py:Class for an uploaded file"
        raise ConfigError([Problem("model_class", message)])
    config = SweepConfig(nn_model="Custom", model_class=reference)
    remembering = Remembering(fresh=True)
    with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
        settle(config, store.model_files.fetch, Path(folder), remembering)
    return remembering.axes


def known(reference: str) -> Axes:
    """The axes of a class, if they are remembered."""
    found = [axes for name, (_, axes) in _known.items() if _same(name, reference)]
    return found[-1] if found else {}


def _same(pinned: str, reference: str) -> bool:
    """Whether *reference* may mean the class *pinned*: `name.py:Class` means every version."""
    file, _, name = pinned.partition(":")
    return reference in (pinned, f"{file.partition('@')[0]}:{name}")
