"""`edgedense inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgedense.errors import EdgedenseError


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A Keras model or a .tflite file.", show_default=False)],
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="The noise of each layer of a .tflite file against --reference on pictures of --data."
        ),
    ] = False,
    reference: Annotated[
        str | None, typer.Option(help="With --layers: the Keras model that the file was made from.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="With --layers: pictures to compare on.", show_default=False)
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="With --layers: compare on at most so many pictures.")] = 16,
    input_size: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="Height and width of a Keras model's input in pixels, in place of its own or where it has none.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="With --layers: write the table and a plot as one HTML file.", show_default=False),
    ] = None,
) -> None:
    """Show what a model is made of: blocks, parameters and multiply-accumulates, or a .tflite file's operators."""
    from rich.console import Console

    from edgedense.deployed import bundle
    from edgedense.files import check_writable, write_atomically
    from edgedense.report import tables

    if not layers and (reference or data or report):
        raise EdgedenseError("--layers with --reference, --data and --report", "none", "add --layers")
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

        size = (input_size, input_size) if input_size else None
        tables.print_summary(summarize(keras_reader.read(file, size)), Console())
