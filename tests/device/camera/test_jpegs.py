from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edgedense.device.camera.jpegs import JpegSplitter


def jpeg(seed: int, **options: object) -> bytes:
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 56, 3), dtype=np.uint8))
    data = io.BytesIO()
    image.save(data, "JPEG", **options)  # type: ignore[arg-type]
    return data.getvalue()


def with_thumbnail() -> bytes:
    """The picture holds another whole one in an APP1 segment."""
    outer, inner = jpeg(5), jpeg(6)
    return outer[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + outer[2:]


PICTURES = [
    jpeg(1),
    jpeg(2, progressive=True),
    jpeg(3, restart_marker_blocks=2),
    with_thumbnail(),
    jpeg(4, quality=100),
]


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000, 10**9])
def test_pictures_come_out_as_they_went_in(chunk: int) -> None:
    stream, splitter = b"".join(PICTURES), JpegSplitter()
    found = [picture for i in range(0, len(stream), chunk) for picture in splitter.feed(stream[i : i + chunk])]
    assert found == PICTURES


@pytest.mark.parametrize("chunk", [1, 50, 10**9])
def test_what_stands_between_is_passed_over(chunk: int) -> None:
    stream = b"".join(b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n" + picture for picture in PICTURES)
    splitter = JpegSplitter()
    found = [picture for i in range(0, len(stream), chunk) for picture in splitter.feed(stream[i : i + chunk])]
    assert found == PICTURES


@pytest.mark.parametrize("cut", [10, 300, -40])
def test_a_picture_that_was_cut_off_does_not_swallow_the_next(cut: int) -> None:
    found = JpegSplitter().feed(PICTURES[0][:cut] + PICTURES[4] + PICTURES[0])
    assert found[-2:] == [PICTURES[4], PICTURES[0]]


def test_bytes_that_are_no_picture_do_not_pile_up() -> None:
    splitter = JpegSplitter()
    for _ in range(100):
        assert splitter.feed(bytes(10_000)) == []
    assert len(splitter._buffer) < 10
    assert splitter.feed(PICTURES[0]) == [PICTURES[0]]


def test_a_picture_without_end_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgedense.device.camera.jpegs.LARGEST", 100_000)
    splitter = JpegSplitter()
    assert splitter.feed(PICTURES[0][:-2]) == []
    for _ in range(30):
        splitter.feed(bytes(10_000))
    assert len(splitter._buffer) <= 100_000
