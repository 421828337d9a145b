"""Stored values as plain JSON: what a browser can parse, whatever a document holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

DEEPEST = 40


def plain(value: Any, depth: int = 0) -> Any:
    """*value* with NaN and infinities as null, moments as ISO 8601, and everything unknown as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return aware(value).isoformat()
    if depth > DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    return str(value)


def storable(value: Any) -> Any:
    """*value* as it is; ValueError where it is a text that no database takes: JSON may name half of a pair."""
    if isinstance(value, str):
        value.encode()
    return value


def aware(moment: datetime) -> datetime:
    """A stored moment with its zone: the database keeps UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def dig(document: Any, *keys: str) -> Any:
    """The value at a path of *keys*; None where any part is missing or not a mapping."""
    for key in keys:
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document
