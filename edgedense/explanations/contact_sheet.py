"""Sheets of small pictures with their names: a picture beside its heatmaps, feature maps in a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgedense.explanations.colormap import colours
from edgedense.images.preprocessing import Pixels

_PAPER, _INK, _QUIET = (255, 255, 255), (22, 32, 43), (81, 96, 111)
_GAP = 8  # pixels between panels
_LETTERS = 15  # pixels


@dataclass(frozen=True)
class Row:
    """A title and what stands under it, from left to right: panels, uint8 [H, W, 3], each with its caption."""

    title: str
    panels: tuple[Pixels, ...]
    captions: tuple[str, ...] = ()


def sheet(rows: Sequence[Row], scale: str = "") -> Pixels:
    """`rows` one below the other, on white, uint8 [H, W, 3]; below them the colour scale, if `scale` names it."""
    font = _font(_LETTERS)
    line = _LETTERS + _GAP
    heights = [line + max(panel.shape[0] for panel in row.panels) + (line if row.captions else 0) for row in rows]
    width = max([*(_width(row) for row in rows), *(_text_width(font, row.title) for row in rows)])
    size = (width + 2 * _GAP, sum(heights) + _GAP * (len(rows) + 1) + (2 * line if scale else 0))
    image = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(image)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        _write(draw, (_GAP, top), row.title, font, _INK)
        left = _GAP
        for number, panel in enumerate(row.panels):
            image.paste(Image.fromarray(panel), (left, top + line))
            if row.captions:
                _write(draw, (left, top + line + panel.shape[0] + 3), row.captions[number], font, _QUIET)
            left += panel.shape[1] + _GAP
        top += height + _GAP
    if scale:
        _draw_scale(image, draw, top, scale, font)
    return np.asarray(image)


def _draw_scale(image: Image.Image, draw: ImageDraw.ImageDraw, top: int, scale: str, font: ImageFont.ImageFont) -> None:
    length = min(256, image.width - 2 * _GAP)
    bar = np.repeat(colours(np.linspace(0, 1, length)[None]), _LETTERS, axis=0)
    image.paste(Image.fromarray(bar), (_GAP, top))
    _write(draw, (_GAP, top + _LETTERS + 3), scale, font, _QUIET)


def _width(row: Row) -> int:
    return sum(panel.shape[1] for panel in row.panels) + _GAP * (len(row.panels) - 1)


def _font(size: int) -> ImageFont.ImageFont:
    try:
        return ImageFont.load_default(size)  # type: ignore[return-value]
    except (TypeError, OSError):  # Pillow before 10.1, or built without FreeType: its bitmap letters
        return ImageFont.load_default()  # type: ignore[return-value]


def _text_width(font: ImageFont.ImageFont, text: str) -> int:
    try:
        return int(font.getlength(text)) + 1
    except UnicodeEncodeError:
        return int(font.getlength(_latin(text))) + 1


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, font: ImageFont.ImageFont, ink: tuple[int, int, int]
) -> None:
    try:
        draw.text(place, text, ink, font)
    except UnicodeEncodeError:  # bitmap letters are Latin-1
        draw.text(place, _latin(text), ink, font)


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")
