"""What several commands print."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgedense.errors import EdgedenseError, GateError
from edgedense.notes import LOG

if TYPE_CHECKING:
    from edgedense.images.tables import Table
    from edgedense.measures.result import Report
    from edgedense.measures.values import Comparison, ValueReport
    from edgedense.report.about import About


@contextmanager
def messages() -> Iterator[None]:
    """For this long what the logger `edgedense` is told goes to stderr, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("edgedense: %(message)s"))
    level = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(level)


def check_pages(*pages: Path | None) -> None:
    """Raise EdgedenseError now, and not after minutes of measuring, when a page cannot be written."""
    from edgedense.files import check_writable

    for page in pages:
        if page is not None:
            check_writable(page)


def render(
    result: Report | ValueReport | Comparison,
    as_json: bool,
    page: Path | None,
    pictures: Path | Table,
    card: Path | None = None,
    about: About | None = None,
) -> None:
    """Print, write the page and the model card, and only then fail: the report says why. `pictures` is the folder that
    image names are below, or the table that names them; `about` is what people state in the card."""
    from rich.console import Console

    from edgedense.api.page import to_html
    from edgedense.files import write_atomically
    from edgedense.measures.result import Report
    from edgedense.report import terminal
    from edgedense.report.card import model_card

    if not isinstance(result, Report):
        _render_values(result, as_json, page, pictures, card)
        return
    made = None if card is None else model_card(result, about)
    if page is not None:
        write_atomically(page, to_html(result, pictures, made).encode())
    if card is not None and made is not None:
        write_atomically(card, made.to_markdown().encode())
    if as_json:
        print(result.to_json())
    else:
        terminal.print_tables(result, Console())
    for name, path in (("report", page), ("model card", card)):
        if path is not None:
            print(f"{name}: {path}", file=sys.stderr)
    if result.gate is not None and not result.gate.passed:
        raise GateError(
            f"a drop in {result.gate.of} of at most {result.gate.max_drop:g} points",
            f"{result.gate.drop:.2f}",
            "convert with more calibration images, or look at the report",
        )


def _render_values(
    result: ValueReport | Comparison, as_json: bool, page: Path | None, pictures: Path | Table, card: Path | None
) -> None:
    """Print, and write the page where the right values are known. EdgedenseError for what there is not: a model card,
    and a page of what is only compared."""
    from rich.console import Console

    from edgedense.api.page import to_html
    from edgedense.files import write_atomically
    from edgedense.measures.values import ValueReport
    from edgedense.report import terminal

    if card is not None:
        raise EdgedenseError("files that tell classes apart for --card", "files that give values", "leave it out")
    if page is not None and not isinstance(result, ValueReport):
        raise EdgedenseError(
            "a table with the right values for --report, with files that give values",
            "pictures without them",
            "--data TABLE.csv, or leave --report out",
        )
    if page is not None and isinstance(result, ValueReport):
        write_atomically(page, to_html(result, pictures).encode())
    if as_json:
        print(result.to_json())
    elif isinstance(result, ValueReport):
        terminal.print_value_report(result, Console())
    else:
        terminal.print_values(result, Console())
    if page is not None:
        print(f"report: {page}", file=sys.stderr)
