"""The calibration set: the pictures by which ranges are measured, read once, checked, and named by a hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edgedense.converters.options import DEFAULT_IMAGES
from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.images import depth as depths
from edgedense.images.in_memory import Picture
from edgedense.images.pictures import PictureLike, first, one, pairs
from edgedense.images.pictures import names as picture_names
from edgedense.images.places import file_names, place, subfolders
from edgedense.images.preprocessing import IMAGE_SUFFIXES, Pixels, Preprocessing, find_images, find_labelled, load_bytes
from edgedense.images.tables import TRAINING, Table, exclusive, file_of, read, recognized

# A folder, a table, some pictures, or pairs (picture, class name).
CalibrationLike: TypeAlias = Path | str | Table | Iterable[PictureLike] | Iterable[tuple[PictureLike, str]]

FEW_IMAGES = 50
DARK = 8.0  # mean level of 255 below which a picture tells next to nothing
FLAT = 1.0  # standard deviation in levels below which a picture is one colour
RANDOM = 0.1  # correlation of neighbouring pixels; photographs have 0.8 and more, noise has 0


@dataclass(frozen=True)
class CalibrationSet:
    """Pictures as the model sees them: `pixels` uint8 [N, height, width, 3], by `preprocessing`.

    `labels` [N] are indices into `names`, where pictures stand in class folders or came with labels, one
    each; `sha256` hashes every picture's name and content; `notes` are remarks for the user.
    """

    paths: tuple[Picture, ...]
    pixels: Pixels
    labels: npt.NDArray[np.int64] | None
    names: tuple[str, ...]
    sha256: str
    notes: tuple[str, ...]
    preprocessing: Preprocessing

    def indices(self, labels: Sequence[str]) -> npt.NDArray[np.int64] | None:
        """Each picture's class [N] as an index into a model's `labels`; None where they cannot be told from folders."""
        if self.labels is None or not set(self.names) <= set(labels):
            return None
        return np.array([labels.index(name) for name in self.names], np.int64)[self.labels]


@dataclass(frozen=True)
class _Found:
    """The pictures there are: their names, the class of each, what they are called together, remarks."""

    pictures: list[Picture]
    image_names: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None
    names: list[str]
    called: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Picture:
    path: Picture
    sha256: str
    pixels: Pixels | None  # None: the file is no picture
    problem: str = ""


def read_calibration(
    source: CalibrationLike,
    preprocessing: Preprocessing,
    limit: int = DEFAULT_IMAGES,
    tick: Callable[[int], None] = lambda n: None,
    depth: depths.ChosenDepth = "auto",
) -> CalibrationSet:
    """Read at most `limit` pictures, evenly from the classes where these are known.

    `depth` takes the place of what `preprocessing` says of it: with "auto" the pictures do.

    `source` is a folder, with or without a sub-folder per class, or a table, or pictures (paths or pictures in memory),
    or pairs (picture, class name). A table names classes where each of its rows has exactly one label; where it has
    splits and names none, `train` is taken. Of something that can be gone through only once, the first pictures are
    taken. Raises EdgedenseError when no picture is left, when the pictures are noise or all the same, and what
    `tables.read` raises.
    """
    found = _found(source, limit)
    chosen = _spread(found.labels, len(found.pictures), limit)
    paths, labels = [found.pictures[i] for i in chosen], None if found.labels is None else found.labels[chosen]
    found_depth, depth_notes = depths.chosen(depth, paths)
    preprocessing = replace(preprocessing, depth=found_depth)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pictures = []
        for picture in pool.map(lambda path: _read(path, preprocessing), paths):
            pictures.append(picture)
            tick(1)
    good = [i for i, picture in enumerate(pictures) if picture.pixels is not None]
    if not good:
        raise EdgedenseError(f"pictures that can be decoded in {found.called}", pictures[0].problem, "other pictures")
    pixels = np.stack([picture.pixels for picture in pictures if picture.pixels is not None])
    kept = None if labels is None else labels[good]
    _refuse_unusable(pixels, found.called)
    notes = (
        *_broken_notes(pictures),
        *_picture_notes([pictures[i] for i in good], pixels),
        *_class_notes(kept, found.names),
        *found.notes,
        *depth_notes,
    )
    manifest = hashlib.sha256()
    for i in good:
        manifest.update(f"{found.image_names[chosen[i]]}\0{pictures[i].sha256}\n".encode())
    kept_paths = tuple(paths[i] for i in good)
    return CalibrationSet(kept_paths, pixels, kept, tuple(found.names), manifest.hexdigest(), notes, preprocessing)


def _found(source: CalibrationLike, limit: int) -> _Found:
    source = recognized(source)
    if isinstance(source, Table):
        return _in_table(source)
    return _in_folder(place(source)) if isinstance(source, str | Path) else _in_list(source, limit)


def _in_table(source: Table | Path | str) -> _Found:
    rows = read(source, usual=TRAINING)
    labels = exclusive(rows)
    names = [] if labels is None else list(rows.names)
    called = file_of(source)
    return _Found(list(rows.paths), rows.image_names, labels, names, called, rows.notes)


def _in_folder(folder: Path) -> _Found:
    if not folder.is_dir():
        raise EdgedenseError(
            "a folder of calibration pictures",
            f"{folder}, which is no folder",
            "--calibration FOLDER with 100 to 300 pictures like those the camera will see",
        )
    labels: npt.NDArray[np.int64] | None = None
    names: list[str] = []
    beside = 0
    if subfolders(folder):
        paths, labels, names = find_labelled(folder)
        beside = _beside(folder)
    else:
        paths = find_images(folder)
    notes = (f"{beside} pictures beside the class folders were left out",) if beside else ()
    image_names = tuple(path.relative_to(folder).as_posix() for path in paths)
    return _Found(list(paths), image_names, labels, names, str(folder), notes)


def _in_list(source: Iterable[Any], limit: int) -> _Found:
    """At most `limit` of them: what is not used is not copied."""
    items, more = first(source, limit)
    if not items:
        raise EdgedenseError("calibration pictures", "none: the list is empty", "100 to 300 pictures")
    labels: npt.NDArray[np.int64] | None = None
    names: list[str] = []
    if any(isinstance(item, tuple) for item in items):
        items, given = pairs(items)
        if unnamed := [label for label in given if not isinstance(label, str)]:
            raise EdgedenseError("a class name with each calibration picture", repr(unnamed[0]), "names[number]")
        names = sorted(set(given))
        labels = np.array([names.index(label) for label in given], np.int64)
    chosen = _spread(labels, len(items), limit)
    pictures = [one(items[i], i) for i in chosen]
    kept = None if labels is None else labels[chosen]
    notes = (f"only the first {limit} pictures were taken: a list would be taken from evenly",) if more else ()
    return _Found(pictures, picture_names(pictures), kept, names, "the list", notes)


def _beside(folder: Path) -> int:
    """How many pictures stand in `folder` itself."""
    return sum(name.lower().endswith(IMAGE_SUFFIXES) for name in file_names(folder))


def _spread(labels: npt.NDArray[np.int64] | None, count: int, limit: int) -> list[int]:
    """At most `limit` indices, evenly spread within each class and as evenly over classes as they allow."""
    if count <= limit:
        return list(range(count))
    groups = [np.arange(count)] if labels is None else [np.flatnonzero(labels == c) for c in np.unique(labels)]
    shares = [0] * len(groups)
    while sum(shares) < limit:  # one to each class in turn, until the limit or the class is used up
        for i, group in enumerate(groups):
            if shares[i] < len(group) and sum(shares) < limit:
                shares[i] += 1
    spread = [g[np.linspace(0, len(g) - 1, n).round().astype(int)] for g, n in zip(groups, shares, strict=True) if n]
    return sorted(int(i) for group in spread for i in group)


def _read(path: Picture, preprocessing: Preprocessing) -> _Picture:
    try:
        data = path.read_bytes()
        return _Picture(path, sha256(data), load_bytes(data, preprocessing))
    except OSError as error:
        return _Picture(path, "", None, f"{path.name}: {error.strerror}")
    except EdgedenseError as error:
        return _Picture(path, "", None, f"{path.name}: {error.found}")


def neighbour_correlation(pixels: Pixels) -> npt.NDArray[np.float64]:
    """Pearson correlation [N] of each picture's grey levels with their right-hand neighbours; 1 where it is flat."""
    return np.array([_neighbours(picture) for picture in pixels])  # all at once they would take 20 times their memory


