"""Does the picture move?"""

from __future__ import annotations

import numpy as np

from edgedense.images.preprocessing import Floats, Pixels

_GRID = 16
# a cell averages over 100 pixels and more, so that sensor noise of 10 levels moves it by less than 1
_LEVELS = 6.0
_HOLD = 1.0  # seconds; the settled picture after a movement is the sharp one, so go on for a while


class MotionDetector:
    """Compares the means of a 16x16 grid with those of the last picture that counted as moving.

    One cell that changes by more than 6 of 255 levels is movement. A slow change is noticed as well,
    since the picture to compare with stays until something moves; a change of the whole picture's
    brightness counts too, because the network sees it.
    """

    def __init__(self) -> None:
        self._reference: Floats | None = None
        self._moved_at = float("-inf")

    def is_moving(self, image: Pixels, now: float) -> bool:
        """uint8 [H, W, C] at `now` seconds -> whether it moves, or did so within the last second."""
        cells = _cell_means(image)
        if (
            self._reference is None
            or cells.shape != self._reference.shape
            or np.abs(cells - self._reference).max() > _LEVELS
        ):
            self._reference, self._moved_at = cells, now
        return now - self._moved_at <= _HOLD


def _cell_means(image: Pixels) -> Floats:
    """uint8 [H, W, C] -> float32 [16, 16], fewer where the picture has fewer pixels; the rest at the edge
    is left out.
    """
    height, width = image.shape[:2]
    rows, columns = min(_GRID, height), min(_GRID, width)
    # Green carries most of the light; a single channel is the light.
    grey = image[: height // rows * rows, : width // columns * columns, min(1, image.shape[2] - 1)]
    return grey.reshape(rows, height // rows, columns, -1).mean((1, 3), dtype=np.float32)
