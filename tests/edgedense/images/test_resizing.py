"""resizing.py against Pillow, torchvision's way of using it, TensorFlow's resizing, and Keras' loaders."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgedense.images import decoding, resizing
from edgedense.images.preprocessing import Preprocessing, load_bytes, load_image, prepare
from edgedense.images.resampling import Method
from edgedense.images.resizing import Resize, goes_beyond, is_pillows
from tests.pictures import picture

KERNELS: dict[Resize, Image.Resampling] = {
    "pil-bilinear": Image.Resampling.BILINEAR,
    "pil-bicubic": Image.Resampling.BICUBIC,
    "pil-lanczos": Image.Resampling.LANCZOS,
}
SIZES = [(120, 160), (160, 121), (97, 131), (45, 60), (40, 300), (64, 64), (31, 29), (48, 64)]
RNG = np.random.default_rng(11)


def noise(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_pillow(image: Image.Image, size: tuple[int, int], kernel: Image.Resampling) -> Image.Image:
    """Columns, then rows: the order of all Pillow before 13."""
    return image.resize((size[0], image.height), kernel).resize(size, kernel)


def differences(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """The largest in levels, and the share of values that differ by more than rounding an exact half does."""
    apart = np.abs(found.astype(float) - expected)
    return float(apart.max()), float((apart > 0.51).mean())


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_stretched_is_pillows_resize(method: Resize, size: tuple[int, int]) -> None:
    image = noise(*size)
    expected = by_pillow(Image.fromarray(image), (64, 48), KERNELS[method])
    np.testing.assert_array_equal(prepare(image, Preprocessing(48, 64, "none", method)), expected)


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_a_photograph_is_as_pillow_resizes_it_in_one_call(method: Resize, size: tuple[int, int]) -> None:
    """In whatever order: the two differ by the rounding in between."""
    image = np.asarray(picture(RNG, *size))
    expected = np.asarray(Image.fromarray(image).resize((64, 48), KERNELS[method]))
    assert differences(prepare(image, Preprocessing(48, 64, "none", method)), expected)[0] <= 1


@pytest.mark.parametrize("method", ["nearest", *KERNELS])
@pytest.mark.parametrize("size", SIZES)
def test_resized_and_cut_as_by_torchvision(method: Resize, size: tuple[int, int]) -> None:
    """`Resize(64)`, `CenterCrop(56)`, by its own arithmetic. Only what is wanted is computed, and the place of it is
    rounded to float32 on its way into Pillow: what would be an exact half may be a level off."""
    image = noise(*size)
    (height, width), shorter = size, min(size)
    new_height, new_width = int(64 * height / shorter), int(64 * width / shorter)
    kernel = KERNELS.get(method, Image.Resampling.NEAREST)
    whole = np.asarray(by_pillow(Image.fromarray(image), (new_width, new_height), kernel))
    top, left = round((new_height - 56) / 2.0), round((new_width - 56) / 2.0)
    found = prepare(image, Preprocessing(56, 56, "none", method, fit="crop", shorter_side=64))
    largest, share = differences(found, whole[top : top + 56, left : left + 56])
    assert largest <= 1
    assert share < 0.05


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_padded_as_by_pillow(method: Resize, size: tuple[int, int]) -> None:
    image = np.asarray(picture(RNG, *size))
    expected = np.asarray(ImageOps.pad(Image.fromarray(image), (64, 48), KERNELS[method]))
    found = prepare(image, Preprocessing(48, 64, "none", method, fit="pad"))
    assert differences(found, expected)[0] <= 1
    np.testing.assert_array_equal(found.any(axis=2), expected.any(axis=2))


@pytest.mark.parametrize("method", ["nearest", *KERNELS])
@pytest.mark.parametrize("size", SIZES)
def test_keras_load_img(method: Resize, size: tuple[int, int], tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from keras.utils import load_img

    picture(RNG, *size).save(tmp_path / "a.png")
    for fit in ("stretch", "crop"):
        name = method.removeprefix("pil-")
        expected = load_img(
            tmp_path / "a.png", target_size=(48, 64), interpolation=name, keep_aspect_ratio=fit == "crop"
        )
        found = load_image(tmp_path / "a.png", Preprocessing(48, 64, "none", method, fit=fit))
        assert differences(found, np.asarray(expected))[0] <= 1


@pytest.mark.parametrize("method", [method for method in get_args(Method) if method != "nearest"])
def test_tensorflows_methods(method: Method) -> None:
    """Within half a level of TensorFlow's floats, cut off at black and white. smart_resize is crop_to_aspect_ratio."""
    tf = pytest.importorskip("tensorflow")
    from keras.preprocessing.image import smart_resize

    for size in SIZES:
        image = noise(*size)
        expected = {
            "stretch": tf.image.resize(image, (48, 64), method),
            "pad": tf.image.resize_with_pad(image, 48, 64, method),
        }
        if method not in ("gaussian", "mitchellcubic"):  # Keras refuses them with crop_to_aspect_ratio
            expected["crop"] = smart_resize(image, (48, 64), method)
        for fit, wanted in expected.items():
            found = prepare(image, Preprocessing(48, 64, "none", method, fit=fit))  # type: ignore[arg-type]
            assert differences(found, np.clip(wanted, 0, 255))[0] <= 0.51


