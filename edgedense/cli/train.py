"""`edgedense train`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgedense.cli.tables import LabelTable
from edgedense.converters.training.options import TRAINING, Options
from edgedense.flags import Flag
from edgedense.images.tables import Table, file_of
from edgedense.notes import LOG

if TYPE_CHECKING:
    from rich.console import Console

    from edgedense.converters.training.layout import Source
    from edgedense.converters.training.train import Training
    from edgedense.report.wording import Section

Data = Annotated[
    Path,
    Flag(
        "Pictures in one sub-folder per class. Or a folder with the sub-folders train and val or test or both, "
        "each with one sub-folder per class. Or a table (.csv or .tsv) of file names and labels, with a column split "
        "where it is known which picture is for what, and a column patient where it is known of whom it is.",
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


@dataclass(frozen=True)
class TrainingTable(LabelTable):
    """How the table of a training is read: all its splits are used."""

    split: None = None


def train(
    data: Data,
    out: Out,
    options: Options,
    table: TrainingTable,
    report: ReportFile = None,
    work: Work = None,
    compare: Peer = None,
) -> None:
    """Train a DenseNet121 on labelled pictures.

    After an interruption the same command goes on where it was. The class names are written to NAME.labels.txt beside
    NAME.keras.
    """
    from rich.console import Console

    from edgedense.converters.training.produce import produce

    pictures = table.of(data)
    try:
        made = produce(pictures, out, options, work=work, report=report, with_peer=compare is not None, say=LOG.info)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    _print_result(made.training, out, made.compared, Console())


def _print_result(result: Training, out: Path, compared: Section | None, console: Console) -> None:
    """The classification report and the confusion matrix for people, a comparison, and what to do next."""
    from edgedense.converters.training import training_page
    from edgedense.report import terminal

    terminal.print_tables(result.report, console)
    console.print(
        f"{out}: {len(result.data) / 1e6:.1f} MB. {training_page.summary(result)}", highlight=False, soft_wrap=True
    )
    if compared is not None:
        console.print(terminal.table(compared.title, compared.headings, compared.rows))
        console.print(compared.said, highlight=False, soft_wrap=True)
    console.print(f"Convert it:\n\n    {convert_line(result, out)}\n", highlight=False, soft_wrap=True)


def convert_line(result: Training, out: Path) -> str:
    """The command that makes the deployed file of this model."""
    words = ["edgedense", "convert", str(out), "--calibration", file_of(result.calibration)]
    if result.test is not None:
        words += ["--validation", file_of(result.test), "--max-drop", "1"]
    words += _table_words(result.calibration, result.test, out.with_suffix(".labels.txt"))
    return shlex.join([*words, "--out", str(out.with_suffix(".tflite"))])


def _table_words(shown: Source, held: Source | None, labels: Path) -> list[str]:
    """How a table is to be read: as here. The split to calibrate by need not be named, because it is the usual one."""
    if not isinstance(shown, Table):
        return []
    options = {
        "--labels": labels,
        "--images": shown.images,
        "--uncertain": None if shown.uncertain == Table.uncertain else shown.uncertain,
        "--split": held.split if isinstance(held, Table) else None,
    }
    return [word for name, value in options.items() if value is not None for word in (name, str(value))]
