"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many processor cores to use, by default all; each works on a picture of its own. The frames of a "
        "camera come one at a time: there the cores share each frame, by default at most 4.",
        show_default=False,
    ),
]
ReportPage = Annotated[
    Path | None,
    typer.Option(help="Write the report as one HTML file, with the images whose label changed.", show_default=False),
]
