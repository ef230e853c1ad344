"""File names of a table -> files, without asking the disk for each: folders are listed once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedense.errors import EdgedenseError, listed
from edgedense.images.places import file_names, files_below, place
from edgedense.images.preprocessing import IMAGE_SUFFIXES
from edgedense.images.sheet import Faults


def located(root: Path, names: Sequence[str], rows: NDArray[np.int64], faults: Faults) -> tuple[list[Path], list[str]]:
    """The file of each name, and what it is called below `root`; for a fault, the path that there is not.

    A name begins in `root`, or is a whole path. A bare name that is not in `root` itself is looked for in all folders
    below it, as ChestX-ray14 has its pictures in `images_001/images` and so on. A name without the suffix of a picture
    may stand for a file with one, as ISIC's tables have it. Missing files, names that fit several and files in two
    rows are added to `faults` with their `rows` [N]. Raises EdgedenseError when `root` is no folder.
    """
    if not root.is_dir():
        raise EdgedenseError("--images FOLDER with the pictures of the table", f"{root}, which is no folder")
    folders = _Folders(os.path.normpath(root))
    first: dict[str, int] = {}
    found: list[str] = []
    hint = ""
    for name, row in zip(names, rows.tolist(), strict=True):
        path = name
        if not name:
            faults.add(row, "no file name")
        elif len(fitting := folders.fitting(name)) == 1:
            path = fitting[0]
            if (before := first.setdefault(path, row)) != row:
                faults.add(row, f"{name} again, which row {before} has")
        elif fitting:
            faults.add(row, f"{name} is there {len(fitting)} times: {listed(map(folders.below, fitting), 3)}")
        else:
            faults.add(row, f"no file {name} in {root}", hint := hint or _hint(root, name))
        found.append(path)
    return [place(path) for path in found], [folders.below(path) for path in found]


class _Folders:
    """The files in a folder and those around it, by name. Each folder is listed once, when it is first needed."""

    def __init__(self, root: str) -> None:
        self._root, self._prefix = root, _prefix(root)
        self._named: dict[str, _Listing] = {}  # by what stands before a file's name in the table
        self._anywhere: dict[str, list[str]] | None = None

    def fitting(self, name: str) -> list[str]:
        """The paths that a name of the table can mean, sorted."""
        head, slash, base = name.replace("\\", "/").rpartition("/")  # tables come from Windows too
        place = self._named.get(head + slash)
        if place is None:
            place = self._named[head + slash] = _listing(os.path.normpath(os.path.join(self._root, head + slash)))
        if base in place.files:
            return [place.prefix + base]
        spelled = _spelled(base)
        found = [place.prefix + one for one in spelled if one in place.files]
        if found or slash:
            return found
        return sorted(path for one in spelled for path in self._below().get(one, ()))

    def below(self, path: str) -> str:
        """A path below the root, or as it is, with forward slashes."""
        return path.removeprefix(self._prefix).replace(os.sep, "/")

    def _below(self) -> dict[str, list[str]]:
        """All files in the folders below the root, by their bare names."""
        if self._anywhere is None:
            self._anywhere = {}
            for path in files_below(place(self._root)):
                self._anywhere.setdefault(path.name, []).append(os.path.normpath(path))
        return self._anywhere


@dataclass(frozen=True)
class _Listing:
    """The names of the files in a folder, and what stands before them in a path."""

    prefix: str
    files: frozenset[str]


def _listing(folder: str) -> _Listing:
    try:
        return _Listing(_prefix(folder), frozenset(file_names(place(folder))))
    except OSError:  # no folder, or none that may be read
        return _Listing(_prefix(folder), frozenset())


def _prefix(folder: str) -> str:
    return "" if folder == "." else os.path.join(folder, "")


def _spelled(base: str) -> list[str]:
    """A file's name, and without the suffix of a picture also with each of them."""
    if base.lower().endswith(IMAGE_SUFFIXES):
        return [base]
    return [base, *(base + suffix for some in IMAGE_SUFFIXES for suffix in (some, some.upper()))]


def _hint(root: Path, name: str) -> str:
    """Where the names begin in another folder: CheXpert's start with that of the data set."""
    outside = root.resolve().parent
    return f"--images {outside}" if (outside / name).is_file() else "--images FOLDER, in which the file names begin"
