"""The command line: parse, call one function, render its result."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgedense.errors import DeviceError, EdgedenseError, GateError, raise_unreadable
from edgedense.images.preprocessing import Exif, Normalization, Resize, find_images

if TYPE_CHECKING:
    from edgedense.converters.pipeline import Conversion
    from edgedense.deployed.layer_noise import LayerNoise
    from edgedense.device.board.benchmark import Measurement
    from edgedense.device.board.doctor import Finding
    from edgedense.device.classifier import Classifier
    from edgedense.device.monitor.watch import Watch
    from edgedense.explanations.explanation import Explanation
    from edgedense.images.preprocessing import Preprocessing
    from edgedense.measures.validation import Model
    from edgedense.report.terminal import Report

DEFECT = 70  # exit code, as sysexits.h's EX_SOFTWARE: 1 would say that a gate failed

app = typer.Typer(
    help="Takes a trained Keras DenseNet to a Raspberry Pi or a Coral Edge TPU and proves what was lost on the way.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


# Options that several commands share.
_Threads = Annotated[int | None, typer.Option(
    min=1, help="Threads of the inference; by default one per core, at most 4.", show_default=False)]
_Report = Annotated[Path | None, typer.Option(
    help="Write the report as one HTML file, with the images whose label changed.", show_default=False)]


@app.callback()
def edgedense() -> None:
    """Keeps the commands as sub-commands."""


@app.command()
def convert(
    model: Annotated[str, typer.Argument(
        metavar="MODEL", help="A trained .keras or .h5 file, a Keras SavedModel folder, or densenet121:imagenet.",
        show_default=False)],
    calibration: Annotated[Path, typer.Option(
        help="100 to 300 pictures like those the camera will see; with one sub-folder per class they also name the "
             "labels and check the preprocessing.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The .tflite file to write.", show_default=False)],
    labels: Annotated[Path | None, typer.Option(
        help="Class names, one per line, in the order of the model's outputs; by default the sub-folders of the "
             "calibration folder, sorted.", show_default=False)] = None,
    preprocess: Annotated[Normalization | None, typer.Option(
        help="The normalization that the model was trained with outside of itself: densenet (preprocess_input), "
             "rescale (1/255) or none. By default densenet, or none for a model that normalizes its own input.",
        show_default=False)] = None,
    resize: Annotated[Resize, typer.Option(
        help="How training resized: bilinear (image_dataset_from_directory) or nearest (load_img, "
             "ImageDataGenerator).")] = "bilinear",
    exif: Annotated[Exif, typer.Option(
        help="Whether to turn pictures as their EXIF rotation says; Keras' loaders ignore it.")] = "ignore",
    output_type: Annotated[Literal["float32", "uint8"], typer.Option(
        help="float32 probabilities, or uint8 for integer-only targets.")] = "float32",
    target: Annotated[Literal["cpu", "coral"], typer.Option(
        help="What the file is for; coral: an Edge TPU. Then edgetpu_compiler is called where it is on PATH, and "
             "writes NAME_edgetpu.tflite beside NAME.tflite.")] = "cpu",
    ranges: Annotated[Literal["minmax", "percentile", "mse"] | None, typer.Option(
        help="How activation ranges are estimated. By default all are tried on a held-out half of the pictures.",
        show_default=False)] = None,
    headroom: Annotated[float | None, typer.Option(
        min=1.0, max=4.0, help="Widen the ranges by this factor; by default chosen with --ranges.",
        show_default=False)] = None,
    images: Annotated[int, typer.Option(min=2, help="At most so many calibration pictures.")] = 300,
    input_size: Annotated[int | None, typer.Option(
        min=32, help="Height and width of the input in pixels, in place of the model's own.",
        show_default=False)] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report.", show_default=False)] = None,
    max_drop: Annotated[float | None, typer.Option(
        min=0, help="Accept at most so many points (of 100) less accuracy on --validation; when it is more, try other "
                    "ranges, quieter operators and float layers, and give up without writing anything.",
        show_default=False)] = None,
    validation: Annotated[Path | None, typer.Option(
        help="Labelled pictures for --max-drop, one sub-folder per class.", show_default=False)] = None,
    golden_images: Annotated[int, typer.Option(
        min=0, help="Store so many calibration pictures in the file, to replay beside the synthetic probes.")] = 0,
    explain: Annotated[bool, typer.Option(
        "--explain", help="Add the last feature map as a second output, for heatmaps on the device.")] = False,
    prune_channels: Annotated[float | None, typer.Option(
        metavar="FRACTION", help="Cut channels until this fraction of the multiply-accumulates is gone: smaller and "
                                 "faster.", show_default=False)] = None,
    fit: Annotated[Literal["coral"] | None, typer.Option(
        help="Cut channels until the int8 weights fit the Edge TPU's cache.", show_default=False)] = None,
    fit_latency: Annotated[float | None, typer.Option(
        min=0.01, metavar="MS", help="Cut channels until one inference takes at most so many milliseconds on one "
                                     "thread of this machine.", show_default=False)] = None,
    importance: Annotated[Literal["taylor", "l1", "norm", "random"], typer.Option(
        help="Which channels go first: those that change the scores least (taylor), or the least by their weights "
             "(l1), by their batch norm's scale (norm), or any.")] = "taylor",
    sparsity: Annotated[float | None, typer.Option(
        metavar="FRACTION", help="Make this fraction of the weights zero, for a file that is shipped compressed; it "
                                 "gets no faster.", show_default=False)] = None,
    recover: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Train what is left to say what the whole model says about these pictures. Labels are not "
                            "needed; sub-folders named like classes help.", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(
        min=1, help="At most so many passes over the pictures of --recover; it ends early when --max-drop is kept.  "
                    "[default: 8]", show_default=False)] = None,
    work: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Where --recover and --qat keep a checkpoint of each epoch, to go on after a kill; by "
                            "default NAME.work beside NAME.tflite, until it is done.", show_default=False)] = None,
    qat: Annotated[bool, typer.Option(
        "--qat", help="Train the quantized weights too, on the pictures of --recover or else of --calibration.",
    )] = False,
    force: Annotated[bool, typer.Option(
        "--force", help="Go on although another preprocessing fits the labelled pictures better.")] = False,
) -> None:
    """Turn a trained Keras DenseNet into one int8 .tflite file with labels and preprocessing inside."""
    from rich.console import Console

    from edgedense.converters import pipeline
    from edgedense.converters.page import conversion_report
    from edgedense.converters.slimming import Slimming
    from edgedense.device.classifier import read_labels
    from edgedense.files import check_writable, write_atomically
    from edgedense.report import tables

    if out.suffix != ".tflite":  # a slip must not overwrite the trained model
        raise EdgedenseError("--out FILE.tflite", str(out), f"--out {out.with_suffix('.tflite')}")
    for path in (out, report):
        if path is not None:
            check_writable(path)
    slimming = Slimming(prune_channels, fit, fit_latency, importance, sparsity, recover, epochs, qat, work)
    if max_drop is not None and validation is None:
        raise EdgedenseError("--validation with --max-drop", "--max-drop alone",
                             "--max-drop POINTS --validation FOLDER")
    if validation is not None and max_drop is None and not (slimming.changes or qat or input_size):
        raise EdgedenseError("--max-drop, or something that makes the network smaller, with --validation",
                             "--validation alone", "--max-drop POINTS --validation FOLDER")
    if (recover is not None or qat) and work is None:
        slimming = replace(slimming, work=out.with_suffix(".work"))
    options = pipeline.Options(
        preprocess=preprocess, resize=resize, exif=exif, output_type=output_type, ranges=ranges, headroom=headroom,
        size=(input_size, input_size) if input_size else None, images=images, force=force,
        max_drop=max_drop, golden_images=golden_images, target=target, explain=explain, slimming=slimming)
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
    if target == "coral":
        _compile_for_coral(result, out)


def _compile_for_coral(result: Conversion, out: Path) -> None:
    """Write NAME_edgetpu.tflite and print what runs where; without a compiler say how to get one."""
    from edgedense.converters.tflite import edgetpu
    from edgedense.deployed import bundle, gradcam
    from edgedense.files import write_atomically

    compiled = edgetpu.compile_model(bundle.without_archive(result.data))
    if compiled is None:
        print(f"edgedense: {out} is ready for the Edge TPU compiler, which is not on PATH: {edgetpu.GET_IT}",
              file=sys.stderr)
        return
    path = out.with_name(out.stem + "_edgetpu.tflite")
    head = {name: data for name, data in bundle.parse(result.data).entries.items() if name == gradcam.ENTRY}
    write_atomically(path, bundle.pack(compiled.model, result.labels, result.recipe, head))
    log = compiled.log
    print(f"{path}: subgraphs {log.subgraphs}, {log.on_chip / 2**20:.2f} MiB of weights on the chip, "
          f"{log.streamed / 2**20:.2f} MiB fetched at every inference")
    for row in log.rows:
        print(f"  {row.operator:24} {row.count:4}  {row.status}")
    if log.on_processor:
        print(f"edgedense: {log.on_processor} operators run on the processor, which is slow", file=sys.stderr)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(
        metavar="DATA", help="Pictures, one sub-folder per class; or a folder with train, and val or test or both, "
                             "each with one sub-folder per class.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The .keras file to write.", show_default=False)],
    weights: Annotated[str, typer.Option(
        help="What the network begins with: imagenet (Keras downloads it), none, or the file of a trained DenseNet121, "
             "of which all but the head is taken.")] = "imagenet",
    size: Annotated[int, typer.Option(min=32, help="Height and width of the network's input in pixels.")] = 224,
    head: Annotated[int | None, typer.Option(
        min=1, help="A hidden layer of so many units before the last one, such as 1024.", show_default=False)] = None,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Dropout before the last layer.")] = 0.2,
    sigmoid: Annotated[bool, typer.Option(
        "--sigmoid", help="With two classes: one output with a sigmoid, in place of a softmax.")] = False,
    preprocess: Annotated[Normalization, typer.Option(
        help="The normalization that the model gets inside; a file of --weights that normalizes its own input keeps "
             "its own.")] = "densenet",
    epochs: Annotated[int, typer.Option(min=1, help="At most so many epochs of the whole network.")] = 30,
    head_epochs: Annotated[int, typer.Option(
        min=0, help="Before that at most so many of the head alone, when the network begins with weights.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Pictures per step.")] = 32,
    learning_rate: Annotated[float, typer.Option(
        min=1e-8, help="Adam's rate for the head, and for a network without weights.")] = 1e-3,
    fine_tuning_rate: Annotated[float | None, typer.Option(
        min=1e-8, help="Adam's rate for the whole network after that; by default a tenth.", show_default=False)] = None,
    schedule: Annotated[Literal["plateau", "cosine"], typer.Option(
        help="plateau: the rate falls when the validation loss does not, and training ends early. cosine: the rate "
             "falls along half a cosine over all epochs.")] = "plateau",
    patience: Annotated[int, typer.Option(
        min=1, help="With plateau: end after so many epochs without a better validation loss; a third of it lowers "
                    "the rate.")] = 9,
    validation: Annotated[float, typer.Option(
        help="The share of the training pictures that validates where there is no folder val.")] = 0.15,
    group_by: Annotated[str | None, typer.Option(
        help="Keep pictures together when they are split: a regular expression on the file name whose bracket names "
             "the patient, such as '(person\\d+)', or a CSV file with columns file and group.",
        show_default=False)] = None,
    class_weights: Annotated[Literal["balanced", "none"], typer.Option(
        help="balanced: pictures of rare classes count more.")] = "balanced",
    flip: Annotated[Literal["none", "horizontal", "vertical", "both"], typer.Option(
        help="Mirror training pictures at random, where a mirrored picture is of the same class.")] = "none",
    rotation: Annotated[float, typer.Option(
        min=0, max=180, help="Turn training pictures by up to so many degrees.")] = 10.0,
    shift: Annotated[float, typer.Option(min=0, max=0.5, help="Shift them by up to this share of the size.")] = 0.05,
    zoom: Annotated[float, typer.Option(min=0, max=0.9, help="Enlarge or shrink them by up to this share.")] = 0.1,
    brightness: Annotated[float, typer.Option(
        min=0, max=1, help="Brighten or darken them by up to this share.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Decides split, first weights, order and augmentation.")] = 0,
    work: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Where checkpoints and decoded pictures are kept until the end; by default NAME.work "
                            "beside NAME.keras.", show_default=False)] = None,
    report: Annotated[Path | None, typer.Option(
        help="Write figures, learning curves and confusion as one HTML file.", show_default=False)] = None,
    compare: Annotated[Literal["resnet50"] | None, typer.Option(
        help="Train this network too under the same conditions, and show both side by side: accuracy, size, and "
             "latency after int8 conversion.", show_default=False)] = None,
) -> None:
    """Train a DenseNet121 on labelled pictures. After a kill or Ctrl-C the same command goes on where it was.

    The class names are written to NAME.labels.txt beside NAME.keras.
    """
    from rich.console import Console

    from edgedense.converters.training import compare as side_by_side
    from edgedense.converters.training import page
    from edgedense.converters.training import train as module
    from edgedense.converters.training.augmentation import Augmentation
    from edgedense.files import check_writable, write_atomically

    if out.suffix != ".keras":
        raise EdgedenseError("--out FILE.keras", str(out), f"--out {out.with_suffix('.keras')}")
    for path in (out, report):
        if path is not None:
            check_writable(path)
    options = module.Options(
        weights=weights, size=size, head=head, dropout=dropout, sigmoid=sigmoid, normalize=preprocess, epochs=epochs,
        head_epochs=head_epochs, batch=batch, learning_rate=learning_rate, fine_tuning_rate=fine_tuning_rate,
        schedule=schedule, patience=patience, validation=validation, group_by=group_by,
        balanced=class_weights == "balanced", augmentation=Augmentation(flip, rotation, shift, zoom, brightness),
        seed=seed)
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
        write_atomically(report, page.to_html(result, [compared] if compared else ()).encode())
    module.clear(folder)
    page.print_result(result, out, compared, Console())


@app.command()
def inspect(
    file: Annotated[str, typer.Argument(
        metavar="FILE", help="A Keras model or a .tflite file.", show_default=False)],
    layers: Annotated[bool, typer.Option(
        "--layers", help="The noise of each layer of a .tflite file against --reference on pictures of --data.",
    )] = False,
    reference: Annotated[str | None, typer.Option(
        help="With --layers: the Keras model that the file was made from.", show_default=False)] = None,
    data: Annotated[Path | None, typer.Option(
        help="With --layers: pictures to compare on.", show_default=False)] = None,
    images: Annotated[int, typer.Option(min=1, help="With --layers: compare on at most so many pictures.")] = 16,
    input_size: Annotated[int | None, typer.Option(
        min=32, help="Height and width of a Keras model's input in pixels, in place of its own or where it has none.",
        show_default=False)] = None,
    report: Annotated[Path | None, typer.Option(
        help="With --layers: write the table and a plot as one HTML file.", show_default=False)] = None,
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


@app.command()
def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    sources: Annotated[list[str] | None, typer.Argument(
        metavar="SOURCE", show_default=False,
        help="Images, folders of images or patterns such as 'photos/*.jpg'; or one of: 0 or /dev/video0 (V4L2), "
             "rpicam or rpicam:1, picamera2, a video file, rtsp://..., http://...")] = None,
    camera: Annotated[bool, typer.Option("--camera", help="The first camera that is found.")] = False,
    top: Annotated[int, typer.Option(min=1, help="How many classes to report, best first.")] = 1,
    threshold: Annotated[float, typer.Option(
        min=0, max=1, help="Report only classes that score at least this.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    threads: _Threads = None,
    labels: Annotated[Path | None, typer.Option(
        help="Class names, one per line, in place of those in the model.", show_default=False)] = None,
    device: Annotated[str, typer.Option(
        help="What runs the model: cpu, coral (an Edge TPU; coral:usb, coral:pci:1 ...) or auto.")] = "cpu",
    smooth: Annotated[int, typer.Option(min=1, help="Report the mean over this many frames.")] = 1,
    on_change: Annotated[bool, typer.Option(
        "--on-change", help="Report a frame only when its best class is another than before.")] = False,
    when_moving: Annotated[bool, typer.Option(
        "--when-moving", help="Classify only while the picture moves, to save heat and power.")] = False,
    fps: Annotated[float | None, typer.Option(
        min=0.01, help="At most this many frames a second.", show_default=False)] = None,
    live: Annotated[bool, typer.Option(
        "--live", help="Play a video file at its own speed, and drop frames as with a camera.")] = False,
    size: Annotated[str | None, typer.Option(
        help="The camera's picture size, WIDTHxHEIGHT.  [default: 640x480]", show_default=False)] = None,
    rotate: Annotated[int, typer.Option(help="Turn the picture clockwise: 0, 90, 180 or 270 degrees.")] = 0,
    flip: Annotated[str, typer.Option(help="Mirror the picture: none, horizontal, vertical or both.")] = "none",
    crop: Annotated[str | None, typer.Option(
        help="square, or X,Y,WIDTH,HEIGHT in shares of the picture from 0 to 1.", show_default=False)] = None,
    control: Annotated[list[str] | None, typer.Option(
        help="An option for rpicam-vid, such as exposure=sport or hdr; may be given again.",
        show_default=False)] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Serve a web page with picture and results.")] = False,
    preview_address: Annotated[str | None, typer.Option(
        help="HOST:PORT of that page; any but 127.0.0.1 needs a token.  [default: 127.0.0.1:8080]",
        show_default=False)] = None,
    preview_token_file: Annotated[Path | None, typer.Option(
        help="A file that holds the page's token; by default a new one is made and printed.",
        show_default=False)] = None,
    explain: Annotated[bool, typer.Option(
        "--explain", help="Show on that page where the best class is seen, from the start; it has a button for that "
                          "where the file was made with edgedense convert --explain.")] = False,
    save: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Keep frames that the model is unsure of, at most one a second.",
        show_default=False)] = None,
    save_below: Annotated[float | None, typer.Option(
        min=0, max=1, help="Keep frames whose best score is below this.  [default: 0.5]", show_default=False)] = None,
    save_cap: Annotated[int | None, typer.Option(
        min=1, help="Keep no more once DIR holds this many MB.  [default: 500]", show_default=False)] = None,
    save_floor: Annotated[int | None, typer.Option(
        min=0, help="Keep no more when the disk has less than this many MB free.  [default: 1000]",
        show_default=False)] = None,
    monitor: Annotated[Path | None, typer.Option(
        metavar="STATE", help="Tell when the pictures or the predictions are no longer as usual; what is usual is "
                              "learned in the first 24 hours and kept in this file.", show_default=False)] = None,
    monitor_baseline: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Learn from these images, such as the calibration set, where STATE does not exist yet.",
        show_default=False)] = None,
) -> None:
    """Classify images, a video or a camera: a table, or JSON Lines with --json.

    Files are classified one by one, every one of them. From a camera or a stream the newest frame is taken, and what
    comes meanwhile is dropped. Ctrl-C ends it.
    """
    from edgedense.device.camera.sources import first_camera, parse
    from edgedense.device.classifier import Classifier, read_labels

    if monitor_baseline and not monitor:
        raise EdgedenseError("--monitor STATE with --monitor-baseline", "it alone")
    if camera == bool(sources):
        raise EdgedenseError("either a SOURCE or --camera", "both" if camera else "neither",
                             "edgedense run MODEL --camera")
    parsed = [first_camera()] if camera else [parse(source) for source in sources or ()]
    streams = [source for source in parsed if source.kind != "images"]
    names = read_labels(labels) if labels else None
    if not streams:
        from edgedense.device.images import print_images

        for_streams = {
            "--smooth": smooth > 1, "--on-change": on_change, "--when-moving": when_moving, "--fps": fps,
            "--live": live, "--size": size, "--rotate": rotate, "--flip": flip != "none", "--crop": crop,
            "--control": control, "--preview": preview, "--preview-address": preview_address,
            "--preview-token-file": preview_token_file, "--explain": explain, "--save": save}
        if unusable := [option for option, given in for_streams.items() if given]:
            raise EdgedenseError(f"a camera, a stream or a video for {' and '.join(unusable)}", "images")
        paths = [path for source in parsed for path in find_images(source.name)]
        with Classifier(model, device=device, threads=threads, labels=names) as classifier:
            _print_notes(model, classifier.notes)
            with _watch(monitor, classifier, monitor_baseline, as_json) as watch:
                print_images(classifier, paths, top=top, threshold=threshold, as_json=as_json, watch=watch)
        return
    if len(parsed) > 1:
        raise EdgedenseError("one camera, stream or video at a time", " and ".join(map(str, parsed)))
    from edgedense.device.camera.view import parse_size, parse_view
    from edgedense.device.live.loop import LiveOptions
    from edgedense.device.live.run import PreviewOptions, capture_job, run_live
    from edgedense.device.live.saving import saving_rules

    view, wanted_size = parse_view(rotate, flip, crop), parse_size(size) if size else None
    saving = saving_rules(save, save_below, save_cap, save_floor)
    page = PreviewOptions(preview_address, preview_token_file, explain) if preview or preview_address else None
    if explain and not page:
        raise EdgedenseError("--preview with --explain", "it alone", "edgedense explain MODEL IMAGE, which writes PNGs")
    if preview_token_file and not page:
        raise EdgedenseError("--preview with --preview-token-file", "it alone")
    with Classifier(model, device=device, threads=threads, labels=names) as classifier:
        _print_notes(model, classifier.notes)
        job = capture_job(streams[0], classifier.preprocessing, size=wanted_size, view=view, fps=fps,
                          controls=tuple(control or ()), live=live, watch_motion=when_moving)
        options = LiveOptions(top, threshold, smooth, on_change, when_moving)
        with _watch(monitor, classifier, monitor_baseline, as_json) as watch:
            summary = run_live(classifier, job, options, title=model.name, as_json=as_json, saving=saving,
                               preview=page, watch=watch)
    print(summary, file=sys.stderr)


@app.command()
def validate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    data: Annotated[Path | None, typer.Option(
        help="Images in one sub-folder per class, named like the model's labels.",
        show_default=False)] = None,
    reference: Annotated[Path | None, typer.Option(
        help="The Keras model that the file was made from, to compare with.", show_default=False)] = None,
    max_drop: Annotated[float | None, typer.Option(
        help="Fail when the accuracy is more points (of 100) below the reference.",
        show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of tables.")] = False,
    report: _Report = None,
    threads: _Threads = None,
    labels: Annotated[Path | None, typer.Option(
        help="Class names, one per line, in place of those in the model.", show_default=False)] = None,
) -> None:
    """Measure a deployed file on labelled images; with --reference, what the conversion lost.

    Without --data, replay the golden samples in the file: does it compute what it computed where it was made?
    """
    from edgedense.deployed import bundle
    from edgedense.device.classifier import Classifier, read_labels
    from edgedense.measures import validation
    from edgedense.progress import progress

    if data is None:
        if reference or max_drop is not None or report or labels:
            raise EdgedenseError("images to measure on", "none",
                                 "--data FOLDER, with one sub-folder per class")
        _replay(model, threads, as_json)
        return
    if max_drop is not None and reference is None:
        raise EdgedenseError("a reference that the drop is measured from", "--max-drop alone",
                             "--reference MODEL.keras")
    recipe = bundle.read(model).recipe
    names = read_labels(labels) if labels else None
    with Classifier(model, threads=threads, labels=names) as classifier:
        _print_notes(model, classifier.notes)
        images = validation.read_labelled(data, classifier.labels)
        models = [validation.deployed(model.name, classifier)]
        if reference is not None:
            models.insert(0, _reference(reference, classifier.preprocessing, recipe))
        with progress("validating", len(images.paths)) as tick:
            result = validation.judge(
                images, models, tick, activation=recipe.get("activation", "softmax"), max_drop=max_drop,
                recipe=recipe, thumbnails=report is not None)
    if reference is not None and report is not None:
        result = replace(result, layer_noise=_noise_against(model, reference, data))
    _print_missing(images.missing)
    _render(result, as_json, report)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A deployed .tflite file.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Another one with the same labels.", show_default=False)],
    data: Annotated[Path, typer.Option(
        help="Images in one sub-folder per class, named like the models' labels.", show_default=False)],
    max_drop: Annotated[float | None, typer.Option(
        help="Fail when the second file's accuracy is more points (of 100) below the first's.",
        show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of tables.")] = False,
    report: _Report = None,
    threads: _Threads = None,
    labels: Annotated[Path | None, typer.Option(
        help="Class names, one per line, in place of those in both models.", show_default=False)] = None,
) -> None:
    """Measure two deployed files side by side on the same labelled images."""
    from edgedense.deployed import bundle
    from edgedense.device.classifier import Classifier, read_labels
    from edgedense.measures import validation
    from edgedense.progress import progress

    recipe = bundle.read(second).recipe
    names = read_labels(labels) if labels else None
    with (Classifier(first, threads=threads, labels=names) as old,
          Classifier(second, threads=threads, labels=names) as new):
        for path, classifier in ((first, old), (second, new)):
            _print_notes(path, classifier.notes)
        if old.labels != new.labels:
            raise EdgedenseError(
                f"two files with the same labels in the same order ({', '.join(old.labels[:6])})",
                f"{', '.join(new.labels[:6])} in {second}", "--labels FILE for both")
        images = validation.read_labelled(data, new.labels)
        called = (first.name, second.name) if first.name != second.name else (str(first), str(second))
        models = [validation.deployed(name, one) for name, one in zip(called, (old, new), strict=True)]
        with progress("comparing", len(images.paths)) as tick:
            result = validation.judge(
                images, models, tick, activation=recipe.get("activation", "softmax"), max_drop=max_drop,
                recipe=recipe, thumbnails=report is not None)
        result = replace(result, layer_noise=_noise_between(first, second, images.paths[:4], old, new))
    _print_missing(images.missing)
    _render(result, as_json, report)


@app.command()
def explain(
    model: Annotated[str, typer.Argument(
        metavar="MODEL", help="A trained Keras model, or a .tflite file made by edgedense convert --explain.",
        show_default=False)],
    images: Annotated[list[str], typer.Argument(
        metavar="IMAGE", help="Images, folders of images or patterns such as 'photos/*.jpg'.", show_default=False)],
    classes: Annotated[list[str] | None, typer.Option(
        "--class", metavar="LABEL", help="A class to look for, may be given again; by default each picture's best.",
        show_default=False)] = None,
    layers: Annotated[list[str] | None, typer.Option(
        "--layer", metavar="NAME", help="The feature map to look at: stem, block1, transition1 and so on, or a name "
        "from edgedense inspect --layers or from keras.applications; by default the last. With --features it may be "
        "given again.", show_default=False)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the PNG files go.")] = Path("explained"),
    features: Annotated[bool, typer.Option(
        "--features", help="In place of heatmaps the feature maps of the stem, each dense block and each transition, "
        "or of --layer.")] = False,
    labels: Annotated[Path | None, typer.Option(
        help="Class names, one per line, in the order of the model's outputs; by default NAME.labels.txt beside "
             "NAME.keras, as edgedense train writes it, or those in the .tflite file.", show_default=False)] = None,
    preprocess: Annotated[Normalization | None, typer.Option(
        help="The normalization that the model was trained with outside of itself, as for edgedense convert.",
        show_default=False)] = None,
    resize: Annotated[Resize | None, typer.Option(
        help="How training resized.  [default: bilinear]", show_default=False)] = None,
    exif: Annotated[Exif | None, typer.Option(
        help="Whether to turn pictures as their EXIF rotation says.  [default: ignore]", show_default=False)] = None,
    input_size: Annotated[int | None, typer.Option(
        min=32, help="Height and width of the input in pixels, in place of the model's own.",
        show_default=False)] = None,
    device: Annotated[str, typer.Option(
        help="What runs a .tflite file: cpu, coral (an Edge TPU; coral:usb, coral:pci:1 ...) or auto.")] = "cpu",
) -> None:
    """Show where a model sees a class in a picture, as a heatmap (Grad-CAM), or with --features what its layers see.

    Of each picture and class there is a heatmap, an overlay, and NAME-explained.png with all side by side. A heatmap
    shows where the evidence is, each from none to its own strongest, and not how much of it there is. For a .tflite
    file it needs no TensorFlow.
    """
    from edgedense.device.classifier import read_labels
    from edgedense.explanations import explanation

    if features and classes:
        raise EdgedenseError("--class with heatmaps", "it with --features", "leave one of them out")
    if not features and layers and len(layers) > 1:
        raise EdgedenseError("one --layer for heatmaps", " and ".join(layers), "--features, which shows several")
    paths = list(dict.fromkeys(path for source in images for path in find_images(source)))
    beside = Path(model).with_suffix(".labels.txt")
    if labels is None and not model.endswith(".tflite") and beside.is_file():
        labels = beside
    names = read_labels(labels) if labels else None
    if model.endswith(".tflite"):
        of_keras = {"--layer": layers, "--features": features, "--preprocess": preprocess, "--resize": resize,
                    "--exif": exif, "--input-size": input_size}
        if given := [option for option, value in of_keras.items() if value]:
            raise EdgedenseError(f"a Keras model for {' and '.join(given)}", model)
        _explain_deployed(Path(model), device, names, paths, classes or (), out)
        return
    if device != "cpu":
        raise EdgedenseError("a .tflite file for --device", model)
    from edgedense.converters import explain as keras
    from edgedense.converters import features as grids

    opened = keras.read(model, names, preprocess, resize or "bilinear", exif or "ignore",
                        (input_size, input_size) if input_size else None)
    _print_notes(Path(model), list(opened.notes))
    with _named(paths) as (called, unreadable):
        if features:
            for found in grids.feature_maps(opened, paths, layers or (), unreadable):
                print(*explanation.write(grids.files(found, called[found.path]), out), sep="\n")
            return
        for one in keras.explain(opened, paths, classes or (), layers[0] if layers else None, unreadable):
            _print_explanation(one, explanation.write(explanation.files(one, called[one.path]), out))


def _explain_deployed(model: Path, device: str, labels: tuple[str, ...] | None, paths: Sequence[Path],
                      classes: Sequence[str], out: Path) -> None:
    from edgedense.device.classifier import Classifier
    from edgedense.device.explain import explain
    from edgedense.explanations import explanation

    with Classifier(model, device, labels=labels) as classifier, _named(paths) as (called, unreadable):
        _print_notes(model, classifier.notes)
        for one in explain(classifier, paths, classes, unreadable):
            _print_explanation(one, explanation.write(explanation.files(one, called[one.path]), out))


@contextmanager
def _named(paths: Sequence[Path]) -> Iterator[tuple[dict[Path, str], Callable[[EdgedenseError], None]]]:
    """A file name for each picture, and what to call for one that cannot be read: told of when all others are done."""
    from edgedense.explanations import explanation

    failures: list[EdgedenseError] = []
    yield dict(zip(paths, explanation.names(paths), strict=True)), failures.append
    raise_unreadable(failures, len(paths))


def _print_explanation(one: Explanation, written: Sequence[Path]) -> None:
    for heat in one.heats:
        print(f"{heat.label}  {heat.score:.1%}  {one.path} -> {written[-1]}")


@app.command()
def benchmark(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    device: Annotated[str, typer.Option(
        help="What runs the model: cpu, or coral (coral:usb, coral:pci:1 ...), and beside it the processor.")] = "cpu",
    threads: Annotated[str, typer.Option(help="Numbers of threads to measure, such as 1,2,4.")] = "1,2,4",
    duration: Annotated[float, typer.Option(
        min=1, metavar="SECONDS", help="How long to measure each; minutes show whether the board gets hot.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of a table.")] = False,
    plot: Annotated[Path | None, typer.Option(
        metavar="FILE.svg", help="Draw latency and temperature over time.", show_default=False)] = None,
) -> None:
    """Measure how long an inference takes here, with memory, temperature and throttling.

    The model runs on noise, without camera and decoding. First load is from nothing to the first result, imports
    included. Each line is a process of its own.
    """
    from edgedense.device.board import benchmark as module
    from edgedense.device.board.benchmark_plot import plot as draw
    from edgedense.files import write_atomically
    from edgedense.progress import progress

    counts = _thread_counts(threads)
    with progress("measuring", len(counts) + (device != "cpu")) as tick:
        measured = module.benchmark(model, device, counts, duration, tick)
    if plot is not None:
        write_atomically(plot, draw(measured, model.name).encode())
    if as_json:
        print(json.dumps({"model": model.name, "runs": [run.to_dict() for run in measured]}))
        return
    _print_measurements(measured)


def _thread_counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",") if part.strip().isdigit()]
    if not counts or 0 in counts or len(counts) != len(text.split(",")):
        raise EdgedenseError("numbers of threads such as 1,2,4", repr(text))
    return counts


def _print_measurements(measured: Sequence[Measurement]) -> None:
    rows: list[tuple[str, ...]] = [
        ("device", "threads", "first load", "median", "p5", "p95", "p99", "frames/s", "memory", "hottest")]
    for run in measured:
        rows.append((run.device, str(run.threads), f"{run.load:.2f} s",
                     *(f"{run.percentile(share) * 1e3:.2f} ms" for share in (50, 5, 95, 99)),
                     f"{run.frames_per_second:.1f}", "-" if run.memory is None else f"{run.memory / 2**20:.0f} MiB",
                     "-" if run.hottest is None else f"{run.hottest:.0f} °C"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    for run in measured:
        if run.verdict:
            print(f"{run.device}, threads {run.threads}: {run.verdict}")


@app.command()
def doctor(
    model: Annotated[Path | None, typer.Argument(
        metavar="[MODEL]", help="A deployed .tflite file, to prove in the bundle.", show_default=False)] = None,
    bundle: Annotated[Path | None, typer.Option(
        "--bundle", metavar="FILE.zip", show_default=False,
        help="Pack the report, what it was read from and, with MODEL, a replay of its golden samples and a benchmark "
             "of 60 seconds, to be sent to the developers.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of a table.")] = False,
) -> None:
    """Tell what this machine is and what keeps edgedense from running well on it, with the command that mends it.

    Exit code 1 when there is a problem. A bundle holds no serial number, no name and no address.
    """
    from edgedense.device.board import diagnosis
    from edgedense.device.board.doctor import examine
    from edgedense.device.engines.interpreter import default_threads
    from edgedense.device.machine import Machine
    from edgedense.files import write_atomically

    if model is not None and bundle is None:
        raise EdgedenseError("--bundle FILE.zip with a MODEL", "a model alone",
                             "edgedense validate MODEL, which proves a model")
    machine = Machine()
    findings = examine(machine)
    if bundle is not None:
        proved = diagnosis.proofs(model, default_threads()) if model is not None else {}
        write_atomically(bundle, diagnosis.pack(machine, findings, proved))
    if as_json:
        print(json.dumps([finding.to_dict() for finding in findings]))
    else:
        _print_findings(findings)
    if bundle is not None:
        print(f"bundle: {bundle}", file=sys.stderr)
    if any(finding.problem for finding in findings):
        raise typer.Exit(GateError.exit_code)


def _print_findings(findings: Sequence[Finding]) -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{'!' if finding.problem else ' '} {finding.name:{width}}  {finding.value}")
        if finding.problem:
            print(f"  {'':{width}}  problem: {finding.problem}\n  {'':{width}}  mend it: {finding.remedy}")


def _watch(state: Path | None, classifier: Classifier, baseline: Path | None,
           as_json: bool) -> AbstractContextManager[Watch | None]:
    from edgedense.device.monitor.watch import Watch

    return Watch(state, classifier, baseline=baseline, as_json=as_json) if state else nullcontext()


def _noise_against(model: Path, reference: Path, data: Path, images: int = 8) -> LayerNoise:
    """Layer by layer against the Keras model on a few pictures; nothing for a file that edgedense did not make."""
    from edgedense.converters.layers import inspect_layers
    from edgedense.converters.quantization import noise
    from edgedense.deployed import bundle

    return inspect_layers(model, str(reference), data, images) if noise.ENTRY in bundle.read(model).entries else ()


def _noise_between(first: Path, second: Path, paths: Sequence[Path], old: Classifier, new: Classifier) -> LayerNoise:
    """Layer by layer on a few pictures; nothing where the two files take different pixels."""
    from edgedense.deployed import bundle, layer_noise
    from edgedense.device.engines.replay import keeping_interpreter
    from edgedense.images.preprocessing import load_image

    if old.preprocessing != new.preprocessing:
        return ()
    before, after = (keeping_interpreter(bundle.read(path).model) for path in (first, second))
    return layer_noise.between(before, after, (load_image(path, new.preprocessing)[None] for path in paths))


def _replay(model: Path, threads: int | None, as_json: bool) -> None:
    from rich.console import Console

    from edgedense.device.engines.replay import replay
    from edgedense.report import terminal

    result = replay(model, threads)
    if as_json:
        print(json.dumps(result.to_dict()))
    else:
        terminal.print_replay(model.name, result, Console())
    if not result.passed:
        named = f"; the first layer that differs is {result.suspect}" if result.suspect else ""
        raise GateError(f"golden samples as they were where the file was made: {result.limit}",
                        f"{sum(result.steps.values())} of {result.values} values off by up to "
                        f"{max(result.steps, default=0)} steps, {len(result.flipped)} labels changed{named}",
                        "copy the file again; if that does not help, convert the model again")


def _reference(path: Path, preprocessing: Preprocessing, recipe: Mapping[str, Any]) -> Model:
    from edgedense.converters.readers.reference import reference

    model, sha256 = reference(path, preprocessing)
    recorded = recipe.get("source", {}).get("sha256")
    if recorded not in (None, sha256):
        print(f"edgedense: the recipe names another source than {path}", file=sys.stderr)
    return model


def _print_notes(model: Path, notes: list[str]) -> None:
    for note in notes:
        print(f"edgedense: {model}: {note}", file=sys.stderr)


def _print_missing(missing: tuple[str, ...]) -> None:
    if missing:
        print(f"edgedense: no folder for {len(missing)} of the model's classes: {', '.join(missing[:6])}"
              f"{' and more' if len(missing) > 6 else ''}", file=sys.stderr)


def _render(result: Report, as_json: bool, page: Path | None) -> None:
    """Print, write the page, and only then fail: the report says why."""
    from rich.console import Console

    from edgedense.files import write_atomically
    from edgedense.report import terminal
    from edgedense.report.page import to_html

    if page is not None:
        write_atomically(page, to_html(result).encode())
    if as_json:
        print(terminal.to_json(result))
    else:
        terminal.print_tables(result, Console())
    if page is not None:
        print(f"report: {page}", file=sys.stderr)
    if result.gate is not None and not result.gate.passed:
        raise GateError(f"a drop of at most {result.gate.max_drop:g} points", f"{result.gate.drop:.2f}",
                        "convert with more calibration images, or look at the report")


service_app = typer.Typer(help="Run at boot, as a systemd service.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(service_app, name="service")
_ServiceName = Annotated[str, typer.Option("--name", help="The service's name.")]


@service_app.command("install")
def service_install(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    source: Annotated[str | None, typer.Argument(
        metavar="SOURCE", help="A camera or stream, as for edgedense run; by default the first camera.",
        show_default=False)] = None,
    options: Annotated[list[str] | None, typer.Argument(
        metavar="-- OPTIONS", help="Options of edgedense run, such as -- --smooth 5 --preview-address :8080.",
        show_default=False)] = None,
    user: Annotated[str | None, typer.Option(
        help="The user to run as; by default the one who calls sudo.", show_default=False)] = None,
    name: _ServiceName = "edgedense",
) -> None:
    """Install a service that classifies from boot on, or change an installed one. Needs root."""
    from edgedense.device.camera.sources import parse
    from edgedense.device.live.run import address_needs_token
    from edgedense.device.service.systemd import Service, install, service_user

    options = list(options or ())
    if source is not None and source.startswith("-"):  # only options were given
        options.insert(0, source)
        source = None
    parsed = parse(source) if source is not None else None
    if parsed and not parsed.is_live:
        raise EdgedenseError("a camera or a stream to watch", str(parsed), "edgedense run for files")
    model = model.resolve()
    words = [str(model), *([source] if source is not None else ["--camera"]), *options]
    given = typer.main.get_command(app).commands["run"].make_context("edgedense run", words).params  # type: ignore[attr-defined]
    if given["preview_token_file"]:
        raise EdgedenseError("a service without --preview-token-file", "it", "leave it out: a token is made")
    for option in ("labels", "save"):
        if given[option] and not given[option].is_absolute():
            raise EdgedenseError(f"the whole path for --{option}", str(given[option]), str(given[option].resolve()))
    has_page = given["preview"] or given["preview_address"]
    service = Service(name, model, parsed, service_user(user), tuple(options), given["save"],
                      has_token=bool(has_page) and address_needs_token(given["preview_address"]))
    token = install(service)
    print(f"{service.unit_path} is installed and started; edgedense service status shows how it goes")
    if token:
        print(f"the preview page's token is {token}")


@service_app.command("remove")
def service_remove(name: _ServiceName = "edgedense") -> None:
    """Stop the service and remove it. Needs root."""
    from edgedense.device.service.systemd import remove

    remove(name)
    print(f"{name} is removed")


@service_app.command("status")
def service_status(name: _ServiceName = "edgedense") -> None:
    """Say whether the service runs, and what it sees; exit with 3 when it does not run."""
    from edgedense.device.service.systemd import status

    found = status(name)
    print(found)
    if not found.is_active:
        raise DeviceError(f"{name} to run", found.state if found.is_installed else "no such service",
                          f"journalctl -u {name}" if found.is_installed else "edgedense service install MODEL")


def main() -> None:
    """The one boundary at which errors become text and exit codes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow greets every user with its build options
    # The child process of --sparsity trains on the same GPU: TensorFlow would else take all of its memory at once.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    try:
        app()
    except EdgedenseError as error:
        print(f"edgedense: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception:
        traceback.print_exc()
        print("edgedense: this is a defect of edgedense; please report it with the lines above", file=sys.stderr)
        sys.exit(DEFECT)


if __name__ == "__main__":
    main()
