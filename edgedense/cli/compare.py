"""`edgedense compare`: two deployed files on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedense.cli.options import ReportPage, Threads
from edgedense.cli.printing import render


def compare(
    first: Annotated[Path, typer.Argument(help="A deployed .tflite file.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Another one with the same labels.", show_default=False)],
    data: Annotated[
        Path,
        typer.Option(help="Images in one sub-folder per class, named like the models' labels.", show_default=False),
    ],
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Fail when the second file's accuracy is more points (of 100) below the first's.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of tables.")] = False,
    report: ReportPage = None,
    threads: Threads = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Class names, one per line, in place of those in both models.", show_default=False),
    ] = None,
) -> None:
    """Measure two deployed files side by side on the same labelled images."""
    import edgedense

    result = edgedense.compare(first, second, data, max_drop=max_drop, labels=labels, threads=threads)
    render(result, as_json, report, data)
