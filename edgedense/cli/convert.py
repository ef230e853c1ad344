"""`edgedense convert`."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgedense.images.preprocessing import Exif, Normalization, Resize

if TYPE_CHECKING:
    from rich.console import Console

    from edgedense.converters.pipeline import Conversion


def convert(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A trained .keras or .h5 file, a Keras SavedModel folder, or densenet121:imagenet.",
            show_default=False,
        ),
    ],
    calibration: Annotated[
        Path,
        typer.Option(
            help="100 to 300 pictures like those the camera will see; with one sub-folder per class they also name the "
            "labels and check the preprocessing.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The .tflite file to write.", show_default=False)],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Class names, one per line, in the order of the model's outputs; by default the sub-folders of the "
            "calibration folder, sorted.",
            show_default=False,
        ),
    ] = None,
    preprocess: Annotated[
        Normalization | None,
        typer.Option(
            help="The normalization that the model was trained with outside of itself: densenet (preprocess_input), "
            "rescale (1/255) or none. By default densenet, or none for a model that normalizes its own input.",
            show_default=False,
        ),
    ] = None,
    resize: Annotated[
        Resize,
        typer.Option(
            help="How training resized: bilinear (image_dataset_from_directory) or nearest (load_img, "
            "ImageDataGenerator)."
        ),
    ] = "bilinear",
    exif: Annotated[
        Exif, typer.Option(help="Whether to turn pictures as their EXIF rotation says; Keras' loaders ignore it.")
    ] = "ignore",
    output_type: Annotated[
        Literal["float32", "uint8"], typer.Option(help="float32 probabilities, or uint8 for integer-only targets.")
    ] = "float32",
    target: Annotated[
        Literal["cpu", "coral"],
        typer.Option(
            help="What the file is for; coral: an Edge TPU. Then edgetpu_compiler is called where it is on PATH, and "
            "writes NAME_edgetpu.tflite beside NAME.tflite."
        ),
    ] = "cpu",
    ranges: Annotated[
        Literal["minmax", "percentile", "mse"] | None,
        typer.Option(
            help="How activation ranges are estimated. By default all are tried on a held-out half of the pictures.",
            show_default=False,
        ),
    ] = None,
    headroom: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            max=4.0,
            help="Widen the ranges by this factor; by default chosen with --ranges.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="At most so many calibration pictures.")] = 300,
    input_size: Annotated[
        int | None,
        typer.Option(
            min=32, help="Height and width of the input in pixels, in place of the model's own.", show_default=False
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report.", show_default=False)] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Accept at most so many points (of 100) less accuracy on --validation; when it is more, try other "
            "ranges, quieter operators and float layers, and give up without writing anything.",
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="Labelled pictures for --max-drop, one sub-folder per class.", show_default=False),
    ] = None,
    golden_images: Annotated[
        int,
        typer.Option(
            min=0, help="Store so many calibration pictures in the file, to replay beside the synthetic probes."
        ),
    ] = 0,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the last feature map as a second output, for heatmaps on the device.")
    ] = False,
    prune_channels: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help="Cut channels until this fraction of the multiply-accumulates is gone: smaller and faster.",
            show_default=False,
        ),
    ] = None,
    fit: Annotated[
        Literal["coral"] | None,
        typer.Option(help="Cut channels until the int8 weights fit the Edge TPU's cache.", show_default=False),
    ] = None,
    fit_latency: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            metavar="MS",
            help="Cut channels until one inference takes at most so many milliseconds on one thread of this machine.",
            show_default=False,
        ),
    ] = None,
    importance: Annotated[
        Literal["taylor", "l1", "norm", "random"],
        typer.Option(
            help="Which channels go first: those that change the scores least (taylor), or the least by their weights "
            "(l1), by their batch norm's scale (norm), or any."
        ),
    ] = "taylor",
    sparsity: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help="Make this fraction of the weights zero, for a file that is shipped compressed; it gets no faster.",
            show_default=False,
        ),
    ] = None,
    recover: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Train what is left to say what the whole model says about these pictures. Labels are not "
            "needed; sub-folders named like classes help.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="At most so many passes over the pictures of --recover; it ends early when --max-drop is kept.  "
            "[default: 8]",
            show_default=False,
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where --recover and --qat keep a checkpoint of each epoch, to go on after a kill; by "
            "default NAME.work beside NAME.tflite, until it is done.",
            show_default=False,
        ),
    ] = None,
    qat: Annotated[
        bool,
        typer.Option(
            "--qat", help="Train the quantized weights too, on the pictures of --recover or else of --calibration."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on although another preprocessing fits the labelled pictures better.")
    ] = False,
) -> None:
    """Turn a trained Keras DenseNet into one int8 .tflite file with labels and preprocessing inside."""
    from rich.console import Console

    import edgedense
    from edgedense.converters.pipeline import require_name
    from edgedense.files import check_writable, write_atomically

    require_name(out)
    for path in (out, report):
        if path is not None:
            check_writable(path)
    slimming = edgedense.Slimming(prune_channels, fit, fit_latency, importance, sparsity, recover, epochs, qat, work)
    if (recover is not None or qat) and work is None:
        slimming = replace(slimming, work=out.with_suffix(".work"))
    options = edgedense.Options(
        preprocess=preprocess,
        resize=resize,
        exif=exif,
        output_type=output_type,
        ranges=ranges,
        headroom=headroom,
        size=(input_size, input_size) if input_size else None,
        images=images,
        force=force,
        max_drop=max_drop,
        golden_images=golden_images,
        target=target,
        explain=explain,
        slimming=slimming,
    )
    result = edgedense.convert(model, calibration, labels=labels, validation=validation, options=options)
    page = None if report is None else edgedense.to_html(result).encode()
    result.save(out)
    if report is not None and page is not None:
        write_atomically(report, page)
    if work is None and slimming.work is not None:
        shutil.rmtree(slimming.work, ignore_errors=True)
    _print_conversion(result, str(out), Console())
    if target == "coral":
        _compile_for_coral(result, out)


def _print_conversion(conversion: Conversion, name: str, console: Console) -> None:
    """The steps with their error in float, the range estimators tried, and the result."""
    from edgedense.converters.quantization.stages import HEADINGS, rows
    from edgedense.report.terminal import table

    steps = [(step.name.replace("_", " "), f"{step.error:.1e}") for step in conversion.steps]
    console.print(table("Rewriting", ("step", "largest change of a logit, relative"), steps))
    if conversion.stages:
        title = "The int8 file behind each step (MACs: multiply-accumulates; ms: one thread here)"
        console.print(table(title, HEADINGS, rows(conversion.stages)))
    if conversion.trials:
        tried = [(t.attempt.describe(), f"{t.drop:+.2f}") for t in conversion.trials]
        console.print(table("Validation", ("tried", "drop, points"), tried))
    if conversion.candidates:
        tried = [(c.attempt.describe(), f"{c.divergence:.6f}") for c in conversion.candidates]
        console.print(
            table("Ranges, fitted on one half of the pictures", ("estimator", "mean KL on the other half"), tried)
        )
    figures = conversion.figures
    console.print(
        f"{name}: {len(conversion.data) / 1e6:.2f} MB, {len(conversion.labels)} labels. On {figures['images']} "
        f"calibration pictures it agrees with the float model on {100 * figures['calibration_agreement']:.2f} %, mean "
        f"KL {figures['calibration_kl_mean']:.6f}.",
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
