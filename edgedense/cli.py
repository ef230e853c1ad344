"""The command line: parse, call one function, render its result."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedense.errors import EdgedenseError, GateError

if TYPE_CHECKING:
    from edgedense.preprocessing import Preprocessing
    from edgedense.report import Report
    from edgedense.validation import Model

app = typer.Typer(
    help="Takes a trained Keras DenseNet to a Raspberry Pi or a Coral Edge TPU and proves what was lost on the way.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def edgedense() -> None:
    """Keeps the commands as sub-commands."""


@app.command()
def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    sources: Annotated[list[str], typer.Argument(
        metavar="SOURCE", help="Images, folders of images or patterns such as 'photos/*.jpg'.",
        show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="How many classes to report, best first.")] = 1,
    threshold: Annotated[float, typer.Option(
        min=0, max=1, help="Report only classes that score at least this.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    threads: Annotated[int | None, typer.Option(
        min=1, help="Threads of the inference; by default one per core, at most 4.",
        show_default=False)] = None,
    labels: Annotated[Path | None, typer.Option(
        help="Class names, one per line, in place of those in the model.", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="What runs the model: cpu.")] = "cpu",
) -> None:
    """Classify images: a table, or JSON Lines with --json."""
    from edgedense.device.classifier import Classifier, read_labels
    from edgedense.device.images import print_images
    from edgedense.preprocessing import find_images

    paths = [path for source in sources for path in find_images(source)]
    names = read_labels(labels) if labels else None
    with Classifier(model, device=device, threads=threads, labels=names) as classifier:
        for note in classifier.notes:
            print(f"edgedense: {model}: {note}", file=sys.stderr)
        print_images(classifier, paths, top=top, threshold=threshold, as_json=as_json)


@app.command()
def validate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    data: Annotated[Path | None, typer.Option(
        help="Images in one sub-folder per class, named like the model's labels.",
        show_default=False)] = None,
    reference: Annotated[Path | None, typer.Option(
        help="The Keras model that the file was made from, to compare with.", show_default=False)] = None,
    max_drop: Annotated[float | None, typer.Option(
        help="Fail when the accuracy is more points (of 100) below the reference.",
        show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of tables.")] = False,
    report: Annotated[Path | None, typer.Option(
        help="Write the report as one HTML file, with the images whose label changed.",
        show_default=False)] = None,
    threads: Annotated[int | None, typer.Option(
        min=1, help="Threads of the inference; by default one per core, at most 4.",
        show_default=False)] = None,
    labels: Annotated[Path | None, typer.Option(
        help="Class names, one per line, in place of those in the model.", show_default=False)] = None,
) -> None:
    """Measure a deployed file on labelled images; with --reference, what the conversion lost.

    Without --data, replay the golden samples in the file: does it compute what it computed where it was made?
    """
    from edgedense import bundle, validation
    from edgedense.device.classifier import Classifier, read_labels
    from edgedense.progress import progress

    if data is None:
        if reference or max_drop is not None or report or labels:
            raise EdgedenseError("images to measure on", "none",
                                 "--data FOLDER, with one sub-folder per class")
        _replay(model, threads, as_json)
        return
    if max_drop is not None and reference is None:
        raise EdgedenseError("a reference that the drop is measured from", "--max-drop alone",
                             "--reference MODEL.keras")
    recipe = bundle.read(model).recipe
    names = read_labels(labels) if labels else None
    with Classifier(model, threads=threads, labels=names) as classifier:
        _print_notes(model, classifier.notes)
        images = validation.read_labelled(data, classifier.labels)
        models = [validation.deployed(model.name, classifier)]
        if reference is not None:
            models.insert(0, _reference(reference, classifier.preprocessing, recipe))
        with progress("validating", len(images.paths)) as tick:
            result = validation.judge(
                images, models, tick, activation=recipe.get("activation", "softmax"), max_drop=max_drop,
                recipe=recipe, thumbnails=report is not None)
    _print_missing(images.missing)
    _render(result, as_json, report)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A deployed .tflite file.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Another one with the same labels.", show_default=False)],
    data: Annotated[Path, typer.Option(
        help="Images in one sub-folder per class, named like the models' labels.", show_default=False)],
    max_drop: Annotated[float | None, typer.Option(
        help="Fail when the second file's accuracy is more points (of 100) below the first's.",
        show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of tables.")] = False,
    report: Annotated[Path | None, typer.Option(
        help="Write the report as one HTML file, with the images whose label changed.",
        show_default=False)] = None,
    threads: Annotated[int | None, typer.Option(
        min=1, help="Threads of the inference; by default one per core, at most 4.",
        show_default=False)] = None,
    labels: Annotated[Path | None, typer.Option(
        help="Class names, one per line, in place of those in both models.", show_default=False)] = None,
) -> None:
    """Measure two deployed files side by side on the same labelled images."""
    from edgedense import bundle, validation
    from edgedense.device.classifier import Classifier, read_labels
    from edgedense.progress import progress

    recipe = bundle.read(second).recipe
    names = read_labels(labels) if labels else None
    with (Classifier(first, threads=threads, labels=names) as old,
          Classifier(second, threads=threads, labels=names) as new):
        for path, classifier in ((first, old), (second, new)):
            _print_notes(path, classifier.notes)
        if old.labels != new.labels:
            raise EdgedenseError(
                f"two files with the same labels in the same order ({', '.join(old.labels[:6])})",
                f"{', '.join(new.labels[:6])} in {second}", "--labels FILE for both")
        images = validation.read_labelled(data, new.labels)
        called = (first.name, second.name) if first.name != second.name else (str(first), str(second))
        models = [validation.deployed(name, one) for name, one in zip(called, (old, new), strict=True)]
        with progress("comparing", len(images.paths)) as tick:
            result = validation.judge(
                images, models, tick, activation=recipe.get("activation", "softmax"), max_drop=max_drop,
                recipe=recipe, thumbnails=report is not None)
    _print_missing(images.missing)
    _render(result, as_json, report)


def _replay(model: Path, threads: int | None, as_json: bool) -> None:
    from rich.console import Console

    from edgedense import report
    from edgedense.device.replay import replay

    result = replay(model, threads)
    if as_json:
        print(json.dumps(result.to_dict()))
    else:
        report.print_replay(model.name, result, Console())
    if not result.passed:
        named = f"; the first layer that differs is {result.suspect}" if result.suspect else ""
        raise GateError(f"golden samples as they were where the file was made: {result.limit}",
                        f"{sum(result.steps.values())} of {result.values} values off by up to "
                        f"{max(result.steps, default=0)} steps, {len(result.flipped)} labels changed{named}",
                        "copy the file again; if that does not help, convert the model again")


def _reference(path: Path, preprocessing: Preprocessing, recipe: Mapping[str, Any]) -> Model:
    from edgedense.converters.reference import reference

    model, sha256 = reference(path, preprocessing)
    recorded = recipe.get("source", {}).get("sha256")
    if recorded not in (None, sha256):
        print(f"edgedense: the recipe names another source than {path}", file=sys.stderr)
    return model


def _print_notes(model: Path, notes: list[str]) -> None:
    for note in notes:
        print(f"edgedense: {model}: {note}", file=sys.stderr)


def _print_missing(missing: tuple[str, ...]) -> None:
    if missing:
        print(f"edgedense: no folder for {len(missing)} of the model's classes: {', '.join(missing[:6])}"
              f"{' and more' if len(missing) > 6 else ''}", file=sys.stderr)


def _render(result: Report, as_json: bool, page: Path | None) -> None:
    """Print, write the page, and only then fail: the report says why."""
    from rich.console import Console

    from edgedense import report
    from edgedense.files import write_atomically
    from edgedense.report_page import to_html

    if page is not None:
        write_atomically(page, to_html(result).encode())
    if as_json:
        print(report.to_json(result))
    else:
        report.print_tables(result, Console())
    if page is not None:
        print(f"report: {page}", file=sys.stderr)
    if result.gate is not None and not result.gate.passed:
        raise GateError(f"a drop of at most {result.gate.max_drop:g} points", f"{result.gate.drop:.2f}",
                        "convert with more calibration images, or look at the report")


def main() -> None:
    """The one boundary at which errors become text and exit codes."""
    try:
        app()
    except EdgedenseError as error:
        print(f"edgedense: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
