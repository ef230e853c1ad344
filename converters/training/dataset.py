"""Which pictures there are, which class each shows, and on which side of the training it stands."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgedense.converters.training import duplicates, split
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing, find_labelled, load_image

VALIDATION_NAMES = ("val", "validation", "valid")

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Folder:
    """Pictures below `root`, one sub-folder per class, and the class of each, [N], as an index into the names."""

    root: Path
    paths: tuple[Path, ...]
    labels: Integers


@dataclass(frozen=True)
class Layout:
    """What a data folder holds. Without `validation` a part of `train` is held out."""

    names: tuple[str, ...]
    train: Folder
    validation: Folder | None
    test: Folder | None

    @property
    def folders(self) -> tuple[Folder, ...]:
        """Training first, then what there is of the others."""
        return tuple(folder for folder in (self.train, self.validation, self.test) if folder is not None)


@dataclass(frozen=True)
class Side:
    """Pictures of one side: uint8 [N, size, size, 3] (`pixels[rows]`) and labels [N]."""

    pixels: npt.NDArray[np.uint8]
    rows: Integers
    labels: Integers

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Data:
    """All that is trained on. `fingerprint` stands for the files and the split; `notes` are worth telling."""

    names: tuple[str, ...]
    train: Side
    validation: Side
    test: Side | None
    train_folder: Path
    test_folder: Path | None
    fingerprint: str
    notes: tuple[str, ...]


def find(folder: Path) -> Layout:
    """A folder per class; or below it train, and val or test or both, each with a folder per class.

    Raises EdgedenseError when there are fewer than two classes, or when the parts have different ones.
    """
    train = folder / "train"
    if not train.is_dir():
        paths, labels, names = find_labelled(folder)
        return Layout(_classes(names, labels, folder), Folder(folder, tuple(paths), labels), None, None)
    paths, labels, names = find_labelled(train)
    classes = _classes(names, labels, train)
    validation = next((folder / name for name in VALIDATION_NAMES if (folder / name).is_dir()), None)
    test = folder / "test" if (folder / "test").is_dir() else None
    return Layout(classes, Folder(train, tuple(paths), labels), _part(validation, classes), _part(test, classes))


def _classes(names: Sequence[str], labels: Integers, folder: Path) -> tuple[str, ...]:
    counts = np.bincount(labels, minlength=len(names))
    if len(names) < 2 or counts.min() < 2:
        few = [f"{name}: {count}" for name, count in zip(names, counts, strict=True) if count < 2]
        raise EdgedenseError(
            "two classes or more, each a folder with two pictures or more", f"{', '.join(few) or 'one'} in {folder}"
        )
    return tuple(names)


def _part(folder: Path | None, classes: tuple[str, ...]) -> Folder | None:
    if folder is None:
        return None
    paths, labels, names = find_labelled(folder)
    if tuple(names) != classes:
        raise EdgedenseError(
            f"the class folders of train ({', '.join(classes)})",
            f"{', '.join(names)} in {folder}",
            "the same folders in both",
        )
    return Folder(folder, tuple(paths), labels)


def prepare(
    layout: Layout, size: int, work: Path, *, share: float, group_by: str | None, seed: int, tick: Callable[[int], None]
) -> Data:
    """Decode all pictures once into a file in `work`, find duplicates, and split.

    Training pictures that are also in the validation or test folder are left out.
    """
    paths = [path for folder in layout.folders for path in folder.paths]
    labels = np.concatenate([folder.labels for folder in layout.folders])
    pixels, fingerprint = read_pixels(paths, size, work, tick)
    part = np.repeat(np.arange(len(layout.folders)), [len(folder.paths) for folder in layout.folders])
    same = same_pictures(pixels)
    train = np.flatnonzero((part == 0) & ~np.isin(same, same[part > 0]))
    notes = [*_duplicate_notes(same, labels), *_left_out_notes(int(np.sum(part == 0)) - len(train))]
    groups, shared = same[train], list[str]()
    if group_by:
        groups, shared = _joined_groups(layout, train, groups, group_by)
    if layout.validation is not None:
        training, validation = train, np.flatnonzero(part == 1)
    else:
        held = split.held_out(labels[train], groups, share, seed)
        training, validation = train[~held], train[held]
    counts = np.bincount(labels[training], minlength=len(layout.names))
    if counts.min() == 0:
        raise EdgedenseError(
            "training pictures of every class",
            f"none of {layout.names[int(counts.argmin())]}",
            "pictures that are not also in the folders beside train",
        )
    test = np.flatnonzero(part == len(layout.folders) - 1) if layout.test is not None else None
    digest = hashlib.sha256(fingerprint.encode() + training.tobytes() + validation.tobytes()).hexdigest()

    def side(rows: Integers) -> Side:
        return Side(pixels, rows, labels[rows])

    return Data(
        layout.names,
        side(training),
        side(validation),
        None if test is None else side(test),
        layout.train.root,
        layout.test.root if layout.test else None,
        digest,
        (*notes, *shared),
    )


def _joined_groups(layout: Layout, train: Integers, same: Integers, group_by: str) -> tuple[Integers, list[str]]:
    """The group of each training picture: one patient's pictures, and those that show the same, together."""
    named = [
        split.named_groups([path.relative_to(folder.root).as_posix() for path in folder.paths], group_by)
        for folder in layout.folders
    ]
    pairs = duplicates.equal_pairs([named[0][row] for row in train])
    groups = duplicates.joined(len(train), [pairs, duplicates.equal_pairs(same.tolist())])
    shared = len(set(named[0]) & {name for some in named[1:] for name in some})
    # Told and not taken apart: numbering may start anew in each folder.
    note = f"{shared} groups of train are also beside it: if they are the same patients, the figures flatter"
    return groups, [note] if shared else []


