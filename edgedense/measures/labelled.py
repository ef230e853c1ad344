"""What people know of pictures: the class of each, all that it shows, or the right values; and whose picture it is."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.errors import EdgedenseError, listed
from edgedense.files import sha256
from edgedense.images import tables
from edgedense.images.in_memory import Picture
from edgedense.images.pictures import LabelledLike, one, pairs
from edgedense.images.pictures import names as image_names
from edgedense.images.places import place
from edgedense.images.preprocessing import find_labelled
from edgedense.images.tables import Kind
from edgedense.measures.metrics import Floats, Integers

NONE = np.empty(0, np.int64)  # labels of what has no classes that exclude each other


@dataclass(frozen=True)
class LabelledImages:
    """Images and what is known of each. N images, K of the model's labels `names`.

    `image_names` are their paths below the folder that holds them, with forward slashes on every system. `missing` are
    labels without an image: they are part of the model but not of these images.

    `truth` [N, K] holds for "classes" and "several" 1 where an image shows what the label says, 0 where it does not,
    and NaN where nobody knows; for "values" the right values, NaN where one is not known. `labels` [N] are the classes
    as indices into `names`, where these exclude each other; of the other kinds there are none. `patients` say whose
    each image is, and are empty where that is not known. `notes` are remarks on how the images were read.
    """

    paths: tuple[Picture, ...]
    image_names: tuple[str, ...]
    labels: Integers
    names: tuple[str, ...]
    missing: tuple[str, ...]
    truth: Floats
    patients: tuple[str, ...] = ()
    kind: Kind = "classes"
    notes: tuple[str, ...] = ()

    def only(self, places: Integers) -> LabelledImages:
        """Those at these places, in this order; the same where these are all of them in their order."""
        if np.array_equal(places, np.arange(len(self.paths))):
            return self
        some = places.tolist()
        return replace(
            self,
            paths=tuple(self.paths[i] for i in some),
            image_names=tuple(self.image_names[i] for i in some),
            labels=self.labels[places] if self.labels.size else self.labels,
            truth=self.truth[places],
            patients=tuple(self.patients[i] for i in some) if self.patients else (),
        )


def read_labelled(
    data: LabelledLike, names: Sequence[str], kind: Kind = "classes", usual: Sequence[str] = tables.TEST
) -> LabelledImages:
    """The images of a folder, of a table, or pairs (image, label), and what is known of them; `names` are the model's.

    A folder has a sub-folder per class, matched to the model's labels by name. By name and not by order: a folder that
    lacks a class would shift every class behind it. A table is read as `tables.read` says; of one that has splits and
    names none, the first of `usual` that there is, is taken. The label of a pair is one of `names` or its number; for
    "several" also a list of names, which may be empty, and for "values" a number for each of `names`,
    NaN or None where it is not known.

    `kind` says what the model tells. Folders, and pairs with one label each, only say which class a picture was filed
    under: they are read as "classes" for a model of "several" too (see `scored_alone`).

    Raises EdgedenseError when a folder's name or a label is none of the model's, for a folder where values are asked
    for, and what `tables.read` raises.
    """
    data = tables.recognized(data)
    if isinstance(data, tables.Table):
        return _from_table(tables.read(data, kind, names, usual), kind)
    if not isinstance(data, str | Path):
        return _from_pairs(data, names, kind)
    if kind == "values":
        raise EdgedenseError(
            f"a table (.csv or .tsv) with a column for {listed(names)}",
            f"{data}: folders do not say which values are the right ones",
            "--data TABLE.csv",
        )
    return _from_folders(data, names)


def _from_folders(folder: Path | str, names: Sequence[str]) -> LabelledImages:
    paths, indices, folders = find_labelled(folder)
    unknown = [name for name in folders if name not in names]
    if unknown:
        close = difflib.get_close_matches(unknown[0], names, n=1)
        raise EdgedenseError(
            f"class folders named like the model's labels ({listed(names)})",
            listed(unknown),
            f"rename {unknown[0]} to {close[0]}" if close else "rename the folders, or name labels with --labels",
        )
    places = np.array([names.index(name) for name in folders], np.int64)
    called = tuple(path.relative_to(place(folder)).as_posix() for path in paths)
    return of_classes(paths, called, places[indices], names)


def _from_table(rows: tables.Rows, kind: Kind) -> LabelledImages:
    labels = rows.truth.argmax(axis=1) if kind == "classes" else NONE
    return _images(rows.paths, rows.image_names, labels, rows.names, rows.truth, rows.patients, kind, rows.notes)


def of_classes(
    pictures: Sequence[Picture],
    called: Sequence[str],
    labels: Integers,
    names: Sequence[str],
    patients: Sequence[str] = (),
) -> LabelledImages:
    """Images that show one class each, `labels` [N]: indices into `names`."""
    return _images(pictures, called, labels, names, np.eye(len(names))[labels], patients)


def _images(
    pictures: Sequence[Picture],
    called: Sequence[str],
    labels: Integers,
    names: Sequence[str],
    truth: Floats,
    patients: Sequence[str] = (),
    kind: Kind = "classes",
    notes: tuple[str, ...] = (),
) -> LabelledImages:
    shown = ~np.isnan(truth) if kind == "values" else truth == 1
    missing = tuple(name for k, name in enumerate(names) if not shown[:, k].any())
    return LabelledImages(
        tuple(pictures), tuple(called), labels, tuple(names), missing, truth, tuple(patients), kind, notes
    )


def some(images: LabelledImages, chosen: Integers) -> LabelledImages:
    """The images with these indices."""
    return replace(
        images,
        paths=tuple(images.paths[i] for i in chosen),
        image_names=tuple(images.image_names[i] for i in chosen),
        labels=images.labels[chosen] if images.labels.size else images.labels,
        truth=images.truth[chosen],
        patients=tuple(images.patients[i] for i in chosen) if images.patients else (),
    )


def scored_alone(images: LabelledImages) -> LabelledImages:
    """The same, to be judged class by class: an image that is known by one class shows that one, and no other."""
    return replace(images, labels=NONE, kind="several")


def fingerprint(images: LabelledImages) -> str:
    """The hexadecimal SHA-256 of what is known: each image's name, the SHA-256 of its content, and its truth, by name.

    Raises EdgedenseError when an image can no longer be read.
    """
    digest = hashlib.sha256()
    for number in sorted(range(len(images.paths)), key=images.image_names.__getitem__):
        try:
            content = sha256(images.paths[number].read_bytes())
        except OSError as error:
            raise EdgedenseError("a readable image", f"{images.image_names[number]}: {error.strerror}") from error
        known = " ".join(map(str, images.truth[number].tolist()))
        digest.update(f"{images.image_names[number]}\0{content} {known}\n".encode())
    return digest.hexdigest()


def missing_notes(images: LabelledImages) -> list[str]:
    """What to tell of images: how they were read, and which labels none of them has."""
    count, what = len(images.missing), "values" if images.kind == "values" else "classes"
    missing = [f"no pictures of {count} of the model's {what}: {listed(images.missing)}"] if count else []
    return [*images.notes, *missing]


def _from_pairs(data: Iterable[Any], names: Sequence[str], kind: Kind) -> LabelledImages:
    items, labels = pairs(data)
    if not items:
        raise EdgedenseError("labelled images", "none: the list is empty", "pairs (picture, label), or a folder")
    pictures = [one(item, number) for number, item in enumerate(items)]
    called = image_names(pictures)
    if kind == "values":
        return _images(pictures, called, NONE, names, np.stack([_numbers(label, names) for label in labels]), kind=kind)
    if kind == "classes" or all(isinstance(label, str | int | np.integer) for label in labels):
        return of_classes(pictures, called, np.array([_number(label, names) for label in labels], np.int64), names)
    truth = np.zeros((len(labels), len(names)))
    for row, label in zip(truth, labels, strict=True):
        some = [label] if isinstance(label, str | int | np.integer) else label
        row[[_number(name, names) for name in some]] = 1
    return _images(pictures, called, NONE, names, truth, kind=kind)


def _numbers(label: Any, names: Sequence[str]) -> Floats:
    """The right values of one picture [K]."""
    try:
        found = np.atleast_1d(np.asarray(label, np.float64))
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (len(names),) or np.isinf(found).any():
        raise EdgedenseError(f"{len(names)} numbers with each picture ({listed(names)})", repr(label))
    return found


def _number(label: Any, names: Sequence[str]) -> int:
    """A label's place in `names`: it is one of them, or that place itself."""
    if isinstance(label, str) and label in names:
        return names.index(label)
    if isinstance(label, int | np.integer) and 0 <= label < len(names):
        return int(label)
    raise EdgedenseError(
        f"labels of the model ({listed(names)}), or their numbers from 0 to {len(names) - 1}", repr(label)
    )
