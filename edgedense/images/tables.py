"""A table of pictures as people keep it: a CSV file of file names and of what is known of each."""

from __future__ import annotations

import ast
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgedense.errors import EdgedenseError, listed
from edgedense.images.locating import located
from edgedense.images.places import place
from edgedense.images.sheet import Faults, Sheet, open_sheet, same_name

Uncertain = Literal["ignore", "zero", "one"]
# "classes": they exclude each other, and each picture shows one of them. "several": a picture shows any number of them.
# "values": numbers, as those of a regression.
Kind = Literal["classes", "several", "values"]
Floats = NDArray[np.float64]
Data = TypeVar("Data")

SUFFIXES = (".csv", ".tsv")
FILE = ("file", "path", "filename", "image", "image index", "image id", "image name")
LABEL = ("label", "labels", "finding labels")
VALUE = ("value",)
SPLIT = ("split",)
PATIENT = ("patient", "patient id")

# The splits that are taken where a table has a column for them and nobody says which.
TEST, VALIDATION, TRAINING = ("test",), ("val", "valid", "validation"), ("train",)

NO_FINDING = "No Finding"  # ChestX-ray14's word for none of the others
# What -1 and a blank cell are in a column of zeros and ones. CheXpert writes -1 where a report is not sure, and leaves
# a cell blank where it does not mention the finding: what is not mentioned is never taken as seen.
UNCERTAIN: dict[Uncertain, float] = {"ignore": np.nan, "zero": 0.0, "one": 1.0}
BLANK: dict[Uncertain, float] = {"ignore": np.nan, "zero": 0.0, "one": 0.0}


@dataclass(frozen=True)
class Table:
    """A table of pictures: a .csv or .tsv file whose first row names the columns.

    `file` names a picture in each row (the column `file`, `path`, `filename` or `image`), and what is known of it: in
    a column `label`, several labels with `|` between them; or in a column of 0 and 1 for each class; or in a column of
    numbers for each value. Columns `split` and `patient` may be there. `docs/tables.md` has examples.

    `images` is the folder in which the file names begin, by default the table's own. `split` is the one to take; by
    default it is that which the work at hand is usually done on, such as `test` to validate. `uncertain` says what -1
    and a blank cell are in a column of 0 and 1. "ignore": nobody knows, and the picture does not count for this class.
    "zero": not seen. "one": -1 is seen, blank is not.
    """

    file: Path | str
    images: Path | str | None = None
    split: str | None = None
    uncertain: Uncertain = "ignore"

    @property
    def root(self) -> Path:
        """The folder in which the file names begin."""
        return place(self.file).parent if self.images is None else place(self.images)


@dataclass(frozen=True)
class Rows:
    """The N pictures of a table, and what it says of them.

    `image_names` are their names below the folder of pictures, with forward slashes. `truth` [N, K] says of each of
    `names` 1 where a picture shows it, 0 where it does not, and NaN where nobody knows; or it has the values of a
    regression. `splits` and `patients` are as they stand in the table, and empty where it has no such column. `numbers`
    are the rows as a spreadsheet counts them, the first picture being in row 2. `notes` are remarks for the user.
    """

    paths: tuple[Path, ...]
    image_names: tuple[str, ...]
    names: tuple[str, ...]
    truth: Floats
    splits: tuple[str, ...]
    patients: tuple[str, ...]
    numbers: tuple[int, ...]
    notes: tuple[str, ...]


def is_table(data: Any) -> TypeGuard[Table | Path | str]:
    """Whether `data` is a Table, or the path of one."""
    if isinstance(data, str | Path):
        return Path(data).suffix.lower() in SUFFIXES and not place(data).is_dir()
    return isinstance(data, Table)


def recognized(data: Data) -> Data | Table:
    """The Table of a path that is one of a table; anything else as it is."""
    return as_table(data) if is_table(data) else data


def file_of(source: Table | Path | str) -> str:
    """The path of a table's file, or of the folder that stands in its place, as people typed it."""
    return str(source.file if isinstance(source, Table) else source)


def as_table(data: Table | Path | str) -> Table:
    """The Table of a path, or the one given."""
    return data if isinstance(data, Table) else Table(data)


def read(
    table: Table | Path | str, kind: Kind | None = None, names: Sequence[str] | None = None, usual: Sequence[str] = ()
) -> Rows:
    """Read a table, and find the file of each row.

    `kind` says what the labels are, and `names` are the model's. Without `names` they are those of the table: sorted,
    or in the order of its columns; a column without a name known here counts as a class when 0, 1, -1 and blanks are
    all that it holds. Without a `kind` the table need not have labels: those that there are, are read as "several", and
    `No Finding` is one of them. `usual` are the splits of which one is taken where the table names no other; without
    any, all rows are.

    Raises EdgedenseError when pandas is missing, for a column or split that is not there, and for rows that cannot be
    used: missing, doubled or ambiguous files, unknown labels, what is no number. Their first 20 faults are listed with
    their rows.
    """
    table = as_table(table)
    if table.uncertain not in UNCERTAIN:
        raise EdgedenseError(f"uncertain to be one of {', '.join(UNCERTAIN)}", repr(table.uncertain))
    sheet, notes = _of_split(open_sheet(place(table.file)), table, usual)
    faults = Faults(Path(table.file))
    paths, image_names = located(table.root, sheet.texts(sheet.must_have(FILE, "file names")), sheet.rows, faults)
    patients = _filled(sheet, PATIENT, faults)
    splits = sheet.texts(found) if (found := sheet.find(SPLIT)) else ()
    labels = _labels(sheet, kind, None if names is None else tuple(names), table.uncertain, faults)
    faults.check()
    return Rows(
        tuple(paths),
        tuple(image_names),
        labels.names,
        labels.truth,
        tuple(splits),
        patients,
        tuple(sheet.rows.tolist()),
        (*notes, *(f"{Path(table.file).name}: {note}" for note in labels.notes)),
    )


