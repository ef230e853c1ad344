"""`edgedense train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgedense.cli.printing import say
from edgedense.converters.training.options import TRAINING, Options
from edgedense.flags import Flag

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

    from edgedense.converters.training.page import print_result
    from edgedense.converters.training.produce import produce

    try:
        made = produce(data, out, options, work=work, report=report, with_peer=compare is not None, say=say)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    print_result(made.training, out, made.compared, Console())
