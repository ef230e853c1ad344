"""A picture -> the pixels of an input: what its placement says, by the method that training used.

There are two families of methods. TensorFlow's read a fixed number of pixels around each place, also where a picture
gets much smaller. Pillow's widen their kernel then, which is called antialiasing. torchvision, timm and Keras'
`load_img` call Pillow, and so does this module.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgedense.images.decoding import Decoded, Pixels, Positions, as_image
from edgedense.images.fitting import Axis, Placement
from edgedense.images.resampling import OVERSHOOTING, SMOOTHING, Floats, Method, Taps, taps

Resize = Literal[Method, "pil-bilinear", "pil-bicubic", "pil-lanczos"]
# Pillow's kernels, and how many pixels each reaches to either side where the picture does not get smaller.
_PILLOW = {
    "pil-bilinear": (Image.Resampling.BILINEAR, 1.0),
    "pil-bicubic": (Image.Resampling.BICUBIC, 2.0),
    "pil-lanczos": (Image.Resampling.LANCZOS, 3.0),
}
_SMALL = 1 << 20  # pixels that are faster taken all at once
_BETWEEN = 1 << 18  # pixels that may be kept between resizing along one side and the other


def is_pillows(method: Resize) -> bool:
    """Whether the method is one of Pillow's that antialias."""
    return method in _PILLOW


def goes_beyond(method: Resize) -> bool:
    """Whether TensorFlow gives values beyond black and white by this method. Pillow cuts them off itself."""
    return method in OVERSHOOTING


def resized(picture: Pixels | Decoded, placement: Placement, method: Resize) -> Pixels:
    """uint8 [H, W, C] or just decoded -> uint8 [height, width, C]; black where the placement puts nothing.

    Pillow's methods are Pillow's own. Of TensorFlow's the float result is rounded to the nearest level, and cut off at
    black and white. Of a large picture that was decoded only those rows and columns are taken that the method reads.
    """
    rows, columns = placement
    inside = _inside(picture, rows, columns, method)
    if rows.is_filled and columns.is_filled:
        return inside
    whole = np.zeros((rows.length, columns.length, _channels(picture)), np.uint8)
    whole[rows.place, columns.place] = inside
    return whole


def _inside(picture: Pixels | Decoded, rows: Axis, columns: Axis, method: Resize) -> Pixels:
    if rows.is_kept and columns.is_kept and method not in SMOOTHING:
        return _at(picture, _kept(rows), _kept(columns))
    if is_pillows(method):
        return _by_pillow(picture, rows, columns, method)
    if isinstance(picture, Decoded) and picture.height * picture.width <= _SMALL:
        picture = picture.at(np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop))
        rows, columns = rows.alone, columns.alone
    if method == "nearest":
        return _at(picture, _nearest(rows), _nearest(columns))
    if method == "bilinear":
        return _bilinear(picture, rows, columns)
    return _weighted(picture, rows, columns, cast(Method, method))


def _channels(picture: Pixels | Decoded) -> int:
    return picture.channels if isinstance(picture, Decoded) else picture.shape[2]


def _at(picture: Pixels | Decoded, rows: Positions, columns: Positions) -> Pixels:
    """The pixels where `rows` and `columns` cross."""
    if isinstance(picture, Decoded):
        return picture.at(rows, columns)
    return np.ascontiguousarray(picture.take(rows, 0).take(columns, 1))


def _kept(axis: Axis) -> Positions:
    return np.arange(axis.start + axis.first, axis.start + axis.last)


@lru_cache(maxsize=32)
def _nearest(axis: Axis) -> Positions:
    """Which positions Pillow's nearest takes: it is asked to resize their numbers."""
    numbers = Image.fromarray(np.arange(axis.start, axis.stop, dtype=np.int32)[None])
    found = np.asarray(numbers.resize((axis.resized, 1), Image.Resampling.NEAREST))[0]
    return found[axis.first : axis.last].astype(np.intp)


