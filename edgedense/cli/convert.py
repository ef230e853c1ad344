"""`edgedense convert`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgedense.cli.tables import ConversionTables
from edgedense.converters.options import ACCURACY, Options
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

if TYPE_CHECKING:
    from rich.console import Console

    from edgedense.converters.conversion import Conversion


TrainedModel = Annotated[
    str,
    Flag(
        "A trained .keras or .h5 file, Keras weights alone (.weights.h5; see --architecture), a Keras SavedModel "
        "folder, an .onnx file, or PyTorch weights (.safetensors, .pth, .pt, .bin or .ckpt) as torchvision, timm, "
        "MONAI and TorchXRayVision name them. densenet121:imagenet is the DenseNet121 that Keras offers.",
        argument=True,
    ),
]
Calibration = Annotated[
    Path,
    Flag(
        "A folder of 100 to 300 pictures like those that the camera will see. They show which values occur inside "
        "of the network, so that int8 can be scaled to these values; this is called calibration. With one "
        "sub-folder per class they also name the labels, and the preprocessing is checked on them. Or a table of file "
        "names (.csv or .tsv), whose labels serve the same where each picture has one.",
        metavar="FOLDER|TABLE",
        reads="folder",
    ),
]
Out = Annotated[Path, Flag("The file to write.", metavar="FILE.tflite", writes="file")]
Labels = Annotated[
    Path | None,
    Flag(
        "A text file with the class names, one per line, in the order of the model's outputs. By default they are "
        "the names of the calibration folder's sub-folders, or the labels of its table, sorted.",
        reads="file",
    ),
]
ReportFile = Annotated[Path | None, Flag("Also write what was done and what it cost as one HTML page.", writes="file")]
ValidationPictures = Annotated[
    Path | None,
    Flag(
        "Labelled pictures on which the accuracy is measured and thresholds are chosen: a folder with one sub-folder "
        "per class, or a table of file names and labels (.csv or .tsv).",
        panel=ACCURACY,
        metavar="FOLDER|TABLE",
        reads="folder",
    ),
]


def convert(
    model: TrainedModel,
    *,
    calibration: Calibration,
    out: Out,
    labels: Labels = None,
    options: Options,
    report: ReportFile = None,
    validation: ValidationPictures = None,
    tables: ConversionTables,
) -> None:
    """Turn a trained DenseNet into one int8 .tflite file with labels and preprocessing inside."""
    from rich.console import Console

    import edgedense
    from edgedense.deployed.bundle import require_name
    from edgedense.files import check_writable, write_atomically

    require_name(out)
    for path in (out, report):
        if path is not None:
            check_writable(path)
    _refuse_page_of_values(report, options)
    shown, held, recover = tables.of_each(calibration, validation, options.slimming.recover)
    options = replace(options, slimming=replace(options.slimming, recover=recover))
    with _work_folder(options, out) as whole:
        result = edgedense.convert(model, shown, labels=labels, validation=held, options=whole)
        page = None if report is None else edgedense.to_html(result).encode()
        result.save(out)
    if report is not None and page is not None:
        write_atomically(report, page)
    _print_conversion(result, str(out), Console())
    if options.target == "coral":
        _compile_for_coral(result, out)


def _refuse_page_of_values(report: Path | None, options: Options) -> None:
    """EdgedenseError before what may be hours of training."""
    if report is not None and options.opening.activation == "none":
        raise EdgedenseError(
            "a model that tells classes apart for --report",
            "one that gives values (--activation none), which a page of classes cannot show",
            "leave --report out; the table shows how far the values move",
        )


@contextmanager
def _work_folder(options: Options, out: Path) -> Iterator[Options]:
    """The options with a folder for checkpoints where there is training; the usual one is removed once all is done."""
    slimming = options.slimming
    if slimming.work is not None or slimming.recover is None:
        yield options
        return
    folder = out.with_suffix(".work")
    yield replace(options, slimming=replace(slimming, work=folder))
    shutil.rmtree(folder, ignore_errors=True)


def _print_conversion(conversion: Conversion, name: str, console: Console) -> None:
    """The steps with their error in float, the range estimators tried, and the result."""
    from edgedense.converters.quantization.stages import headings, rows
    from edgedense.report.terminal import print_section, table
    from edgedense.report.wording import VALUE_HEADINGS, points_section, value_row

    steps = [(step.name.replace("_", " "), f"{step.error:.1e}") for step in conversion.steps]
    console.print(table("Rewriting", ("step", "largest change of a logit, relative"), steps))
    if conversion.stages:
        title = "The int8 file behind each step (MACs: multiply-accumulates; ms: one thread here)"
        console.print(table(title, headings(conversion.stages), rows(conversion.stages)))
    if conversion.trials:
        tried = [(t.attempt.describe(), f"{t.drop:+.2f}") for t in conversion.trials]
        console.print(table("Validation", ("tried", "drop, points"), tried))
    if conversion.candidates:
        ranges = [(c.attempt.describe(), f"{c.divergence:.6f}", str(c.pictures)) for c in conversion.candidates]
        measure = "mean squared error" if conversion.outcome.differences else "mean KL"
        headings_ = "estimator", f"{measure} on the other half", "pictures"
        console.print(table("Ranges, fitted on one half of the pictures", headings_, ranges))
    if (points := conversion.operating_points) is not None:
        print_section(points_section(points), console)
    figures = conversion.figures
    size, images = f"{name}: {len(conversion.data) / 1e6:.2f} MB", f"{figures['images']} calibration pictures"
    if differences := conversion.outcome.differences:
        title = f"The file's values against the float model's, on {images}"
        console.print(table(title, VALUE_HEADINGS, map(value_row, differences)))
        console.print(f"{size}. It gives values and no probabilities.", soft_wrap=True)
        return
    console.print(
        f"{size}, {len(conversion.labels)} labels. On {images} it agrees with the float model on "
        f"{100 * figures['calibration_agreement']:.2f} %, mean KL {figures['calibration_kl_mean']:.6f}.",
        soft_wrap=True,
    )


def _compile_for_coral(result: Conversion, out: Path) -> None:
    """Write NAME_edgetpu.tflite and print what runs where; without a compiler say how to get one."""
    from edgedense.converters.tflite import edgetpu
    from edgedense.files import write_atomically

    compiled = result.for_edgetpu()
    if compiled is None:
        print(
            f"edgedense: {out} is ready for the Edge TPU compiler, which is not on PATH: {edgetpu.GET_IT}",
            file=sys.stderr,
        )
        return
    path = out.with_name(out.stem + "_edgetpu.tflite")
    write_atomically(path, compiled.model)
    log = compiled.log
    print(
        f"{path}: subgraphs {log.subgraphs}, {log.on_chip / 2**20:.2f} MiB of weights on the chip, "
        f"{log.streamed / 2**20:.2f} MiB fetched at every inference"
    )
    for row in log.rows:
        print(f"  {row.operator:24} {row.count:4}  {row.status}")
    if log.on_processor:
        print(f"edgedense: {log.on_processor} operators run on the processor, which is slow", file=sys.stderr)
