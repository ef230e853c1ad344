"""preprocessing.py against what it follows: TensorFlow's decoders and resize, and Keras' load_img."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.images.decoding import decode, grey_levels, opened
from edgedense.images.preprocessing import (
    NORMALIZATIONS,
    Normalization,
    Preprocessing,
    find_images,
    find_labelled,
    load_image,
    prepare,
    resize,
)
from edgedense.images.steps import Crop, Pad, Resample

RNG = np.random.default_rng(7)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """A picture that JPEG was made for."""
    return np.array(Image.fromarray(noise(6, 8)).resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, format, **options)  # type: ignore[arg-type]
    return data.getvalue()


def png16(channels: int) -> tuple[bytes, np.ndarray]:
    """A 16-bit PNG written by hand (Pillow writes only grey ones), and its samples."""
    samples = RNG.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", 7, 5, 16, colour, 0, 0, 0)
    chunks = [b"IHDR" + header, b"IDAT" + zlib.compress(rows), b"IEND"]
    body = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + body, samples


def transparent_palette() -> bytes:
    image = Image.fromarray(smooth(20, 30)).quantize(16)
    return encoded(image, "PNG", transparency=3)


def pictures() -> dict[str, bytes]:
    colour = Image.fromarray(noise(20, 30))
    return {
        "rgb": encoded(colour, "PNG"),
        "grey": encoded(colour.convert("L"), "PNG"),
        "grey and alpha": encoded(colour.convert("LA"), "PNG"),
        "rgba": encoded(Image.fromarray(noise(20, 30, 4)), "PNG"),
        "palette": encoded(colour.quantize(16), "PNG"),
        "palette with transparency": transparent_palette(),
        "1 bit": encoded(colour.convert("1"), "PNG"),
        "bmp": encoded(colour, "BMP"),
        "gif": encoded(colour.quantize(16), "GIF"),
        **{f"16 bit, {channels} channels": png16(channels)[0] for channels in (1, 2, 3, 4)},
    }


@pytest.mark.parametrize("name", pictures())
def test_lossless_images_decode_as_in_tensorflow(name: str) -> None:
    tf = pytest.importorskip("tensorflow")
    data = pictures()[name]
    expected = tf.io.decode_image(data, channels=3, expand_animations=False).numpy()
    np.testing.assert_array_equal(decode(data), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_decodes_as_in_tensorflow(mode: str, subsampling: int) -> None:
    tf = pytest.importorskip("tensorflow")
    picture = Image.fromarray(smooth(97, 131)).convert(mode)
    data = encoded(picture, "JPEG", quality=90, **({"subsampling": subsampling} if mode == "RGB" else {}))
    accurate = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    np.testing.assert_array_equal(decode(data), accurate)
    # TensorFlow's default transform is a coarser one: see decode.
    assert np.abs(decode(data) - tf.io.decode_image(data, channels=3).numpy().astype(int)).max() <= 8


def test_sixteen_bits_keep_the_high_byte() -> None:
    data, samples = png16(1)
    np.testing.assert_array_equal(decode(data), np.repeat(samples >> 8, 3, axis=2))


def test_alpha_is_dropped_and_not_blended() -> None:
    image = Image.new("RGBA", (2, 2), (200, 100, 50, 0))
    np.testing.assert_array_equal(decode(encoded(image, "PNG")), np.full((2, 2, 3), (200, 100, 50)))


def turned() -> bytes:
    """Red left, blue right, and a note that the camera was turned by 90 degrees."""
    image = Image.new("RGB", (4, 2), "red")
    image.paste("blue", (2, 0, 4, 2))
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "PNG", exif=exif.tobytes())


def test_exif_rotation_is_left_alone_unless_asked_for() -> None:
    assert decode(turned()).shape == (2, 4, 3)
    upright = decode(turned(), "apply")
    assert upright.shape == (4, 2, 3)
    assert tuple(upright[0, 0]) == (255, 0, 0)
    assert tuple(upright[3, 0]) == (0, 0, 255)


@pytest.mark.parametrize("name", [name for name in pictures() if name not in ("bmp", "gif")])
def test_one_channel_is_tensorflows_within_a_level(name: str) -> None:
    """TensorFlow's PNG decoder cuts what Pillow rounds; of BMP and GIF it makes no grey picture."""
    tf = pytest.importorskip("tensorflow")
    data = pictures()[name]
    with opened(data) as decoded:
        found = decoded.grey().whole()
    expected = tf.io.decode_image(data, channels=1, expand_animations=False).numpy()
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_one_channel_of_a_jpeg_is_its_brightness_within_a_level(mode: str) -> None:
    """TensorFlow takes the channel Y of the file, Pillow makes it of red, green and blue again."""
    tf = pytest.importorskip("tensorflow")
    data = encoded(
        Image.fromarray(smooth(97, 131)).convert(mode),
        "JPEG",
        quality=95,
        **({"subsampling": 0} if mode == "RGB" else {}),
    )
    with opened(data) as decoded:
        found = decoded.grey().whole().astype(int)
    expected = tf.io.decode_jpeg(data, channels=1, dct_method="INTEGER_ACCURATE").numpy()
    assert (np.abs(found - expected) <= 1).mean() > 0.99


