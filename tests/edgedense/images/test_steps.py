"""What happens behind the first resizing, on pictures small enough to check by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.images import steps
from edgedense.images.preprocessing import Preprocessing, prepare, resize
from edgedense.images.steps import Crop, Pad, Resample, Window

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
ALL = (Crop(1, 2, 2, 3), Pad(1, 0, 4, 3, (255.0, 0.0, 1.5)), Resample(8, 6, "nearest"))


def test_a_crop_cuts() -> None:
    np.testing.assert_array_equal(steps.apply(PICTURE, ALL[:1]), PICTURE[1:3, 2:5])


def test_padding_puts_a_colour_around() -> None:
    found = steps.apply(PICTURE, ALL[:2])
    assert found.shape == (4, 3, 3)
    np.testing.assert_array_equal(found[1:3], PICTURE[1:3, 2:5])
    assert found[0].tolist() == found[3].tolist() == [[255, 0, 1.5]] * 3


def test_resizing_comes_last_here() -> None:
    np.testing.assert_array_equal(
        steps.apply(PICTURE, ALL), steps.apply(PICTURE, ALL[:2]).repeat(2, axis=0).repeat(2, axis=1)
    )


def test_without_steps_nothing_changes() -> None:
    np.testing.assert_array_equal(steps.apply(PICTURE, ()), PICTURE)
    assert steps.size_behind((4, 6), ()) == (4, 6)
    assert steps.window((4, 6), ()) == steps.WHOLE


def test_levels_are_the_nearest_ones() -> None:
    values = np.array([-3.0, 0.4, 0.5, 99.49, 255.4, 280.0], np.float32)
    assert steps.levels(values).tolist() == [0, 0, 1, 99, 255, 255]


def test_the_window_is_what_is_left_of_the_picture() -> None:
    assert steps.window((4, 6), ALL[:1]) == Window(1 / 4, 2 / 6, 3 / 4, 5 / 6)
    assert steps.window((4, 6), ALL) == Window(0, 2 / 6, 1, 5 / 6)
    assert steps.window((4, 4), (Pad(1, 0, 6, 4, (0, 0, 0)),)) == Window(-0.25, 0, 1.25, 1)


def test_a_picture_goes_through_resizing_and_steps() -> None:
    p = Preprocessing(4, 6, "none", steps=ALL)
    large = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    assert p.size == (8, 6)
    assert p.background == (255.0, 0.0, 1.5)
    np.testing.assert_array_equal(prepare(large, p), steps.levels(steps.apply(resize(large, 4, 6), ALL)))


def test_a_recipe_keeps_them() -> None:
    p = Preprocessing(4, 6, "none", steps=ALL)
    entry = json.loads(json.dumps(p.to_dict()))
    assert entry["steps"][0] == {"step": "crop", "top": 1, "left": 2, "height": 2, "width": 3}
    assert Preprocessing.from_dict(entry) == p


def test_a_recipe_without_steps_is_as_it_was() -> None:
    entry = Preprocessing(4, 6, "none").to_dict()
    assert entry == {"height": 4, "width": 6, "normalize": "none", "resize": "bilinear", "exif": "ignore"}
    assert Preprocessing.from_dict(entry).steps == ()


@pytest.mark.parametrize(
    "entry",
    [
        "crop",
        {"step": "turn"},
        {"step": "crop", "top": 0, "left": 0, "height": 2},
        {"step": "crop", "top": 0, "left": 0, "height": 2, "width": 2, "more": 1},
        {"step": "crop", "top": 3, "left": 0, "height": 2, "width": 2},
        {"step": "crop", "top": -1, "left": 0, "height": 2, "width": 2},
        {"step": "crop", "top": 0, "left": 0, "height": 0, "width": 2},
        {"step": "pad", "top": 0, "left": 0, "height": 3, "width": 6, "fill": [0, 0, 0]},
        {"step": "pad", "top": 0, "left": 0, "height": 4, "width": 6, "fill": [0, 0]},
        {"step": "pad", "top": 0, "left": 0, "height": 4, "width": 6, "fill": [0, 0, 256]},
        {"step": "resize", "height": 4, "width": "6", "method": "bilinear", "antialias": False},
        {"step": "resize", "height": 4, "width": 6, "method": "cubic", "antialias": False},
        {"step": "resize", "height": 4, "width": 6, "method": "area", "antialias": 1},
    ],
)
def test_impossible_steps_in_a_recipe_are_refused(entry: Any) -> None:
    with pytest.raises(EdgedenseError, match="step"):
        Preprocessing.from_dict({**Preprocessing(4, 6, "none").to_dict(), "steps": [entry]})


def test_steps_that_are_no_list_are_refused() -> None:
    with pytest.raises(EdgedenseError, match="list"):
        Preprocessing.from_dict({**Preprocessing(4, 6, "none").to_dict(), "steps": 7})
