"""`edgedense.compare`: two deployed files on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgedense.api.values import labels_of
from edgedense.errors import EdgedenseError
from edgedense.notes import tell
from edgedense.progress import Progress, reporting
from edgedense.scoring.options import Scale

if TYPE_CHECKING:
    from edgedense.device.classifiers import Classifiers
    from edgedense.images.in_memory import Picture
    from edgedense.images.pictures import LabelledLike
    from edgedense.measures.layer_noise import LayerNoise
    from edgedense.measures.result import Report
    from edgedense.measures.values import Comparison, ValueReport

NOISE_PICTURES = 4  # on which layers are compared


def compare(
    first: Path | str,
    second: Path | str,
    data: LabelledLike,
    *,
    max_drop: float | None = None,
    labels: Path | str | Sequence[str] | None = None,
    threads: int | None = None,
    scale: Scale | None = None,
    progress: Progress | None = None,
) -> Report | ValueReport | Comparison:
    """Measure two deployed `.tflite` files with the same labels side by side on the same labelled images.

    `data`, `labels`, `threads`, `scale` and `progress` are as for `validate`. `max_drop` is how many points (of 100)
    the second file's accuracy may be below the first's, or of files whose classes are scored alone its mean AUROC:
    `Report.gate.passed` says whether that is kept.

    Of files that give values a table or pairs (picture, values) say the right ones, and the result is a `ValueReport`.
    On pictures without them they are compared value by value, a `Comparison`.

    Raises EdgedenseError and DeviceError as `validate` does, and when the files have different labels.
    """
    from edgedense.api import measuring
    from edgedense.deployed import bundle
    from edgedense.device.classifiers import Classifiers
    from edgedense.images.tables import Table
    from edgedense.measures import labelled, validation

    first, second = Path(first), Path(second)
    content = bundle.read(second)
    names = labels_of(labels)
    with (
        Classifiers(first, threads=threads, labels=names) as old,
        Classifiers(second, threads=threads, labels=names) as new,
        reporting(progress),
    ):
        for path, classifiers in ((first, old), (second, new)):
            tell(classifiers.notes, path)
        if old.labels != new.labels:
            raise EdgedenseError(
                f"two files with the same labels in the same order ({', '.join(old.labels[:6])})",
                f"{', '.join(new.labels[:6])} in {second}",
                "--labels FILE for both",
            )
        called = (first.name, second.name) if first.name != second.name else (str(first), str(second))
        models = [validation.deployed(name, one.each) for name, one in zip(called, (old, new), strict=True)]
        scale = scale or Scale()
        scorer = measuring.scorer(models, [first, second], names, scale)
        result: Report | ValueReport
        if _give_values(old, new):
            new.each[0].require_classes({"--max-drop": max_drop is not None, "--until": scale.until is not None})
            _check_units(old.each[0].unit, new.each[0].unit)
            data = data if isinstance(data, str | Path | Table) else list(data)
            if not measuring.says_values(data):
                return measuring.differ("comparing", data, scorer, new.labels)
            result, images = measuring.of_values("comparing", data, scorer, new.labels, content.recipe)
        else:
            if old.thresholds != new.thresholds:
                tell([f"the files have different thresholds: both are judged by those of {called[0]}"], second)
            result, images = measuring.judge("comparing", data, scorer, old, content, max_drop)
        result = replace(result, layer_noise=_noise_between(first, second, images.paths[:NOISE_PICTURES], old, new))
    tell(labelled.missing_notes(images))
    return result


def _give_values(old: Classifiers, new: Classifiers) -> bool:
    """Whether both files give values; EdgedenseError when one does and the other tells classes apart."""
    both = [classifiers.each[0].gives_values for classifiers in (old, new)]
    if both[0] != both[1]:
        kinds = " and ".join("values" if gives_values else "probabilities" for gives_values in both)
        raise EdgedenseError("two files that give the same kind of numbers", kinds)
    return both[0]


def _check_units(first: str, second: str) -> None:
    """Raise EdgedenseError where the values of two files are known to be measured in different units."""
    if first and second and first != second:
        raise EdgedenseError("two files whose values have the same unit", f"{first} and {second}")


def _noise_between(
    first: Path, second: Path, pictures: Sequence[Picture], old: Classifiers, new: Classifiers
) -> LayerNoise:
    """Layer by layer on a few pictures; nothing where the two files take different pixels."""
    from edgedense.deployed import bundle
    from edgedense.device.engines.replay import keeping_interpreter
    from edgedense.images.preprocessing import load_image
    from edgedense.measures import layer_noise

    if old.preprocessing != new.preprocessing:
        return ()
    before, after = (keeping_interpreter(bundle.read(path).model) for path in (first, second))
    return layer_noise.between(before, after, (load_image(picture, new.preprocessing)[None] for picture in pictures))
