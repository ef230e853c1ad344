"""The mean of the last few frames' scores."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

_STALE = 2.0  # seconds; what was seen before a longer pause says nothing about now


class Smoother:
    """The mean over up to `frames` frames; it starts anew after a pause."""

    def __init__(self, frames: int) -> None:
        self._scores: deque[NDArray[np.float32]] = deque(maxlen=frames)
        self._last = float("-inf")

    def smooth(self, scores: NDArray[np.float32], captured: float) -> NDArray[np.float32]:
        """float32 [classes] of the frame captured at `captured` seconds -> their mean, float32 [classes]."""
        if captured - self._last > _STALE:
            self._scores.clear()
        self._last = captured
        self._scores.append(scores)
        return scores if len(self._scores) == 1 else np.mean(self._scores, axis=0, dtype=np.float32)
