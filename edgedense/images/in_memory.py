"""Pictures that are in memory, in a form that can be read like a file."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.images.places import place


@dataclass(frozen=True)
class PictureInMemory:
    """A picture without a file: what it is called in notes and reports, and its content as an image file's."""

    name: str
    data: bytes = field(repr=False)

    def read_bytes(self) -> bytes:
        """As `Path.read_bytes`."""
        return self.data

    def open(self, mode: str = "rb") -> io.BytesIO:
        """As `Path.open`."""
        return io.BytesIO(self.data)

    def __str__(self) -> str:
        return self.name


Picture = Path | PictureInMemory


def as_file(picture: Path | str | PictureInMemory) -> Picture:
    """Something that has `read_bytes` and `open`."""
    return picture if isinstance(picture, PictureInMemory) else place(picture)


def in_memory(picture: Any, name: str) -> PictureInMemory:
    """A PIL image, or an array uint8 [H, W, 3] in RGB, or [H, W] or [H, W, 1] in grey. The pixels are kept as they are.

    Raises EdgedenseError for anything else.
    """
    if isinstance(picture, Image.Image):
        return PictureInMemory(name, _encoded(picture, name))
    pixels = np.asarray(picture)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise EdgedenseError(
            "a path, a PIL image or an array uint8 [height, width, 3]",
            f"{pixels.dtype} {list(pixels.shape)} as {name}",
            "np.uint8(255 * array), where it holds 0 to 1; for a batch, its pictures one by one",
        )
    return PictureInMemory(name, _ppm(pixels))


def _encoded(image: Image.Image, name: str) -> bytes:
    if image.mode == "F":
        raise EdgedenseError("a picture of whole levels", f"{name} with floating-point samples, which have no white")
    if not image.mode.startswith("I"):
        return _ppm(np.asarray(image.convert("RGB")))
    target = io.BytesIO()  # 16-bit grey, of which the decoder keeps the high byte as it does of a file
    image.save(target, "PNG")
    return target.getvalue()


def _ppm(pixels: np.ndarray) -> bytes:
    """Raw pixels behind a line that gives their number (netpbm's ppm(5), of grey ones pgm(5)): the same bytes on every
    machine."""
    kind = b"P6" if pixels.shape[2] == 3 else b"P5"
    return kind + b"\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
