"""The pictures that are trained on: decoded once, without those that show the same on two sides."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgedense.converters.training import duplicates, split
from edgedense.converters.training.goal import Labels
from edgedense.converters.training.layout import Layout, Part, check_known
from edgedense.images import depth as depths
from edgedense.images.preprocessing import Preprocessing, load_image
from edgedense.measures.metrics import Integers
from edgedense.notes import tell


@dataclass(frozen=True)
class Side:
    """Pictures of one side: uint8 [N, size, size, 3] (`pixels[rows]`), with labels and patients as in `layout.Part`."""

    pixels: npt.NDArray[np.uint8]
    rows: Integers
    labels: Labels
    patients: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Data:
    """All that is trained on. `fingerprint` stands for files, labels and split; `notes` are worth telling."""

    names: tuple[str, ...]
    train: Side
    validation: Side
    test: Side | None
    fingerprint: str
    notes: tuple[str, ...]


def prepare(
    layout: Layout, size: int, work: Path, *, share: float, group_by: str | None, seed: int, tick: Callable[[int], None]
) -> Data:
    """Decode all pictures once into a file in `work`, find duplicates, and split.

    Training pictures that are also in the validation or test part are left out.
    """
    parts = layout.parts
    paths = [path for part in parts for path in part.paths]
    labels = np.concatenate([part.labels for part in parts])
    pixels, fingerprint = read_pixels(paths, size, work, tick)
    number = np.repeat(np.arange(len(parts)), [len(part.paths) for part in parts])
    same = same_pictures(pixels)
    train = np.flatnonzero((number == 0) & ~np.isin(same, same[number > 0]))
    notes = [*_duplicate_notes(same, labels), *_left_out_notes(len(layout.train.paths) - len(train))]
    groups, shared = _groups(parts, train, same[train], group_by)
    if layout.validation is not None:
        training, validation = train, np.flatnonzero(number == 1)
    else:
        held = split.held_out(labels[train], groups, share, seed, layout.names)
        training, validation = train[~held], train[held]
    check_known(labels[training], layout.names, "pictures of it that do not also validate or test")
    test = np.flatnonzero(number == len(parts) - 1) if layout.test is not None else None
    content = (fingerprint.encode(), *(array.tobytes() for array in (labels, training, validation)))
    digest = hashlib.sha256(b"".join(content)).hexdigest()

    patients = [patient for part in parts for patient in part.patients]

    def side(rows: Integers) -> Side:
        return Side(pixels, rows, labels[rows], tuple(patients[row] for row in rows) if patients else ())

    return Data(
        layout.names,
        side(training),
        side(validation),
        None if test is None else side(test),
        digest,
        (*layout.notes, *notes, *shared),
    )


def _groups(parts: Sequence[Part], train: Integers, same: Integers, group_by: str | None) -> tuple[Integers, list[str]]:
    """The group of each training picture: one patient's pictures, and those that show the same, together. And what to
    tell of patients on two sides."""
    if group_by:
        named = [split.named_groups(part.names, group_by) for part in parts]
    elif parts[0].patients:
        named = [list(part.patients) for part in parts]
    else:
        return same, []
    pairs = duplicates.equal_pairs([named[0][row] for row in train])
    groups = duplicates.joined(len(train), [pairs, duplicates.equal_pairs(same.tolist())])
    shared = len(set(named[0]) & {name for some in named[1:] for name in some})
    # Told and not taken apart: numbering may start anew in each part.
    note = f"{shared} groups of train are also on another side: if they are the same patients, the figures flatter"
    return groups, [note] if shared else []


def same_pictures(pixels: npt.NDArray[np.uint8]) -> Integers:
    """The group of each picture [N]: those that show the same picture share one."""
    equal = duplicates.equal_pairs(hashlib.sha256(picture.tobytes()).digest() for picture in pixels)
    near = duplicates.near_pairs(np.stack([duplicates.cells(np.asarray(picture)) for picture in pixels]))
    return duplicates.joined(len(pixels), [equal, near])


def _duplicate_notes(same: Integers, labels: Labels) -> list[str]:
    counts = np.bincount(same)
    notes = []
    if twice := int(np.sum(counts[counts > 1])):
        notes.append(
            f"{twice} pictures show the same as another, {int(np.sum(counts > 1))} different ones: "
            "they stay on one side"
        )
    told = np.unique(np.column_stack([same, np.nan_to_num(labels, nan=-1)]), axis=0)[:, 0].astype(np.int64)
    if disputed := int(np.sum(np.bincount(told) > 1)):
        notes.append(f"{disputed} pictures {'lie in two classes' if labels.ndim == 1 else 'have different labels'}")
    return notes


def _left_out_notes(left_out: int) -> list[str]:
    return [f"{left_out} training pictures are also on another side and are left out"] if left_out else []


def read_pixels(
    paths: Sequence[Path], size: int, work: Path, tick: Callable[[int], None]
) -> tuple[npt.NDArray[np.uint8], str]:
    """uint8 [N, size, size, 3], as the deployed model will see them, kept in `work`; and what stands for the files.

    The file is mapped and not read, so that more pictures fit than memory holds. Which value is white in grey pictures
    of 16 bits is found out as `convert` does by default, and told.
    """
    depth, notes = depths.chosen("auto", paths)
    tell(notes)
    digest = hashlib.sha256(f"{size}{'' if depth == 8 else f' of {depth} bits'}".encode())
    for path in paths:
        entry = path.stat()
        digest.update(f"{path}\0{entry.st_size}\0{entry.st_mtime_ns}\n".encode())
    fingerprint = digest.hexdigest()
    kept = work / f"pixels-{fingerprint[:16]}.npy"
    if kept.exists():
        tick(len(paths))
        return np.load(kept, mmap_mode="r"), fingerprint
    preprocessing = Preprocessing(size, size, "none", depth=depth)
    partial = kept.with_suffix(".partial")
    pixels = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(paths), size, size, 3))
    for row, path in enumerate(paths):
        pixels[row] = load_image(path, preprocessing)
        tick(1)
    pixels.flush()
    os.replace(partial, kept)
    return np.load(kept, mmap_mode="r"), fingerprint
