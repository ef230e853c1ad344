"""Deletion and insertion: Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", 2018.

The pixels that a heatmap holds for important are taken away first: the better the heatmap, the sooner the class's score
falls. Or they are put first into a blurred picture: the sooner it rises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from edgedense.explanations.colormap import enlarged
from edgedense.images.preprocessing import Floats, Pixels

STEPS = 28  # of equally many pixels
Score = Callable[[Pixels], float]  # of a class, for uint8 pixels [height, width, 3]


@dataclass(frozen=True)
class Areas:
    """The area under the curve of a class's score, 0 to 1, over the share of pixels that were deleted or inserted."""

    deletion: float
    insertion: float


def areas(score: Score, pixels: Pixels, heat: npt.NDArray[np.floating], steps: int = STEPS) -> Areas:
    """Of the heatmap [h, w] over `pixels` uint8 [H, W, 3]. What is deleted gets the picture's mean colour."""
    mean = np.broadcast_to(np.rint(pixels.mean(axis=(0, 1))), pixels.shape).astype(np.uint8)
    radius = max(pixels.shape[:2]) / 12  # of the picture only colours are left
    blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))
    return Areas(_area(score, pixels, mean, heat, steps), _area(score, blurred, pixels, heat, steps))


def _area(score: Score, start: Pixels, end: Pixels, heat: npt.NDArray[np.floating], steps: int) -> float:
    """The mean score on the way from `start` to `end`, pixel by pixel, those with the most heat first."""
    order = np.argsort(-enlarged(heat, *start.shape[:2]).reshape(-1), kind="stable")
    mixed = start.reshape(-1, 3).copy()
    scores = [score(mixed.reshape(start.shape))]
    for part in np.array_split(order, steps):
        mixed[part] = end.reshape(-1, 3)[part]
        scores.append(score(mixed.reshape(start.shape)))
    return float(np.mean((np.array(scores[1:]) + scores[:-1]) / 2))


def random_heat(shape: tuple[int, ...], seed: int) -> Floats:
    """A map that knows nothing, of the same resolution: its pixels come in patches as large as a heatmap's."""
    return np.random.default_rng(seed).random(shape).astype(np.float32)
