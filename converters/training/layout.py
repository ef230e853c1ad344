"""Which pictures there are, what each shows, and on which side of the training it was put."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgedense.converters.training.goal import Labels
from edgedense.errors import EdgedenseError, listed
from edgedense.images import tables
from edgedense.images.preprocessing import find_labelled
from edgedense.images.tables import Rows, Table
from edgedense.measures.metrics import Integers

VALIDATION_NAMES = ("val", "validation", "valid")
SPLITS = (tables.TRAINING, tables.VALIDATION, tables.TEST)  # words of a table's column split
Source = Path | Table
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """Pictures that stand together: those of `source`, which is a folder, or a table of which it may name one split.
    `names` are their paths below the folder, with forward slashes on every system.

    `labels` are class indices [N], or of several findings [N, K] 1, 0 and NaN where nobody knows. `patients` say whose
    each picture is, and are empty where that is not known.
    """

    source: Source
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    labels: Labels
    patients: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """What there is to train on. Without `validation` a part of `train` is held out. `notes` are worth telling."""

    names: tuple[str, ...]
    train: Part
    validation: Part | None
    test: Part | None
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Training first, then what there is of the others."""
        return tuple(part for part in (self.train, self.validation, self.test) if part is not None)


def find(data: Path | str | Table, several: bool) -> Layout:
    """That of a table or a folder. EdgedenseError for a folder where pictures may show `several` classes: it says of a
    picture that it shows one, and does not say that it shows no other."""
    if tables.is_table(data):
        return of_table(tables.as_table(data), several)
    if several:
        raise EdgedenseError(
            "a table (.csv or .tsv) for --multi-label",
            f"{data}: of a picture in the folder of one class nobody knows whether it shows the others",
            "a table with a column of 0 and 1 for each class, or leave --multi-label out",
        )
    return of_folder(Path(data))  # type: ignore[arg-type]


def of_table(table: Table, several: bool) -> Layout:
    """The pictures of a table. Its column `split`, where it has one, says where each stands: train, val (or valid or
    validation) or test.

    `several`: a picture may show any number of the classes. Raises EdgedenseError where a picture does not show exactly
    one and this is not so, for a split of another name, and for a class that no training picture shows, or all do; and
    what `tables.read` raises.
    """
    if table.split is not None:
        raise EdgedenseError("a table without a split that is chosen", table.split, "all splits are used")
    rows = tables.read(table, "several" if several else None)
    labels = rows.truth if several else _exclusive(rows, table)
    places = _places(rows, table)
    train, validation, test = (_rows(rows, labels, places == number, table) for number in range(len(SPLITS)))
    if train is None:
        raise EdgedenseError(f"training pictures in {table.file}", "none of the split train")
    check_known(train.labels, rows.names, f"leave the class out of {table.file}, or add pictures")
    return Layout(rows.names, train, validation, test, rows.notes)


def _exclusive(rows: Rows, table: Table) -> Integers:
    """The class of each picture."""
    if len(rows.names) > 1 and (found := tables.exclusive(rows)) is not None:
        return found
    if not rows.names:
        raise EdgedenseError(f"labels in {table.file}: a column label, or a column of 0 and 1 for each class", "none")
    shown = (rows.truth == 1).sum(axis=1)
    wrong = np.flatnonzero(shown != 1)
    raise EdgedenseError(
        f"two classes or more in {table.file}, and one for every picture",
        listed(f"{shown[i]} in row {rows.numbers[i]}" for i in wrong) or f"only {rows.names[0]}",
        "--multi-label, where a picture may show several classes, or none",
    )


def _places(rows: Rows, table: Table) -> Integers:
    """The place in SPLITS of each picture, [N]."""
    if not rows.splits:
        return np.zeros(len(rows.paths), np.int64)
    numbers = {word: number for number, words in enumerate(SPLITS) for word in words}
    words = [split.casefold() for split in rows.splits]
    if unknown := Counter(split for split, word in zip(rows.splits, words, strict=True) if word not in numbers):
        raise EdgedenseError(
            f"{', '.join(numbers)} in the column split of {table.file}",
            listed(f"{split or 'blank'} ({count} rows)" for split, count in sorted(unknown.items())),
        )
    return np.array([numbers[word] for word in words])


def _rows(rows: Rows, labels: Labels, chosen: Mask, table: Table) -> Part | None:
    """The part of some of the rows; None of none."""
    here = np.flatnonzero(chosen)
    if not len(here):
        return None
    split = rows.splits[here[0]] if rows.splits else None
    return Part(
        replace(table, split=split),
        tuple(rows.paths[i] for i in here),
        tuple(rows.image_names[i] for i in here),
        labels[here],
        tuple(rows.patients[i] for i in here) if rows.patients else (),
    )


def check_known(labels: Labels, names: Sequence[str], hint: str) -> None:
    """EdgedenseError for a class that no training picture shows, or all do: from them nobody can learn it."""
    for value, word in ((1, "with"), (0, "without")):
        for number, name in enumerate(names):
            shown = labels == number if labels.ndim == 1 else labels[:, number]
            if not (shown == value).any():
                raise EdgedenseError(f"training pictures {word} {name}", "none", hint)


def of_folder(folder: Path) -> Layout:
    """A folder per class; or below it train, and val or test or both, each with a folder per class.

    Raises EdgedenseError when there are fewer than two classes, or when the parts have different ones.
    """
    train = folder / "train"
    if not train.is_dir():
        part, names = _part(folder)
        return Layout(_classes(names, part), part, None, None)
    part, names = _part(train)
    classes = _classes(names, part)
    validation = next((folder / name for name in VALIDATION_NAMES if (folder / name).is_dir()), None)
    test = folder / "test" if (folder / "test").is_dir() else None
    return Layout(classes, part, _beside(validation, classes), _beside(test, classes))


def _part(folder: Path) -> tuple[Part, tuple[str, ...]]:
    """The pictures of a folder, and the names of its sub-folders."""
    paths, labels, names = find_labelled(folder)
    called = tuple(path.relative_to(folder).as_posix() for path in paths)
    return Part(folder, tuple(paths), called, labels), tuple(names)


def _beside(folder: Path | None, classes: tuple[str, ...]) -> Part | None:
    if folder is None:
        return None
    part, names = _part(folder)
    if names != classes:
        raise EdgedenseError(
            f"the class folders of train ({', '.join(classes)})",
            f"{', '.join(names)} in {folder}",
            "the same folders in both",
        )
    return part


def _classes(names: Sequence[str], part: Part) -> tuple[str, ...]:
    counts = np.bincount(part.labels, minlength=len(names))
    if len(names) < 2 or counts.min() < 2:
        few = [f"{name}: {count}" for name, count in zip(names, counts, strict=True) if count < 2]
        raise EdgedenseError(
            "two classes or more, each a folder with two pictures or more",
            f"{', '.join(few) or 'one'} in {part.source}",
        )
    return tuple(names)
