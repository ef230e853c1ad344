"""dicom.py: levels by hand, the same picture as PNG, and what is refused."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.images import memory
from edgedense.images.decoding import decode, opened
from edgedense.images.preprocessing import Preprocessing, find_images, load_image
from tests.dicoms import PATIENT, compressed, dataset, dicom, encoded

pytest.importorskip("pydicom")

RNG = np.random.default_rng(5)
EIGHT = RNG.integers(0, 256, (9, 7), np.uint8)
COLOURS = RNG.integers(0, 256, (9, 7, 3), np.uint8)
TWELVE = np.array([[0, 1, 8, 9], [2047, 2048, 4094, 4095]], np.uint16)


def grey(data: bytes) -> np.ndarray:
    """Levels [H, W] of a grey file."""
    pixels = decode(data)
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]


def table(entries: list[int], first: int, bits: int) -> Any:
    from pydicom.dataset import Dataset

    found = Dataset()
    found.LUTDescriptor, found.LUTData = [len(entries), first, bits], entries
    found["LUTDescriptor"].VR = found["LUTData"].VR = "US"
    return found


@pytest.mark.parametrize("pixels", [EIGHT, COLOURS], ids=["grey", "colour"])
def test_eight_bits_are_the_pixels_of_the_png(tmp_path: Path, pixels: np.ndarray) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom(pixels))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for wanted in (Preprocessing(20, 20, "none"), Preprocessing(5, 5, "none", "pil-bilinear", channels=1)):
        same = [load_image(tmp_path / name, wanted) for name in ("a.dcm", "a.png")]
        np.testing.assert_array_equal(*same)


def test_without_a_window_the_bits_in_use_go_from_black_to_white() -> None:
    # 255 / 4095 is one level in 16.06 values: 8 is nearer to 0, 9 to 1, and 2047.5 would be 127.5.
    assert grey(dicom(TWELVE, 12)).tolist() == [[0, 0, 0, 1], [127, 128, 255, 255]]
    assert grey(dicom(TWELVE, 16)).max() == 16  # of which 4095 is little


def test_values_below_zero() -> None:
    values = np.array([[-2048, -1, 0, 2047]], np.int16)
    assert grey(dicom(values, 12)).tolist() == [[0, 127, 128, 255]]


def test_white_first() -> None:
    assert grey(dicom(TWELVE, 12, PhotometricInterpretation="MONOCHROME1")).tolist() == [
        [255, 255, 255, 254],
        [128, 127, 0, 0],
    ]


# PS3.3 C.11.2.1.2.1: up to c - 0.5 - (w - 1) / 2 is black, from c - 0.5 + (w - 1) / 2 on white, and a straight line
# between: of centre 40 and width 81 from -0.5 to 79.5.
WINDOWED = {-1024: 0, -1: 0, 39: 126, 40: 129, 80: 255, 1000: 255}


def test_a_window_over_rescaled_values() -> None:
    stored = np.array([list(WINDOWED)], np.int16) + 1024
    window = {"WindowCenter": [40, 600], "WindowWidth": [81, 1600]}  # the first of two counts
    data = dicom(stored.astype(np.uint16), 12, RescaleSlope=1, RescaleIntercept=-1024, **window)
    assert grey(data).tolist() == [list(WINDOWED.values())]


def test_a_negative_slope_exchanges_black_and_white_without_a_window() -> None:
    assert (grey(dicom(EIGHT, RescaleSlope=-1, RescaleIntercept=255)) == 255 - EIGHT).all()
    window = {"WindowCenter": 128, "WindowWidth": 256}
    assert (grey(dicom(EIGHT, RescaleSlope=-1, RescaleIntercept=255, **window)) == 255 - EIGHT).all()


def test_a_window_that_is_no_straight_line() -> None:
    # PS3.3 C.11.2.1.3.1: 1 / (1 + exp(-4 (x - c) / w)) of 0 to 255.
    values = np.array([[0, 128, 255]], np.uint8)
    window = {"WindowCenter": 128, "WindowWidth": 64, "VOILUTFunction": "SIGMOID"}
    assert grey(dicom(values, **window)).tolist() == [[0, 128, 255]]
    assert grey(dicom(values + np.uint8(16), **window))[0, 1] == round(255 / (1 + np.exp(-1)))


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_a_table_of_interest_comes_before_a_window(bits: int) -> None:
    white = 2**bits - 1
    falling = [white - white * i // 999 for i in range(1000)]
    data = dataset(np.array([[0, 100, 600, 1099, 4000]], np.uint16), 12, WindowCenter=1, WindowWidth=1)
    data.VOILUTSequence = [table(falling, 100, bits)]
    found = grey(encoded(data))[0].astype(int)
    wanted = [255, 255, 255 * (999 - 500) / 999, 0, 0]  # below and above the table its first and last entry
    assert np.abs(found - wanted).max() <= 1


def test_a_modality_table() -> None:
    data = dataset(np.array([[0, 1, 2, 3]], np.uint8))
    data.ModalityLUTSequence = [table([0, 4095, 2048, 1024], 0, 16)]
    assert grey(encoded(data)).tolist() == [[0, 16, 8, 4]]


def test_a_palette() -> None:
    reds, greens, blues = (np.array(values, np.uint16) << 8 for values in ((255, 0, 9), (0, 255, 8), (0, 0, 7)))
    data = dataset(np.array([[0, 1, 2]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for name, values in (("Red", reds), ("Green", greens), ("Blue", blues)):
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [3, 0, 16])
        setattr(data, f"{name}PaletteColorLookupTableData", values.tobytes())
    assert decode(encoded(data)).tolist() == [[[255, 0, 0], [0, 255, 0], [9, 8, 7]]]


def test_brightness_and_two_colour_differences() -> None:
    colours = np.array(Image.fromarray(COLOURS).convert("YCbCr"))
    found = decode(dicom(colours, PhotometricInterpretation="YBR_FULL"))
    assert np.abs(found.astype(int) - COLOURS).max() <= 2  # rounded twice


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "YBR_FULL_422"])
def test_a_jpeg_inside(photometric: str) -> None:
    smooth = Image.fromarray(COLOURS).resize((32, 32), Image.Resampling.BICUBIC)
    picture = smooth.convert("L") if photometric == "MONOCHROME2" else smooth
    frame = io.BytesIO()
    picture.save(frame, "JPEG", quality=90)
    data = compressed(
        np.asarray(picture), frame.getvalue(), "1.2.840.10008.1.2.4.50", PhotometricInterpretation=photometric
    )
    wanted = decode(frame.getvalue()).astype(int)
    assert np.abs(decode(data).astype(int) - wanted).max() <= (0 if photometric == "MONOCHROME2" else 2)


def jpeg2000(boxed: bool) -> bytes:
    frame = io.BytesIO()
    Image.fromarray(EIGHT).save(frame, "JPEG2000", irreversible=False, no_jp2=not boxed)
    return compressed(EIGHT, frame.getvalue(), "1.2.840.10008.1.2.4.90")


def test_a_jpeg_2000_inside() -> None:
    np.testing.assert_array_equal(grey(jpeg2000(boxed=False)), EIGHT)


def test_a_whole_jp2_file_inside_is_refused() -> None:
    with pytest.raises(EdgedenseError, match="plain JPEG 2000 stream"):
        decode(jpeg2000(boxed=True))


def test_run_lengths_inside() -> None:
    data = dataset(TWELVE, 12)
    data.compress("1.2.840.10008.1.2.5")
    assert grey(encoded(data)).tolist() == grey(dicom(TWELVE, 12)).tolist()


def test_a_decoder_that_is_not_installed_is_named() -> None:
    with pytest.raises(EdgedenseError, match="JPEG Lossless") as caught:
        decode(compressed(EIGHT, b"\xff\xd8\xff\xd9", "1.2.840.10008.1.2.4.70"))
    assert "pip install 'python-gdcm" in str(caught.value)
    assert "pylibjpeg" not in str(caught.value)


def test_without_pydicom_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(EdgedenseError, match=r"no pydicom.*edgedense\[dicom\]"):
        decode(dicom_without_pydicom)


dicom_without_pydicom = b"\0" * 128 + b"DICM"


def no_window(data: Any) -> None:
    data.WindowCenter, data.WindowWidth = 5, 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: setattr(data, "NumberOfFrames", 30), "one picture; found one with 30"),
        (lambda data: delattr(data, "Rows"), "with a picture; found one without"),
        (lambda data: delattr(data, "PixelData"), "cannot be decoded"),
        (lambda data: setattr(data, "PixelData", data.PixelData[:20]), "cannot be decoded"),
        (lambda data: setattr(data, "PhotometricInterpretation", "HSV"), "other colours"),
        (lambda data: (setattr(data, "BitsAllocated", 32), setattr(data, "BitsStored", 24)), "uses 24 of 32 bits"),
        (no_window, "makes no levels"),
    ],
)
def test_what_is_no_single_picture_is_refused(change: Any, words: str) -> None:
    data = dataset(EIGHT)
    change(data)
    with pytest.raises(EdgedenseError) as caught:
        decode(encoded(data))
    assert words in str(caught.value)


def test_a_file_that_is_deflated_as_a_whole_is_refused() -> None:
    """It could be a thousand times as long when it is opened, and would be read into memory to find that out."""
    data = dataset(EIGHT)
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    with pytest.raises(EdgedenseError, match="deflated"):
        decode(encoded(data))


def test_no_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dicom(np.zeros((1000, 1000), np.uint16))
    monkeypatch.setattr(memory, "available", lambda: 4_000_000)  # two bytes a pixel as stored, two as levels
    decode(data)
    monkeypatch.setattr(memory, "available", lambda: 3_999_999)
    with pytest.raises(EdgedenseError, match="1000x1000 pixels, which needs 4 MB"):
        decode(data)


def test_files_are_found_by_their_suffix_or_named_outright(tmp_path: Path) -> None:
    for name in ("a.dcm", "B.DICOM", "no suffix"):
        (tmp_path / name).write_bytes(dicom(EIGHT))
    assert [path.name for path in find_images(tmp_path)] == ["B.DICOM", "a.dcm"]
    assert find_images(tmp_path / "no suffix") == [tmp_path / "no suffix"]
    found = load_image(tmp_path / "no suffix", Preprocessing(9, 7, "none", channels=1))
    np.testing.assert_array_equal(found[:, :, 0], EIGHT)


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Cut short, or with a few bytes of the entries or the picture exchanged."""
    if random.integers(4) == 0:
        return data[: random.integers(132, len(data))]
    changed = bytearray(data)
    for place in random.integers(132, len(data), 1 + random.integers(8)):
        changed[place] = random.integers(256)
    return bytes(changed)


def test_damage_is_told_without_quoting_the_file() -> None:
    """A picture, or an error for the user, which says nothing of the patient. What is damaged at random, and read with
    warnings that are errors, is the same in every run."""
    random = np.random.default_rng(11)
    whole = [dicom(TWELVE, 12, WindowCenter="2000", WindowWidth="300"), dicom(COLOURS)]
    told = []
    for number in range(120):
        try:
            decode(damaged(whole[number % 2], random))
        except EdgedenseError as error:
            told.append(f"{error} {error.__cause__}")
    assert len(told) > 40
    assert not any(words in text for words in PATIENT for text in told)


def test_a_dicom_file_is_left_to_others_where_it_is_none() -> None:
    with opened((lambda f: (Image.fromarray(EIGHT).save(f, "PNG"), f.getvalue())[1])(io.BytesIO())) as found:
        np.testing.assert_array_equal(found.whole()[:, :, 0], EIGHT)
