"""`edgedense run`."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedense.cli.options import Threads
from edgedense.cli.paths import Reads, Writes
from edgedense.cli.printing import print_notes
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import find_images

if TYPE_CHECKING:
    from edgedense.device.classifier import Classifier
    from edgedense.device.monitor.watch import Watch
    from edgedense.device.prediction import Rule


def run(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False), Reads()
    ],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            show_default=False,
            help="Images, folders of images or patterns such as 'photos/*.jpg'; or one of: 0 or /dev/video0 (V4L2), "
            "rpicam or rpicam:1, picamera2, a video file, rtsp://..., http://...",
        ),
    ] = None,
    camera: Annotated[bool, typer.Option("--camera", help="The first camera that is found.")] = False,
    top: Annotated[
        int,
        typer.Option(
            min=1,
            help="How many classes to report, best first. Where each class is scored alone, the next best are added to "
            "the findings until there are so many.",
        ),
    ] = 1,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Where classes exclude each other (softmax): report none that scores below this. Where each is scored "
            "alone (sigmoid): report all that score at least this; the default is 0.5. Where one sigmoid tells two "
            "classes apart: the second one is the answer from this score on.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    threads: Threads = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Class names, one per line, in place of those in the model.", show_default=False),
        Reads(),
    ] = None,
    device: Annotated[
        str, typer.Option(help="What runs the model: cpu, coral (an Edge TPU; coral:usb, coral:pci:1 ...) or auto.")
    ] = "cpu",
    smooth: Annotated[int, typer.Option(min=1, help="Report the mean over this many frames.")] = 1,
    on_change: Annotated[
        bool,
        typer.Option(
            "--on-change", help="Report a frame only when its best class, or the set of its findings, changes."
        ),
    ] = False,
    when_moving: Annotated[
        bool, typer.Option("--when-moving", help="Classify only while the picture moves, to save heat and power.")
    ] = False,
    fps: Annotated[
        float | None, typer.Option(min=0.01, help="At most this many frames a second.", show_default=False)
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Play a video file at its own speed, and drop frames as with a camera.")
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(help="The camera's picture size, WIDTHxHEIGHT.  [default: 640x480]", show_default=False),
    ] = None,
    rotate: Annotated[int, typer.Option(help="Turn the picture clockwise: 0, 90, 180 or 270 degrees.")] = 0,
    flip: Annotated[str, typer.Option(help="Mirror the picture: none, horizontal, vertical or both.")] = "none",
    crop: Annotated[
        str | None,
        typer.Option(help="square, or X,Y,WIDTH,HEIGHT in shares of the picture from 0 to 1.", show_default=False),
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(
            help="An option for rpicam-vid, such as exposure=sport or hdr; may be given again.", show_default=False
        ),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Serve a web page with picture and results.")] = False,
    preview_address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of that page; any but 127.0.0.1 needs a token.  [default: 127.0.0.1:8080]",
            show_default=False,
        ),
    ] = None,
    preview_token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file that holds the page's token; by default a new one is made and printed.", show_default=False
        ),
        Reads(),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Show on that page where the best class is seen, from the start; it has a button for that "
            "where the file was made with edgedense convert --explain.",
        ),
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep frames that the model is unsure of, at most one a second.", show_default=False
        ),
        Writes("folder"),
    ] = None,
    save_below: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Keep frames whose best score is below this. Where each class is scored alone: frames in which one is "
            "that near to its threshold, from 0.5, which is at it, to 1.  [default: 0.5; with two classes, or with "
            "classes that are scored alone, 0.75]",
            show_default=False,
        ),
    ] = None,
    save_cap: Annotated[
        int | None,
        typer.Option(min=1, help="Keep no more once DIR holds this many MB.  [default: 500]", show_default=False),
    ] = None,
    save_floor: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Keep no more when the disk has less than this many MB free.  [default: 1000]",
            show_default=False,
        ),
    ] = None,
    monitor: Annotated[
        Path | None,
        typer.Option(
            metavar="STATE",
            help="Tell when the pictures or the predictions are no longer as usual; what is usual is "
            "learned in the first 24 hours and kept in this file.",
            show_default=False,
        ),
        Writes("file"),
    ] = None,
    monitor_baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Learn from these images, such as the calibration set, where STATE does not exist yet.",
            show_default=False,
        ),
        Reads(),
    ] = None,
) -> None:
    """Classify images, a video or a camera: a table, or JSON Lines with --json.

    Every image is classified, as many at the same time as there are processor cores, and told of in order. From a
    camera or a stream the newest frame is taken, and what comes meanwhile is dropped. Ctrl-C ends it.
    """
    from edgedense.device.camera.sources import first_camera, parse
    from edgedense.device.classifier import Classifier, read_labels

    if monitor_baseline and not monitor:
        raise EdgedenseError("--monitor STATE with --monitor-baseline", "it alone")
    if camera == bool(sources):
        raise EdgedenseError(
            "either a SOURCE or --camera", "both" if camera else "neither", "edgedense run MODEL --camera"
        )
    parsed = [first_camera()] if camera else [parse(source) for source in sources or ()]
    streams = [source for source in parsed if source.kind != "images"]
    names = read_labels(labels) if labels else None
    if not streams:
        from edgedense.device.classifiers import Classifiers
        from edgedense.device.images import print_images

        for_streams = {
            "--smooth": smooth > 1,
            "--on-change": on_change,
            "--when-moving": when_moving,
            "--fps": fps,
            "--live": live,
            "--size": size,
            "--rotate": rotate,
            "--flip": flip != "none",
            "--crop": crop,
            "--control": control,
            "--preview": preview,
            "--preview-address": preview_address,
            "--preview-token-file": preview_token_file,
            "--explain": explain,
            "--save": save,
        }
        if unusable := [option for option, given in for_streams.items() if given]:
            raise EdgedenseError(f"a camera, a stream or a video for {' and '.join(unusable)}", "images")
        paths = [path for source in parsed for path in find_images(source.name)]
        with Classifiers(model, len(paths), device=device, threads=threads, labels=names) as classifiers:
            print_notes(model, classifiers.notes)
            first = classifiers.each[0]
            rule = first.rule(threshold)
            with _watch(monitor, first, rule, monitor_baseline, as_json) as watch:
                print_images(classifiers, paths, rule=rule, top=top, as_json=as_json, watch=watch)
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
        print_notes(model, classifier.notes)
        job = capture_job(
            streams[0],
            classifier.preprocessing,
            size=wanted_size,
            view=view,
            fps=fps,
            controls=tuple(control or ()),
            live=live,
            watch_motion=when_moving,
        )
        options = LiveOptions(classifier.rule(threshold), top, smooth, on_change, when_moving)
        with _watch(monitor, classifier, options.rule, monitor_baseline, as_json) as watch:
            summary = run_live(
                classifier, job, options, title=model.name, as_json=as_json, saving=saving, preview=page, watch=watch
            )
    print(summary, file=sys.stderr)


def _watch(
    state: Path | None, classifier: Classifier, rule: Rule, baseline: Path | None, as_json: bool
) -> AbstractContextManager[Watch | None]:
    from edgedense.device.monitor.watch import Watch
    from edgedense.device.service.notify import Notifier

    if state is None:
        return nullcontext()
    notifier = Notifier()  # learning from a baseline may take longer than systemd waits for a start

    def busy() -> None:
        notifier.starting("learning what is usual")

    return Watch(state, classifier, rule, baseline=baseline, as_json=as_json, busy=busy)
