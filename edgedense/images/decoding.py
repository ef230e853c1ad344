"""An encoded image -> RGB or grey pixels, with no more memory than the decoder itself needs.

Pillow decodes an image whole, at one to four bytes a pixel. From there pixels are taken in bands, so that nothing
of the image's size is ever made a second time; a resizing that looks at few rows and columns gets only those.
A JPEG is decoded at a reduced scale for looking at, and never for a network: resizing as `tf.image.resize` does
it, without antialiasing, reads single pixels, and those are gone from a reduced picture.
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edgedense.errors import EdgedenseError
from edgedense.images import depth as depths
from edgedense.images import dicom, memory
from edgedense.images.depth import Depth
from edgedense.images.steps import WHOLE, Colour, Window

Exif = Literal["ignore", "apply"]
Pixels = NDArray[np.uint8]
Positions = NDArray[np.intp]

GREY_SHARES = (0.299, 0.587, 0.114)  # of red, green and blue in grey: ITU-R BT.601
_BAND = 1 << 16  # pixels that are converted at a time: their copies stay in the cache, which is worth most of the time
_AT_ONCE = 1 << 19  # pixels that Pillow is given at a time where it shall resize them
_UNCHECKED = 32 << 20  # bytes; whoever runs a network has so much, and asking takes a millisecond
_ORIENTATION = 0x0112  # the EXIF tag
# How an image is stored (EXIF 2.3, 4.6.4): bottom up, from right to left, rows and columns exchanged.
_BOTTOM_UP, _RIGHT_TO_LEFT, _EXCHANGED = {3, 4, 6, 7}, {2, 3, 7, 8}, {5, 6, 7, 8}
_TURNED = _BOTTOM_UP | _RIGHT_TO_LEFT | _EXCHANGED
_STORED_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # others: 4, as RGB
# What decoders take beside the image, in bytes per pixel: libwebp two frames of RGBA and a copy for Python, libtiff a
# strip, which may be all of the image.
_BESIDE = {"WEBP": 12, "AVIF": 12, "GIF": 4, "TIFF": 4}
_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def opened(
    source: bytes | IO[bytes],
    exif: Exif = "ignore",
    depth: Depth = 8,
    *,
    whole: bool = False,
    smaller_than: int | None = None,
) -> Iterator[Decoded]:
    """An encoded image, decoded, or the picture in a DICOM file. `whole` says that all of its pixels will be wanted at
    once. `depth` is that of grey pictures of 16 bits which do not say themselves what is white.

    With `smaller_than` a JPEG, and only a JPEG, may be decoded at 1/2, 1/4 or 1/8 of its size, as long as neither side
    gets shorter than so many pixels. Raises EdgedenseError when `source` is no image that can be decoded whole, or when
    the memory that is free does not hold it; that is found out before it is decoded.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    if dicom.is_dicom(file):
        yield Decoded(Image.fromarray(dicom.read(file)))
        return
    with _damage_is_told():
        image = Image.open(_named(file))
    with image:
        depths.refuse_colours(image, depth)
        own = 16 if depth == 12 and depths.says_white(image) else depth
        if smaller_than is not None:
            image.draft(image.mode, (smaller_than, smaller_than))
        with _room_for(image, whole):
            with _damage_is_told():
                image.load()
                decoded = Decoded(image, exif, own)
                _rgb(image.crop((0, 0, 1, 1)), own)  # a kind of pixels that is unknown shows here
            yield decoded


def _named(file: IO[bytes]) -> str | IO[bytes]:
    """The path of an open file, or else the file. By its suffix Pillow loads only the code for that kind of file, where
    it would load those of five kinds first, and looks at the content in either case."""
    is_path = isinstance(file, io.BufferedReader) and isinstance(file.name, str)
    return file.name if is_path else file


def decode(data: bytes, exif: Exif = "ignore") -> Pixels:
    """An encoded image -> uint8 [H, W, 3] in RGB, as `tf.io.decode_image(data, channels=3)` gives it.

    Alpha is dropped and not blended, 16-bit samples keep their high byte (see `depth.py`), an animation gives its first
    frame. Lossless formats agree exactly. So does JPEG, CMYK too, with
    `decode_jpeg(dct_method="INTEGER_ACCURATE")` and with Keras' `load_img`; TensorFlow's default is the
    coarser INTEGER_FAST, which Pillow does not offer: on four photographs it differs by at most 7 levels,
    1.0 in the mean. `exif="apply"` turns the picture upright first, which TensorFlow does not. Errors as those of
    `opened`.
    """
    with opened(data, exif, whole=True) as decoded:
        return decoded.whole()


