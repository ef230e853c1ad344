"""How a picture of any shape gets into an input of one shape: stretched, cut or put on black. Arithmetic alone.

Every way works on rows and columns alike, so that an `Axis` says what happens along one of them. The whole numbers are
those of the original that each way follows, because being one pixel off moves all that is behind it.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from edgedense.errors import EdgedenseError
from edgedense.images.steps import Size, Window

Fit = Literal["stretch", "crop", "pad"]


class Axis(NamedTuple):
    """One side of a picture on its way into the input.

    Of its `size` pixels those from `start` to before `stop` are resized to `resized` pixels. The first of these lies at
    `shift` of the input's `length` pixels: below zero where the middle of what was resized is cut out, above zero where
    black lies before it.
    """

    size: int
    start: int
    stop: int
    resized: int
    shift: int
    length: int

    @property
    def first(self) -> int:
        """The first of the resized pixels that is in the input."""
        return max(0, -self.shift)

    @property
    def last(self) -> int:
        """The one behind the last of them."""
        return min(self.resized, self.length - self.shift)

    @property
    def place(self) -> slice:
        """Where they lie in the input."""
        return slice(self.first + self.shift, self.last + self.shift)

    @property
    def is_filled(self) -> bool:
        """Whether no black is left in the input."""
        return self.last - self.first == self.length

    @property
    def is_kept(self) -> bool:
        """Whether pixels stay as they are."""
        return self.stop - self.start == self.resized

    @property
    def alone(self) -> Axis:
        """The same of the pixels from `start` to `stop`, where there are no others."""
        return self._replace(size=self.stop - self.start, start=0, stop=self.stop - self.start)

    @property
    def span(self) -> tuple[float, float]:
        """What of the picture they show, in its pixels."""
        return self.position(self.first), self.position(self.last)

    def position(self, place: float) -> float:
        """The picture's coordinate, in pixels, of a `place` among the resized pixels."""
        return self.start + place * (self.stop - self.start) / self.resized


class Placement(NamedTuple):
    """How a picture's rows and columns get into the input."""

    rows: Axis
    columns: Axis

    def window(self, inner: Window) -> Window:
        """The part `inner` of the input as a part of the picture."""
        (top, bottom), (left, right) = (
            [axis.position(share * axis.length - axis.shift) / axis.size for share in shares]
            for axis, shares in ((self.rows, (inner.top, inner.bottom)), (self.columns, (inner.left, inner.right)))
        )
        return Window(top, left, bottom, right)


def stretched(size: Size, target: Size) -> Placement:
    """All of a picture of `size`, whatever becomes of its shape."""
    rows, columns = (Axis(old, 0, old, new, 0, new) for old, new in zip(size, target, strict=True))
    return Placement(rows, columns)


def cropped(size: Size, target: Size) -> Placement:
    """The largest rectangle in the middle that has the target's shape, then resized.

    As Keras' `load_img(keep_aspect_ratio=True)` computes it. `crop_to_aspect_ratio=True` of
    `image_dataset_from_directory` divides in float32, which gives the same for targets of up to 2,048 pixels.
    """
    (height, width), (new_height, new_width) = size, target
    cut_height = max(1, min(height, width * new_height // new_width))
    cut_width = max(1, min(width, height * new_width // new_height))

    def axis(old: int, cut: int, new: int) -> Axis:
        start = (old - cut) // 2
        return Axis(old, start, start + cut, new, 0, new)

    return Placement(axis(height, cut_height, new_height), axis(width, cut_width, new_width))


def padded(size: Size, target: Size) -> Placement:
    """Resized until it fits, then black around it: `tf.image.resize_with_pad`, which Keras calls in
    `image_dataset_from_directory(pad_to_aspect_ratio=True)`.

    In float32 as there: 640 pixels over a ratio of 640 / 224 may be a little less than 224, which gives 223.
    """
    sides = np.array(size, np.float32), np.array(target, np.float32)
    exact = sides[0] / (sides[0] / sides[1]).max()
    before = np.floor((sides[1] - exact) / np.float32(2))
    rows, columns = (
        Axis(old, 0, old, max(1, int(new)), max(0, int(shift)), length)
        for old, new, shift, length in zip(size, exact, before, target, strict=True)
    )
    return Placement(rows, columns)


def padded_by_pillow(size: Size, target: Size) -> Placement:
    """As `PIL.ImageOps.pad`: resized until it fits, then black around it."""
    (height, width), (new_height, new_width) = size, target
    if width / height > new_width / new_height:
        resized = round(height / width * new_width), new_width
    elif width / height < new_width / new_height:
        resized = new_height, round(width / height * new_height)
    else:
        resized = target

    def axis(old: int, new: int, length: int) -> Axis:
        new = max(1, new)
        return Axis(old, 0, old, new, round((length - new) * 0.5), length)

    return Placement(axis(height, resized[0], new_height), axis(width, resized[1], new_width))


def centred(size: Size, target: Size, shorter_side: int) -> Placement:
    """As torchvision's `Resize(shorter_side)` and `CenterCrop(target)`: resized as a whole, then its middle."""
    shorter, longer = sorted(size)
    other = int(shorter_side * longer / shorter)
    height, width = (shorter_side, other) if size[0] <= size[1] else (other, shorter_side)

    def axis(old: int, new: int, length: int) -> Axis:
        return Axis(old, 0, old, new, -round((new - length) / 2.0), length)

    return Placement(axis(size[0], height, target[0]), axis(size[1], width, target[1]))


def fraction_of(target: Size, crop_fraction: float) -> int:
    """The shorter side of which `target` is this fraction, rounded down as timm does."""
    return math.floor(max(target) / crop_fraction)


def chosen(
    target: Size, fit: Fit | None = None, shorter_side: int | None = None, crop_fraction: float | None = None
) -> tuple[Fit, int | None]:
    """(fit, shorter side) out of what a person says of an input of `target` pixels, None where nothing is said.

    `crop_fraction` is timm's `crop_pct`. EdgedenseError for what does
    not go together, or a shorter side from which the input cannot be cut.
    """
    if shorter_side is not None and crop_fraction is not None:
        raise EdgedenseError("--shorter-side or --crop-fraction", "both", "one of them: they say the same")
    option = "--shorter-side" if crop_fraction is None else "--crop-fraction"
    if crop_fraction is not None:
        if target[0] != target[1]:
            raise EdgedenseError(
                "a square input for --crop-fraction", f"one of {target[0]}x{target[1]}", "--shorter-side PIXELS"
            )
        shorter_side = fraction_of(target, crop_fraction)
    if shorter_side is None:
        return fit or "stretch", None
    if fit not in (None, "crop"):
        raise EdgedenseError(
            f"{option}, which cuts, without --fit {fit}",
            "both",
            f"{option} for Resize(256), CenterCrop(224) of torchvision, --fit for Keras",
        )
    if shorter_side < max(target):
        raise EdgedenseError(
            f"a shorter side of at least {max(target)} pixels, out of which {target[0]}x{target[1]} can be cut",
            str(shorter_side),
            "what was given to Resize in training, before CenterCrop",
        )
    return "crop", shorter_side
