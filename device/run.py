"""`edgedense run`: classifies image files, or a camera, a stream or a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgedense import flags
from edgedense.device.camera.sources import Source, first_camera, parse
from edgedense.device.classifier import Classifier, read_labels
from edgedense.device.classifiers import Classifiers
from edgedense.device.images import print_images
from edgedense.device.live.listener import listening
from edgedense.device.live.loop import Summary
from edgedense.device.live.options import LiveOptions, RunOptions
from edgedense.device.live.output import print_alert
from edgedense.device.live.run import capture_job, run_live
from edgedense.device.monitor.watch import Watch
from edgedense.device.service.notify import Notifier
from edgedense.device.versions.serving import Serving
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import find_images
from edgedense.notes import tell


def run(model: Path, sources: Sequence[str] | None, options: RunOptions) -> Summary | None:
    """Classify and print results to stdout; the summary of a live source or a video, None for images.

    `sources` are words as `camera.sources.parse` takes them, None for the first camera. Raises EdgedenseError before
    anything is opened when options do not suit the sources.
    """
    flags.check(options)
    parsed = [first_camera()] if sources is None else [parse(source) for source in sources]
    is_live = any(source.kind != "images" for source in parsed)
    _check(parsed, is_live, options)
    names = read_labels(options.labels) if options.labels else None
    if is_live:
        load = partial(Classifier, device=options.device, threads=options.threads, labels=names)
        with _serving(model, options) as serving, load(serving.model.path if serving else model) as classifier:
            tell(classifier.notes, model)
            classifier.require_classes(_of_classes(options))
            if serving:
                serving.shadow(classifier, options.live.threshold, load)
            with _watch(classifier, options, serving) as watch:
                return _run_live(classifier, parsed[0], options, model, watch, serving)
    paths = [path for source in parsed for path in find_images(source.name)]
    with Classifiers(model, len(paths), device=options.device, threads=options.threads, labels=names) as classifiers:
        tell(classifiers.notes, model)
        first = classifiers.each[0]
        first.require_classes(_of_classes(options))
        rule, top = first.rule(options.live.threshold), options.live.top
        with _watch(first, options) as watch:
            print_images(classifiers, paths, rule=rule, top=top, as_json=options.as_json, watch=watch)
    return None


@contextmanager
def _serving(model: Path, options: RunOptions) -> Iterator[Serving | None]:
    """The service that this run is, its model proved; None where it is none. Raises GateError for a model that does not
    compute what it did where it was made."""
    serving = Serving.of(model)
    if serving is None:
        yield None
        return
    with closing(Notifier()) as notifier, closing(serving):
        notifier.starting("proving the model")
        serving.prove(options.device, options.threads)
        yield serving


def _run_live(
    classifier: Classifier,
    source: Source,
    options: RunOptions,
    model: Path,
    watch: Watch | None,
    serving: Serving | None,
) -> Summary:
    asked = options.capture
    job = capture_job(
        source,
        classifier.preprocessing,
        size=asked.size,
        view=options.view,
        fps=asked.fps,
        controls=asked.controls,
        live=asked.live,
        watch_motion=options.live.when_moving,
    )
    path = serving.model.path if serving else model
    rule = classifier.rule(options.live.threshold)
    with listening(options, path, rule, source.title, watch) as listeners:
        return run_live(
            classifier,
            job,
            options.live,
            title=path.name,
            as_json=options.as_json,
            saving=options.saving if options.saving.folder else None,
            preview=options.preview if options.preview.is_wanted else None,
            watch=watch,
            serving=serving,
            listeners=listeners,
        )


def _check(sources: Sequence[Source], is_live: bool, options: RunOptions) -> None:
    """Raise EdgedenseError for options that do not go with the sources or with each other."""
    if not is_live:
        of_frames = replace(options.live, top=LiveOptions.top, threshold=LiveOptions.threshold)
        others = (options.capture, options.view, options.preview, options.saving, options.mqtt, options.metrics)
        unusable = flags.changed(of_frames, *others)
        if unusable:
            raise EdgedenseError(f"a camera, a stream or a video for {' and '.join(unusable)}", "images")
    elif len(sources) > 1:
        raise EdgedenseError("one camera, stream or video at a time", " and ".join(map(str, sources)))
    if options.preview.explain and not options.preview.is_wanted:
        raise EdgedenseError("--preview with --explain", "it alone", "edgedense explain MODEL IMAGE, which writes PNGs")


def _of_classes(options: RunOptions) -> dict[str, bool]:
    """The options that say something about classes, and whether they are used."""
    used = flags.changed(options.live, options.saving, options.monitor)
    return {name: name in used for name in ("--top", "--threshold", "--save", "--monitor")}


@contextmanager
def _watch(classifier: Classifier, options: RunOptions, serving: Serving | None = None) -> Iterator[Watch | None]:
    """The monitor while the run lasts, where there is one."""
    state, baseline = options.monitor.state, options.monitor.baseline
    if state is None:
        yield None
        return
    rule = classifier.rule(options.live.threshold)
    if serving:
        serving.own(state)
    own = serving.model.sha256 if serving else ""
    with closing(Notifier()) as notifier:  # learning from a baseline may take longer than systemd waits for a start

        def busy() -> None:
            notifier.starting("learning what is usual")

        alerted = print_alert if options.as_json else lambda alert: None
        with Watch(state, classifier, rule, model=own, baseline=baseline, alerted=alerted, busy=busy) as watch:
            yield watch
