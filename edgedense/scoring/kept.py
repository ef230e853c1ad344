"""The scores of a run in a folder, piece by piece, so that a run that was killed goes on."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.errors import EdgedenseError
from edgedense.files import remove_leftovers, write_atomically
from edgedense.images.in_memory import Picture
from edgedense.images.places import state
from edgedense.notes import tell
from edgedense.scoring.task import Scores

_ABOUT = "about.json"
_PIECE = r"piece-\d{6}\.npz"


class Kept:
    """The pieces of one run in `folder`, which is made if need be.

    `about` is all that decides the scores. Its SHA-256 names the run's own folder in there, so that the scores of
    another file or of other pictures are never taken for these. Raises EdgedenseError when the folder cannot be used.
    """

    def __init__(self, folder: Path | str, about: Mapping[str, Any]) -> None:
        text = json.dumps(about, sort_keys=True, indent=1, ensure_ascii=False)
        base = Path(folder)
        self._folder = base / hashlib.sha256(text.encode()).hexdigest()[:16]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            others = [one for one in base.iterdir() if one != self._folder and (one / _ABOUT).is_file()]
        except OSError as error:
            raise EdgedenseError("a folder for --work", f"{folder}: {error.strerror}", "another folder") from error
        if others and not (self._folder / _ABOUT).exists():
            tell([f"{folder} holds the scores of {len(others)} other runs, which differ in a file or in the pictures"])
        write_atomically(self._folder / _ABOUT, text.encode())
        remove_leftovers(self._folder, _PIECE)

    def read(self, number: int) -> Scores | None:
        """The scores of a piece; None where they are not there or damaged."""
        try:
            with np.load(io.BytesIO(self._path(number).read_bytes()), allow_pickle=False) as found:
                return tuple(found[str(k)] for k in range(len(found.files)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            tell([f"{self._path(number)} is damaged and is made again: {error}"])
            return None

    def write(self, number: int, scores: Scores) -> None:
        """Keep the scores of a piece, whole or not at all. Raises EdgedenseError when there is no room."""
        data = io.BytesIO()
        np.savez(data, allow_pickle=False, **{str(k): one for k, one in enumerate(scores)})
        write_atomically(self._path(number), data.getvalue())

    def _path(self, number: int) -> Path:
        return self._folder / f"piece-{number:06}.npz"


def fingerprint(pictures: Sequence[Picture], names: Sequence[str]) -> str:
    """The hexadecimal SHA-256 of pictures in their order: their `names`, and of files the size and the time of the last
    change, of those in memory the content. Raises EdgedenseError when a file is not there."""
    digest = hashlib.sha256()
    for picture, name in zip(pictures, names, strict=True):
        if isinstance(picture, Path):
            try:
                digest.update(f"{name}\0{state(picture)}\n".encode())
            except OSError as error:
                raise EdgedenseError("an image file that can be read", f"{picture}: {error.strerror}") from error
        else:
            digest.update(f"{name}\0{len(picture.data)}\n".encode() + picture.data)
    return digest.hexdigest()
