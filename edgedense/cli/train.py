"""`edgedense train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Normalization

if TYPE_CHECKING:
    from rich.console import Console

    from edgedense.converters.training.train import Training
    from edgedense.report.wording import Section


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Pictures, one sub-folder per class; or a folder with train, and val or test or both, "
            "each with one sub-folder per class.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The .keras file to write.", show_default=False)],
    weights: Annotated[
        str,
        typer.Option(
            help="What the network begins with: imagenet (Keras downloads it), none, or the file of a trained "
            "DenseNet121, of which all but the head is taken."
        ),
    ] = "imagenet",
    size: Annotated[int, typer.Option(min=32, help="Height and width of the network's input in pixels.")] = 224,
    head: Annotated[
        int | None,
        typer.Option(
            min=1, help="A hidden layer of so many units before the last one, such as 1024.", show_default=False
        ),
    ] = None,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Dropout before the last layer.")] = 0.2,
    sigmoid: Annotated[
        bool, typer.Option("--sigmoid", help="With two classes: one output with a sigmoid, in place of a softmax.")
    ] = False,
    preprocess: Annotated[
        Normalization,
        typer.Option(
            help="The normalization that the model gets inside; a file of --weights that normalizes its own input "
            "keeps its own."
        ),
    ] = "densenet",
    epochs: Annotated[int, typer.Option(min=1, help="At most so many epochs of the whole network.")] = 30,
    head_epochs: Annotated[
        int,
        typer.Option(
            min=0, help="Before that at most so many of the head alone, when the network begins with weights."
        ),
    ] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Pictures per step.")] = 32,
    learning_rate: Annotated[
        float, typer.Option(min=1e-8, help="Adam's rate for the head, and for a network without weights.")
    ] = 1e-3,
    fine_tuning_rate: Annotated[
        float | None,
        typer.Option(
            min=1e-8, help="Adam's rate for the whole network after that; by default a tenth.", show_default=False
        ),
    ] = None,
    schedule: Annotated[
        Literal["plateau", "cosine"],
        typer.Option(
            help="plateau: the rate falls when the validation loss does not, and training ends early. cosine: the rate "
            "falls along half a cosine over all epochs."
        ),
    ] = "plateau",
    patience: Annotated[
        int,
        typer.Option(
            min=1,
            help="With plateau: end after so many epochs without a better validation loss; a third of it lowers "
            "the rate.",
        ),
    ] = 9,
    validation: Annotated[
        float, typer.Option(help="The share of the training pictures that validates where there is no folder val.")
    ] = 0.15,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Keep pictures together when they are split: a regular expression on the file name whose bracket "
            "names the patient, such as '(person\\d+)', or a CSV file with columns file and group.",
            show_default=False,
        ),
    ] = None,
    class_weights: Annotated[
        Literal["balanced", "none"], typer.Option(help="balanced: pictures of rare classes count more.")
    ] = "balanced",
    flip: Annotated[
        Literal["none", "horizontal", "vertical", "both"],
        typer.Option(help="Mirror training pictures at random, where a mirrored picture is of the same class."),
    ] = "none",
    rotation: Annotated[
        float, typer.Option(min=0, max=180, help="Turn training pictures by up to so many degrees.")
    ] = 10.0,
    shift: Annotated[float, typer.Option(min=0, max=0.5, help="Shift them by up to this share of the size.")] = 0.05,
    zoom: Annotated[float, typer.Option(min=0, max=0.9, help="Enlarge or shrink them by up to this share.")] = 0.1,
    brightness: Annotated[float, typer.Option(min=0, max=1, help="Brighten or darken them by up to this share.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Decides split, first weights, order and augmentation.")] = 0,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where checkpoints and decoded pictures are kept until the end; by default NAME.work "
            "beside NAME.keras.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write figures, learning curves and confusion as one HTML file.", show_default=False),
    ] = None,
    compare: Annotated[
        Literal["resnet50"] | None,
        typer.Option(
            help="Train this network too under the same conditions, and show both side by side: accuracy, size, and "
            "latency after int8 conversion.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a DenseNet121 on labelled pictures. After a kill or Ctrl-C the same command goes on where it was.

    The class names are written to NAME.labels.txt beside NAME.keras.
    """
    from rich.console import Console

    from edgedense.converters.training import compare as side_by_side
    from edgedense.converters.training import train as module
    from edgedense.converters.training import training_page
    from edgedense.converters.training.augmentation import Augmentation
    from edgedense.files import check_writable, write_atomically

    if out.suffix != ".keras":
        raise EdgedenseError("--out FILE.keras", str(out), f"--out {out.with_suffix('.keras')}")
    for path in (out, report):
        if path is not None:
            check_writable(path)
    options = module.Options(
        weights=weights,
        size=size,
        head=head,
        dropout=dropout,
        sigmoid=sigmoid,
        normalize=preprocess,
        epochs=epochs,
        head_epochs=head_epochs,
        batch=batch,
        learning_rate=learning_rate,
        fine_tuning_rate=fine_tuning_rate,
        schedule=schedule,
        patience=patience,
        validation=validation,
        group_by=group_by,
        balanced=class_weights == "balanced",
        augmentation=Augmentation(flip, rotation, shift, zoom, brightness),
        seed=seed,
    )
    if compare:
        side_by_side.check(options)
    folder = work or out.with_suffix(".work")

    def say(line: str) -> None:
        print(f"edgedense: {line}", file=sys.stderr)

    try:
        result = module.train(data, folder, options, name=out.name, say=say)
        write_atomically(out, result.data)
        write_atomically(out.with_suffix(".labels.txt"), "".join(f"{label}\n" for label in result.labels).encode())
        compared = side_by_side.table(side_by_side.compare(result, data, folder, say)) if compare else None
    except KeyboardInterrupt:
        say(f"stopped; the same command goes on after the last whole epoch, which is kept in {folder}")
        raise typer.Exit(130) from None
    if report is not None:
        write_atomically(report, training_page.to_html(result, [compared] if compared else ()).encode())
    module.clear(folder)
    _print_result(result, out, compared, Console())


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
