"""A user's own classes for sweeps: their axes, found out in a process of its own, and remembered for a while; the files
with them that administrators upload."""

from __future__ import annotations

import importlib.util
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from engine.config import MODEL_CLASS, SweepConfig, examine
from engine.errors import ConfigError, ModelError, Problem
from engine.models.inspection import Axes, inspect, inspect_file, settle
from engine.settings import Settings
from engine.store import Store
from engine.store.model_files import DIGITS
from webapp.services.accounts import Account

MOST_AT_ONCE = 2
KEPT_SECONDS = 600.0
MOST_KEPT = 200
MOST_BYTES = 2**20

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
            with _place():
                axes = inspect(reference, folder)
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
    config, problems = examine({"nn_model": "Custom", "model_class": reference})
    if wrong := [problem for problem in problems if problem.key == "model_class"]:
        raise ConfigError(wrong)
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


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded file, by its newest version. *classes*: as `engine.models.inspection.inspect_file` gives them."""

    name: str
    reference: str
    versions: int
    size: int
    by: str
    uploaded: datetime
    classes: Mapping[str, Mapping[str, Any]]
    users: Sequence[str]


@dataclass(frozen=True, slots=True)
class IndexPage:
    """What templates/classes/index.html shows: all files, and what is wrong with the one that was to be uploaded."""

    files: Sequence[File]
    problem: str = ""
    traceback: str = ""


def index(store: Store, refused: ConfigError | None = None) -> IndexPage:
    """All uploaded files."""
    files = [_file(store, name, versions) for name, versions in _files(store.model_files.all()).items()]
    if refused is None:
        return IndexPage(files)
    return IndexPage(files, refused.problems[0].message, getattr(refused.__cause__, "traceback", ""))


def after(store: Store, name: str, limit: int) -> list[File]:
    """At most *limit* uploaded files, by name, from the first after *name* on."""
    found = _files(store.model_files.after(name, limit))
    return [_file(store, name, versions) for name, versions in found.items()]


def names(store: Store) -> list[str]:
    """What the form suggests: the classes of uploaded files."""
    return [
        f"{name}:{one}"
        for name, versions in _files(store.model_files.all()).items()
        for one, found in versions[0]["classes"].items()
        if "axes" in found
    ]


def _files(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The versions of each uploaded file, the newest first as they were found."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for version in found:
        by_name.setdefault(version["name"], []).append(version)
    return by_name


def _file(store: Store, name: str, versions: Sequence[Mapping[str, Any]]) -> File:
    newest = versions[0]
    return File(
        name=name,
        reference=f"{name}@{newest['sha256'][:DIGITS]}",
        versions=len(versions),
        users=store.model_files.users(name),
        **{key: newest[key] for key in ("size", "by", "uploaded", "classes")},
    )


def upload(store: Store, settings: Settings, account: Account, filename: str, content: bytes, now: datetime) -> str:
    """Read a file and store it as the newest version of its name; returns a sentence about what was done.

    Raises:
        ConfigError: at `file`; caused by what the file raised.
    """
    name = filename.replace("\\", "/").rpartition("/")[2]
    if not name and not content:
        raise _refused("choose a Python file")
    if problem := _problem(name, content):
        raise _refused(problem)
    try:
        with _place(), tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            found = inspect_file(path)
    except ModelError as error:
        raise _refused(str(error)) from error
    if not store.model_files.add(name, content, found, account.name, now):
        return f"This version of {name} is already here. Nothing was stored."
    return f"{name} is stored, with {', '.join(found)}."


def delete(store: Store, name: str) -> None:
    """Delete a file with all its versions.

    Raises:
        NotFound: there is no such file.
        StateError: a sweep that has not ended uses it.
    """
    store.model_files.delete(name)


def too_large() -> ConfigError:
    """What is said of a file that the server does not take."""
    return _refused("the file is larger than 1 MB, the most that a model's file may have")


def _refused(message: str) -> ConfigError:
    return ConfigError([Problem("file", message)])


def _problem(name: str, content: bytes) -> str:
    """Why a file cannot be taken; empty: it can."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,59}\.py", name):
        return f"{name[:60]!r} must be called name.py, the name of at most 60 lower-case letters, digits and _"
    stem = name.removesuffix(".py")
    if stem in sys.stdlib_module_names or stem in sys.modules or importlib.util.find_spec(stem) is not None:
        return f"a module {stem} is installed already, and would be found in its place; give the file another name"
    if len(content) > MOST_BYTES:
        return too_large().problems[0].message
    if not content.strip():
        return "the file is empty"
    return ""


@contextmanager
def _place() -> Iterator[None]:
    """
    Raises:
        ModelError: as many classes are being read as may be.
    """
    if not _places.acquire(blocking=False):
        raise ModelError("classes are being read for others just now; try again in a moment")
    try:
        yield
    finally:
        _places.release()
