"""Decoding with little memory: the same pixels as of the whole picture, and never more than is free."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgedense.errors import EdgedenseError
from edgedense.images import decoding, memory
from edgedense.images.decoding import decode, needed_bytes, opened
from edgedense.images.preprocessing import Preprocessing, load_image, open_picture, resize
from edgedense.images.steps import Window
from edgedense.report.thumbnails import thumbnail

RNG = np.random.default_rng(5)
HEIGHT, WIDTH = 1100, 1010  # more pixels than are taken all at once
KINDS = {
    "rgb.png": ("RGB", {}),
    "rgba.png": ("RGBA", {}),
    "grey.png": ("L", {}),
    "grey-alpha.png": ("LA", {}),
    "palette.png": ("P", {}),
    "palette-transparent.png": ("P", {"transparency": 3}),
    "bits.png": ("1", {}),
    "sixteen.png": ("I;16", {}),
    "baseline.jpg": ("RGB", {"quality": 90}),
    "progressive.jpg": ("RGB", {"quality": 90, "progressive": True}),
    "cmyk.jpg": ("CMYK", {}),
    "grey.jpg": ("L", {}),
    "lossless.webp": ("RGB", {"lossless": True}),
    "palette.gif": ("P", {}),
    "lzw.tif": ("RGB", {"compression": "tiff_lzw"}),
    "raw.bmp": ("RGB", {}),
}


def picture(kind: str, height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    if kind == "I;16":
        return Image.fromarray(RNG.integers(0, 65536, (height, width), np.uint16))
    colours = Image.fromarray(RNG.integers(0, 256, (height, width, 3), np.uint8))
    if kind == "P":
        return colours.quantize(64, method=Image.Quantize.FASTOCTREE)
    if kind in ("RGBA", "LA"):
        colours.putalpha(Image.fromarray(RNG.integers(0, 256, (height, width), np.uint8)))
    return colours.convert(kind)


@pytest.fixture(params=KINDS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind, options = KINDS[request.param]
    picture(kind).save(tmp_path / request.param, **options)
    return tmp_path / request.param


def whole(path: Path) -> np.ndarray:
    """All pixels, as they were always made: the mode's own conversion of the whole picture at once."""
    with Image.open(path) as image:
        if image.mode.startswith("I"):
            return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_the_pixels_are_those_of_the_whole_picture(file: Path, method: str) -> None:
    expected = whole(file)
    with open_picture(file, whole=True) as decoded:
        np.testing.assert_array_equal(decoded.whole(), expected)
    found = load_image(file, Preprocessing(64, 48, "none", method))  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, resize(expected, 64, 48, method))  # type: ignore[arg-type]


def test_grey_pixels_are_those_of_the_whole_picture(file: Path) -> None:
    with Image.open(file) as image:
        wide = image.mode.startswith("I")
        expected = (np.asarray(image) >> 8).astype(np.uint8) if wide else np.asarray(image.convert("L"))
    with open_picture(file, whole=True) as decoded:
        np.testing.assert_array_equal(decoded.grey().whole(), expected[..., None])
    found = load_image(file, Preprocessing(64, 48, "none", channels=1))
    np.testing.assert_array_equal(found, resize(expected[..., None], 64, 48))


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (1300, 1400), (1, 1), (7, 1010)])
def test_at_any_size(tmp_path: Path, method: str, size: tuple[int, int]) -> None:
    picture("RGB").save(tmp_path / "a.png")
    found = load_image(tmp_path / "a.png", Preprocessing(*size, "none", method))  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, resize(whole(tmp_path / "a.png"), *size, method))  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(1, 10))  # 9 is none
def test_pictures_are_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    picture("RGB", 7, 5).save(data, "PNG", exif=exif.tobytes())
    with Image.open(data) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(decode(data.getvalue(), "apply"), expected)
    with opened(data.getvalue(), "apply") as decoded:
        rows, columns = np.array([3, 0, 1, 4]), np.array([2, 2, 0])
        np.testing.assert_array_equal(decoded.at(rows, columns), expected[rows][:, columns])


def jpeg(side: int, **options: object) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(data, "JPEG", **options)  # type: ignore[arg-type]
    return data.getvalue()


def test_what_does_not_fit_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(jpeg(4000))
    monkeypatch.setattr(memory, "available", lambda: 50_000_000)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(EdgedenseError) as caught:
        load_image(tmp_path / "large.jpg", Preprocessing(224, 224, "none"))
    assert caught.value.found == (
        f"{tmp_path}/large.jpg: one of 4000x4000 pixels, which needs 64 MB where 50 MB are free"
    )
    assert "smaller" in caught.value.hint


def test_what_fits_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 64_000_000)
    with opened(jpeg(4000)) as decoded:
        assert decoded.at(np.array([3999]), np.array([0])).tolist() == [[[254, 0, 0]]]


def test_all_pixels_at_once_need_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 64_000_000)
    with pytest.raises(EdgedenseError, match="needs 112 MB"):
        decode(jpeg(4000))


