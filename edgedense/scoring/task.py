"""What a process does: it opens the models of a run once, and scores one piece of the pictures after the other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.images.in_memory import Picture
from edgedense.images.preprocessing import Preprocessing
from edgedense.measures import validation
from edgedense.measures.metrics import Floats
from edgedense.measures.validation import Model
from edgedense.scoring.threads import one_thread_a_batch

if TYPE_CHECKING:
    from edgedense.converters.readers.source import Source

Scores = tuple[Floats, ...]  # of each model [n, classes]


@dataclass(frozen=True)
class Piece:
    """Some pictures that are scored together, the `number`th of those that all pictures are cut into."""

    number: int
    pictures: tuple[Picture, ...]

    def __str__(self) -> str:
        return f"piece {self.number} of the pictures, {self.pictures[0]} to {self.pictures[-1]}"


@dataclass(frozen=True)
class File:
    """A deployed file as a process finds it again: `name` in the report, path, and the SHA-256 of its content."""

    name: str
    path: str
    sha256: str

    @classmethod
    def of(cls, name: str, path: Path | str) -> File:
        """Of a file that is there."""
        return cls(name, os.path.abspath(path), sha256(Path(path).read_bytes()))


@dataclass(frozen=True)
class Task:
    """Scores pieces with the trained model `reference`, if there is one, and then with each of `files`.

    `labels` are class names in place of the files' own, and `trust` runs code that the reference holds.
    """

    files: tuple[File, ...]
    labels: tuple[str, ...] | None = None
    reference: str | None = None
    trust: bool = False

    def __call__(self, piece: Piece) -> Scores:
        """Raises EdgedenseError for a picture or a model that cannot be read, and for a file that is another here."""
        return tuple(validation.score(piece.pictures, self._models))

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that a process opens; without the name of weights that Keras offers."""
        has_file = self.reference is not None and Path(self.reference).exists()
        return (*(file.path for file in self.files), *((str(self.reference),) if has_file else ()))

    @cached_property
    def _models(self) -> Sequence[Model]:
        """On one thread: this is one of several processes."""
        from edgedense.deployed import bundle
        from edgedense.device.classifiers import Classifiers

        found, preprocessing = [], None
        for file in self.files:
            _check(file)
            classifiers = Classifiers(file.path, threads=1, labels=self.labels)
            preprocessing = classifiers.preprocessing
            found.append(validation.deployed(file.name, classifiers.each))
        if self.reference is not None and preprocessing is not None:
            recipe = bundle.read(self.files[-1].path).recipe
            with one_thread_a_batch():
                found.insert(0, open_reference(self.reference, preprocessing, recipe, self.trust)[0])
        return found


def open_reference(
    model: Any, preprocessing: Preprocessing, recipe: Mapping[str, Any], trust: bool
) -> tuple[Model, Source]:
    """(the trained model of a deployed file, opened as its `recipe` says, and what was read). It gets the pixels of the
    file, its `preprocessing`. Raises EdgedenseError when it cannot be read."""
    from edgedense.converters.opening import recorded
    from edgedense.converters.readers.reference import reference
    from edgedense.measures.temperature import value_of

    return reference(model, preprocessing, recorded(recipe, trust=trust), value_of(recipe))


def _check(file: File) -> None:
    try:
        found = sha256(Path(file.path).read_bytes())
    except OSError as error:
        raise EdgedenseError("the deployed file where the work is done", f"{file.path}: {error.strerror}") from error
    if found != file.sha256:
        raise EdgedenseError(
            f"the same deployed file wherever the work is done (SHA-256 {file.sha256[:12]})",
            f"another at {file.path} ({found[:12]})",
            "copy it there, or name a path that all machines see",
        )
