"""The captured output of a run, a part at a time: it may have 15 MB, of which a page looks at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.store.run_parts import RunParts
from webapp.services.runs import text

LONGEST = 60_000
"""Characters in one part."""
LONGEST_LINE = 2_000
"""A part begins where a line does, unless that is farther away."""
LONGEST_OTHER = 200_000
"""Of an output that is no text."""
PIECE = 1_000_000


@dataclass(frozen=True, slots=True)
class Output:
    """The characters from *start* to *end* of *total*."""

    text: str
    start: int
    end: int
    total: int


def end_of(parts: RunParts, run_id: Any) -> Output:
    """The end of a run's output."""
    total = parts.output_length(run_id)
    if total is None:
        shown = text(parts.whole_output(run_id), LONGEST_OTHER)
        return Output(shown, 0, len(shown), len(shown))
    return before(parts, run_id, total, total)


def before(parts: RunParts, run_id: Any, end: int, total: int | None = None) -> Output:
    """The part of a run's output that ends at *end*."""
    if total is None:
        total = parts.output_length(run_id) or 0
    end = min(max(end, 0), total)
    start = max(0, end - LONGEST)
    found = parts.output(run_id, start, end - start) if end > start else ""
    cut = found.find("\n", 0, LONGEST_LINE) + 1 if start else 0
    return Output(found[cut:], start + cut, end, total)


def pieces(parts: RunParts, run_id: Any) -> Iterator[bytes]:
    """All of a run's output, as UTF-8."""
    total = parts.output_length(run_id)
    if total is None:
        yield text(parts.whole_output(run_id), LONGEST_OTHER).encode()
        return
    for start in range(0, total, PIECE):
        yield parts.output(run_id, start, PIECE).encode(errors="replace")
