"""Image files -> results, every one of them, in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from edgedense.device.classifier import Classifier
from edgedense.device.live.output import Output
from edgedense.device.live.prediction import rank
from edgedense.device.live.results import ImageResult
from edgedense.device.monitor.watch import Watch
from edgedense.errors import EdgedenseError, raise_unreadable
from edgedense.images.preprocessing import load_image


def classify_images(
    classifier: Classifier,
    paths: Iterable[Path],
    *,
    top: int,
    threshold: float,
    unreadable: Callable[[EdgedenseError], None],
    watch: Watch | None = None,
) -> Iterator[ImageResult]:
    """One result per image. `unreadable` is called for an image that cannot be read, and the work goes on."""
    for path in paths:
        try:
            image = load_image(path, classifier.preprocessing)
        except EdgedenseError as error:
            unreadable(error)
            continue
        scores = classifier.classify(image)
        if watch:
            watch.offer(scores, image)
        prediction = rank(scores, classifier.labels, top, threshold)
        yield ImageResult(str(path), prediction, classifier.invoke_seconds)


def print_images(
    classifier: Classifier, paths: list[Path], *, top: int, threshold: float, as_json: bool, watch: Watch | None = None
) -> None:
    """Classify and print to stdout. Raises EdgedenseError at the end when an image could not be read."""
    failures: list[EdgedenseError] = []
    output = Output(sys.stdout, classifier.labels, as_json=as_json)
    with _progress(len(paths)) as tick:
        for result in classify_images(
            classifier, paths, top=top, threshold=threshold, unreadable=failures.append, watch=watch
        ):
            output.write(result)
            tick(1)
    raise_unreadable(failures, len(paths))


def _progress(total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Rows on a terminal show by themselves how far the work is; a bar would write into them."""
    if sys.stdout.isatty() or not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    from edgedense.progress import progress

    return progress("classifying", total)