def exclusive(rows: Rows) -> NDArray[np.int64] | None:
    """Each picture's class [N] as an index into `names`, where the table gives exactly one to every picture."""
    shown = rows.truth == 1
    return shown.argmax(axis=1) if rows.names and (shown.sum(axis=1) == 1).all() else None


def _of_split(sheet: Sheet, table: Table, usual: Sequence[str]) -> tuple[Sheet, list[str]]:
    """The rows of the split that is wanted, and what to tell of it."""
    column, file = sheet.find(SPLIT), Path(table.file)
    if column is None:
        if table.split is not None:
            raise EdgedenseError(f"a column split in {file}, of which to take {table.split}", listed(sheet.header, 20))
        return sheet, []
    wanted = usual if table.split is None else (table.split,)
    if not wanted:
        return sheet, []
    splits = sheet.texts(column)
    keep = np.isin([split.casefold() for split in splits], [split.casefold() for split in wanted])
    if not keep.any():
        counts = Counter(splits)
        there = listed((f"{split or 'blank'} ({counts[split]})" for split in sorted(counts)), 20)
        raise EdgedenseError(f"rows of the split {' or '.join(wanted)} in {file}", there, "--split NAME")
    taken = listed(sorted({split for split, kept in zip(splits, keep, strict=True) if kept}))
    return sheet.only(keep), [f"{file.name}: {keep.sum()} of {len(splits)} rows are taken, those of the split {taken}"]


def _filled(sheet: Sheet, wanted: Sequence[str], faults: Faults) -> tuple[str, ...]:
    """The texts of a column that may be missing, but must not have gaps: whom they belong to would be a guess."""
    column = sheet.find(wanted)
    if column is None:
        return ()
    texts = sheet.texts(column)
    faults.add_where(sheet.rows, [not text for text in texts], lambda i: f"no {wanted[0]}")
    return tuple(texts)


@dataclass(frozen=True)
class _Labels:
    names: tuple[str, ...]
    truth: Floats
    notes: tuple[str, ...] = ()


def _labels(
    sheet: Sheet, kind: Kind | None, names: tuple[str, ...] | None, uncertain: Uncertain, faults: Faults
) -> _Labels:
    if kind == "values":
        return _values(sheet, names, faults)
    if column := sheet.find(LABEL):
        return _in_cells(sheet, column, kind, names, uncertain, faults)
    columns = _class_columns(sheet, names)
    if not columns:
        if kind is None:
            return _Labels((), np.empty((len(sheet.rows), 0)))
        wanted = "" if names is None else f" ({listed(names)})"
        raise EdgedenseError(
            f"labels in {sheet.file}: a column label, or a column of 0 and 1 for each class{wanted}",
            f"the columns {listed(sheet.header, 20)}",
            "rename a column",
        )
    return _in_columns(sheet, columns, kind, names, uncertain, faults)


def _in_cells(
    sheet: Sheet, column: str, kind: Kind | None, names: tuple[str, ...] | None, uncertain: Uncertain, faults: Faults
) -> _Labels:
    """Labels in one cell, with bars between them where there are several."""
    texts = sheet.texts(column)
    parts = {text: _parts(text) for text in set(texts)}
    none = {NO_FINDING.casefold()} if kind == "several" else set()
    if names is None:
        names = tuple(sorted({part for some in parts.values() for part in some if part.casefold() not in none}))
    numbers = {name: k for k, name in enumerate(names)}
    truth = np.zeros((len(texts), len(names)))
    unknown: Counter[str] = Counter()
    for i, text in enumerate(texts):
        for part in parts[text]:
            if part in numbers:
                truth[i, numbers[part]] = 1
            elif part.casefold() not in none:
                unknown[part] += 1
                if kind == "classes":
                    faults.add(sheet.rows[i], f"unknown label {part!r}", f"labels of the model: {listed(names, 20)}")
    counts = np.array([len(parts[text]) for text in texts])
    if kind == "classes":
        faults.add_where(sheet.rows, counts == 0, lambda i: "no label")
        faults.add_where(
            sheet.rows, counts > 1, lambda i: f"{counts[i]} labels, {texts[i]}, of classes that exclude each other"
        )
        return _Labels(names, truth)
    truth[counts == 0] = BLANK[uncertain]
    if unknown and not (truth == 1).any():
        raise EdgedenseError(f"labels of the model ({listed(names)}) in {sheet.file}", listed(unknown))
    notes = []
    if unknown:
        counted = listed((f"{part} ({count} rows)" for part, count in unknown.most_common()), 20)
        notes.append(f"labels that the model does not have are left out: {counted}")
    if blank := int((counts == 0).sum()):
        notes.append(f"{blank} rows have no label: {_meaning(BLANK[uncertain])} (--uncertain {uncertain})")
    return _Labels(names, truth, tuple(notes))


