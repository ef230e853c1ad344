"""`edgedense validate`: a deployed file on labelled images, or its golden samples."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from edgedense.cli.options import AsJson, DeployedFile, Device, OwnLabels, ReportPage, Threads
from edgedense.cli.printing import check_pages, render
from edgedense.cli.tables import LabelTable
from edgedense.cli.thresholds import Choice
from edgedense.converters.opening import TrustModel
from edgedense.errors import EdgedenseError, GateError
from edgedense.flags import Flag, changed
from edgedense.report.about import PANEL, About
from edgedense.scoring.options import Scale
from edgedense.scoring.threads import one_thread_a_batch

if TYPE_CHECKING:
    from edgedense.deployed.golden import Replay


Data = Annotated[
    Path | None,
    Flag(
        "A folder of labelled pictures, with one sub-folder per class that is named like the model's label, or a table "
        "of file names and labels (.csv or .tsv). For a file that gives values it is a table of the right ones, or "
        "with --reference any folder of pictures.",
        metavar="FOLDER|TABLE",
        reads="folder",
    ),
]
Reference = Annotated[
    Path | None, Flag("The trained model that the file was made from, to compare with.", reads="file")
]
MaxDrop = Annotated[
    float | None,
    Flag(
        "Fail with exit code 1 when the accuracy is more than this many percentage points below the reference. Of a "
        "file whose classes are scored alone it is the mean AUROC, in points of 100.",
        metavar="POINTS",
    ),
]
Masks = Annotated[
    Path | None,
    Flag(
        "A folder of masks, pictures that are not black where something is marked, such as a lesion. How much of the "
        "heatmap of the class that a picture shows is inside its mask is measured for the file, which was made with "
        "convert --explain, and for the reference. The mask of b.jpg is b.png, b_mask.png or b_segmentation.png, in "
        "the same sub-folder as the picture; pictures without a mask are left out of it.",
        reads="folder",
        needs=("--data",),
    ),
]
CardFile = Annotated[
    Path | None,
    Flag(
        "Also write a model card in Markdown: what the file is, on what it was measured, its figures, its limits and "
        "its hashes. The page of --report holds it too.",
        panel=PANEL,
        metavar="FILE.md",
        writes="file",
    ),
]


def validate(
    model: DeployedFile,
    *,
    data: Data = None,
    reference: Reference = None,
    max_drop: MaxDrop = None,
    report: ReportPage = None,
    labels: OwnLabels = None,
    masks: Masks = None,
    as_json: AsJson = False,
    device: Device = "cpu",
    threads: Threads = None,
    table: LabelTable,
    scale: Scale,
    trust: TrustModel = False,
    choice: Choice,
    card: CardFile = None,
    about: About,
) -> None:
    """Measure a deployed file on labelled images; with --reference, what the conversion lost.

    Without --data, replay the golden samples in the file: does it compute what it computed where it was made?
    """
    import edgedense

    chosen: dict[str, Any] = {"reference": reference, "max_drop": max_drop, "labels": labels, "masks": masks}
    engine: dict[str, Any] = {"device": device, "threads": threads}
    if choice.operating_point is not None:
        chosen |= {**vars(scale), "report": report, "card": card, "device": None if device == "cpu" else device}
        choice.make(model, table.of(data), chosen, threads, as_json)
        return
    if data is None:
        measures = report or card or changed(table, scale) or any(value is not None for value in chosen.values())
        _replay(model, bool(measures), engine, as_json)
        return
    check_pages(report, card)
    pictures = table.of(data)
    chosen |= {"layer_noise": reference is not None and report is not None, "scale": scale.for_command()}
    with one_thread_a_batch() if masks is None else nullcontext():  # heatmaps come one after the other
        result = edgedense.validate(model, pictures, trust=trust, **engine, **chosen)
    render(result, as_json, report, pictures, card, about)


def _replay(model: Path, measures: bool, engine: dict[str, Any], as_json: bool) -> None:
    """Compute the golden samples again; EdgedenseError where options ask for figures, which take pictures."""
    import edgedense

    if measures:
        raise EdgedenseError("images to measure on", "none", "--data FOLDER or --data TABLE.csv")
    _render_replay(edgedense.validate(model, **engine), model.name, as_json)


def _render_replay(result: Replay, name: str, as_json: bool) -> None:
    from rich.console import Console

    from edgedense.report import terminal

    if as_json:
        print(json.dumps(result.to_dict()))
    else:
        terminal.print_replay(name, result, Console())
    if not result.passed:
        flipped = "" if result.are_values else f", {len(result.flipped)} labels changed"
        named = f"; the first layer that differs is {result.suspect}" if result.suspect else ""
        raise GateError(
            f"golden samples as they were where the file was made: {result.limit}",
            f"{sum(result.steps.values())} of {result.values} values off by up to "
            f"{max(result.steps, default=0)} steps{flipped}{named}",
            "copy the file again; if that does not help, convert the model again",
        )
