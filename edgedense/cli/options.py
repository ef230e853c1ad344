"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from edgedense.device.live.options import DEVICE, THREADS
from edgedense.flags import Flag

DeployedFile = Annotated[Path, Flag("A deployed .tflite file.", argument=True, metavar="MODEL", reads="file")]
Device = Annotated[str, DEVICE]
Threads = Annotated[int | None, THREADS]
AsJson = Annotated[bool, Flag("Print one JSON object, for programs that read the results.", name="--json")]
OwnLabels = Annotated[
    Path | None,
    Flag("A text file with the class names, one per line, to be used in place of those in the model.", reads="file"),
]
LabelledPictures = Annotated[
    Path,
    Flag(
        "A folder of pictures, with one sub-folder per class that is named like the model's label, or a table of file "
        "names and labels (.csv or .tsv).",
        metavar="FOLDER|TABLE",
        reads="folder",
    ),
]
ReportPage = Annotated[
    Path | None, Flag("Also write the report as one HTML page, with the pictures whose label changed.", writes="file")
]
