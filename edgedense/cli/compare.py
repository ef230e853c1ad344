"""`edgedense compare`: two deployed files on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from edgedense.cli.options import AsJson, LabelledPictures, ReportPage, Threads
from edgedense.cli.printing import render
from edgedense.cli.tables import LabelTable
from edgedense.flags import Flag
from edgedense.scoring.options import Scale

First = Annotated[Path, Flag("A deployed .tflite file.", argument=True, reads="file")]
Second = Annotated[Path, Flag("Another one, with the same labels.", argument=True, reads="file")]
MaxDrop = Annotated[
    float | None,
    Flag(
        "Fail with exit code 1 when the accuracy of SECOND is more than this many percentage points below that of "
        "FIRST. Of files whose classes are scored alone it is the mean AUROC, in points of 100.",
        metavar="POINTS",
    ),
]
Labels = Annotated[
    Path | None,
    Flag("A text file with the class names, one per line, to be used in place of those in both models.", reads="file"),
]


def compare(
    first: First,
    second: Second,
    *,
    data: LabelledPictures,
    max_drop: MaxDrop = None,
    report: ReportPage = None,
    labels: Labels = None,
    as_json: AsJson = False,
    threads: Threads = None,
    table: LabelTable,
    scale: Scale,
) -> None:
    """Measure two deployed files side by side on the same labelled images."""
    import edgedense
    from edgedense.files import check_writable

    if report is not None:
        check_writable(report)
    pictures = table.of(data)
    result = edgedense.compare(
        first, second, pictures, max_drop=max_drop, labels=labels, threads=threads, scale=scale.for_command()
    )
    render(result, as_json, report, pictures)
