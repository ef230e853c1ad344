"""`edgedense convert`."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgedense.converters.options import ACCURACY, Options
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

if TYPE_CHECKING:
    from edgedense.converters.pipeline import Conversion

TrainedModel = Annotated[
    str,
    Flag(
        "A trained .keras or .h5 file, or a Keras SavedModel folder. densenet121:imagenet is the DenseNet121 that "
        "Keras offers.",
        argument=True,
    ),
]
Calibration = Annotated[
    Path,
    Flag(
        "A folder of 100 to 300 pictures like those that the camera will see. They show which values occur inside "
        "of the network, so that int8 can be scaled to these values; this is called calibration. With one "
        "sub-folder per class they also name the labels, and the preprocessing is checked on them.",
        reads="folder",
    ),
]
Out = Annotated[Path, Flag("The file to write.", metavar="FILE.tflite", writes="file")]
Labels = Annotated[
    Path | None,
    Flag(
        "A text file with the class names, one per line, in the order of the model's outputs. By default they are "
        "the names of the calibration folder's sub-folders, sorted.",
        reads="file",
    ),
]
ReportFile = Annotated[Path | None, Flag("Also write what was done and what it cost as one HTML page.", writes="file")]
ValidationPictures = Annotated[
    Path | None,
    Flag(
        "Labelled pictures on which the accuracy is measured, with one sub-folder per class.",
        panel=ACCURACY,
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
) -> None:
    """Turn a trained Keras DenseNet into one int8 .tflite file with labels and preprocessing inside."""
    from rich.console import Console

    from edgedense.converters import pipeline
    from edgedense.converters.page import conversion_report
    from edgedense.device.classifier import read_labels
    from edgedense.files import check_writable, write_atomically
    from edgedense.report import tables

    if out.suffix != ".tflite":  # a slip must not overwrite the trained model
        raise EdgedenseError("--out FILE.tflite", str(out), f"--out {out.with_suffix('.tflite')}")
    for path in (out, report):
        if path is not None:
            check_writable(path)
    slimming = options.slimming
    if options.max_drop is not None and validation is None:
        raise EdgedenseError(
            "--validation with --max-drop", "--max-drop alone", "--max-drop POINTS --validation FOLDER"
        )
    if validation is not None and options.max_drop is None and not (slimming.changes or slimming.qat or options.size):
        raise EdgedenseError(
            "--max-drop, or something that makes the network smaller, with --validation",
            "--validation alone",
            "--max-drop POINTS --validation FOLDER",
        )
    work = slimming.work
    if (slimming.recover is not None or slimming.qat) and work is None:
        slimming = replace(slimming, work=out.with_suffix(".work"))
    options = replace(options, slimming=slimming)
    names = read_labels(labels) if labels else None
    result = pipeline.convert(model, calibration, names, options, validation)
    for note in result.notes:
        print(f"edgedense: {note}", file=sys.stderr)
    page = None if report is None else conversion_report(result).encode()
    write_atomically(out, result.data)
    if report is not None and page is not None:
        write_atomically(report, page)
    if work is None and slimming.work is not None:
        shutil.rmtree(slimming.work, ignore_errors=True)
    tables.print_conversion(result, str(out), Console())
    if options.target == "coral":
        _compile_for_coral(result, out)


def _compile_for_coral(result: Conversion, out: Path) -> None:
    """Write NAME_edgetpu.tflite and print what runs where; without a compiler say how to get one."""
    from edgedense.converters.tflite import edgetpu
    from edgedense.deployed import bundle, gradcam
    from edgedense.files import write_atomically

    compiled = edgetpu.compile_model(bundle.without_archive(result.data))
    if compiled is None:
        print(
            f"edgedense: {out} is ready for the Edge TPU compiler, which is not on PATH: {edgetpu.GET_IT}",
            file=sys.stderr,
        )
        return
    path = out.with_name(out.stem + "_edgetpu.tflite")
    head = {name: data for name, data in bundle.parse(result.data).entries.items() if name == gradcam.ENTRY}
    write_atomically(path, bundle.pack(compiled.model, result.labels, result.recipe, head))
    log = compiled.log
    print(
        f"{path}: subgraphs {log.subgraphs}, {log.on_chip / 2**20:.2f} MiB of weights on the chip, "
        f"{log.streamed / 2**20:.2f} MiB fetched at every inference"
    )
    for row in log.rows:
        print(f"  {row.operator:24} {row.count:4}  {row.status}")
    if log.on_processor:
        print(f"edgedense: {log.on_processor} operators run on the processor, which is slow", file=sys.stderr)
