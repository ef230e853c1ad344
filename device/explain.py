"""Heatmaps on the device: where a deployed file sees a class in a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edgedense.device.classifier import Classifier
from edgedense.errors import EdgedenseError
from edgedense.explanations.explanation import Explanation, Heat, class_numbers, pictures
from edgedense.images.in_memory import Picture
from edgedense.images.preprocessing import resize


def explain(
    classifier: Classifier,
    paths: Sequence[Picture],
    classes: Sequence[str] = (),
    unreadable: Callable[[EdgedenseError], None] | None = None,
) -> Iterator[Explanation]:
    """A heatmap per picture and class; without `classes` of each picture's best class.

    `unreadable` is called for a picture that cannot be read, and the work goes on; without it that raises.
    EdgedenseError for an unknown class, or a file without heatmaps.
    """
    numbers = class_numbers(classes, classifier.labels)
    p = classifier.preprocessing
    for path, picture in pictures(paths, p.exif, unreadable):
        scores = classifier.classify(resize(picture, p.height, p.width, p.resize))
        chosen = numbers or (int(scores.argmax()),)
        maps = classifier.heatmaps(chosen)
        yield Explanation(
            path,
            picture,
            tuple(Heat(classifier.labels[c], float(scores[c]), heat) for c, heat in zip(chosen, maps, strict=True)),
        )