@pytest.mark.parametrize(
    ("options", "per_pixel"),
    [({}, 4), ({"progressive": True}, 4 + 3), ({"progressive": True, "subsampling": 0}, 4 + 6)],
)
def test_a_progressive_jpeg_needs_its_coefficients_too(options: dict[str, object], per_pixel: int) -> None:
    with Image.open(io.BytesIO(jpeg(64, **options))) as image:
        assert needed_bytes(image) == 64 * 64 * per_pixel
        assert needed_bytes(image, whole=True) == 64 * 64 * (per_pixel + 3)


def test_a_picture_of_a_suspicious_size_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(EdgedenseError, match="size that is not suspicious"):
        decode(jpeg(16))


TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # by 90 degrees: orientation 6
PEAK = """
import pathlib, re, sys
from edgedense.images.preprocessing import Preprocessing, load_image
def peak(): return int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) * 1024
wanted = Preprocessing(224, 224, "none", sys.argv[3], exif="apply")
load_image(sys.argv[1], wanted)
before = peak()
load_image(sys.argv[2], wanted)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, as what is tested does")
@pytest.mark.parametrize(("name", "mode", "options", "method"), [
    ("a.png", "RGB", {}, "bilinear"),
    ("a.png", "P", {}, "bilinear"),
    ("a.png", "I;16", {}, "bilinear"),
    ("a.jpg", "RGB", {"progressive": True}, "bilinear"),
    ("a.jpg", "CMYK", {}, "bilinear"),
    ("a.webp", "RGB", {}, "bilinear"),
    ("a.tif", "RGB", {"compression": "tiff_lzw"}, "bilinear"),
    ("a.png", "RGB", {}, "pil-lanczos"),
    ("a.png", "RGB", {}, "area"),
    ("a.png", "P", {}, "pil-bilinear"),
    ("a.png", "RGB", {"exif": TURNED}, "pil-bilinear"),
])  # fmt: skip
def test_no_more_memory_is_taken_than_was_said(
    tmp_path: Path, name: str, mode: str, options: dict[str, object], method: str
) -> None:
    """In a process of its own, whose peak is the decoding. Allowed are 8 MB for what does not grow with the picture:
    bands, taps, the decoder's own buffers."""
    picture(mode, 64, 64).save(tmp_path / f"small-{name}", **options)
    Image.new(mode, (3000, 3000)).save(tmp_path / name, **options)
    with Image.open(tmp_path / name) as image:
        said = needed_bytes(image)
    call = [sys.executable, "-c", PEAK, str(tmp_path / f"small-{name}"), str(tmp_path / name), method]
    taken = int(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
    assert taken <= said + 8_000_000
    assert taken >= said / 2  # so that pictures that would fit are not refused


def test_a_picture_for_people_is_thinned_out() -> None:
    data = io.BytesIO()
    picture("RGB", 100, 60).save(data, "PNG")
    with opened(data.getvalue()) as decoded:
        np.testing.assert_array_equal(decoded.shown(100), decode(data.getvalue()))
        np.testing.assert_array_equal(decoded.shown(50), decode(data.getvalue())[::2, ::2])


def test_a_window_of_a_picture_for_people() -> None:
    data = io.BytesIO()
    picture("RGB", 10, 20).save(data, "PNG")
    with opened(data.getvalue()) as decoded:
        shown = decoded.shown(100, Window(-0.1, 0.25, 1.0, 0.5), (1.0, 2.0, 3.0))
    assert shown.shape == (11, 5, 3)
    assert shown[0].tolist() == [[1, 2, 3]] * 5
    np.testing.assert_array_equal(shown[1:], decode(data.getvalue())[:, 5:10])


def test_a_jpeg_for_people_is_decoded_at_a_reduced_scale() -> None:
    with opened(jpeg(800), smaller_than=192) as decoded:
        assert (decoded.height, decoded.width) == (200, 200)


def test_a_thumbnail_of_sixteen_bits_is_not_white(tmp_path: Path) -> None:
    Image.fromarray(np.full((300, 200), 100 << 8, np.uint16)).save(tmp_path / "a.png")
    with Image.open(io.BytesIO(thumbnail(tmp_path / "a.png"))) as small:
        assert small.size == (64, 96)
        assert np.abs(np.asarray(small).astype(int) - 100).max() <= 1  # JPEG


def test_a_reduced_jpeg_is_no_input_for_a_network() -> None:
    """Resizing without antialiasing reads single pixels, and the mean of 2x2 is none of them."""
    data = io.BytesIO()
    smooth = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)).resize((2048, 2048))
    smooth.save(data, "JPEG", quality=95)
    expected = resize(decode(data.getvalue()), 64, 64)
    with opened(data.getvalue(), smaller_than=1024) as decoded:
        reduced = resize(decoded.whole(), 64, 64)
    assert np.abs(expected.astype(int) - reduced).max() > 1


def test_large_pictures_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 70_000_000)
    with opened(jpeg(4000)):
        assert decoding._one_at_a_time.locked()
    assert not decoding._one_at_a_time.locked()