def _neighbours(picture: Pixels) -> float:
    grey = picture.mean(axis=2, dtype=np.float64)
    left, right = (part - part.mean() for part in (grey[:, :-1], grey[:, 1:]))
    power = np.sqrt((left**2).sum() * (right**2).sum())
    return float((left * right).sum() / power) if power > 0 else 1.0


def _refuse_unusable(pixels: Pixels, folder: str) -> None:
    hint = "pictures like those the camera will see"
    if all(picture.std() < FLAT for picture in pixels):
        raise EdgedenseError("calibration pictures that show something", f"only single-coloured ones in {folder}", hint)
    if np.median(neighbour_correlation(pixels)) < RANDOM:
        raise EdgedenseError(
            "calibration pictures", f"random noise in {folder}: ranges measured on it fit no picture", hint
        )
    if len(pixels) > 1 and (pixels == pixels[0]).all():
        raise EdgedenseError("different calibration pictures", f"{len(pixels)} copies of one in {folder}", hint)


def _broken_notes(pictures: Sequence[_Picture]) -> list[str]:
    broken = [picture.problem for picture in pictures if picture.pixels is None]
    return [f"{len(broken)} of {len(pictures)} files could not be read: {_some(broken)}"] if broken else []


def _picture_notes(pictures: Sequence[_Picture], pixels: Pixels) -> list[str]:
    notes = []
    firsts: dict[str, Picture] = {}
    again = [p.path.name for p in pictures if firsts.setdefault(p.sha256, p.path) != p.path]
    flat = [p.path.name for p, x in zip(pictures, pixels, strict=True) if x.std() < FLAT]
    dark = [p.path.name for p, x in zip(pictures, pixels, strict=True) if x.mean() < DARK and x.std() >= FLAT]
    for found, what in (
        (again, "are duplicates of others"),
        (flat, "are of a single colour"),
        (dark, "are almost black"),
    ):
        if found:
            notes.append(f"{len(found)} pictures {what}: {_some(found)}")
    if len(pictures) < FEW_IMAGES:
        notes.append(f"only {len(pictures)} pictures: ranges are surer with 100 to 300")
    return notes


def _class_notes(labels: npt.NDArray[np.int64] | None, names: Sequence[str]) -> list[str]:
    if labels is None:
        return []
    empty = [name for i, name in enumerate(names) if not (labels == i).any()]
    return [f"no pictures of {len(empty)} of {len(names)} classes: {_some(empty)}"] if empty else []


def _some(items: Sequence[str], count: int = 3) -> str:
    return ", ".join(items[:count]) + (f" and {len(items) - count} more" if len(items) > count else "")