@pytest.mark.parametrize("name", [name for name in pictures() if "16 bit" not in name])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "pil-bilinear", "pil-lanczos"])
def test_one_channel_is_keras_grayscale(name: str, method: Any, tmp_path: Path) -> None:
    """Not of 16 bits: Keras keeps them, or cuts them off at white."""
    pytest.importorskip("tensorflow")
    from keras.utils import img_to_array, load_img

    (tmp_path / "image").write_bytes(pictures()[name])
    grey = img_to_array(load_img(tmp_path / "image", color_mode="grayscale"))
    found = load_image(tmp_path / "image", Preprocessing(7, 9, "none", method, channels=1))
    np.testing.assert_array_equal(found, resize(grey.astype(np.uint8), 7, 9, method))
    assert found.shape == (7, 9, 1)
    if method == "nearest":
        size = {"target_size": (7, 9), "interpolation": "nearest"}
        np.testing.assert_array_equal(found, img_to_array(load_img(tmp_path / "image", color_mode="grayscale", **size)))


def test_one_channel_of_16_bits_is_the_high_byte() -> None:
    data, samples = png16(1)
    with opened(data) as decoded:
        np.testing.assert_array_equal(decoded.grey().whole(), samples >> 8)


def test_a_frame_becomes_what_its_file_becomes(tmp_path: Path) -> None:
    frame, preprocessing = noise(40, 30), Preprocessing(16, 12, "none", channels=1)
    Image.fromarray(frame).save(tmp_path / "frame.png")
    found = prepare(frame[:, ::-1][:, ::-1], preprocessing)
    np.testing.assert_array_equal(found, load_image(tmp_path / "frame.png", preprocessing))
    np.testing.assert_array_equal(prepare(found, preprocessing), found)  # grey already
    np.testing.assert_array_equal(prepare(found, Preprocessing(16, 12, "none")), np.repeat(found, 3, axis=2))


def test_grey_levels_of_colours() -> None:
    colours = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255), (7, 7, 7)]], np.uint8)
    assert grey_levels(colours)[..., 0].tolist() == [[76, 150, 29, 7]]


def test_steps_work_on_one_channel() -> None:
    steps = (Crop(1, 1, 4, 4), Pad(1, 1, 6, 6, (9, 9, 9)), Resample(3, 3, "nearest"))
    found = prepare(noise(6, 6), Preprocessing(6, 6, "none", steps=steps, channels=1))
    assert found.shape == (3, 3, 1)
    assert found[2, 2, 0] == 9  # the border


UNREADABLE = [b"", b"no image", pictures()["rgb"][:100], encoded(Image.new("F", (2, 2)), "TIFF")]