def _by_pillow(picture: Pixels | Decoded, rows: Axis, columns: Axis, method: Resize) -> Pixels:
    """Pillow's kernels at the place of what is wanted, so that nothing else is computed. At its edges they read on
    where the picture goes on, as if it was resized first and then cut.

    Columns are resized first and rounded, then rows: in this order Pillow did it always, and from version 13 on where
    that is faster. Of a tall picture a part of the rows is done at a time, so that what lies in between stays small.
    """
    kernel, reach = _PILLOW[method]
    width, height = columns.last - columns.first, rows.last - rows.first
    scale = (rows.stop - rows.start) / rows.resized
    step = max(1, int(_BETWEEN / (width * max(scale, 1))))
    found = np.empty((height, width, _channels(picture)), np.uint8)
    for start in range(0, height, step):
        stop = min(start + step, height)
        low, high = rows.position(rows.first + start), rows.position(rows.first + stop)
        first = max(0, int(low - reach * max(scale, 1)) - 1)
        last = min(rows.size, int(high + reach * max(scale, 1)) + 2)
        between = _narrowed(picture, first, last, (width, columns.span), kernel)
        part = between.resize((width, stop - start), kernel, (0, low - first, width, high - first))
        found[start:stop] = np.asarray(part).reshape(stop - start, width, -1)
    return found


def _narrowed(
    picture: Pixels | Decoded, first: int, last: int, wanted: tuple[int, tuple[float, float]], kernel: Image.Resampling
) -> Image.Image:
    """The rows from `first` to before `last`, their columns resized: `wanted` says how many, and what they show."""
    width, (left, right) = wanted
    narrow = Image.new("L" if _channels(picture) == 1 else "RGB", (width, last - first))
    bands = picture.bands(first, last) if isinstance(picture, Decoded) else [as_image(picture[first:last])]
    row = 0
    for band in bands:
        narrow.paste(band.resize((width, band.height), kernel, (left, 0, right, band.height)), (0, row))
        row += band.height
    return narrow


