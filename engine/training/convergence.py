"""When a trial has converged: its smoothed training loss has stood still for many steps in a row. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMOOTHING = 0.02
"""Weight of the newest mini-batch's loss in the smoothed loss."""
STILL_STEPS = 50
"""Training has converged when the smoothed loss has stood still for so many steps in a row."""


def smoothed(losses: NDArray[np.float32], smooth: np.float32, still: int, tolerance: float) -> tuple[np.float32, int]:
    """The smoothed loss after *losses*, and the steps in a row in which it changed by no more than *tolerance*.

    Args:
        smooth: the smoothed loss before; negative at the start.
    """
    for loss in losses:
        before, smooth = smooth, loss if smooth < 0 else smooth + np.float32(SMOOTHING) * (loss - smooth)
        still = still + 1 if abs(smooth - before) <= tolerance else 0
        if still >= STILL_STEPS:
            break
    return smooth, still
