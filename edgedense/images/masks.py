"""Masks of pictures: which part of each shows what a doctor or an annotator has marked, such as a lesion.

A mask is a picture of its own, of the same shape as the one that it belongs to, and of any size. Whatever is not zero
in it is marked. It is brought to where the network sees it: cut, put on a background and resized as the picture is, but
with the nearest pixel, so that it stays yes or no.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edgedense.errors import EdgedenseError
from edgedense.images.decoding import Positions
from edgedense.images.fitting import Axis
from edgedense.images.in_memory import Picture
from edgedense.images.places import place
from edgedense.images.preprocessing import IMAGE_SUFFIXES, Preprocessing, find_images, open_picture
from edgedense.images.resampling import taps
from edgedense.images.steps import Crop, Resample, Size, Step

Mask = NDArray[np.bool_]
ENDINGS = ("", "_mask", "_segmentation")  # what stands behind a picture's name in that of its mask


def find_masks(folder: Path | str, pictures: Sequence[Picture], names: Sequence[str]) -> list[Path | None]:
    """The mask of each picture, or None where there is none.

    `names` are the pictures' paths below the folder that holds them. The mask of `a/b.jpg` is `a/b.png` below `folder`,
    or `a/b_mask.png`, or `a/b_segmentation.png`, of any kind of image. Raises EdgedenseError when `folder` is no folder
    or holds no image, when a picture has two masks, and when none has one.
    """
    folder = place(folder)
    if not folder.is_dir():
        raise EdgedenseError("a folder of masks", f"{folder}, which is no folder", "--masks DIR")
    known: dict[str, list[Path]] = defaultdict(list)
    for path in find_images(folder):
        known[_stem(path.relative_to(folder).as_posix())].append(path)
    found = [
        _only(picture, [path for ending in ENDINGS for path in known.get(_stem(name) + ending, ())])
        for picture, name in zip(pictures, names, strict=True)
    ]
    if not any(found):
        wanted = " or ".join(f"{folder / _stem(names[0])}{ending}.png" for ending in ENDINGS[:2])
        raise EdgedenseError(
            "masks that are called like the pictures, in the same sub-folders", f"none in {folder}", f"such as {wanted}"
        )
    return found


def _stem(name: str) -> str:
    """A name without an image's suffix."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def _only(picture: Picture, found: Sequence[Path]) -> Path | None:
    """The mask among `found`, of which one may be the picture itself: masks may lie beside the pictures."""
    itself = picture.resolve() if isinstance(picture, Path) else None
    masks = [path for path in found if path.resolve() != itself]
    if len(masks) > 1:
        raise EdgedenseError(f"one mask for {picture}", " and ".join(map(str, masks)), "leave one of them")
    return masks[0] if masks else None


def read_mask(path: Path, size: Size, preprocessing: Preprocessing) -> Mask:
    """A mask as the network sees it: bool [height, width] of the deployed file's input.

    `size` is the height and width of the picture that it belongs to, upright where EXIF is applied, as is then the
    mask, by an orientation of its own. Raises EdgedenseError when it cannot be read, has another shape than the
    picture, marks nothing, or marks nothing that the network sees.
    """
    with open_picture(path, preprocessing.exif) as decoded:
        own = decoded.height, decoded.width
        if not _is_same_shape(own, size):
            raise EdgedenseError(
                "a mask of the picture's shape, smaller or larger",
                f"{path} of {own[1]}x{own[0]} pixels for a picture of {size[1]}x{size[0]}",
            )
        rows, columns = _places(size, own, preprocessing)
        mask = np.zeros((len(rows), len(columns)), bool)
        seen = np.ix_(rows >= 0, columns >= 0)
        mask[seen] = decoded.marked(rows[rows >= 0], columns[columns >= 0])
        if not mask.any():
            outside = decoded.marked(np.arange(own[0]), np.arange(own[1])).any()
            raise EdgedenseError(
                "a mask that marks something in the part of the picture that the network sees",
                f"{path}, which marks {'only other parts, or too little to be seen' if outside else 'nothing'}",
                "take it out of the folder: a picture without a mask is left out",
            )
    return mask


def _is_same_shape(own: Size, size: Size) -> bool:
    """Whether one side is what the other asks for, but for its rounding to whole pixels."""
    (height, width), (wanted_height, wanted_width) = own, size
    return (
        abs(height - width * wanted_height / wanted_width) < 1 or abs(width - height * wanted_width / wanted_height) < 1
    )


def _places(size: Size, own: Size, preprocessing: Preprocessing) -> tuple[Positions, Positions]:
    """Which row of a mask of `own` size each row of the network's input shows, and which column each column; below 0
    where it shows background. `size` is the picture's."""
    rows, columns = (
        np.floor(_shares(axis, number, preprocessing.steps) * own[number]).astype(np.intp)
        for number, axis in enumerate(preprocessing.placement(size))
    )
    return rows, columns


def _shares(axis: Axis, number: int, steps: Sequence[Step]) -> NDArray[np.float64]:
    """Where the centre of each of the input's rows (`number` 0) or columns (1) lies in the picture, as a share of its
    side; -1 where the input shows background."""
    shares = np.full(axis.length, -1.0)
    shares[axis.place] = [axis.position(place + 0.5) / axis.size for place in range(axis.first, axis.last)]
    for step in steps:
        length = (step.height, step.width)[number]
        if isinstance(step, Resample):
            shares = shares[taps(len(shares), length, "nearest").places[0]]
            continue
        start = (step.top, step.left)[number]
        if isinstance(step, Crop):
            shares = shares[start : start + length]
        else:
            shares = np.pad(shares, (start, length - start - len(shares)), constant_values=-1.0)
    return shares
