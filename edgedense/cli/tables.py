"""Options for tables of pictures, which commands take in place of folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from edgedense.errors import EdgedenseError
from edgedense.flags import Flag, changed
from edgedense.images.places import place
from edgedense.images.tables import Uncertain, as_table, is_table

PANEL = "Tables"


@dataclass(frozen=True)
class PictureTable:
    """How a table is read by commands that use no labels."""

    images: Annotated[
        Path | None,
        Flag(
            "The folder in which the file names of a table begin.",
            panel=PANEL,
            metavar="FOLDER",
            reads="folder",
            usual="the table's own",
        ),
    ] = None
    split: Annotated[
        str | None,
        Flag("Take the rows of a table that have this in the column split.", panel=PANEL, metavar="NAME", usual="test"),
    ] = None

    def of(self, data: Any) -> Any:
        """`data`, a path, with these options where it is that of a table; None stays None.

        Raises EdgedenseError for options without a table, and for a count in place of a folder.
        """
        self.check(data)
        return self.table(data, self.split)

    def check(self, *data: Any) -> None:
        """Raise EdgedenseError where an option is given and none of `data` is a table."""
        if self.images is not None and not place(self.images).is_dir():
            is_count = str(self.images).isdigit()
            hint = f"--calibration-images {self.images} of convert, for a number of pictures" if is_count else ""
            raise EdgedenseError("--images FOLDER, in which a table's file names begin", str(self.images), hint)
        _need_table(changed(self), data)

    def table(self, data: Any, split: str | None) -> Any:
        """As `of`, of another split and unchecked."""
        return replace(as_table(data), images=self.images, split=split) if is_table(data) else data


@dataclass(frozen=True)
class LabelTable(PictureTable):
    """How a table of labelled pictures is read."""

    uncertain: Annotated[
        Uncertain,
        Flag(
            "What -1 and a blank cell say in a table with a column of 0 and 1 for each class. ignore: nobody knows, "
            "and the picture does not count for that class. zero: the class is not seen. one: with -1 it is seen, with "
            "a blank it is not.",
            panel=PANEL,
        ),
    ] = "ignore"

    def table(self, data: Any, split: str | None) -> Any:
        found = super().table(data, split)
        return replace(found, uncertain=self.uncertain) if is_table(data) else found


@dataclass(frozen=True)
class ConversionTables(LabelTable):
    """How the tables of `convert` are read: one for calibration, one for validation, one for recovery."""

    split: Annotated[
        str | None,
        Flag(
            "Take the rows of the table of --validation that have this in the column split.",
            panel=PANEL,
            metavar="NAME",
            usual="val, valid or validation",
            needs=("--validation",),
        ),
    ] = None
    calibration_split: Annotated[
        str | None,
        Flag(
            "Take the rows of the tables of --calibration and --recover that have this in the column split.",
            panel=PANEL,
            metavar="NAME",
            usual="train",
        ),
    ] = None

    def of_each(self, calibration: Any, validation: Any, recover: Any) -> tuple[Any, Any, Any]:
        """As `of`, each with its split."""
        self.check(calibration, validation, recover)
        _need_table(["--split"] if self.split is not None else [], [validation])
        _need_table(["--calibration-split"] if self.calibration_split is not None else [], [calibration, recover])
        return (
            self.table(calibration, self.calibration_split),
            self.table(validation, self.split),
            self.table(recover, self.calibration_split),
        )


def _need_table(options: Sequence[str], data: Sequence[Any]) -> None:
    if options and not any(map(is_table, data)):
        found = ", ".join(str(one) for one in data if one is not None)
        raise EdgedenseError(f"a table (.csv or .tsv) for {' and '.join(options)}", found or "none")
