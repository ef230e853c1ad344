"""`edgedense inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from edgedense.converters.options import InputSize
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

NOISE = "The noise of int8, layer by layer"

File = Annotated[str, Flag("A Keras model or a .tflite file.", argument=True)]
ShowNoise = Annotated[
    bool,
    Flag(
        "Show how much noise int8 added in each layer of a .tflite file: its values are compared with those of "
        "the model --reference on pictures of --data.",
        panel=NOISE,
    ),
]
Reference = Annotated[
    str | None,
    Flag(
        "The Keras model that the file was made from.", panel=NOISE, metavar="MODEL", needs=("--layers",), reads="file"
    ),
]
Data = Annotated[
    Path | None,
    Flag("A folder of pictures on which the two are compared.", panel=NOISE, needs=("--layers",), reads="folder"),
]
MostImages = Annotated[int, Flag("Compare on at most this many pictures.", panel=NOISE, minimum=1, needs=("--layers",))]
ReportFile = Annotated[
    Path | None,
    Flag("Also write the table and a plot as one HTML page.", panel=NOISE, needs=("--layers",), writes="file"),
]


def inspect(
    file: File,
    *,
    size: InputSize = None,
    layers: ShowNoise = False,
    reference: Reference = None,
    data: Data = None,
    images: MostImages = 16,
    report: ReportFile = None,
) -> None:
    """Show what a model is made of: blocks, parameters and multiply-accumulates, or a .tflite file's operators."""
    from rich.console import Console

    from edgedense.deployed import bundle
    from edgedense.files import check_writable, write_atomically
    from edgedense.report import tables

    if layers:
        from edgedense.converters.layers import inspect_layers
        from edgedense.report.page import noise_to_html

        if reference is None or data is None:
            raise EdgedenseError("what to compare with", "--layers alone", "--reference MODEL.keras --data FOLDER")
        if report is not None:
            check_writable(report)
        found = inspect_layers(Path(file), reference, data, images)
        tables.print_noise(found, Path(file).name, Console())
        if report is not None:
            write_atomically(report, noise_to_html(found, f"Noise of {Path(file).name}").encode())
    elif file.endswith(".tflite"):
        from edgedense.device.engines.contents import contents

        content = bundle.read(file)
        tables.print_contents(contents(content.model), content, Path(file).name, Console())
    else:
        from edgedense.converters.readers.keras import reader as keras_reader
        from edgedense.converters.readers.keras.summary import summarize

        tables.print_summary(summarize(keras_reader.read(file, size)), Console())
