"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of the inference; by default one per core, at most 4.", show_default=False),
]
ReportPage = Annotated[
    Path | None,
    typer.Option(help="Write the report as one HTML file, with the images whose label changed.", show_default=False),
]
