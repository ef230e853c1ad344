"""What several commands print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgedense.errors import GateError

if TYPE_CHECKING:
    from edgedense.measures.result import Report


def print_notes(model: Path, notes: list[str]) -> None:
    for note in notes:
        print(f"edgedense: {model}: {note}", file=sys.stderr)


def print_missing(missing: tuple[str, ...]) -> None:
    if missing:
        print(
            f"edgedense: no folder for {len(missing)} of the model's classes: {', '.join(missing[:6])}"
            f"{' and more' if len(missing) > 6 else ''}",
            file=sys.stderr,
        )


def render(result: Report, as_json: bool, page: Path | None, pictures: Path) -> None:
    """Print, write the page, and only then fail: the report says why. `pictures` is the folder that image names are
    below."""
    from rich.console import Console

    from edgedense.files import write_atomically
    from edgedense.report import terminal, thumbnails
    from edgedense.report.validation_page import to_html

    if page is not None:
        shown = thumbnails.changed(result.drift, pictures.joinpath)
        write_atomically(page, to_html(result, shown).encode())
    if as_json:
        print(result.to_json())
    else:
        terminal.print_tables(result, Console())
    if page is not None:
        print(f"report: {page}", file=sys.stderr)
    if result.gate is not None and not result.gate.passed:
        raise GateError(
            f"a drop of at most {result.gate.max_drop:g} points",
            f"{result.gate.drop:.2f}",
            "convert with more calibration images, or look at the report",
        )