def _parts(text: str) -> tuple[str, ...]:
    """The labels of a cell: `A|B`, or `['A', 'B']` as PadChest writes them."""
    parts = text.split("|")
    if text.startswith("[") and text.endswith("]"):
        with contextlib.suppress(ValueError, SyntaxError):  # a label that only looks like a list
            parts = [str(part) for part in ast.literal_eval(text)]
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _class_columns(sheet: Sheet, names: tuple[str, ...] | None) -> dict[str, str]:
    """The column of each class that has one."""
    if names is not None:
        return {name: found for name in names if (found := sheet.find((name,))) is not None}
    known = {same_name(name) for name in (*FILE, *LABEL, *VALUE, *SPLIT, *PATIENT)}
    free = [column for column in sheet.header if column and same_name(column) not in known]
    return {column: column for column in free if _is_of_classes(sheet, column)}


def _is_of_classes(sheet: Sheet, column: str) -> bool:
    numbers, blank = sheet.numbers(column)
    return bool((blank | np.isin(numbers, (0, 1, -1))).all() and (numbers == 1).any())


def _in_columns(
    sheet: Sheet,
    columns: dict[str, str],
    kind: Kind | None,
    names: tuple[str, ...] | None,
    uncertain: Uncertain,
    faults: Faults,
) -> _Labels:
    """A column of 0, 1, -1 and blanks for each class."""
    names = tuple(columns) if names is None else names
    truth = np.full((len(sheet.rows), len(names)), np.nan)
    blanks = unsure = 0
    for name, column in columns.items():
        numbers, blank = sheet.numbers(column)
        _refuse(sheet, column, ~blank & ~np.isin(numbers, (0, 1, -1)), "and not 1, 0, -1 or blank", faults)
        blanks, unsure = blanks + int(blank.sum()), unsure + int((numbers == -1).sum())
        numbers = np.where(numbers == -1, UNCERTAIN[uncertain], numbers)
        truth[:, names.index(name)] = np.where(blank, BLANK[uncertain], numbers)
    notes = [
        f"{count} {what} count as {_meaning(value)} (--uncertain {uncertain})"
        for count, what, value in (
            (blanks, "blank cells", BLANK[uncertain]),
            (unsure, "cells with -1", UNCERTAIN[uncertain]),
        )
        if count
    ]
    if kind == "classes":
        if len(names) == 2 and len(columns) == 1:  # of two classes that exclude each other one column says both
            (only,) = (names.index(name) for name in columns)
            truth[:, 1 - only] = 1 - truth[:, only]
        shown = (truth == 1).sum(axis=1)
        faults.add_where(
            sheet.rows, shown != 1, lambda i: f"{shown[i]} classes are 1, of classes that exclude each other"
        )
    elif without := [name for name in names if name not in columns]:
        notes.append(f"no column for {listed(without)}: nobody knows which pictures show them")
    return _Labels(names, truth, tuple(notes))


def _values(sheet: Sheet, names: tuple[str, ...] | None, faults: Faults) -> _Labels:
    """A column of numbers for each value."""
    columns = {} if names is None else _class_columns(sheet, names)
    if not columns and (names is None or len(names) == 1):
        alone = sheet.find(VALUE) or sheet.find(LABEL)
        names = names or ("value",)
        columns = {} if alone is None else {names[0]: alone}
    if names is None or len(columns) < len(names):
        without = [name for name in names or ("value",) if name not in columns]
        raise EdgedenseError(
            f"a column of numbers in {sheet.file} for {listed(without)}", f"the columns {listed(sheet.header, 20)}"
        )
    truth = np.empty((len(sheet.rows), len(names)))
    for k, name in enumerate(names):
        numbers, blank = sheet.numbers(columns[name])
        _refuse(sheet, columns[name], ~blank & ~np.isfinite(numbers), "which is no number", faults)
        truth[:, k] = np.where(blank, np.nan, numbers)
    unknown = int(np.isnan(truth).sum())
    return _Labels(names, truth, (f"{unknown} values are blank: nobody knows them",) if unknown else ())


def _refuse(sheet: Sheet, column: str, wrong: NDArray[np.bool_], why: str, faults: Faults) -> None:
    """A fault for each cell of a column that is `wrong` [N]."""
    texts = sheet.texts(column)
    faults.add_where(sheet.rows, wrong, lambda i: f"{column} is {texts[i]!r}, {why}")


def _meaning(value: float) -> str:
    return {0.0: "not seen", 1.0: "seen"}.get(value, "not known")
