"""How many bits a grey picture of 16 bits uses: which of its values is white.

X-ray detectors measure with 12 bits, and many programs write what they measured into the lower 12 of a file's 16. The
file does not say so. Read as 16 bits such a picture is nearly black.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import Picture

# 8: the high byte of 16, which is what TensorFlow's decoders keep. 12 and 16: the nearest level where so many are used.
Depth = Literal[8, 12, 16]
# What a person may choose: a number, or that it is found out from pictures.
ChosenDepth = Literal["auto", "8", "12", "16"]
TWELVE = 4095  # the largest value of 12 bits
MOST = 300  # pictures that are looked at: a large one takes half a second
_WHITE = {12: TWELVE, 16: 65535}
_NUMBERS: dict[ChosenDepth, Depth] = {"8": 8, "12": 12, "16": 16}


def levels(samples: NDArray[Any], depth: Depth) -> NDArray[np.uint8]:
    """Samples of a grey picture, integers of any shape -> levels uint8. What is brighter than white is white."""
    whole = np.asarray(samples).astype(np.int64)
    if depth == 8:
        return (whole >> 8).clip(0, 255).astype(np.uint8)
    white = _WHITE[depth]
    return ((whole.clip(0, white) * 255 + white // 2) // white).astype(np.uint8)


def has_sixteen_bits(image: ImageFile.ImageFile) -> bool:
    """Whether an opened image is a grey one whose samples have more than 8 bits, and does not say which is white."""
    return image.mode.startswith("I") and not says_white(image)


def says_white(image: ImageFile.ImageFile) -> bool:
    """Whether an opened image that was not loaded is of a format that names its white, so that Pillow makes 65535 of
    it: netpbm's (pgm(5)), where that is not 65535 anyway."""
    return image.format == "PPM" and any(tile[0] != "raw" for tile in image.tile)


def largest_sample(pictures: Iterable[Picture]) -> int | None:
    """The largest sample in those grey pictures that have 16 bits; None where there is none. What cannot be read is
    passed over: whoever reads the pictures says so."""
    found: list[int] = []
    for picture in pictures:
        try:
            with picture.open("rb") as file, Image.open(file) as image:
                if has_sixteen_bits(image):
                    found.append(int(np.asarray(image).max()))
        except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError):
            continue
    return max(found, default=None)


def chosen(asked: ChosenDepth, pictures: Sequence[Picture]) -> tuple[Depth, list[str]]:
    """The depth of pictures like these, and what to tell of it. "auto" is 12 where no sample is above 4095, and else 8,
    as for pictures that have no 16 bits. Of more than MOST pictures so many are looked at, evenly."""
    if asked != "auto":
        return _NUMBERS[asked], []
    largest = largest_sample(pictures[:: max(1, -(-len(pictures) // MOST))])
    if largest is None:
        return 8, []
    if largest <= TWELVE:
        return 12, [
            f"grey pictures of 16 bits use 12: none has a value above {largest}, and 4095 is white (--depth 12)"
        ]
    return 8, [f"grey pictures of 16 bits have values up to {largest}: the high byte of each is taken (--depth 8)"]


def named(depth: Depth) -> ChosenDepth:
    """The choice that stands for a depth."""
    return next(name for name, number in _NUMBERS.items() if number == depth)


def refuse_colours(image: ImageFile.ImageFile, depth: Depth) -> None:
    """EdgedenseError for an opened image in colour, or with alpha, of 16 bits where 12 of them are used: Pillow reads
    the high byte alone, which holds nearly nothing of it then."""
    is_deep = any(";16" in str(tile[3]) for tile in image.tile)
    if depth == 12 and is_deep and not image.mode.startswith("I"):
        raise EdgedenseError(
            "a grey picture without transparency where 16 bits hold 12 (--depth 12)",
            f"one of the kind {image.mode}",
            "save it in grey",
        )
