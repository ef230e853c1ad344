"""`edgedense validate`: a deployed file on labelled images, or its golden samples."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedense.cli.options import ReportPage, Threads, TrustModel
from edgedense.cli.printing import print_missing, print_notes, render, render_values
from edgedense.errors import EdgedenseError, GateError

if TYPE_CHECKING:
    from edgedense.converters.readers.opening import Opening
    from edgedense.deployed.layer_noise import LayerNoise
    from edgedense.device.classifier import Classifier
    from edgedense.images.preprocessing import Preprocessing
    from edgedense.measures.validation import Model


def validate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Images in one sub-folder per class, named like the model's labels; of a file that gives values, "
            "images in any folder.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="The Keras model that the file was made from, to compare with.", show_default=False),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Fail when the accuracy is more points (of 100) below the reference.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of tables.")] = False,
    report: ReportPage = None,
    threads: Threads = None,
    trust_model: TrustModel = False,
    labels: Annotated[
        Path | None, typer.Option(help="Class names, one per line, in place of those in the model.", show_default=False)
    ] = None,
) -> None:
    """Measure a deployed file on labelled images; with --reference, what the conversion lost.

    Without --data, replay the golden samples in the file: does it compute what it computed where it was made?
    """
    from edgedense.deployed import bundle
    from edgedense.device.classifier import Classifier, read_labels
    from edgedense.measures import validation
    from edgedense.progress import progress

    if data is None:
        if reference or max_drop is not None or report or labels:
            raise EdgedenseError("images to measure on", "none", "--data FOLDER, with one sub-folder per class")
        _replay(model, threads, as_json)
        return
    if max_drop is not None and reference is None:
        raise EdgedenseError(
            "a reference that the drop is measured from", "--max-drop alone", "--reference MODEL.keras"
        )
    recipe = bundle.read(model).recipe
    names = read_labels(labels) if labels else None
    opening = _opening(recipe, trust_model) if reference is not None else None
    with Classifier(model, threads=threads, labels=names) as classifier:
        print_notes(model, classifier.notes)
        if classifier.gives_values:
            classifier.require_classes({"--max-drop": max_drop is not None, "--report": report})
            _validate_values(model, classifier, data, reference, opening, as_json)
            return
        images = validation.read_labelled(data, classifier.labels)
        models = [validation.deployed(model.name, classifier)]
        if reference is not None:
            models.insert(0, _reference(reference, classifier.preprocessing, opening, recipe))
        with progress("validating", len(images.paths)) as tick:
            result = validation.judge(
                images,
                models,
                tick,
                activation=recipe.get("activation", "softmax"),
                max_drop=max_drop,
                recipe=recipe,
                thumbnails=report is not None,
            )
    if reference is not None and report is not None:
        result = replace(result, layer_noise=_noise_against(model, reference, data, trust_model))
    print_missing(images.missing)
    render(result, as_json, report)


def _opening(recipe: Mapping[str, Any], trust: bool) -> Opening:
    from edgedense.converters.readers.opening import recorded

    return recorded(recipe, trust=trust)


def _validate_values(
    model: Path, classifier: Classifier, data: Path, reference: Path | None, opening: Opening | None, as_json: bool
) -> None:
    """A file that gives values beside its reference: there are no classes to be right about."""
    from edgedense.deployed import bundle
    from edgedense.images.preprocessing import find_images
    from edgedense.measures import validation
    from edgedense.progress import progress

    if reference is None:
        raise EdgedenseError(
            "--reference MODEL.keras with a file that gives values, of which folders do not say the right ones",
            "--data alone",
            f"edgedense validate {model} --data {data} --reference MODEL.keras",
        )
    models = (
        _reference(reference, classifier.preprocessing, opening, bundle.read(model).recipe),
        validation.deployed(model.name, classifier),
    )
    paths = find_images(data)
    with progress("validating", len(paths)) as tick:
        result = validation.differ(data, paths, models, classifier.labels, tick)
    render_values(result, as_json)


def _reference(path: Path, preprocessing: Preprocessing, opening: Opening | None, recipe: Mapping[str, Any]) -> Model:
    from edgedense.converters.readers.reference import reference

    model, sha256 = reference(path, preprocessing, opening)
    recorded = recipe.get("source", {}).get("sha256")
    if recorded not in (None, sha256):
        print(f"edgedense: the recipe names another source than {path}", file=sys.stderr)
    return model


def _noise_against(model: Path, reference: Path, data: Path, trust: bool, images: int = 8) -> LayerNoise:
    """Layer by layer against the Keras model on a few pictures; nothing for a file that edgedense did not make."""
    from edgedense.converters.layers import inspect_layers
    from edgedense.converters.quantization import noise
    from edgedense.deployed import bundle

    if noise.ENTRY not in bundle.read(model).entries:
        return ()
    return inspect_layers(model, str(reference), data, images, trust)


def _replay(model: Path, threads: int | None, as_json: bool) -> None:
    from rich.console import Console

    from edgedense.device.engines.replay import replay
    from edgedense.report import terminal

    result = replay(model, threads)
    if as_json:
        print(json.dumps(result.to_dict()))
    else:
        terminal.print_replay(model.name, result, Console())
    if not result.passed:
        flipped = f", {len(result.flipped)} labels changed"
        named = f"; the first layer that differs is {result.suspect}" if result.suspect else ""
        raise GateError(
            f"golden samples as they were where the file was made: {result.limit}",
            f"{sum(result.steps.values())} of {result.values} values off by up to "
            f"{max(result.steps, default=0)} steps{'' if result.are_values else flipped}{named}",
            "copy the file again; if that does not help, convert the model again",
        )