@pytest.mark.parametrize("data", UNREADABLE, ids=["empty", "text", "cut short", "floating-point"])
def test_what_cannot_be_decoded_is_an_error(data: bytes) -> None:
    with pytest.raises(EdgedenseError, match="expected a"):
        decode(data)


SIZES = [
    ((480, 640), (224, 224)),
    ((31, 17), (64, 48)),
    ((300, 200), (99, 224)),
    ((1, 1), (5, 3)),
    ((64, 64), (32, 32)),
    ((224, 224), (224, 224)),
    ((1080, 1920), (224, 224)),
]


@pytest.mark.parametrize(("size", "new_size"), SIZES)
def test_bilinear_is_tensorflows_resize(size: tuple[int, int], new_size: tuple[int, int]) -> None:
    tf = pytest.importorskip("tensorflow")
    image = noise(*size)
    exact = tf.image.resize(image, new_size).numpy()
    result = resize(image, *new_size)
    assert result.dtype == np.uint8
    # Nearest level, but for float32's order of additions at an exact half.
    assert np.abs(result - exact).max() <= 0.5 + 1e-3
    assert np.abs(result - np.clip(np.rint(exact), 0, 255)).max() <= 1


@pytest.mark.parametrize(("size", "new_size"), SIZES)
def test_nearest_is_keras_load_img(size: tuple[int, int], new_size: tuple[int, int], tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from keras.utils import img_to_array, load_img

    path = tmp_path / "image.png"
    Image.fromarray(noise(*size)).save(path)
    expected = img_to_array(load_img(path, target_size=new_size, interpolation="nearest"))
    height, width = new_size
    result = load_image(path, Preprocessing(height, width, "densenet", resize="nearest"))
    np.testing.assert_array_equal(result, expected)


def test_the_two_methods_differ() -> None:
    image = noise(48, 64)
    assert (resize(image, 32, 32, "bilinear") != resize(image, 32, 32, "nearest")).mean() > 0.5


def test_a_view_is_resized_as_its_copy() -> None:
    view = noise(48, 64)[::-1, :, ::-1]
    np.testing.assert_array_equal(resize(view, 20, 20), resize(view.copy(), 20, 20))


def test_resize_refuses_what_is_no_uint8_rgb() -> None:
    for image in (noise(4, 4, 4), noise(4, 4).astype(np.float32), noise(4, 4)[..., 0]):
        with pytest.raises(EdgedenseError, match="uint8"):
            resize(image, 2, 2)


def test_densenet_is_what_keras_computes() -> None:
    pytest.importorskip("tensorflow")
    from keras.applications.densenet import preprocess_input

    mean, std = NORMALIZATIONS["densenet"]
    pixels = noise(4, 4).astype(np.float32)
    np.testing.assert_allclose((pixels - mean) / std, preprocess_input(pixels.copy()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rescale", (0, 0.2, 1)),
        ("symmetric", (-1, -0.6, 1)),
        ("xrayvision", (-1024, -614.4, 1024)),
        ("none", (0, 51, 255)),
    ],
)
def test_black_dark_grey_and_white_normalized(name: Normalization, expected: tuple[float, ...]) -> None:
    mean, std = NORMALIZATIONS[name]
    pixels = np.repeat(np.array([[0], [51], [255]], np.float64), 3, axis=1)
    np.testing.assert_allclose((pixels - mean) / std, np.repeat(np.array(expected)[:, None], 3, axis=1), atol=1e-9)


def test_preprocessing_survives_a_recipe() -> None:
    for preprocessing in (
        Preprocessing(224, 200, "rescale", "nearest", "apply"),
        Preprocessing(224, 200, "none", "pil-bicubic", fit="pad"),
        Preprocessing(224, 200, "none", "pil-bilinear", fit="crop", shorter_side=256),
        Preprocessing(224, 200, "none", channels=1),
    ):
        assert Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing


def test_a_recipe_of_an_earlier_version() -> None:
    """It has none of the later entries, and what needs none is written as it was then."""
    entry = {"height": 224, "width": 224, "normalize": "densenet", "resize": "bilinear", "exif": "ignore"}
    assert Preprocessing.from_dict(entry) == Preprocessing(224, 224, "densenet")
    assert Preprocessing(224, 224, "densenet").to_dict() == entry
    cut = Preprocessing(224, 224, "densenet", fit="crop", shorter_side=256)
    assert cut.to_dict() == {**entry, "fit": "crop", "shorter_side": 256}
    assert Preprocessing(224, 224, "densenet", fit="crop").to_dict() == {**entry, "fit": "crop"}
    assert Preprocessing(224, 224, "densenet", channels=1).to_dict() == {**entry, "channels": 1}
    assert Preprocessing(224, 224, "densenet", channels=1).shape == (224, 224, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"height": "224"},
        {"width": True},
        {"normalize": "imagenet"},
        {"resize": "cubic"},
        {"fit": "squash"},
        {"fit": "crop", "shorter_side": 223},
        {"fit": "crop", "shorter_side": 256.0},
        {"fit": "pad", "shorter_side": 256},
        {"shorter_side": 256},
        {"exif": None},
        {"crop": 1},
        {"channels": 2},
        {"channels": True},
        {"channels": "1"},
    ],
)
def test_a_recipe_with_unknown_values_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(EdgedenseError):
        Preprocessing.from_dict({**Preprocessing(224, 224, "none").to_dict(), **change})