class Decoded:
    """An image that was decoded. `height` and `width` are those of the upright picture where EXIF is applied, and
    `channels` those of its pixels: 3 (RGB), or 1 (see `grey`)."""

    channels: int

    def __init__(self, image: Image.Image, exif: Exif = "ignore", depth: Depth = 8) -> None:
        self._image, self.channels, self._depth = image, 3, depth
        self._read: Callable[[Image.Image], Pixels] = partial(_rgb, depth=depth)
        self._orientation = image.getexif().get(_ORIENTATION) if exif == "apply" else None
        self._is_exchanged = self._orientation in _EXCHANGED
        width, height = image.size
        self.height, self.width = (width, height) if self._is_exchanged else (height, width)

    def grey(self) -> Decoded:
        """The same image with one channel, made grey as Keras' `load_img(color_mode="grayscale")` does it."""
        other = copy.copy(self)
        other.channels, other._read = 1, partial(_grey, depth=self._depth)
        return other

    def whole(self) -> Pixels:
        """uint8 [height, width, channels]."""
        return self.at(np.arange(self.height), np.arange(self.width))

    def at(self, rows: Positions, columns: Positions) -> Pixels:
        """uint8 [rows, columns, channels]: the pixels where the upright picture's `rows` and `columns` cross."""
        width, height = self._image.size
        rows, columns = (columns, rows) if self._is_exchanged else (rows, columns)
        columns = width - 1 - columns if self._orientation in _RIGHT_TO_LEFT else columns
        if self._orientation in _BOTTOM_UP:  # from the last row on, so that bands are found
            stored = self._stored((height - 1 - rows)[::-1], columns)[::-1]
        else:
            stored = self._stored(rows, columns)
        return np.ascontiguousarray(stored.transpose(1, 0, 2) if self._is_exchanged else stored)

    def marked(self, rows: Positions, columns: Positions) -> NDArray[np.bool_]:
        """bool [rows, columns]: where the upright picture is not black, whatever its transparency. Around what is white
        in a JPEG its compression leaves grey, so there it is where it is brighter than halfway to white."""
        other = copy.copy(self)
        other.channels, other._read = 1, partial(_marked, above=127 if self._image.format == "JPEG" else 0)
        return other.at(rows, columns)[..., 0] > 0

    def bands(self, first: int, last: int) -> Iterator[Image.Image]:
        """The upright picture's rows from `first` to before `last` as Pillow has them, in RGB or grey, and with one
        channel in grey: a few at a time, or all where that is little."""
        is_plain = self._image.mode in ("RGB", "L") and self._orientation not in _TURNED
        most = max(1, (_AT_ONCE if is_plain else _BAND) // self.width)
        for start in range(first, last, most):
            stop = min(start + most, last)
            if is_plain:
                band = self._image.crop((0, start, self.width, stop))
                yield band.convert("L") if self.channels == 1 else band
            else:
                yield as_image(self.at(np.arange(start, stop), np.arange(self.width)))

    def shown(self, longest: int, window: Window = WHOLE, background: Colour = (0, 0, 0)) -> Pixels:
        """The window of the picture for people; every second pixel, or third and so on, where it is longer than
        `longest`."""
        every = -(-max(self.height, self.width) // longest)
        rows = np.arange(round(window.top * self.height), round(window.bottom * self.height), every)
        columns = np.arange(round(window.left * self.width), round(window.right * self.width), every)
        pixels = self.at(rows.clip(0, self.height - 1), columns.clip(0, self.width - 1))
        pixels[(rows < 0) | (rows >= self.height)] = np.rint(background)
        pixels[:, (columns < 0) | (columns >= self.width)] = np.rint(background)
        return pixels

    def _stored(self, rows: Positions, columns: Positions) -> Pixels:
        """The pixels as the file has them, band by band."""
        left, right = int(columns.min()), int(columns.max()) + 1
        every = np.array_equal(columns, np.arange(left, right))
        if every and rows.size * columns.size <= _AT_ONCE and (np.diff(rows) == 1).all():
            return np.array(self._read(self._image.crop((left, int(rows[0]), right, int(rows[-1]) + 1))))
        found = np.empty((len(rows), len(columns), self.channels), np.uint8)
        for start, stop in _bands(rows, max(1, _BAND // (right - left))):
            band = self._read(self._image.crop((left, int(rows[start]), right, int(rows[stop - 1]) + 1)))
            found[start:stop] = band if every else band.take(columns - left, 1)
        return found


def _bands(rows: Positions, most: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of the stretches of `rows` that follow each other, each of at most `most`."""
    breaks = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    for first, last in pairwise(breaks):
        for start in range(first, last, most):
            yield start, min(start + most, last)


def as_image(pixels: Pixels) -> Image.Image:
    """uint8 [H, W, 3] or [H, W, 1] as Pillow has it."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def grey_levels(pixels: Pixels) -> Pixels:
    """RGB uint8 [H, W, 3] -> uint8 [H, W, 1], the nearest level to what GREY_SHARES make of the colours, which is
    Pillow's mode "L". What is grey keeps its levels."""
    return _grey(Image.fromarray(pixels))


def _rgb(image: Image.Image, depth: Depth = 8) -> Pixels:
    if image.mode.startswith("I"):
        return np.repeat(_levels(image, depth), 3, axis=2)
    _refuse_floats(image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _grey(image: Image.Image, depth: Depth = 8) -> Pixels:
    if image.mode.startswith("I"):
        return _levels(image, depth)
    _refuse_floats(image)
    return np.asarray(image if image.mode == "L" else image.convert("L"))[:, :, None]


def _marked(image: Image.Image, above: int) -> Pixels:
    """uint8 [H, W, 1]: 1 where the brightest colour is above a level, and else 0. Levels may have any number of
    bits."""
    is_plain = image.mode in ("1", "L", "RGB") or image.mode.startswith("I")
    levels = np.asarray(image if is_plain else image.convert("RGB"))
    levels = levels.max(axis=2) if levels.ndim == 3 else levels
    return (levels > above).astype(np.uint8)[:, :, None]


def _levels(image: Image.Image, depth: Depth) -> Pixels:
    """Grey of 16 bits; Pillow's own conversion would clip it to white."""
    return depths.levels(np.asarray(image), depth)[:, :, None]


def _refuse_floats(image: Image.Image) -> None:
    if image.mode == "F":
        raise ValueError("floating-point samples have no fixed white")


@contextlib.contextmanager
def _damage_is_told() -> Iterator[None]:
    """What Pillow raises on files that are no images, or damaged ones, as an error for the user."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise EdgedenseError("an image", "data in no known image format", "use PNG or JPEG") from error
    except Image.DecompressionBombError as error:
        raise EdgedenseError("an image of a size that is not suspicious", str(error), "save it smaller") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise EdgedenseError("a whole image", f"damaged data ({error})", "save the image again") from error


@contextlib.contextmanager
def _room_for(image: Image.Image, whole: bool) -> Iterator[None]:
    """Decode in here. Large images wait for each other, so that what is free for one is not counted on by two."""
    needed = needed_bytes(image, whole)
    free = memory.available() if needed > _UNCHECKED else None
    is_large = free is not None and needed > free // (2 * (os.cpu_count() or 1))
    with _one_at_a_time if is_large else contextlib.nullcontext():
        what = f"one of {image.width}x{image.height} pixels"
        if is_large:
            memory.require(needed, what)
        try:
            yield
        except MemoryError as error:  # a limit of another kind, such as ulimit -v
            raise memory.too_little(needed, what, "less is free") from error


def needed_bytes(image: Image.Image, whole: bool = False) -> int:
    """How much memory decoding will take. `image` was opened and not loaded; `whole`: all of it becomes an array."""
    per_pixel = _STORED_BYTES.get(image.mode, 4) + _BESIDE.get(image.format or "", 0) + _coefficients(image)
    return int(image.width * image.height * (per_pixel + (3 if whole else 0)))


def _coefficients(image: Image.Image) -> float:
    """Bytes per pixel that libjpeg keeps of a progressive JPEG: two for each sample. Colours may have fewer samples."""
    if "progressive" not in image.info:
        return 0
    factors = [(int(layer[1]), int(layer[2])) for layer in getattr(image, "layer", ())]
    most = max((h for h, _ in factors), default=1) * max((v for _, v in factors), default=1)
    return 2 * sum(h * v for h, v in factors) / most
