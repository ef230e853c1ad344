"""`edgedense validate`: a deployed file on labelled images, or its golden samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedense.cli.options import ReportPage, Threads
from edgedense.cli.printing import render
from edgedense.errors import EdgedenseError, GateError

if TYPE_CHECKING:
    from edgedense.deployed.golden import Replay


def validate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(help="Images in one sub-folder per class, named like the model's labels.", show_default=False),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="The Keras model that the file was made from, to compare with.", show_default=False),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Fail when the accuracy is more points (of 100) below the reference.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of tables.")] = False,
    report: ReportPage = None,
    threads: Threads = None,
    labels: Annotated[
        Path | None, typer.Option(help="Class names, one per line, in place of those in the model.", show_default=False)
    ] = None,
) -> None:
    """Measure a deployed file on labelled images; with --reference, what the conversion lost.

    Without --data, replay the golden samples in the file: does it compute what it computed where it was made?
    """
    import edgedense

    if data is None:
        if reference or max_drop is not None or report or labels:
            raise EdgedenseError("images to measure on", "none", "--data FOLDER, with one sub-folder per class")
        _render_replay(edgedense.validate(model, threads=threads), model.name, as_json)
        return
    result = edgedense.validate(
        model,
        data,
        reference=reference,
        max_drop=max_drop,
        labels=labels,
        threads=threads,
        layer_noise=reference is not None and report is not None,
    )
    render(result, as_json, report, data)


def _render_replay(result: Replay, name: str, as_json: bool) -> None:
    from rich.console import Console

    from edgedense.report import terminal

    if as_json:
        print(json.dumps(result.to_dict()))
    else:
        terminal.print_replay(name, result, Console())
    if not result.passed:
        named = f"; the first layer that differs is {result.suspect}" if result.suspect else ""
        raise GateError(
            f"golden samples as they were where the file was made: {result.limit}",
            f"{sum(result.steps.values())} of {result.values} values off by up to "
            f"{max(result.steps, default=0)} steps, {len(result.flipped)} labels changed{named}",
            "copy the file again; if that does not help, convert the model again",
        )
