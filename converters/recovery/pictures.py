"""The pictures that recovery trains on: a folder, with or without a sub-folder per class, or a table."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgedense.converters.recovery.checkpoint import make_folder
from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.images.places import place
from edgedense.images.preprocessing import Pixels, Preprocessing, find_images, load_bytes
from edgedense.images.tables import TRAINING, Table, exclusive, file_of, read, recognized

IN_MEMORY = 1 << 30  # bytes; more pictures than that are kept in a file
FEWEST = 16  # a batch norm's statistics of fewer pictures are chance
UNLABELLED = -1
AHEAD = 256  # pictures that are decoded before those in front of them are stored


@dataclass(frozen=True)
class Pictures:
    """Pictures as the model sees them: `pixels` uint8 [N, height, width, C], in memory or in a file that goes with it.

    `labels` [N] are indices into the model's labels, UNLABELLED where a picture stands in no folder of that name,
    or a table does not say it.
    `sha256` hashes every picture's path and content; `notes` are remarks for the user.
    """

    pixels: Pixels
    labels: npt.NDArray[np.int64]
    sha256: str
    notes: tuple[str, ...]

    @classmethod
    def unlabelled(cls, pixels: Pixels, sha256: str) -> Pictures:
        """Pictures that are already in memory, without labels."""
        return cls(pixels, np.full(len(pixels), UNLABELLED, np.int64), sha256, ())


@dataclass(frozen=True)
class Found:
    """The picture files of a folder or table, which is `called` so in errors: `image_names` are their names in it,
    `classes` those that they were filed under, empty texts where they were not. `notes` are remarks for the user."""

    called: str
    paths: tuple[Path, ...]
    image_names: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_pictures(
    source: Path | str | Table | Found,
    preprocessing: Preprocessing,
    labels: Sequence[str] = (),
    work: Path | None = None,
    tick: Callable[[int], None] = lambda n: None,
) -> Pictures:
    """Every picture in a folder and its sub-folders, or of a table, or those that `find_pictures` found there.

    What exceeds IN_MEMORY is kept in `work`, or a temporary folder. Files that are no pictures are left out and noted.
    Raises EdgedenseError when fewer than FEWEST pictures are left.
    """
    found = source if isinstance(source, Found) else find_pictures(source)
    paths = found.paths
    pixels = _room((len(paths), *preprocessing.shape), work)
    digest = hashlib.sha256()
    places: list[int] = []
    broken: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), AHEAD):
            some = paths[start : start + AHEAD]
            for number, (hashed, image, problem) in enumerate(pool.map(lambda p: _read(p, preprocessing), some), start):
                tick(1)
                if image is None:
                    broken.append(problem)
                    continue
                pixels[len(places)] = image
                places.append(labels.index(name) if (name := found.classes[number]) in labels else UNLABELLED)
                digest.update(f"{found.image_names[number]}\0{hashed}\n".encode())
    if len(places) < FEWEST:
        raise EdgedenseError(
            f"{FEWEST} pictures or more in {found.called}",
            f"{len(places)}" + _first(broken),
            "pictures like those the camera will see, some hundreds or thousands; no labels needed",
        )
    known = np.array(places, np.int64)
    notes = [f"{len(broken)} of {len(paths)} files could not be read{_first(broken)}"] if broken else []
    notes = [*found.notes, *notes, *_label_notes(known, labels)]
    return Pictures(pixels[: len(places)], known, digest.hexdigest(), tuple(notes))


def find_pictures(source: Path | str | Table) -> Found:
    """The picture files to read.

    Of a table that has splits and names none, the split `train` is taken. Raises EdgedenseError when `source` is no
    folder or holds no picture, and what `tables.read` raises.
    """
    source = recognized(source)
    if isinstance(source, Table):
        rows = read(source, usual=TRAINING)
        classes = exclusive(rows)
        filed = [""] * len(rows.paths) if classes is None else [rows.names[k] for k in classes]
        called = file_of(source)
        return Found(called, rows.paths, rows.image_names, tuple(filed), rows.notes)
    folder = place(source)
    if not folder.is_dir():
        raise EdgedenseError(
            "a folder of pictures to recover with",
            f"{folder}, which is no folder",
            "--recover FOLDER with pictures like those the camera will see",
        )
    paths = tuple(find_images(folder))
    inside = [path.relative_to(folder) for path in paths]
    filed = [path.parts[0] if len(path.parts) > 1 else "" for path in inside]
    return Found(str(folder), paths, tuple(path.as_posix() for path in inside), tuple(filed))


def _room(shape: tuple[int, ...], work: Path | None) -> Pixels:
    if int(np.prod(shape)) <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    if work is not None:
        make_folder(work)
    with tempfile.TemporaryFile(dir=work) as file:  # without a name: it goes away with the array, or after a kill
        try:
            file.truncate(int(np.prod(shape)))
            return np.memmap(file, np.uint8, "r+", shape=shape)
        except OSError as error:
            place = work or tempfile.gettempdir()
            raise EdgedenseError(
                f"{np.prod(shape) / 1e9:.1f} GB of room for pictures in {place}",
                str(error.strerror),
                "--work FOLDER on a larger disk, or fewer pictures",
            ) from error


def _read(path: Path, preprocessing: Preprocessing) -> tuple[str, Pixels | None, str]:
    """The file's hash and its pixels, or what is wrong with it."""
    try:
        data = path.read_bytes()
        pixels = load_bytes(data, preprocessing)
    except OSError as error:
        return "", None, f"{path.name}: {error.strerror}"
    except EdgedenseError as error:
        return "", None, f"{path.name}: {error.found}"
    return sha256(data), pixels, ""


def _label_notes(found: npt.NDArray[np.int64], labels: Sequence[str]) -> list[str]:
    count = int((found != UNLABELLED).sum())
    if not count or not labels:
        return ["recovered without labels: no sub-folder, or label of a table, is one of the model"] if labels else []
    return [f"{count} of {len(found)} pictures to recover with have a label"] if count < len(found) else []


def _first(problems: Sequence[str]) -> str:
    return f": {problems[0]}" + (f" and {len(problems) - 1} more" if len(problems) > 1 else "") if problems else ""
