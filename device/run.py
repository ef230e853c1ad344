"""`edgedense run`: classifies image files, or a camera, a stream or a video."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgedense import flags
from edgedense.device.camera.sources import Source, first_camera, parse
from edgedense.device.classifier import Classifier, read_labels
from edgedense.device.classifiers import Classifiers
from edgedense.device.images import print_images
from edgedense.device.live.options import LiveOptions, RunOptions
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import find_images
from edgedense.notes import tell

if TYPE_CHECKING:
    from edgedense.device.live.loop import Summary
    from edgedense.device.monitor.watch import Watch


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
        from edgedense.device.frames import run_frames

        return run_frames(model, parsed[0], options, names, _of_classes(options))
    paths = [path for source in parsed for path in find_images(source.name)]
    with Classifiers(model, len(paths), device=options.device, threads=options.threads, labels=names) as classifiers:
        tell(classifiers.notes, model)
        first = classifiers.each[0]
        first.require_classes(_of_classes(options))
        rule, top = first.rule(options.live.threshold), options.live.top
        with _watch(first, options) as watch:
            print_images(classifiers, paths, rule=rule, top=top, as_json=options.as_json, watch=watch)
    return None


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


def _watch(classifier: Classifier, options: RunOptions) -> AbstractContextManager[Watch | None]:
    """The monitor while the run lasts, where there is one."""
    if options.monitor.state is None:
        return nullcontext()
    from edgedense.device.frames import watching

    return watching(classifier, options)
