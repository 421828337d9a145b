"""Finding out what axes a user's class has, in a process of its own: importing it runs its code.

`settle` makes a configuration complete: the class pinned to the content of its file, the axes within its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.config import MODEL_CLASS, SweepConfig
from engine.errors import ConfigError, ModelError, NotFound, Problem
from engine.space import Axis, axis_document, axis_of, within

LIMIT_SECONDS = 60.0
"""A class may import TensorFlow."""
ROOT = Path(__file__).resolve().parent.parent.parent

Axes = dict[str, Axis]
Fetch = Callable[[str, Path], tuple[str, Path]]
"""Brings the file of `name.py` or `name.py@version` into a folder: (`name.py@version`, its place there). Raises
NotFound where there is none."""


class Uninspectable(ModelError):
    """A class or file cannot be used; *traceback* is Python's, where there was one."""

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


def inspect(reference: str, folder: Path | None = None, seconds: float = LIMIT_SECONDS) -> Axes:
    """The axes of the class *reference*, `module:Class` or `name.py:Class` of a file in *folder*.

    Raises:
        Uninspectable: there is no such class, it cannot be imported, or that takes too long; in one sentence.
    """
    answer = _ask(reference, folder, seconds)
    return {name: axis_of(document) for name, document in answer["axes"].items()}


def inspect_file(path: Path, seconds: float = LIMIT_SECONDS) -> dict[str, dict[str, Any]]:
    """The classes of a file that are models, by name: {"axes": as `axis_document`} or {"error": why not} of each.

    Raises:
        Uninspectable: the file cannot be imported, or holds no such class.
    """
    found: dict[str, dict[str, Any]] = _ask(path.name, path.parent, seconds)["classes"]
    return found


def settle(
    config: SweepConfig,
    fetch: Fetch,
    folder: Path,
    inspect: Callable[[str, Path], Axes] = inspect,
) -> SweepConfig:
    """*config* with its class pinned, and with the axes of that class: those that are given, or all.

    Args:
        folder: where the file of the class is put, if it is in one.

    Raises:
        ConfigError: there is no such class, or the axes are not its own; with every problem, at its key.
    """
    matched = MODEL_CLASS.fullmatch(config.model_class)
    if matched is None:
        return config
    reference = config.model_class
    try:
        if matched["file"]:
            pinned, _ = fetch(reference.partition(":")[0], folder)
            reference = f"{pinned}:{matched['name']}"
        own = inspect(reference, folder)
    except (ModelError, NotFound) as error:
        raise ConfigError([Problem("model_class", str(error))]) from error
    space = {name: axis_document(axis) for name, axis in narrowed(own, config.model_space).items()}
    return config.model_copy(update={"model_class": reference, "model_space": space})


def narrowed(own: Axes, given: Mapping[str, Mapping[str, Any]]) -> Axes:
    """The axes *given* of a class whose *own* these are, in its order; all of them where none are given.

    Raises:
        ConfigError: with every problem, at `model_space` or `model_space.` and the axis.
    """
    if not given:
        return own
    problems = []
    if missing := [name for name in own if name not in given]:
        problems.append(Problem("model_space", f"lacks the class's axis {missing[0]}; read its axes again"))
    for name, document in given.items():
        if name not in own:
            problems.append(Problem(f"model_space.{name}", "the class has no such axis; read its axes again"))
        elif problem := within(axis_of(document), own[name]):
            problems.append(Problem(f"model_space.{name}", problem))
    if problems:
        raise ConfigError(problems)
    return {name: axis_of(given[name]) for name in own}


def _ask(what: str, folder: Path | None, seconds: float) -> dict[str, Any]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NHOP_")}
    environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "engine.models.inspect_model", what, *([str(folder)] if folder else [])],
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", cwd=ROOT,
            timeout=seconds, env=environ, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Uninspectable(f"reading {what} took longer than {seconds:g} s, so it was ended") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        how = f"code {done.returncode}" if done.returncode >= 0 else f"signal {-done.returncode}"
        raise Uninspectable(f"{what} ended the process that read it, with {how}", done.stderr[-4000:]) from None
    if "error" in answer:
        raise Uninspectable(answer["error"], answer["traceback"])
    return answer
