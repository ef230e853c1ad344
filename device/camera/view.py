"""What part of the camera's picture the network sees, and which way up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from edgedense.errors import EdgedenseError
from edgedense.flags import Flag
from edgedense.images.preprocessing import Pixels

Flip = Literal["none", "horizontal", "vertical", "both"]
Crop = tuple[float, float, float, float]
VIEW = "What part of the picture is classified"


def parse_turn(degrees: int) -> int:
    """Degrees clockwise from 0 to 270: -90 is 270. Raises EdgedenseError for what is no quarter turn."""
    if degrees % 90:
        raise EdgedenseError("--rotate 0, 90, 180 or 270", str(degrees))
    return degrees % 360


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


@dataclass(frozen=True)
class View:
    """First turn by `rotate` degrees clockwise (0, 90, 180 or 270), then mirror, then crop.

    `crop` is (x, y, width, height) in shares of the picture, or "square" for the largest square in its
    middle.
    """

    rotate: Annotated[
        int,
        Flag(
            "Turn the picture clockwise by 0, 90, 180 or 270 degrees.", panel=VIEW, metavar="DEGREES", read=parse_turn
        ),
    ] = 0
    flip: Annotated[Flip, Flag("Mirror the picture.", panel=VIEW)] = "none"
    crop: Annotated[
        Crop | Literal["square"],
        Flag(
            "Use only a part of the picture. square: the largest square in its middle. X,Y,WIDTH,HEIGHT: a window in "
            "shares of the picture from 0 to 1; 0.25,0,0.5,1 is the middle half.",
            panel=VIEW,
            metavar="square|X,Y,WIDTH,HEIGHT",
            takes=str,
            read=parse_crop,
        ),
    ] = (0.0, 0.0, 1.0, 1.0)

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
