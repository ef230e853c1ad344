"""What part of the camera's picture the network sees, and which way up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels

Flip = Literal["none", "horizontal", "vertical", "both"]
Crop = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """First turn by `rotate` degrees clockwise (0, 90, 180 or 270), then mirror, then crop.

    `crop` is (x, y, width, height) in shares of the picture, or "square" for the largest square in its
    middle.
    """

    rotate: int = 0
    flip: Flip = "none"
    crop: Crop | Literal["square"] = (0.0, 0.0, 1.0, 1.0)

    def apply(self, image: Pixels) -> Pixels:
        """uint8 [H, W, 3] -> a view of it, uint8 [h, w, 3]."""
        image = np.rot90(image, -self.rotate // 90)
        if self.flip in ("horizontal", "both"):
            image = image[:, ::-1]
        if self.flip in ("vertical", "both"):
            image = image[::-1]
        top, left, height, width = self._window(*image.shape[:2])
        return image[top : top + height, left : left + width]

    def _window(self, height: int, width: int) -> tuple[int, int, int, int]:
        if self.crop == "square":
            side = min(height, width)
            return (height - side) // 2, (width - side) // 2, side, side
        x, y, w, h = self.crop
        return int(y * height), int(x * width), max(1, round(h * height)), max(1, round(w * width))


def parse_view(rotate: int, flip: str, crop: str | None) -> View:
    """A view from the command line's words. Raises EdgedenseError for what is no view."""
    if rotate % 360 not in (0, 90, 180, 270):
        raise EdgedenseError("--rotate 0, 90, 180 or 270", str(rotate))
    if flip not in get_args(Flip):
        raise EdgedenseError(f"--flip {', '.join(get_args(Flip))}", repr(flip))
    return View(rotate % 360, cast(Flip, flip), parse_crop(crop) if crop else View.crop)


def parse_crop(text: str) -> Crop | Literal["square"]:
    """ "square", or "X,Y,WIDTH,HEIGHT" in shares of the picture from 0 to 1, as rpicam's --roi takes them."""
    if text == "square":
        return "square"
    try:
        x, y, width, height = (float(part) for part in text.split(","))
        inside = 0 <= x < 1 and 0 <= y < 1 and 0 < width <= 1 - x + 1e-9 and 0 < height <= 1 - y + 1e-9
    except ValueError:
        inside = False
    if not inside:
        raise EdgedenseError(
            "--crop square, or X,Y,WIDTH,HEIGHT in shares of the picture", repr(text), "--crop 0.25,0,0.5,1"
        )
    return x, y, width, height


def parse_size(text: str) -> tuple[int, int]:
    """ "640x480" -> (width, height) in pixels."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) > 0 and int(height) > 0):
        raise EdgedenseError("--size WIDTHxHEIGHT in pixels", repr(text), "--size 640x480")
    return int(width), int(height)