def test_a_recipe_with_a_missing_value_is_refused() -> None:
    with pytest.raises(EdgedenseError, match="height"):
        Preprocessing.from_dict({"width": 224})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.png", "b/1.JPG", "a/deep/3.png", "a/.hidden.png", "a/notes.txt", ".git/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(pictures()["rgb"])
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_find_images_takes_a_file_a_folder_and_a_glob(tree: Path) -> None:
    assert find_images(tree / "a/notes.txt") == [tree / "a/notes.txt"]
    assert find_images(tree / "b") == [tree / "b/1.JPG", tree / "b/2.png"]
    assert find_images(f"{tree}/*/*.png") == [tree / "b/2.png"]
    assert find_images(f"{tree}/a/**/*") == [tree / "a/deep/3.png"]


def test_find_images_takes_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].png").write_bytes(b"")
    assert find_images(tmp_path / "a[1].png") == [tmp_path / "a[1].png"]


def test_find_images_says_when_there_is_none(tree: Path) -> None:
    for source in (tree / "empty", tree / "missing", f"{tree}/a/*.txt"):
        with pytest.raises(EdgedenseError, match="image"):
            find_images(source)


def test_find_labelled_numbers_classes_by_name(tree: Path) -> None:
    paths, labels, names = find_labelled(tree)
    assert names == ["a", "b", "empty"]
    assert [path.name for path in paths] == ["3.png", "1.JPG", "2.png"]
    assert labels.tolist() == [0, 1, 1]


def test_find_labelled_refuses_a_folder_without_classes(tree: Path) -> None:
    for folder in (tree / "b", tree / "missing"):
        with pytest.raises(EdgedenseError, match="sub-folder"):
            find_labelled(folder)


def test_load_image_names_the_file(tree: Path) -> None:
    (tree / "broken.png").write_bytes(b"broken")
    for name in ("broken.png", "missing.png"):
        with pytest.raises(EdgedenseError, match=name):
            load_image(tree / name, Preprocessing(8, 8, "none"))


def test_load_image_applies_exif_and_size(tree: Path) -> None:
    (tree / "turned.png").write_bytes(turned())
    assert load_image(tree / "turned.png", Preprocessing(6, 5, "none")).shape == (6, 5, 3)
    ignore = load_image(tree / "turned.png", Preprocessing(6, 6, "none"))
    apply = load_image(tree / "turned.png", Preprocessing(6, 6, "none", exif="apply"))
    assert tuple(ignore[5, 0]) == (255, 0, 0)
    assert tuple(apply[5, 0]) == (0, 0, 255)
