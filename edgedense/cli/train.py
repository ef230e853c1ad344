"""`edgedense train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgedense.converters.training.options import TRAINING, Options
from edgedense.flags import Flag
from edgedense.notes import LOG

if TYPE_CHECKING:
    from rich.console import Console

    from edgedense.converters.training.train import Training
    from edgedense.report.wording import Section

Data = Annotated[
    Path,
    Flag(
        "Pictures in one sub-folder per class. Or a folder with the sub-folders train and val or test or both, "
        "each with one sub-folder per class.",
        argument=True,
        reads="folder",
    ),
]
Out = Annotated[Path, Flag("The model to write.", metavar="FILE.keras", writes="file")]
ReportFile = Annotated[
    Path | None, Flag("Also write the figures, learning curves and confusion matrix as one HTML page.", writes="file")
]
Work = Annotated[
    Path | None,
    Flag(
        "The folder that keeps checkpoints and decoded pictures until the training is done. By default it is "
        "NAME.work beside NAME.keras.",
        panel=TRAINING,
        writes="folder",
    ),
]
Peer = Annotated[
    Literal["resnet50"] | None,
    Flag(
        "Train this network too under the same conditions, convert both to int8, and show accuracy, size and "
        "latency side by side.",
        panel="Comparison with another network",
    ),
]


def train(
    data: Data, out: Out, options: Options, report: ReportFile = None, work: Work = None, compare: Peer = None
) -> None:
    """Train a DenseNet121 on labelled pictures.

    After an interruption the same command goes on where it was. The class names are written to NAME.labels.txt beside
    NAME.keras.
    """
    from rich.console import Console

    from edgedense.converters.training.produce import produce

    try:
        made = produce(data, out, options, work=work, report=report, with_peer=compare is not None, say=LOG.info)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    _print_result(made.training, out, made.compared, Console())


def _print_result(result: Training, out: Path, compared: Section | None, console: Console) -> None:
    """The classification report and the confusion matrix for people, a comparison, and what to do next."""
    from edgedense.converters.training import training_page
    from edgedense.measures.result import Report
    from edgedense.report import terminal

    terminal.print_tables(Report(training_page.title(result), result.evaluation), console)
    console.print(
        f"{out}: {len(result.data) / 1e6:.1f} MB. {training_page.summary(result)}", highlight=False, soft_wrap=True
    )
    if compared is not None:
        console.print(terminal.table(compared.title, compared.headings, compared.rows))
        console.print(compared.said, highlight=False, soft_wrap=True)
    console.print(f"Convert it:\n\n    {convert_line(result, out)}\n", highlight=False, soft_wrap=True)


def convert_line(result: Training, out: Path) -> str:
    """The command that makes the deployed file of this model."""
    words = ["edgedense", "convert", str(out), "--calibration", str(result.train_folder)]
    if result.test_folder:
        words += ["--validation", str(result.test_folder), "--max-drop", "1"]
    return shlex.join([*words, "--out", str(out.with_suffix(".tflite"))])
