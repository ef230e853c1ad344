"""What Keras' layers do to a picture's size, against the layers themselves, before and behind a scale and shift."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from edgedense.converters.calibration.normalization import preprocessing
from edgedense.converters.options import Resizing
from edgedense.converters.readers.keras.files import Opened
from edgedense.converters.readers.keras.layers import flatten
from edgedense.converters.readers.keras.reader import read_opened
from edgedense.converters.readers.structure.pixels import Entry, entry
from edgedense.errors import EdgedenseError
from edgedense.images import steps
from edgedense.images.resampling import Method
from edgedense.images.steps import Crop, Pad, Resample, Step
from tests import models

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")

Before = Callable[[Any, Any], Any]
SIZES = [(96, 96), (97, 90), (50, 96), (61, 60)]
LIMIT = 0.01  # of 255: float32 in another order


def composed(k: Any, size: tuple[int, int], before: Before) -> tuple[Any, Entry]:
    """A model of nothing but `before`, and what is read of it."""
    image = k.Input((*size, 3))
    model = k.Model(image, before(k, image))
    return model, entry(flatten(model), size)


def agree(k: Any, size: tuple[int, int], before: Before) -> tuple[Step, ...]:
    model, found = composed(k, size, before)
    picture = np.random.default_rng(sum(size)).integers(0, 256, (*size, 3)).astype(np.float32)
    expected = np.asarray(model(picture[None], training=False))[0]
    assert len(found.layers) == len(flatten(model))
    assert found.size == expected.shape[:2]
    levels = steps.apply(picture, found.steps)[..., list(found.order)]
    values = levels * found.affine.scale + found.affine.shift
    assert np.abs(values - expected).max() <= LIMIT * max(1e-3, np.abs(found.affine.scale).max())
    return found.steps


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", [{}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True, "fill_value": 7.0}])
def test_resizing(size: tuple[int, int], form: dict[str, Any]) -> None:
    for target in ((64, 64), (48, 80), (100, 30)):
        agree(keras, size, lambda k, x, t=target: k.layers.Resizing(*t, **form)(x))  # type: ignore[misc]


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", ["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5"])
def test_interpolations(method: str, antialias: bool) -> None:
    found = agree(keras, (97, 90), lambda k, x: k.layers.Resizing(64, 48, method, antialias=antialias)(x))
    assert found == (Resample(64, 48, method, antialias),)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", get_args(Method))
def test_interpolations_of_keras_2(method: str) -> None:
    agree(tf_keras, (97, 90), lambda k, x: k.layers.Resizing(64, 48, method, crop_to_aspect_ratio=True)(x))
    agree(tf_keras, (97, 90), lambda k, x: tf.image.resize(x, (64, 48), method, antialias=True))


@pytest.mark.parametrize("k", [keras, tf_keras])
@pytest.mark.parametrize("size", SIZES)
def test_center_crop(k: Any, size: tuple[int, int]) -> None:
    for target in ((50, 50), (49, 51), (64, 64)):  # the last one is larger than some sizes
        agree(k, size, lambda k, x, t=target: k.layers.CenterCrop(*t)(x))  # type: ignore[misc]


def test_center_crop_by_hand() -> None:
    assert agree(keras, (97, 90), lambda k, x: k.layers.CenterCrop(64, 64)(x)) == (Crop(16, 13, 64, 64),)
    smaller = agree(keras, (50, 96), lambda k, x: k.layers.CenterCrop(64, 64)(x))
    assert smaller == (Crop(0, 23, 50, 50), Resample(64, 64, "bilinear"))


@pytest.mark.parametrize("size", SIZES)
def test_random_crop_of_keras_2(size: tuple[int, int]) -> None:
    agree(tf_keras, size, lambda k, x: k.layers.RandomCrop(48, 40)(x))


@pytest.mark.parametrize("k", [keras, tf_keras])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos3"])
def test_upsampling(k: Any, interpolation: str) -> None:
    agree(k, (20, 30), lambda k, x: k.layers.UpSampling2D((2, 3), interpolation=interpolation)(x))


@pytest.mark.parametrize(
    "before",
    [
        lambda k, x: k.layers.Cropping2D(((3, 5), (2, 0)))(x),
        lambda k, x: x[:, 3:-5, 2:],
        lambda k, x: k.ops.image.resize(x, (30, 20), interpolation="bicubic", crop_to_aspect_ratio=True),
        lambda k, x: k.ops.image.crop_images(x, top_cropping=3, target_height=50, right_cropping=1, target_width=40),
        lambda k, x: k.ops.image.pad_images(x, bottom_padding=3, target_height=100, left_padding=1, target_width=99),
        lambda k, x: k.layers.CenterCrop(40, 30)(k.layers.Resizing(48, 48)(x)),
        lambda k, x: k.layers.Pipeline([k.layers.RandomFlip(), k.layers.Resizing(48, 40), k.layers.Rescaling(1 / 255)])(
            x
        ),
    ],
)
def test_other_ways(before: Before) -> None:
    assert agree(keras, (96, 90), before)


@pytest.mark.parametrize("size", SIZES)
def test_a_scale_and_shift_may_come_first_or_last(size: tuple[int, int]) -> None:
    form = {"pad_to_aspect_ratio": True, "fill_value": 0.5}
    agree(keras, size, lambda k, x: k.layers.Resizing(64, 48, **form)(k.layers.Rescaling(1 / 127.5, -1)(x)))
    agree(keras, size, lambda k, x: k.layers.Rescaling(1 / 127.5, -1)(k.layers.Resizing(64, 48, "lanczos3")(x)))
    agree(keras, size, lambda k, x: k.layers.Resizing(64, 48, **form)(x[..., ::-1] - np.array([100.0, 110, 120])))


def test_a_border_is_a_colour_of_the_picture() -> None:
    """0.25 behind a division by 255 is level 63.75; behind BGR and a mean each channel has its own."""
    form = {"pad_to_aspect_ratio": True, "fill_value": 0.25}
    scaled = agree(keras, (96, 120), lambda k, x: k.layers.Resizing(64, 64, **form)(k.layers.Rescaling(1 / 255)(x)))
    assert isinstance(scaled[0], Pad)
    assert scaled[0].fill == pytest.approx((63.75,) * 3)
    bgr = agree(
        keras,
        (96, 120),
        lambda k, x: k.layers.Resizing(64, 64, pad_to_aspect_ratio=True)(x[..., ::-1] - np.array([103.0, 116, 123])),
    )
    assert isinstance(bgr[0], Pad)
    assert bgr[0].fill == pytest.approx((123, 116, 103))


def test_layers_that_keep_the_size_leave_no_step() -> None:
    assert agree(keras, (96, 96), lambda k, x: k.layers.CenterCrop(96, 96)(x)) == ()
    assert agree(keras, (96, 90), lambda k, x: x[:, :, :]) == ()


def padded(fill: float) -> Any:
    return models.densenet(
        size=(40, 32), before=lambda k, x: k.layers.Resizing(32, 32, pad_to_aspect_ratio=True, fill_value=fill)(x)
    )


def test_a_border_outside_of_black_and_white_is_refused() -> None:
    source = read_opened(Opened(padded(-1.0), "model", ""))
    with pytest.raises(EdgedenseError, match=r"a border within black and white .* of -1, -1, -1 .* --preprocess none"):
        preprocessing(source.size, source.steps, "none", Resizing())
    (pad, _) = preprocessing(source.size, source.steps, "densenet", Resizing()).steps
    assert isinstance(pad, Pad)  # a mean minus a deviation is a colour
    assert pad.fill == pytest.approx((255 * (0.485 - 0.229), 255 * (0.456 - 0.224), 255 * (0.406 - 0.225)))


@pytest.mark.parametrize(
    ("before", "word"),
    [
        (lambda k, x: k.layers.RandomCrop(24, 24)(x), "CenterCrop or Resizing in its place"),
        (lambda k, x: k.layers.Resizing(24, 24, data_format="channels_first")(x), "channels first"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_what_to_do(before: Before, word: str) -> None:
    with pytest.raises(EdgedenseError, match=word):
        composed(keras, (32, 32), before)


def test_what_a_function_keeps_open_is_refused() -> None:
    with pytest.raises(EdgedenseError, match="preserve_aspect_ratio"):
        composed(tf_keras, (32, 32), lambda k, x: tf.image.resize(x, (24, 20), preserve_aspect_ratio=True))


def test_resizing_behind_the_first_convolution_is_refused() -> None:
    def stem(k: Any, x: Any) -> Any:
        return k.layers.Resizing(24, 24)(models.stem(k, x))

    with pytest.raises(EdgedenseError, match=r"Resizing.*before the first convolution"):
        read_opened(Opened(models.densenet(stem=stem), "model", ""))


def test_another_input_size_is_refused_where_the_model_resizes(tmp_path: Path) -> None:
    model = models.densenet(size=(48, 48), before=lambda k, x: k.layers.Resizing(32, 32)(x))
    with pytest.raises(EdgedenseError, match="48x48 pixels, which this model brings to a size of its own"):
        read_opened(Opened(model, "model", ""), (40, 40))
    free = models.densenet(size=(None, None), before=lambda k, x: k.layers.Resizing(32, 32)(x))
    source = read_opened(Opened(free, "model", ""), (40, 44))  # there it has to be said
    assert (source.size, source.network.height, source.trained_size) == ((40, 44), 32, None)
