"""Named points that the program passes, at which tests may note it, end the process or make a call fail.

The environment variable TEST_POINTS, `module:function`, says what is called at each; where it is not set, nothing is.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any


def _called(reference: str) -> Callable[..., None] | None:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name) if module else None


_at_point = _called(os.environ.get("TEST_POINTS", ""))


def reached(point: str, **about: Any) -> None:
    """This process is at *point*."""
    if _at_point is not None:
        _at_point(point, **about)
