"""What the network sees in an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.training.augmentation import Augmentation, augment
from edgedense.converters.training.batches import batches, steps
from edgedense.converters.training.dataset import Side
from edgedense.converters.training.goal import OneClass, Several

NOTHING = Augmentation("none", 0, 0, 0, 0)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3)).astype(np.uint8)


def seen(side: Side, epoch: int, augmentation: Augmentation = NOTHING, weights: tuple[float, ...] = (1, 1)) -> list:
    return [
        tuple(part.numpy() for part in batch)
        for batch in batches(side, OneClass(np.array(weights)), 4, augmentation, 7, epoch)
    ]


class TestBatches:
    @pytest.fixture
    def side(self, pixels: np.ndarray) -> Side:
        return Side(pixels, np.array([0, 2, 3, 5, 6, 8, 9]), np.array([0, 1, 0, 1, 0, 1, 0]))

    def test_an_epoch_shows_whole_batches_of_the_sides_own_pictures(self, side: Side, pixels: np.ndarray) -> None:
        ((images, labels, weights),) = seen(side, 0, weights=(0.5, 2.0))
        assert images.shape == (4, 8, 8, 3)
        for image, label, weight in zip(images, labels, weights, strict=True):
            (row,) = np.flatnonzero((pixels == image).all(axis=(1, 2, 3)))
            assert label == side.labels[side.rows.tolist().index(row)]
            assert weight == (0.5, 2.0)[label]

    def test_an_epoch_can_be_repeated_and_the_next_is_another(self, side: Side) -> None:
        first, again, other = (seen(side, epoch, Augmentation())[0][0] for epoch in (3, 3, 4))
        assert (first == again).all()
        assert (first != other).any()

    def test_several_labels_a_picture_come_with_a_weight_each(self, side: Side) -> None:
        labels = np.array([[1, 0], [0, np.nan], [0, 1], [1, 1], [np.nan, 0], [0, 0], [1, 0]])
        aim = Several(np.array([3.0, 5.0]))
        ((_, truth, weights),) = [
            tuple(part.numpy() for part in batch)
            for batch in batches(Side(side.pixels, side.rows, labels), aim, 4, NOTHING, 7, 0)
        ]
        chosen = np.random.default_rng((7, 0)).permutation(7)[:4]
        expected = aim.targets(labels[chosen])
        assert (truth == expected[0]).all()
        assert (weights == expected[1]).all()

    def test_fewer_pictures_than_a_batch_are_one(self, side: Side) -> None:
        few = Side(side.pixels, side.rows[:3], side.labels[:3])
        assert steps(few, 4) == 1
        assert seen(few, 0)[0][0].shape[0] == 3


class TestAugment:
    def test_nothing_changes_nothing(self, pixels: np.ndarray) -> None:
        assert (augment(pixels, (1, 2), NOTHING).numpy() == pixels).all()

    @pytest.mark.parametrize(("flip", "axes"), [("horizontal", [2]), ("vertical", [1])])
    def test_flips_some_and_only_along_their_axis(self, pixels: np.ndarray, flip: str, axes: list[int]) -> None:
        found = augment(pixels, (1, 2), Augmentation(flip, 0, 0, 0, 0)).numpy()  # type: ignore[arg-type]
        mirrored = np.flip(pixels, axes)
        as_was = (found == pixels).all(axis=(1, 2, 3))
        turned = (found == mirrored).all(axis=(1, 2, 3))
        assert (as_was ^ turned).all()
        assert as_was.any()
        assert turned.any()

    @pytest.mark.parametrize("option", ["rotation", "shift", "zoom", "brightness"])
    def test_each_option_changes_pictures_within_their_range(self, pixels: np.ndarray, option: str) -> None:
        from dataclasses import replace

        found = augment(pixels, (1, 2), replace(NOTHING, **{option: 20.0 if option == "rotation" else 0.3})).numpy()
        assert (found != pixels).any(axis=(1, 2, 3)).all()
        assert found.min() >= 0
        assert found.max() <= 255

    def test_a_shift_moves_by_no_more_than_its_share(self) -> None:
        ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8)[None, None, :, None], (20, 100, 1, 3))
        moved = augment(ramp, (3, 4), Augmentation("none", 0, 0.1, 0, 0)).numpy()[:, 50, 50, 0] - 100.0
        assert 10 < np.abs(moved).max() <= 20  # two levels a pixel, at most ten pixels

    def test_a_rotation_keeps_the_middle(self) -> None:
        dot = np.zeros((20, 31, 31, 3), np.uint8)
        dot[:, 14:17, 14:17] = 255
        turned = augment(dot, (5, 6), Augmentation("none", 180, 0, 0, 0)).numpy()
        assert (turned[:, 15, 15] > 254).all()

    def test_a_zoom_enlarges_and_shrinks(self) -> None:
        disc = np.zeros((40, 31, 31, 3), np.uint8)
        disc[:, 10:21, 10:21] = 255
        areas = augment(disc, (5, 6), Augmentation("none", 0, 0, 0.3, 0)).numpy().mean(axis=(1, 2, 3)) / disc[0].mean()
        assert 0.45 < areas.min() < 0.8  # 0.7 ** 2 = 0.49
        assert 1.25 < areas.max() < 1.75  # 1.3 ** 2 = 1.69
