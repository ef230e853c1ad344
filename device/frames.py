"""`edgedense run` on a camera, a stream or a video: what is around the loop that classifies frames.

All of it is needed only there. A picture in a file is classified without loading cameras, services and monitors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from edgedense.device.camera.sources import Source
from edgedense.device.classifier import Classifier
from edgedense.device.live.listener import listening
from edgedense.device.live.loop import Summary
from edgedense.device.live.options import RunOptions
from edgedense.device.live.output import print_alert
from edgedense.device.live.run import capture_job, run_live
from edgedense.device.monitor.watch import Watch
from edgedense.device.service.notify import Notifier
from edgedense.device.versions.serving import Serving
from edgedense.notes import tell


def run_frames(
    model: Path, source: Source, options: RunOptions, names: tuple[str, ...] | None, of_classes: dict[str, bool]
) -> Summary:
    """Classify the frames of `source` until it ends or is stopped. `names` are labels in place of the file's own, and
    `of_classes` the options that only suit a file that tells classes apart, with whether they are used.

    Raises what `Classifier` and `edgedense.device.live.run.run_live` raise, and GateError for a service's model that
    does not compute what it did where it was made.
    """
    load = partial(Classifier, device=options.device, threads=options.threads, labels=names)
    with _serving(model, options) as serving, load(serving.model.path if serving else model) as classifier:
        tell(classifier.notes, model)
        classifier.require_classes(of_classes)
        if serving:
            serving.shadow(classifier, options.live.threshold, load)
        with watching(classifier, options, serving) as watch:
            return _run_live(classifier, source, options, model, watch, serving)


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


@contextmanager
def watching(classifier: Classifier, options: RunOptions, serving: Serving | None = None) -> Iterator[Watch | None]:
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
