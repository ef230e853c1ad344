"""Heatmaps on the device: where a deployed file sees a class in a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from edgedense.device.classifier import Classifier
from edgedense.errors import EdgedenseError
from edgedense.explanations.explanation import Explanation, Heat, class_numbers, pictures
from edgedense.images.in_memory import Picture


def explain(
    classifier: Classifier,
    paths: Sequence[Picture],
    classes: Sequence[str] = (),
    unreadable: Callable[[EdgedenseError], None] | None = None,
    masks: Mapping[Picture, Path] | None = None,
) -> Iterator[Explanation]:
    """A heatmap per picture and class; without `classes` of each picture's best class, or of all values.

    `unreadable` is called for a picture that cannot be read, and the work goes on; without it that raises.
    `masks` has that of each picture. EdgedenseError for an unknown class, or a file without heatmaps.
    """
    numbers = class_numbers(classes, classifier.labels)
    if classifier.gives_values and not numbers:
        numbers = tuple(range(len(classifier.labels)))
    for loaded in pictures(paths, classifier.preprocessing, unreadable, masks):
        scores = classifier.classify(loaded.pixels)
        chosen = numbers or (int(scores.argmax()),)
        maps = classifier.heatmaps(chosen)
        yield Explanation(
            loaded.path,
            loaded.picture,
            tuple(
                Heat(classifier.labels[c], float(scores[c]), heat, classifier.gives_values)
                for c, heat in zip(chosen, maps, strict=True)
            ),
            mask=loaded.mask,
        )