class _Taps(NamedTuple):
    """For every output position the two input positions that it mixes, and the share of the second."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: Floats


@lru_cache(maxsize=32)
def _pair(axis: Axis, channels: int) -> _Taps:
    """The taps along one axis, spread over interleaved channels, in float32 as in TensorFlow's kernel."""
    size = axis.stop - axis.start
    scale = np.float32(size) / np.float32(axis.resized)
    position = (np.arange(axis.first, axis.last, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    floor = np.floor(position)
    low = np.maximum(floor, 0).astype(np.intp) + axis.start
    high = np.minimum(np.ceil(position), size - 1).astype(np.intp) + axis.start
    return _spread_pair(_Taps(low, high, position - floor), channels)


def _spread_pair(pair: _Taps, channels: int) -> _Taps:
    """Taps of pixels -> taps of their channels, which stand side by side."""
    low, high = (_spread(index, channels) for index in (pair.low, pair.high))
    return _Taps(low, high, np.repeat(pair.share, channels))


def _spread(index: NDArray[np.intp], channels: int) -> NDArray[np.intp]:
    """Numbers of pixels [..., n] -> numbers of their channels [..., n * channels]."""
    return (index[..., None] * channels + np.arange(channels)).reshape(*index.shape[:-1], -1)


def _compact(pair: _Taps) -> tuple[Positions, _Taps]:
    """The positions that are read, and the taps among those alone."""
    used, places = np.unique(np.concatenate([pair.low, pair.high]), return_inverse=True)
    low, high = np.split(places, 2)
    return used, _Taps(low, high, pair.share)


# Rows at a time, or values where rows are short: what they become stays in the level-2 cache, which is worth a quarter
# of the time, and each more costs its calls.
_STRIP, _STRIP_VALUES = 32, 1 << 16


def _bilinear(picture: Pixels | Decoded, rows: Axis, columns: Axis) -> Pixels:
    channels = _channels(picture)
    if not isinstance(picture, Decoded):
        return _mixed(np.ascontiguousarray(picture), _pair(rows, 1), _pair(columns, channels))
    row_numbers, row_taps = _compact(_pair(rows, 1))
    column_numbers, column_taps = _compact(_pair(columns, 1))
    return _mixed(picture.at(row_numbers, column_numbers), row_taps, _spread_pair(column_taps, channels))


def _mixed(image: Pixels, rows: _Taps, columns: _Taps) -> Pixels:
    """Mix rows first (contiguous, fast), then gather columns of the few rows that are left."""
    height, flat = len(rows.low), image.reshape(image.shape[0], -1)
    out = np.empty((height, len(columns.low)), np.uint8)
    step = max(_STRIP, _STRIP_VALUES // flat.shape[1])
    for start in range(0, height, step):
        strip = slice(start, start + step)
        mixed = _mix(
            _take(flat, rows.low[strip], 0).astype(np.float32),
            _take(flat, rows.high[strip], 0).astype(np.float32),
            rows.share[strip, None],
        )
        mixed = _mix(_take(mixed, columns.low, 1), _take(mixed, columns.high, 1), columns.share)
        mixed += 0.5  # the assignment truncates
        out[strip] = mixed
    return out.reshape(height, -1, image.shape[2])


def _take(values: NDArray[Any], indices: NDArray[np.intp], axis: int) -> NDArray[Any]:
    """The indices are known to be in range; "clip" leaves out the check, and its time."""
    return values.take(indices, axis, mode="clip")


def _mix(low: Floats, high: Floats, share: Floats) -> Floats:
    """low + (high - low) * share, in place in both arguments."""
    high -= low
    high *= share
    low += high
    return low


@lru_cache(maxsize=32)
def _taps(axis: Axis, method: Method, channels: int) -> Taps:
    """The taps along one axis, among the picture's positions, spread over interleaved channels."""
    places, shares = taps(axis.stop - axis.start, axis.resized, method)
    wanted = slice(axis.first, axis.last)
    return Taps(_spread(places[:, wanted] + axis.start, channels), np.repeat(shares[:, wanted], channels, axis=1))


def _weighted(picture: Pixels | Decoded, rows: Axis, columns: Axis, method: Method) -> Pixels:
    """As `_mixed`, with as many taps as the method has."""
    row_taps, column_taps = _taps(rows, method, 1), _taps(columns, method, _channels(picture))
    height, step = rows.last - rows.first, _rows_at_once(rows, columns)
    out = np.empty((height, column_taps.places.shape[1]), np.uint8)
    for start in range(0, height, step):
        strip = slice(start, start + step)
        used, places = np.unique(row_taps.places[:, strip], return_inverse=True)
        pixels = picture.at(used, np.arange(columns.size)) if isinstance(picture, Decoded) else picture[used]
        places = places.reshape(len(row_taps.places), -1)
        mixed = _sum(pixels.reshape(len(used), -1), places, row_taps.shares[:, strip, None], 0)
        mixed = _sum(mixed, column_taps.places, column_taps.shares, 1)
        mixed += np.float32(0.5)  # the assignment truncates
        out[strip] = mixed.clip(0, 255, out=mixed)
    return out.reshape(height, -1, _channels(picture))


def _rows_at_once(rows: Axis, columns: Axis) -> int:
    """As in `_mixed`, and fewer of a large picture, so that never much of it is taken at a time."""
    return max(1, min(_STRIP, _BETWEEN * rows.resized // ((rows.stop - rows.start) * columns.size)))


def _sum(values: NDArray[Any], places: NDArray[np.intp], shares: Floats, axis: int) -> Floats:
    """The values at each row of `places`, times their shares, summed."""
    total = np.multiply(_take(values, places[0], axis), shares[0], dtype=np.float32)
    for index, share in zip(places[1:], shares[1:], strict=True):
        total += np.multiply(_take(values, index, axis), share, dtype=np.float32)
    return total
