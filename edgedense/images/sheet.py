"""The cells of a CSV file by row and column, and what is wrong with them, listed as a spreadsheet counts its rows."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedense.errors import EdgedenseError, first_line, listed

MOST_FAULTS = 20  # that are listed; of more only the count is told


@dataclass(frozen=True)
class Sheet:
    """A table of texts. `header` are the columns' names in their order, `rows` [N] the rows as a spreadsheet counts
    them. Rows without any text are left out."""

    file: Path
    header: tuple[str, ...]
    rows: NDArray[np.int64]
    columns: dict[str, NDArray[np.object_]] = field(repr=False)  # the texts [N] by the column's name

    def find(self, wanted: Sequence[str]) -> str | None:
        """The column that has one of these names, whatever the case, with or without spaces and underscores.

        Raises EdgedenseError when there are several.
        """
        exact = [column for column in self.header if column in wanted]
        keys = {same_name(name) for name in wanted}
        found = exact or [column for column in self.header if same_name(column) in keys]
        if len(found) > 1:
            raise EdgedenseError(f"one column {wanted[0]} in {self.file}", listed(found, 20), "rename the others")
        return found[0] if found else None

    def must_have(self, wanted: Sequence[str], what: str) -> str:
        """As `find`. Raises EdgedenseError when there is none."""
        found = self.find(wanted)
        if found is None:
            raise EdgedenseError(
                f"a column of {what} in {self.file}, called {' or '.join(wanted)}",
                f"the columns {listed(self.header, 20)}",
                "rename a column in its first row",
            )
        return found

    def texts(self, column: str) -> list[str]:
        """The cells of a column, without the spaces around them."""
        return [text.strip() for text in self.columns[column]]

    def numbers(self, column: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The cells of a column as numbers [N], NaN where one is none, and where they are blank [N]."""
        import pandas

        cells = np.array(self.texts(column), object)
        return np.asarray(pandas.to_numeric(cells, errors="coerce"), np.float64), cells == ""

    def only(self, keep: NDArray[np.bool_]) -> Sheet:
        """Some of the rows; `keep` [N]."""
        return Sheet(
            self.file, self.header, self.rows[keep], {name: cells[keep] for name, cells in self.columns.items()}
        )


class Faults:
    """What is wrong with the rows of a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: list[tuple[int, str]] = []
        self._hint = ""

    def add(self, row: int, text: str, hint: str = "") -> None:
        """A fault, and what to try; of several hints the first is told."""
        self._found.append((int(row), text))
        self._hint = self._hint or hint

    def add_where(self, rows: NDArray[np.int64], wrong: Iterable[Any], text: Callable[[int], str]) -> None:
        """A fault for each of the `rows` [N] where `wrong` [N] says so; `text` says what is wrong with the i-th."""
        for i in np.flatnonzero(np.asarray(wrong, np.bool_)):
            self.add(int(rows[i]), text(int(i)))

    def check(self) -> None:
        """Raise EdgedenseError with the first faults, when there are any."""
        if not self._found:
            return
        told = [f"row {row}: {text}" for row, text in sorted(self._found, key=lambda fault: fault[0])]
        more = [f"and {len(told) - MOST_FAULTS} more"] if len(told) > MOST_FAULTS else []
        count = f"{len(told)} fault{'s' if len(told) > 1 else ''}"
        raise EdgedenseError(
            f"{self.file} without faults", "\n  ".join([f"{count}:", *told[:MOST_FAULTS], *more]), self._hint
        )


def open_sheet(file: Path) -> Sheet:
    """The cells of a .csv file, with commas or semicolons between them, or of a .tsv file with tabs; in UTF-8.

    Raises EdgedenseError when it cannot be read, holds no pictures, or two columns have the same name, and when pandas
    is missing.
    """
    frame = _frame(file)
    if not len(frame):
        raise EdgedenseError(f"a table whose first row names the columns in {file}", "an empty file")
    header = tuple(str(name).strip() for name in frame.iloc[0])
    named = [name for name in header if name]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise EdgedenseError(f"columns with different names in {file}", f"{listed(twice)} more than once")
    columns = [frame[number].to_numpy(object)[1:] for number in range(len(header))]
    filled = np.any([column != "" for column in columns], axis=0)
    if not filled.any():
        raise EdgedenseError(f"a row for each picture below the first one in {file}", "none")
    kept = {name: column[filled] for name, column in zip(header, columns, strict=True) if name}
    return Sheet(file, tuple(named), np.flatnonzero(filled) + 2, kept)


def _frame(file: Path) -> Any:
    """pandas.DataFrame of texts; the first row of the file is its first row too, so that its index counts rows."""
    try:
        import pandas
    except ImportError as error:
        raise EdgedenseError(
            "pandas, which reads tables", first_line(error), "pip install 'edgedense[tables]'"
        ) from error
    try:
        content = file.read_bytes()
        first = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").readline()
        return pandas.read_csv(
            io.BytesIO(content),
            sep="\t" if file.suffix.lower() == ".tsv" else ";" if ";" in first and "," not in first else ",",
            header=None,
            dtype=object,
            na_filter=False,
            skip_blank_lines=False,
            encoding="utf-8-sig",
        )
    except OSError as error:
        raise EdgedenseError("a table that can be read", f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EdgedenseError(
            f"text in UTF-8 in {file}", f"byte {error.start} is none", "save it as CSV UTF-8, as spreadsheets call it"
        ) from error
    except pandas.errors.EmptyDataError as error:
        raise EdgedenseError(f"a table whose first row names the columns in {file}", "an empty file") from error
    except pandas.errors.ParserError as error:
        said = first_line(error).rpartition("C error: ")[2]  # "Expected 3 fields in line 5, saw 4"
        raise EdgedenseError(f"rows of as many cells as the first in {file}", said) from error


def same_name(column: str) -> str:
    """What is left of a column's name for comparing it: case, spaces, underscores and hyphens do not count."""
    return re.sub(r"[\s_-]+", "", column).casefold()
