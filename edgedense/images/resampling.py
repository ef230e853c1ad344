"""TensorFlow's resizing as taps: for every output position the input positions that it mixes, and the share of each.

Every method is separable, so that rows and columns are resized one after the other. Followed are TensorFlow's own
kernels: resize_bilinear_op, resize_nearest_neighbor_op, resize_bicubic_op and resize_area_op with half-pixel centres
where `tf.image.resize` calls them, and scale_and_translate_op for the others and wherever antialiasing is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Method = Literal["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"]
SMOOTHING: tuple[Method, ...] = ("gaussian", "mitchellcubic")  # they change what has the size already
OVERSHOOTING: tuple[Method, ...] = ("bicubic", "lanczos3", "lanczos5", "mitchellcubic")  # kernels with negative shares
Floats = NDArray[np.float32]

_TABLE = 1024  # resize_bicubic_op looks its kernel up in a table of so many steps between two pixels


class Taps(NamedTuple):
    """`places` [K, new size]: positions that are mixed; `shares` float32 [K, new size]: how much of each."""

    places: NDArray[np.intp]
    shares: Floats


@lru_cache(maxsize=32)
def taps(size: int, new_size: int, method: Method, antialias: bool = False) -> Taps:
    """How `size` pixels along one axis become `new_size`. `antialias` widens the kernel where that makes it smaller."""
    if method == "nearest":
        index = np.minimum(np.floor(_centres(size, new_size)).astype(np.intp), size - 1)
        return Taps(index[None], np.ones((1, new_size), np.float32))
    if method == "area":
        return _overlaps(size, new_size)
    if method == "bilinear" and not antialias:
        return _bilinear(size, new_size)
    if method == "bicubic" and not antialias:
        return _bicubic(size, new_size)
    return _spans(size, new_size, *_KERNELS[method], antialias)


def resample(image: Floats, height: int, width: int, method: Method, antialias: bool = False) -> Floats:
    """float32 [H, W, C] -> float32 [height, width, C], neither rounded nor cut to a range."""
    for axis, new_size in ((0, height), (1, width)):
        if image.shape[axis] != new_size or method in SMOOTHING:
            image = _mixed(image, taps(image.shape[axis], new_size, method, antialias), axis)
    return image


def _mixed(image: Floats, chosen: Taps, axis: int) -> Floats:
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    mixed = image.take(chosen.places[0], axis)
    mixed *= chosen.shares[0].reshape(shape)
    for index, share in zip(chosen.places[1:], chosen.shares[1:], strict=True):
        term = image.take(index, axis)
        term *= share.reshape(shape)
        mixed += term
    return mixed


def _centres(size: int, new_size: int) -> Floats:
    """Where each output pixel's centre lies in the input, in float32 as in TensorFlow."""
    scale = np.float32(size) / np.float32(new_size)
    return (np.arange(new_size, dtype=np.float32) + np.float32(0.5)) * scale


def _bilinear(size: int, new_size: int) -> Taps:
    position = _centres(size, new_size) - np.float32(0.5)
    floor = np.floor(position)
    low = np.maximum(floor, 0).astype(np.intp)
    high = np.minimum(np.ceil(position), size - 1).astype(np.intp)
    share = position - floor
    return Taps(np.stack([low, high]), np.stack([1 - share, share]))


def _bicubic(size: int, new_size: int) -> Taps:
    """Keys' cubic with a = -0.5; taps beyond the border are left out, and the others share what is missing."""
    position = _centres(size, new_size) - np.float32(0.5)
    floor = np.floor(position)
    step = np.rint((position - floor) * _TABLE) / _TABLE
    index = floor.astype(np.intp) + np.arange(-1, 3)[:, None]
    share = _keys_cubic(np.abs(step - np.arange(-1, 3)[:, None]))
    share = np.where((index >= 0) & (index < size), share, 0)
    return Taps(index.clip(0, size - 1), (share / share.sum(axis=0)).astype(np.float32))


def _overlaps(size: int, new_size: int) -> Taps:
    """The share of each output pixel's width that each input pixel covers."""
    scale = size / new_size
    start = np.arange(new_size)[:, None] * scale
    pixel = np.floor(start).astype(np.intp) + np.arange(int(np.ceil(scale)) + 1)
    covered = np.minimum(start + scale, pixel + 1) - np.maximum(start, pixel)
    return _within(size, pixel, covered.clip(0) / scale)


def _spans(size: int, new_size: int, kernel: Callable[[Any], Any], radius: float, antialias: bool) -> Taps:
    """The kernel around each output pixel's centre, wider by the scale with antialiasing.

    In float32 as in TensorFlow: the gaussian ends in a step, and rounding decides who still stands on it.
    """
    one, half = np.float32(1), np.float32(0.5)
    scale = one / (np.float32(new_size) / np.float32(size))
    wide = max(scale, one) if antialias else one
    centre = (np.arange(new_size, dtype=np.float32) + half)[:, None] * scale
    reach = np.float32(radius) * wide
    first = np.maximum(np.ceil(centre - reach - half), 0)
    pixel = first + np.arange(int(2 * reach) + 2, dtype=np.float32)
    inside = (pixel < size) & (pixel <= np.floor(centre + reach - half))
    distance = np.abs(pixel + half - centre) * (one / wide)
    shares = np.where(inside, kernel(distance).astype(np.float64), 0)
    return _within(size, pixel.astype(np.intp), shares / shares.sum(axis=1, keepdims=True))


def _within(size: int, pixel: NDArray[np.intp], shares: NDArray[np.float64]) -> Taps:
    """Taps [new size, K] without those behind the picture's border."""
    inside = pixel < size
    last = int((inside & (shares != 0)).any(axis=0).nonzero()[0][-1]) + 1
    shares = np.where(inside, shares, 0)[:, :last]
    return Taps(pixel[:, :last].clip(0, size - 1).T.copy(), shares.T.astype(np.float32))


def _keys_cubic(x: Any) -> Any:
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _mitchell_cubic(x: Any) -> Any:
    near = ((7 * x - 12) * x * x + 16 / 3) / 6
    far = (((-7 / 3 * x + 12) * x - 20) * x + 32 / 3) / 6
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(radius: int) -> Callable[[Any], Any]:
    def kernel(x: Any) -> Any:
        x = x.astype(np.float64)  # NumPy's sine in float32 depends on the processor, and so would a picture's levels
        return np.where(x <= radius, np.sinc(x) * np.sinc(x / radius), 0)

    return kernel


def _gaussian(x: Any) -> Any:
    """Its standard deviation is a third of the radius, 1.5. In float64 for the reason that `_lanczos` has."""
    x = x.astype(np.float64)
    return np.where(x < 1.5, np.exp(-(x**2) / (2 * 0.5**2)), 0)


_KERNELS: dict[Method, tuple[Callable[[Any], Any], float]] = {
    "bilinear": (lambda x: (1 - x).clip(0), 1),
    "bicubic": (_keys_cubic, 2),
    "mitchellcubic": (_mitchell_cubic, 2),
    "lanczos3": (_lanczos(3), 3),
    "lanczos5": (_lanczos(5), 5),
    "gaussian": (_gaussian, 1.5),
}
