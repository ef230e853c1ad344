"""The same picture is found however it was saved; other pictures are not taken for it."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edgedense.converters.training import duplicates
from tests.pictures import picture


def pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))


def pairs(*images: Image.Image) -> list[list[int]]:
    return duplicates.near_pairs(np.stack([duplicates.cells(pixels(image)) for image in images])).tolist()


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=quality)
    return Image.open(stored)


@pytest.fixture
def photo() -> Image.Image:
    return picture(np.random.default_rng(1), 240, 300)


def test_the_hash_says_which_cell_is_brighter_than_the_one_before() -> None:
    rising = np.tile(np.arange(17, dtype=np.float32), (16, 1))
    assert duplicates.difference_hash(rising).all()
    assert not duplicates.difference_hash(rising[:, ::-1]).any()
    assert duplicates.difference_hash(rising).shape == (256,)


@pytest.mark.parametrize("quality", [95, 40])
def test_a_picture_saved_again_is_the_same(photo: Image.Image, quality: int) -> None:
    assert pairs(photo, as_jpeg(photo, quality)) == [[0, 1]]


def test_a_picture_of_another_size_or_brightness_is_the_same(photo: Image.Image) -> None:
    darker = Image.fromarray((np.asarray(photo) * 0.9).astype(np.uint8))
    assert pairs(photo, photo.resize((200, 160)), darker) == [[0, 1], [0, 2], [1, 2]]


def test_a_mirrored_picture_is_another(photo: Image.Image) -> None:
    assert pairs(photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == []


def test_other_pictures_are_others() -> None:
    random = np.random.default_rng(2)
    assert pairs(*(picture(random) for _ in range(60))) == []


def test_small_marks_on_a_plain_ground_are_others() -> None:
    """Their hashes nearly agree, because most cells are equal: the grey levels tell them apart."""
    images = []
    for box in ((10, 10, 30, 30), (40, 35, 60, 55)):
        image = Image.new("RGB", (64, 64), "white")
        image.paste((0, 0, 0), box)
        images.append(image)
    first, second = (duplicates.difference_hash(duplicates.cells(pixels(image))) for image in images)
    assert np.sum(first != second) <= duplicates.NEAR_BITS
    assert pairs(*images) == []


def test_pairs_across_blocks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    images = [picture(random) for _ in range(5)]
    expected = pairs(*images, *images)
    monkeypatch.setattr(duplicates, "BLOCK", 3)
    assert pairs(*images, *images) == expected == [[i, i + 5] for i in range(5)]


def test_no_picture_has_no_pair() -> None:
    assert duplicates.near_pairs(np.zeros((0, 16, 17), np.float32)).shape == (0, 2)


def test_equal_keys_are_paired_with_the_first() -> None:
    assert duplicates.equal_pairs(["a", "b", "a", "c", "a"]).tolist() == [[0, 2], [0, 4]]
    assert duplicates.equal_pairs(["a", "b"]).shape == (0, 2)


def test_groups_join_over_others() -> None:
    groups = duplicates.joined(6, [[[4, 1]], np.array([[1, 3]])])
    assert groups.tolist() == [0, 1, 2, 1, 1, 3]


def test_without_pairs_everything_stands_alone() -> None:
    assert duplicates.joined(3, []).tolist() == [0, 1, 2]
