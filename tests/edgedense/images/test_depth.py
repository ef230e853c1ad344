"""depth.py: which value of a grey picture of 16 bits is white."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.images.decoding import opened
from edgedense.images.depth import Depth, chosen, levels, named
from edgedense.images.in_memory import PictureInMemory
from edgedense.images.preprocessing import Preprocessing, load_image

SAMPLES = np.array([[0, 8, 9, 2048], [4080, 4095, 4096, 65535]], np.uint16)
# The high byte; the nearest level where 4095 is white, one in 16.06 values; where 65535 is, one in 257.
LEVELS: dict[Depth, list[list[int]]] = {
    8: [[0, 0, 0, 8], [15, 15, 16, 255]],
    12: [[0, 0, 1, 128], [254, 255, 255, 255]],
    16: [[0, 0, 0, 8], [16, 16, 16, 255]],
}


def encoded(samples: np.ndarray, kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.fromarray(samples).save(target, kind)
    return target.getvalue()


def pgm(samples: np.ndarray, white: int) -> bytes:
    """netpbm's pgm(5): what is white stands in its third line, and the more significant byte comes first."""
    return b"P5\n%d %d\n%d\n" % (samples.shape[1], samples.shape[0], white) + samples.astype(">u2").tobytes()


def picture(samples: np.ndarray) -> PictureInMemory:
    return PictureInMemory("a picture", encoded(samples))


@pytest.mark.parametrize("depth", LEVELS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PGM"])
def test_levels(depth: Depth, kind: str) -> None:
    assert levels(SAMPLES, depth).tolist() == LEVELS[depth]
    data = pgm(SAMPLES, 65535) if kind == "PGM" else encoded(SAMPLES, kind)
    with opened(data, depth=depth) as decoded:
        assert decoded.whole()[:, :, 1].tolist() == LEVELS[depth]
        assert decoded.grey().whole()[:, :, 0].tolist() == LEVELS[depth]


def test_a_format_that_names_its_white_is_believed() -> None:
    samples = SAMPLES.clip(0, 4095)
    for depth in (12, 16):
        with opened(pgm(samples, 4095), depth=depth) as decoded:  # type: ignore[arg-type]
            assert decoded.whole()[:, :, 0].tolist() == levels(samples, 12).tolist()


def test_twelve_bits_are_the_same_picture_as_eight(tmp_path: Path) -> None:
    eight = np.random.default_rng(3).integers(0, 256, (40, 30), np.uint8)
    Image.fromarray(eight).save(tmp_path / "eight.png")
    Image.fromarray(np.rint(eight / 255 * 4095).astype(np.uint16)).save(tmp_path / "twelve.png")
    for wanted in (Preprocessing(20, 20, "none", depth=12), Preprocessing(20, 20, "none", channels=1, depth=12)):
        np.testing.assert_array_equal(
            load_image(tmp_path / "eight.png", wanted), load_image(tmp_path / "twelve.png", wanted)
        )
    dark = load_image(tmp_path / "twelve.png", Preprocessing(20, 20, "none"))
    assert dark.max() <= 15


def test_the_depth_is_found_in_all_pictures_together() -> None:
    dark, twelve, more = (picture(np.full((3, 3), value, np.uint16)) for value in (200, 4095, 4096))
    plain = picture(np.full((3, 3), 200, np.uint8))
    broken = PictureInMemory("broken", b"\x89PNG\r\n\x1a\n")
    assert chosen("auto", [plain, broken]) == (8, [])
    depth, (note,) = chosen("auto", [plain, dark, broken, twelve])
    assert depth == 12
    assert "above 4095, and 4095 is white (--depth 12)" in note
    depth, (note,) = chosen("auto", [dark, twelve, more])
    assert depth == 8
    assert "values up to 4096" in note
    assert chosen("auto", [PictureInMemory("a", pgm(SAMPLES.clip(0, 99), 99))]) == (8, [])


def test_of_very_many_pictures_some_are_looked_at() -> None:
    """Every second of 600, the first among them, and no more than are needed of a few."""
    dark, bright = (picture(np.full((1, 1), value, np.uint16)) for value in (200, 60000))
    assert chosen("auto", [dark, bright] * 300)[0] == 12
    assert chosen("auto", [bright, dark] * 300)[0] == 8
    assert chosen("auto", [dark, bright] * 150)[0] == 8


def test_a_depth_that_was_named_stands() -> None:
    assert chosen("16", [picture(SAMPLES)]) == (16, [])
    assert [named(chosen(asked, [])[0]) for asked in ("8", "12", "16")] == ["8", "12", "16"]  # type: ignore[arg-type]


def test_colours_of_which_only_the_high_byte_can_be_read_are_refused() -> None:
    from tests.edgedense.images.test_preprocessing import png16

    for channels in (2, 3, 4):
        data, _ = png16(channels)
        with opened(data, depth=16):
            pass
        with pytest.raises(EdgedenseError, match="grey picture without transparency"), opened(data, depth=12):
            pass


def test_it_is_an_entry_of_the_recipe() -> None:
    wanted = Preprocessing(20, 20, "none", depth=12)
    assert wanted.to_dict()["depth"] == 12
    assert Preprocessing.from_dict(wanted.to_dict()) == wanted
    assert "depth" not in Preprocessing(20, 20, "none").to_dict()
    with pytest.raises(EdgedenseError, match="depth to be one of 8, 12, 16"):
        Preprocessing.from_dict({**wanted.to_dict(), "depth": 10})
