"""resampling.py against what it follows: tf.image.resize."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from edgedense.images.resampling import Method, resample, taps

RNG = np.random.default_rng(3)
SIZES = [
    ((96, 96), (64, 64)),
    ((50, 70), (64, 48)),
    ((30, 40), (64, 100)),
    ((256, 300), (224, 224)),
    ((7, 5), (3, 9)),
    ((9, 9), (1, 1)),
    ((1, 3), (5, 2)),
    ((9, 7), (9, 7)),
    ((9, 7), (9, 5)),
]


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", get_args(Method))
def test_it_is_what_tensorflow_computes(method: Method, antialias: bool) -> None:
    tf = pytest.importorskip("tensorflow")
    for (height, width), (new_height, new_width) in SIZES:
        image = RNG.integers(0, 256, (height, width, 3)).astype(np.float32)
        expected = tf.image.resize(image, (new_height, new_width), method, antialias=antialias).numpy()
        found = resample(image, new_height, new_width, method, antialias)
        np.testing.assert_allclose(found, expected, atol=0.01)  # of 255; float32 leaves about 0.001


@pytest.mark.parametrize("method", get_args(Method))
def test_shares_add_up_to_one(method: Method) -> None:
    """So that scaling and shifting pixels before a resizing is the same as behind it."""
    for antialias in (False, True):
        for size, new_size in ((96, 64), (64, 96), (5, 1)):
            np.testing.assert_allclose(taps(size, new_size, method, antialias).shares.sum(axis=0), 1, atol=1e-6)


def test_bilinear_by_hand() -> None:
    """Four pixels become two: each the mean of two neighbours, as half-pixel centres have it."""
    image = np.array([0, 10, 20, 50], np.float32).reshape(1, 4, 1)
    assert resample(image, 1, 2, "bilinear").ravel().tolist() == [5, 35]


def test_a_picture_that_has_the_size_is_left_alone() -> None:
    image = RNG.random((4, 5, 3)).astype(np.float32)
    assert resample(image, 4, 5, "lanczos5", True) is image
