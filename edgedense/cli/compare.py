"""`edgedense compare`: two deployed files on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgedense.cli.options import AsJson, LabelledPictures, ReportPage, Threads
from edgedense.cli.printing import print_missing, print_notes, render
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

if TYPE_CHECKING:
    from edgedense.deployed.layer_noise import LayerNoise
    from edgedense.device.classifier import Classifier

First = Annotated[Path, Flag("A deployed .tflite file.", argument=True, reads="file")]
Second = Annotated[Path, Flag("Another one, with the same labels.", argument=True, reads="file")]
MaxDrop = Annotated[
    float | None,
    Flag(
        "Fail with exit code 1 when the accuracy of SECOND is more than this many percentage points below that of "
        "FIRST.",
        metavar="POINTS",
    ),
]
Labels = Annotated[
    Path | None,
    Flag("A text file with the class names, one per line, to be used in place of those in both models.", reads="file"),
]


def compare(
    first: First,
    second: Second,
    *,
    data: LabelledPictures,
    max_drop: MaxDrop = None,
    report: ReportPage = None,
    labels: Labels = None,
    as_json: AsJson = False,
    threads: Threads = None,
) -> None:
    """Measure two deployed files side by side on the same labelled images."""
    from edgedense.deployed import bundle
    from edgedense.device.classifier import Classifier, read_labels
    from edgedense.measures import validation
    from edgedense.progress import progress

    recipe = bundle.read(second).recipe
    names = read_labels(labels) if labels else None
    with (
        Classifier(first, threads=threads, labels=names) as old,
        Classifier(second, threads=threads, labels=names) as new,
    ):
        for path, classifier in ((first, old), (second, new)):
            print_notes(path, classifier.notes)
        if old.labels != new.labels:
            raise EdgedenseError(
                f"two files with the same labels in the same order ({', '.join(old.labels[:6])})",
                f"{', '.join(new.labels[:6])} in {second}",
                "--labels FILE for both",
            )
        images = validation.read_labelled(data, new.labels)
        called = (first.name, second.name) if first.name != second.name else (str(first), str(second))
        models = [validation.deployed(name, one) for name, one in zip(called, (old, new), strict=True)]
        with progress("comparing", len(images.paths)) as tick:
            result = validation.judge(
                images,
                models,
                tick,
                activation=recipe.get("activation", "softmax"),
                max_drop=max_drop,
                recipe=recipe,
                thumbnails=report is not None,
            )
        result = replace(result, layer_noise=_noise_between(first, second, images.paths[:4], old, new))
    print_missing(images.missing)
    render(result, as_json, report)


def _noise_between(first: Path, second: Path, paths: Sequence[Path], old: Classifier, new: Classifier) -> LayerNoise:
    """Layer by layer on a few pictures; nothing where the two files take different pixels."""
    from edgedense.deployed import bundle, layer_noise
    from edgedense.device.engines.replay import keeping_interpreter
    from edgedense.images.preprocessing import load_image

    if old.preprocessing != new.preprocessing:
        return ()
    before, after = (keeping_interpreter(bundle.read(path).model) for path in (first, second))
    return layer_noise.between(before, after, (load_image(path, new.preprocessing)[None] for path in paths))
