"""What people know of pictures: the class of each, all that it shows, or the right values; and whose picture it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgedense.errors import EdgedenseError
from edgedense.images.in_memory import Picture
from edgedense.images.pictures import LabelledLike, one, pairs
from edgedense.images.pictures import names as image_names
from edgedense.images.preprocessing import find_labelled
from edgedense.measures.metrics import Floats, Integers

# "classes": they exclude each other, and each picture shows one of them. "several": a picture shows any number of them.
# "values": numbers, as those of a regression.
Kind = Literal["classes", "several", "values"]


@dataclass(frozen=True)
class LabelledImages:
    """Images and what is known of each. N images, K of the model's labels `names`.

    `image_names` are their paths below the folder that holds them, with forward slashes on every system. `missing` are
    labels without an image: they are part of the model but not of these images.

    `truth` [N, K] holds for "classes" and "several" 1 where an image shows what the label says, 0 where it does not,
    and NaN where nobody knows; for "values" the right values, NaN where one is not known. `labels` [N] are the classes
    as indices into `names`, where these exclude each other; of the other kinds there are none. `patients` say whose
    each image is, and are empty where that is not known.
    """

    paths: tuple[Picture, ...]
    image_names: tuple[str, ...]
    labels: Integers
    names: tuple[str, ...]
    missing: tuple[str, ...]
    truth: Floats
    patients: tuple[str, ...] = ()
    kind: Kind = "classes"


def read_labelled(data: LabelledLike, names: Sequence[str]) -> LabelledImages:
    """The images in the folder `data`, one sub-folder per class, with folders matched to the model's labels by name.

    By name and not by order: a folder that lacks a class would shift every class behind it. `data` may be pairs
    (picture, label) too, each label one of `names` or its number. Raises EdgedenseError when a folder's name or a
    label is none of the model's.
    """
    if not isinstance(data, str | Path):
        return _from_pairs(data, names)
    paths, indices, folders = find_labelled(data)
    unknown = [name for name in folders if name not in names]
    if unknown:
        close = difflib.get_close_matches(unknown[0], names, n=1)
        raise EdgedenseError(
            f"class folders named like the model's labels ({listed(names)})",
            listed(unknown),
            f"rename {unknown[0]} to {close[0]}" if close else "rename the folders, or name labels with --labels",
        )
    places = np.array([names.index(name) for name in folders], np.int64)
    called = tuple(path.relative_to(data).as_posix() for path in paths)
    return of_classes(paths, called, places[indices], names)


def of_classes(
    pictures: Sequence[Picture],
    called: Sequence[str],
    labels: Integers,
    names: Sequence[str],
    patients: Sequence[str] = (),
) -> LabelledImages:
    """Images that show one class each, `labels` [N]: indices into `names`."""
    shown = set(labels.tolist())
    missing = tuple(name for number, name in enumerate(names) if number not in shown)
    truth = np.eye(len(names))[labels]
    return LabelledImages(tuple(pictures), tuple(called), labels, tuple(names), missing, truth, tuple(patients))


def missing_notes(images: LabelledImages) -> list[str]:
    """What to tell of labels without an image."""
    count = len(images.missing)
    return [f"no pictures of {count} of the model's classes: {listed(images.missing)}"] if count else []


def _from_pairs(data: Iterable[Any], names: Sequence[str]) -> LabelledImages:
    items, labels = pairs(data)
    if not items:
        raise EdgedenseError("labelled images", "none: the list is empty", "pairs (picture, label), or a folder")
    pictures = [one(item, number) for number, item in enumerate(items)]
    numbers = np.array([_number(label, names) for label in labels], np.int64)
    return of_classes(pictures, image_names(pictures), numbers, names)


def _number(label: Any, names: Sequence[str]) -> int:
    """A label's place in `names`: it is one of them, or that place itself."""
    if isinstance(label, str) and label in names:
        return names.index(label)
    if isinstance(label, int | np.integer) and 0 <= label < len(names):
        return int(label)
    raise EdgedenseError(
        f"labels of the model ({listed(names)}), or their numbers from 0 to {len(names) - 1}", repr(label)
    )


def listed(names: Iterable[str], limit: int = 6) -> str:
    """Names for people, and how many more there are."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
