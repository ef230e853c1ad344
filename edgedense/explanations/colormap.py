"""A heatmap as a picture: colours, and over the picture that it explains. Pure functions of arrays."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from edgedense.images.preprocessing import Floats, Pixels
from edgedense.images.steps import WHOLE, Window

# Matplotlib's "plasma" (Smith and van der Walt, 2015; CC0) at 17 points, in between linear: at most 5 levels of 255
# away. It is perceptually uniform, and no colour of it is a grey, so that it stands out on X-rays and MRI.
_PLASMA = (
    (13, 8, 135),
    (49, 5, 151),
    (76, 2, 161),
    (102, 0, 167),
    (126, 3, 168),
    (149, 17, 161),
    (170, 35, 149),
    (188, 53, 135),
    (204, 71, 120),
    (218, 90, 106),
    (230, 108, 92),
    (240, 128, 78),
    (248, 149, 64),
    (253, 172, 51),
    (253, 197, 39),
    (248, 223, 37),
    (240, 249, 33),
)
_LINE, _RIM = (0, 229, 255), (0, 0, 0)  # an outline: a hue that neither the heatmap nor an X-ray has, and its rim
STRENGTH = 0.75  # the share of the colour where a heatmap is highest; where it is zero the picture is untouched


def _table() -> Pixels:
    points = np.linspace(0, 255, len(_PLASMA))
    channels = [np.interp(np.arange(256), points, channel) for channel in zip(*_PLASMA, strict=True)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


_COLOURS = _table()
_SHARES = np.rint(STRENGTH * np.arange(256)).astype(np.uint8)


def colours(heat: npt.NDArray[Any]) -> Pixels:
    """[H, W] from 0 to 1 -> uint8 [H, W, 3]: dark blue, purple, orange, yellow. What lies outside is clipped."""
    return _COLOURS[np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)]


def relative(heat: npt.NDArray[Any]) -> Floats:
    """[H, W] of values >= 0 -> shares of the largest, float32; zeros where all are zero."""
    largest = float(heat.max(initial=0.0))
    return (heat / largest if largest > 0 else np.zeros_like(heat)).astype(np.float32)


def enlarged(heat: npt.NDArray[Any], height: int, width: int) -> Floats:
    """[h, w] -> float32 [height, width], bilinear with half-pixel centres: cell (i, j) of a feature map covers the
    same share of the picture."""
    image = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def overlay(picture: Pixels, heat: npt.NDArray[Any], window: Window = WHOLE) -> Pixels:
    """`heat` [h, w] from 0 to 1 over the window of `picture`, uint8 [H, W, 3]: the higher, the less of the picture is
    left."""
    levels = np.rint(np.clip(_placed(heat, picture.shape[0], picture.shape[1], window), 0, 1) * 255).astype(np.uint8)
    mixed = Image.composite(
        Image.fromarray(_COLOURS[levels]), Image.fromarray(picture), Image.fromarray(_SHARES[levels])
    )
    return np.asarray(mixed)


def _placed(heat: npt.NDArray[Any], height: int, width: int, window: Window) -> Floats:
    """`heat` enlarged to the window's part of [height, width], with nothing around it."""
    (top, bottom), (left, right) = (
        (round(low * size), round(high * size))
        for low, high, size in ((window.top, window.bottom, height), (window.left, window.right, width))
    )
    inside = enlarged(heat, bottom - top, right - left)[max(-top, 0) : height - top, max(-left, 0) : width - left]
    placed = np.zeros((height, width), np.float32)
    placed[max(top, 0) : bottom, max(left, 0) : right] = inside
    return placed


def outlined(picture: Pixels, mask: npt.NDArray[np.bool_]) -> Pixels:
    """`picture` uint8 [H, W, 3] with the outline of `mask` bool [h, w] over all of it: a line along the inside of what
    is marked, and a dark rim around it, each about 1/200 of the longer side thick."""
    height, width = picture.shape[:2]
    marked = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.NEAREST)
    size = 2 * max(1, round(max(height, width) / 200)) + 1
    inner, outer = (
        np.asarray(marked.filter(kind(size))) > 0 for kind in (ImageFilter.MinFilter, ImageFilter.MaxFilter)
    )
    inside = np.asarray(marked) > 0
    drawn = picture.copy()
    drawn[outer & ~inside] = _RIM
    drawn[inside & ~inner] = _LINE
    return drawn


def png(picture: Pixels) -> bytes:
    """uint8 [H, W, 3] -> a PNG file; the same pixels give the same bytes."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
