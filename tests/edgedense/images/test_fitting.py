"""fitting.py: whole numbers worked out by hand, and those of the originals."""

from __future__ import annotations

import pytest

from edgedense.errors import EdgedenseError
from edgedense.images import fitting
from edgedense.images.fitting import Axis, Placement, chosen
from edgedense.images.steps import WHOLE, Window

SIZES = [(480, 640), (640, 480), (97, 131), (1000, 50), (224, 224), (3, 5), (1, 9), (2048, 1536)]
TARGETS = [(224, 224), (99, 224), (64, 48)]


def test_an_axis_that_is_cut_on_both_sides() -> None:
    """Of ten pixels 2 to 8 become twelve, and of these the four from the fourth on are the input."""
    axis = Axis(10, 2, 8, 12, -4, 4)
    assert (axis.first, axis.last, axis.place) == (4, 8, slice(0, 4))
    assert axis.is_filled
    assert not axis.is_kept
    assert axis.span == (4.0, 6.0)
    assert axis.alone == Axis(6, 0, 6, 12, -4, 4)


def test_an_axis_with_black_on_both_sides() -> None:
    axis = Axis(10, 0, 10, 5, 2, 8)
    assert (axis.first, axis.last, axis.place) == (0, 5, slice(2, 7))
    assert not axis.is_filled
    assert axis.span == (0.0, 10.0)


def test_stretched() -> None:
    assert fitting.stretched((480, 640), (224, 200)) == Placement(
        Axis(480, 0, 480, 224, 0, 224), Axis(640, 0, 640, 200, 0, 200)
    )


def test_cropped_cuts_the_middle_out() -> None:
    wide = fitting.cropped((480, 641), (224, 224))
    assert wide == Placement(Axis(480, 0, 480, 224, 0, 224), Axis(641, 80, 560, 224, 0, 224))
    tall = fitting.cropped((640, 480), (100, 200))
    assert (tall.rows.start, tall.rows.stop, tall.columns.start, tall.columns.stop) == (200, 440, 0, 480)


def test_cropped_leaves_a_pixel_of_what_is_very_thin() -> None:
    assert fitting.cropped((1, 9), (224, 10)).columns == Axis(9, 4, 5, 10, 0, 10)


def test_centred_is_torchvisions_resize_and_centercrop() -> None:
    """640 becomes int(256 * 640 / 480) = 341; int(round(58.5)) is 58, as Python rounds to even numbers."""
    found = fitting.centred((480, 640), (224, 224), 256)
    assert found == Placement(Axis(480, 0, 480, 256, -16, 224), Axis(640, 0, 640, 341, -58, 224))
    assert fitting.centred((640, 480), (224, 224), 256) == Placement(*reversed(found))
    assert fitting.centred((100, 100), (24, 24), 27).rows.shift == -2  # int(round(1.5))


def test_padded_by_pillow() -> None:
    found = fitting.padded_by_pillow((480, 640), (224, 224))
    assert found == Placement(Axis(480, 0, 480, 168, 28, 224), Axis(640, 0, 640, 224, 0, 224))
    assert fitting.padded_by_pillow((1, 900), (224, 224)).rows == Axis(1, 0, 1, 1, 112, 224)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", SIZES)
def test_padded_is_tensorflows_resize_with_pad(size: tuple[int, int], target: tuple[int, int]) -> None:
    """Where black lies around a white picture."""
    tf = pytest.importorskip("tensorflow")
    placement = fitting.padded(size, target)
    if 1 in (placement.rows.resized, placement.columns.resized):
        pytest.skip("TensorFlow refuses what becomes thinner than a pixel")
    found = tf.image.resize_with_pad(tf.ones((*size, 1)), *target).numpy()[..., 0]
    white = found > 0.5
    for axis, values in ((placement.rows, white.any(axis=1)), (placement.columns, white.any(axis=0))):
        assert [i for i, is_white in enumerate(values) if is_white] == list(range(axis.length))[axis.place]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fit", [fitting.stretched, fitting.cropped, fitting.padded, fitting.padded_by_pillow])
def test_every_way_fills_what_it_says(fit: object, size: tuple[int, int], target: tuple[int, int]) -> None:
    for axis, old, new in zip(fit(size, target), size, target, strict=True):  # type: ignore[operator]
        assert 0 <= axis.start < axis.stop <= axis.size == old
        assert axis.length == new
        assert 0 <= axis.place.start < axis.place.stop <= new


def test_windows() -> None:
    assert fitting.stretched((480, 640), (224, 224)).window(WHOLE) == WHOLE
    assert fitting.cropped((480, 640), (224, 224)).window(WHOLE) == Window(0, 80 / 640, 1, 560 / 640)
    assert fitting.cropped((480, 640), (224, 224)).window(Window(0, 0.5, 1, 1)) == Window(0, 0.5, 1, 560 / 640)
    padded = fitting.padded_by_pillow((480, 640), (224, 224)).window(WHOLE)
    assert padded == pytest.approx((-28 / 168, 0, 196 / 168, 1))
    centred = fitting.centred((480, 640), (224, 224), 256).window(WHOLE)
    assert centred == pytest.approx((16 / 256, 58 / 341, 240 / 256, 282 / 341))


def test_what_a_person_says() -> None:
    assert chosen((224, 224)) == ("stretch", None)
    assert chosen((224, 200), "pad") == ("pad", None)
    assert chosen((224, 224), None, 256) == chosen((224, 224), "crop", 256) == ("crop", 256)
    assert chosen((224, 224), None, None, 0.875) == ("crop", 256)
    assert chosen((224, 224), None, None, 0.9) == ("crop", 248)  # rounded down, as in timm
    assert chosen((224, 224), None, None, 1.0) == ("crop", 224)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((None, 256, 0.875), "--shorter-side or --crop-fraction"),
        (("stretch", 256), "--shorter-side, which cuts, without --fit stretch"),
        (("pad", None, 0.875), "--crop-fraction, which cuts, without --fit pad"),
        ((None, 223), "a shorter side of at least 224 pixels"),
    ],
)
def test_what_does_not_go_together(said: tuple[object, ...], words: str) -> None:
    with pytest.raises(EdgedenseError, match=words):
        chosen((224, 200) if said[-1] == 223 else (224, 224), *said)  # type: ignore[arg-type]


def test_a_fraction_of_what_is_no_square() -> None:
    with pytest.raises(EdgedenseError, match="a square input for --crop-fraction"):
        chosen((224, 200), None, None, 0.875)