def same_pictures(pixels: npt.NDArray[np.uint8]) -> Integers:
    """The group of each picture [N]: those that show the same picture share one."""
    equal = duplicates.equal_pairs(hashlib.sha256(picture.tobytes()).digest() for picture in pixels)
    near = duplicates.near_pairs(np.stack([duplicates.cells(np.asarray(picture)) for picture in pixels]))
    return duplicates.joined(len(pixels), [equal, near])


def _duplicate_notes(same: Integers, labels: Integers) -> list[str]:
    counts = np.bincount(same)
    notes = []
    if twice := int(np.sum(counts[counts > 1])):
        notes.append(
            f"{twice} pictures show the same as another, {int(np.sum(counts > 1))} different ones: "
            "they stay on one side"
        )
    classes = np.unique(np.stack([same, labels], axis=1), axis=0)[:, 0]
    if disputed := int(np.sum(np.bincount(classes) > 1)):
        notes.append(f"{disputed} pictures lie in two classes")
    return notes


def _left_out_notes(left_out: int) -> list[str]:
    return [f"{left_out} training pictures are also in the folders beside train and are left out"] if left_out else []


def read_pixels(
    paths: Sequence[Path], size: int, work: Path, tick: Callable[[int], None]
) -> tuple[npt.NDArray[np.uint8], str]:
    """uint8 [N, size, size, 3], as the deployed model will see them, kept in `work`; and what stands for the files.

    The file is mapped and not read, so that more pictures fit than memory holds.
    """
    digest = hashlib.sha256(f"{size}".encode())
    for path in paths:
        entry = path.stat()
        digest.update(f"{path}\0{entry.st_size}\0{entry.st_mtime_ns}\n".encode())
    fingerprint = digest.hexdigest()
    kept = work / f"pixels-{fingerprint[:16]}.npy"
    if kept.exists():
        tick(len(paths))
        return np.load(kept, mmap_mode="r"), fingerprint
    preprocessing = Preprocessing(size, size, "none")
    partial = kept.with_suffix(".partial")
    pixels = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(paths), size, size, 3))
    for row, path in enumerate(paths):
        pixels[row] = load_image(path, preprocessing)
        tick(1)
    pixels.flush()
    os.replace(partial, kept)
    return np.load(kept, mmap_mode="r"), fingerprint
