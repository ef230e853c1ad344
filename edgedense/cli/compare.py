"""`edgedense compare`: two deployed files on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedense.cli.options import ReportPage, Threads
from edgedense.cli.printing import print_missing, print_notes, render
from edgedense.errors import EdgedenseError

if TYPE_CHECKING:
    from edgedense.device.classifier import Classifier
    from edgedense.measures.layer_noise import LayerNoise


def compare(
    first: Annotated[Path, typer.Argument(help="A deployed .tflite file.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Another one with the same labels.", show_default=False)],
    data: Annotated[
        Path,
        typer.Option(help="Images in one sub-folder per class, named like the models' labels.", show_default=False),
    ],
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Fail when the second file's accuracy is more points (of 100) below the first's.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of tables.")] = False,
    report: ReportPage = None,
    threads: Threads = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Class names, one per line, in place of those in both models.", show_default=False),
    ] = None,
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
                images, models, tick, activation=recipe.get("activation", "softmax"), max_drop=max_drop, recipe=recipe
            )
        result = replace(result, layer_noise=_noise_between(first, second, images.paths[:4], old, new))
    print_missing(images.missing)
    render(result, as_json, report, data)


def _noise_between(first: Path, second: Path, paths: Sequence[Path], old: Classifier, new: Classifier) -> LayerNoise:
    """Layer by layer on a few pictures; nothing where the two files take different pixels."""
    from edgedense.deployed import bundle
    from edgedense.device.engines.replay import keeping_interpreter
    from edgedense.images.preprocessing import load_image
    from edgedense.measures import layer_noise

    if old.preprocessing != new.preprocessing:
        return ()
    before, after = (keeping_interpreter(bundle.read(path).model) for path in (first, second))
    return layer_noise.between(before, after, (load_image(path, new.preprocessing)[None] for path in paths))
