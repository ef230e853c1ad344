"""web/src/preprocessing: the same levels as Python's, by every way of resizing, fitting and of what comes behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import numpy as np
import pytest

from edgedense.images.preprocessing import Pixels, Preprocessing, prepare
from edgedense.images.resampling import Method
from edgedense.images.resizing import Resize
from edgedense.images.steps import Crop, Pad, Resample
from tests.web import given
from tests.web.conftest import Asked

FITS: tuple[dict[str, Any], ...] = ({}, {"fit": "crop"}, {"fit": "pad"}, {"fit": "crop", "shorter_side": 41})
# Smaller and larger than the input, of its size, flat and upright, and one that is larger than Pillow's parts of rows.
SIZES = [(1, 1), (1, 50), (70, 2), (31, 33), (32, 32), (64, 64), (130, 81), (37, 24)]
Case = tuple[Pixels, Preprocessing]


def noise(height: int, width: int, channels: int = 3) -> Pixels:
    """Neighbours that have nothing in common show a wrong place or share best."""
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, channels)).astype(np.uint8)


def every_way(sizes: Sequence[tuple[int, int]]) -> Iterator[Case]:
    """By all methods, fitted in all ways, into a square and a flat input, of three channels and one in turn."""
    number = 0
    for method in get_args(Resize):
        for fit in FITS:
            for target in ((32, 32), (24, 37)):
                for height, width in sizes:
                    number += 1
                    channels = 1 if number % 3 == 0 else 3
                    yield (
                        noise(height, width),
                        Preprocessing(*target, normalize="none", resize=method, channels=channels, **fit),
                    )


def stepped() -> Iterator[Case]:
    """What Keras layers in front of a network do, by all methods."""
    for method in get_args(Method):
        for antialias in (False, True):
            for steps in (
                (Resample(20, 45, method, antialias), Crop(2, 3, 16, 40)),
                (Pad(3, 4, 50, 60, (1.5, 2, 255)), Resample(11, 70, method, antialias)),
                (Resample(40, 40, method, antialias),),
            ):
                for channels in (1, 3):
                    p = Preprocessing(40, 40, normalize="none", steps=steps, channels=channels)
                    yield noise(50, 60), p


def compare(ask: Asked, cases: Sequence[Case]) -> None:
    asked = [{"picture": given.picture(image), "preprocessing": given.preprocessing(p)} for image, p in cases]
    for (image, p), answer in zip(cases, ask("prepare", asked), strict=True):
        np.testing.assert_array_equal(given.pixels(answer), prepare(image, p), str(p))
        window = p.window(image.shape[:2])
        # Both compute it in float64, in another order.
        np.testing.assert_allclose([answer["window"][name] for name in window._fields], window, atol=1e-12)


def test_the_same_levels(ask: Asked) -> None:
    compare(ask, [*list(every_way(SIZES))[::7], *list(stepped())[::4]])


@pytest.mark.slow
def test_the_same_levels_by_every_way(ask: Asked) -> None:
    compare(ask, [*every_way(SIZES), *stepped()])
    compare(ask, list(every_way([(481, 130), (700, 701)])))


def test_grey_is_made_of_colours_and_colours_of_grey(ask: Asked) -> None:
    grey = noise(40, 30, 1)
    kept = Preprocessing(40, 30, normalize="none", channels=1)
    compare(ask, [(noise(40, 30), kept), (grey, kept), (grey, Preprocessing(40, 30, normalize="none"))])


def test_a_large_picture_is_done_in_pillows_parts(ask: Asked) -> None:
    """Of 2,000 rows into 224 of 260 columns: 112 rows at a time, so that the second part starts off zero."""
    p = Preprocessing(224, 260, normalize="none", resize="pil-lanczos")
    compare(ask, [(noise(2000, 300), p)])