def test_pixels_of_a_picture_that_has_the_size_stay_as_they_are() -> None:
    image = noise(48, 64)
    for method in set(get_args(Resize)) - {"gaussian", "mitchellcubic"}:  # which smooth all the same
        np.testing.assert_array_equal(prepare(image, Preprocessing(48, 64, "none", method)), image)
        cut = prepare(image, Preprocessing(40, 40, "none", method, fit="crop", shorter_side=48))
        np.testing.assert_array_equal(cut, image[4:44, 12:52])


def png(image: Image.Image, orientation: int = 1) -> io.BytesIO:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    image.save(data, "PNG", exif=exif.tobytes())
    return data


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad", "centre"])
def test_a_file_gives_what_its_pixels_give(fit: str, is_large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upright or turned on the way, whole or, as of one that is large, in parts."""
    if is_large:
        for module, name in ((resizing, "_SMALL"), (resizing, "_BETWEEN"), (decoding, "_AT_ONCE"), (decoding, "_BAND")):
            monkeypatch.setattr(module, name, 500)  # pixels
    image = Image.fromarray(noise(80, 61))
    upright, turned = png(image), png(image.transpose(Image.Transpose.ROTATE_90), 6)
    shape = {"fit": "crop", "shorter_side": 48} if fit == "centre" else {"fit": fit}
    for method in get_args(Resize):
        wanted = Preprocessing(32, 40, "none", method, exif="apply", **shape)  # type: ignore[arg-type]
        expected = prepare(np.asarray(image), wanted)
        for file in (upright, turned):
            found = load_bytes(file.getvalue(), wanted)
            assert differences(found, expected)[0] <= (1 if is_pillows(method) else 0)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_every_kind_of_picture_is_made_rgb_before_it_is_resized(mode: str, tmp_path: Path) -> None:
    """Alpha is dropped, and colours of a palette are mixed and not their numbers."""
    image = picture(RNG, 50, 60).convert(mode)
    name = "a.tif" if mode == "CMYK" else "a.png"
    image.save(tmp_path / name)
    expected = by_pillow(image.convert("RGB"), (24, 20), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(load_image(tmp_path / name, Preprocessing(20, 24, "none", "pil-bicubic")), expected)


def test_which_methods_go_beyond_black_and_white() -> None:
    beyond = {"bicubic", "lanczos3", "lanczos5", "mitchellcubic"}
    assert {method for method in get_args(Resize) if goes_beyond(method)} == beyond
    assert {method for method in get_args(Resize) if is_pillows(method)} == set(KERNELS)
