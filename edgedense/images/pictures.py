"""Pictures as a user gives them: a folder, a pattern, paths, or pictures in memory, with labels or without."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import Picture, PictureInMemory, in_memory
from edgedense.images.places import place
from edgedense.images.preprocessing import Pixels, find_images, find_labelled
from edgedense.images.tables import TEST, Table, is_table, read, recognized
from edgedense.notes import tell

# One picture: the path of its file, its pixels uint8 [H, W, 3], or a PIL image. Many: a folder, a pattern, a table, or
# some. Labelled ones: a folder with a sub-folder per class, a table, or pairs.
PictureLike: TypeAlias = Path | str | Pixels | Image | PictureInMemory
PicturesLike: TypeAlias = Path | str | Table | Iterable[PictureLike]
Label: TypeAlias = str | int | float | Sequence[str] | Sequence[float | None] | None
LabelledLike: TypeAlias = Path | str | Table | Iterable[tuple[PictureLike, Label]]


def collect(source: Any, usual: Sequence[str] = TEST) -> list[Picture]:
    """The pictures of a file, a folder (with its sub-folders), a pattern, a table, or an iterable of files, folders,
    patterns and pictures.

    Pictures in memory are called `picture 0` and so on, by their place. `usual` is as for `tables.read`. Raises
    EdgedenseError when there is none, or something is none, and what `tables.read` raises.
    """
    if is_table(source):
        rows = read(source, usual=usual)
        tell(rows.notes)
        return list(rows.paths)
    if isinstance(source, str | Path):
        return list(find_images(source))
    found = [picture for number, item in enumerate(source) for picture in _each(item, number)]
    if not found:
        raise EdgedenseError("pictures", "none: the list is empty", "a folder, or a list of paths or pictures")
    return found


def find_classes(
    source: Path | str | Table, usual: Sequence[str] = TEST
) -> tuple[list[Path], NDArray[np.int64], list[str]]:
    """(images, class index of each, class names sorted) of a folder with one sub-folder per class, or of a table with
    one label in each row. Errors are those of `find_labelled` and `tables.read`."""
    source = recognized(source)
    if isinstance(source, Table):
        rows = read(source, "classes", usual=usual)
        tell(rows.notes)
        return list(rows.paths), rows.truth.argmax(axis=1), list(rows.names)
    return find_labelled(source)


def pairs(source: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Pairs (picture, label) as pictures and labels. Raises EdgedenseError for anything else."""
    found = list(source)
    for number, item in enumerate(found):
        if not isinstance(item, tuple) or len(item) != 2:
            raise EdgedenseError("pairs (picture, label), or a folder", f"{type(item).__name__} as item {number}")
    return [picture for picture, _ in found], [label for _, label in found]


def first(source: Iterable[Any], limit: int) -> tuple[list[Any], bool]:
    """The items, and whether more are left: of something that can be gone through once, the first `limit` are taken."""
    if hasattr(source, "__len__"):
        return list(source), False
    items = list(islice(source, limit + 1))
    return items[:limit], len(items) > limit


def names(pictures: Sequence[Picture]) -> tuple[str, ...]:
    """A name for each picture, with forward slashes: its path below the folder that holds all, or what it is called."""
    files = [Path(os.path.abspath(picture)) for picture in pictures if isinstance(picture, Path)]
    root = Path(os.path.commonpath([path.parent for path in files])) if files else Path()
    return tuple(
        Path(os.path.abspath(picture)).relative_to(root).as_posix() if isinstance(picture, Path) else picture.name
        for picture in pictures
    )


def _each(item: Any, number: int) -> Sequence[Picture]:
    return find_images(item) if isinstance(item, str | Path) else [one(item, number)]


def one(item: Any, number: int) -> Picture:
    """A picture, the `number`th of some. Raises EdgedenseError when it is none, or its file does not exist."""
    if isinstance(item, PictureInMemory):
        return item
    if not isinstance(item, str | Path):
        return in_memory(item, f"picture {number}")
    path = place(item)
    if not path.is_file():
        raise EdgedenseError("the path of a picture", f"{item}, where there is no file")
    return path
