"""Heatmaps as pictures: colours, enlarging, overlay."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from edgedense.explanations import colormap
from edgedense.images.steps import Window


def test_the_colours_go_from_dark_to_light() -> None:
    shown = colormap.colours(np.linspace(0, 1, 256)[None])[0].astype(float)
    lightness = shown @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(lightness) > -1.0).all()  # whole levels: each channel rounds by half of one
    assert lightness[-1] - lightness[0] > 200
    assert (np.ptp(shown, axis=1) > 60).all()  # no greys: on an X-ray they would not be seen


def test_values_outside_are_clipped() -> None:
    assert (colormap.colours(np.array([[-1.0, 2.0]])) == colormap.colours(np.array([[0.0, 1.0]]))).all()


def test_relative_is_the_share_of_the_largest() -> None:
    assert colormap.relative(np.array([[0.0, 2.0], [4.0, 1.0]])).tolist() == [[0, 0.5], [1, 0.25]]
    assert not colormap.relative(np.zeros((2, 2))).any()


def test_a_cell_is_enlarged_where_it_stands() -> None:
    """Bilinear with half-pixel centres: the centre of mass stays, in shares of the picture."""
    heat = np.zeros((7, 5))
    heat[2, 3] = 1
    full = colormap.enlarged(heat, 140, 100)
    rows, columns = np.indices(full.shape) + 0.5
    assert full.shape == (140, 100)
    assert np.isclose((rows * full).sum() / full.sum() / 140, 2.5 / 7, atol=1e-3)
    assert np.isclose((columns * full).sum() / full.sum() / 100, 3.5 / 5, atol=1e-3)


def test_an_overlay_changes_the_picture_only_where_it_is_hot() -> None:
    picture = np.full((40, 60, 3), 100, np.uint8)
    heat = np.zeros((4, 6))
    heat[0, 0] = 1
    laid_over = colormap.overlay(picture, heat)
    assert (laid_over[20:, 30:] == 100).all()
    hottest = colormap.colours(np.ones((1, 1)))[0, 0]
    expected = np.rint(100 * (1 - colormap.STRENGTH) + hottest * colormap.STRENGTH)
    assert (np.abs(laid_over[0, 0] - expected) <= 1).all()  # rounding


def test_an_overlay_may_lie_over_a_part_of_the_picture() -> None:
    picture = np.full((40, 60, 3), 100, np.uint8)
    laid_over = colormap.overlay(picture, np.ones((4, 6)), Window(0.25, 0.5, 0.75, 1.0))
    changed = (laid_over != picture).any(axis=2)
    assert changed[10:30, 30:].all()
    changed[10:30, 30:] = False
    assert not changed.any()


def test_an_overlay_may_reach_beyond_the_picture() -> None:
    """The network saw a border above and below: the heat of the picture's own rows stays where it is."""
    heat = np.zeros((4, 1))
    heat[1] = 1
    picture = np.full((20, 10, 3), 100, np.uint8)
    laid_over = colormap.overlay(picture, heat, Window(-0.5, 0.0, 1.5, 1.0))
    expected = colormap.overlay(np.full((40, 10, 3), 100, np.uint8), heat)[10:30]
    np.testing.assert_array_equal(laid_over, expected)


class TestOutline:
    def test_it_runs_around_what_is_marked(self) -> None:
        picture = np.full((20, 20, 3), 100, np.uint8)
        mask = np.zeros((20, 20), bool)
        mask[5:15, 5:15] = True
        drawn = colormap.outlined(picture, mask)
        line, rim = ((drawn == colour).all(axis=2) for colour in ((0, 229, 255), (0, 0, 0)))
        assert line.sum() == 10 * 10 - 8 * 8  # the outermost pixels of the square
        assert rim.sum() == 12 * 12 - 10 * 10  # and those around it
        assert line[5, 5:15].all()
        assert rim[4, 4:16].all()
        assert (drawn[~line & ~rim] == 100).all()
        assert (picture == 100).all()

    def test_it_is_drawn_at_the_pictures_size(self) -> None:
        drawn = colormap.outlined(np.full((400, 400, 3), 100, np.uint8), np.array([[True, False], [False, False]]))
        assert (drawn[198:200, :200] == (0, 229, 255)).all()  # 400 / 200 pixels thick
        assert (drawn[200:202, :200] == 0).all()
        assert (drawn[:198, :198] == 100).all()  # no line where the mask ends with the picture

    def test_nothing_marked_draws_nothing(self) -> None:
        picture = np.full((20, 20, 3), 100, np.uint8)
        assert (colormap.outlined(picture, np.zeros((20, 20), bool)) == picture).all()


def test_a_png_holds_the_pixels_and_is_the_same_each_time() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    data = colormap.png(picture)
    assert (np.asarray(Image.open(io.BytesIO(data))) == picture).all()
    assert colormap.png(picture) == data
