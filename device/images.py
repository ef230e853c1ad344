"""Image files -> results, every one of them, in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgedense.device.classifier import Classifier
from edgedense.device.classifiers import Classifiers
from edgedense.device.live.output import Output
from edgedense.device.live.results import ImageResult
from edgedense.device.prediction import Rule, decide
from edgedense.errors import EdgedenseError, raise_unreadable
from edgedense.images.preprocessing import Pixels, load_image

if TYPE_CHECKING:
    from edgedense.device.monitor.watch import Watch


@dataclass(frozen=True)
class _Classified:
    """An image as the model saw it, its scores, and how many seconds the inference took."""

    image: Pixels
    scores: NDArray[np.float32]
    seconds: float


def classify_images(
    classifiers: Classifiers,
    paths: Sequence[Path],
    *,
    rule: Rule,
    top: int,
    unreadable: Callable[[EdgedenseError], None],
    watch: Watch | None = None,
) -> Iterator[ImageResult]:
    """One result per image, in their order. `unreadable` is called for an image that cannot be read, and the work
    goes on."""
    for path, found in zip(paths, classifiers.map(_classify, paths), strict=True):
        if isinstance(found, EdgedenseError):
            unreadable(found)
            continue
        if watch:
            watch.offer(found.scores, found.image)
        yield ImageResult(str(path), decide(found.scores, rule, top), found.seconds)


def _classify(classifier: Classifier, path: Path) -> _Classified | EdgedenseError:
    """One image, in the thread of one classifier; the error where it cannot be read."""
    try:
        image = load_image(path, classifier.preprocessing)
    except EdgedenseError as error:
        return error
    return _Classified(image, classifier.classify(image), classifier.invoke_seconds)


def print_images(
    classifiers: Classifiers, paths: list[Path], *, rule: Rule, top: int, as_json: bool, watch: Watch | None = None
) -> None:
    """Classify and print to stdout. Raises EdgedenseError at the end when an image could not be read."""
    failures: list[EdgedenseError] = []
    output = Output(sys.stdout, rule.labels, as_json=as_json, independent=rule.independent)
    with _progress(len(paths)) as tick:
        for result in classify_images(classifiers, paths, rule=rule, top=top, unreadable=failures.append, watch=watch):
            output.write(result)
            tick(1)
    raise_unreadable(failures, len(paths))


def _progress(total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Rows on a terminal show by themselves how far the work is; a bar would write into them."""
    if sys.stdout.isatty() or not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    from edgedense.progress import progress

    return progress("classifying", total)
