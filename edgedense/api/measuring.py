"""Pictures through the models that `validate` and `compare` are given: labelled ones, or for values any."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.deployed.bundle import Bundle
from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from edgedense.images import tables
from edgedense.images.pictures import LabelledLike, collect
from edgedense.images.pictures import names as image_names
from edgedense.measures import labelled, validation, values
from edgedense.measures.labelled import LabelledImages
from edgedense.measures.masks import Focus
from edgedense.measures.result import Report
from edgedense.measures.validation import Model
from edgedense.measures.values import Comparison, ValueReport
from edgedense.scoring.options import Scale
from edgedense.scoring.scorer import Scorer
from edgedense.scoring.task import File, Scores, Task
from edgedense.scoring.threads import threads_a_batch

if TYPE_CHECKING:
    from edgedense.converters.readers.source import Source
    from edgedense.device.classifiers import Classifiers


def scorer(
    models: Sequence[Model],
    files: Sequence[Path | str],
    labels: Sequence[str] | None,
    scale: Scale,
    reference: Any = None,
    source: Source | None = None,
    trust: bool = False,
    device: str = "cpu",
) -> Scorer:
    """What scores pictures with `models`: a trained one, if there is one, and then those of `files`.

    `labels` are class names in place of the files' own. `reference` is the trained model as the user named it, and
    `source` what was read of it; `trust` runs code that it holds. `device` is what runs the files. Raises
    EdgedenseError where that cannot be shared.
    """
    from edgedense.device.engines.interpreter import find_runtime

    names = [model.name for model in models[-len(files) :]]
    found = tuple(File.of(name, path) for name, path in zip(names, files, strict=True))
    runtime = find_runtime()
    if device != "cpu" and (scale.ray is not None or (scale.processes or 1) > 1):
        raise EdgedenseError("--device cpu with --processes and --ray, which share processor cores", device)
    about = {
        "files": [file.sha256 for file in found],
        "reference": None if source is None else source.sha256,
        "edgedense": version("edgedense"),
        "device": device,
        runtime.name: runtime.version,
    }
    if device == "openvino":
        about["openvino"] = version("openvino")
    if source is not None:
        about |= {"tensorflow": version("tensorflow"), "threads a batch": threads_a_batch(scale)}
    task = None
    if device == "cpu" and (reference is None or isinstance(reference, str | Path)):
        path = None if reference is None else _whole_path(reference)
        task = Task(found, None if labels is None else tuple(labels), path, trust)
    return Scorer(tuple(models), task, scale, about)


def _whole_path(model: Path | str) -> str:
    """That of a model's file or folder; the name of weights that Keras offers stays as it is."""
    return os.path.abspath(model) if os.path.exists(model) else str(model)


def judge(
    doing: str,
    data: LabelledLike,
    scorer: Scorer,
    classifiers: Classifiers,
    content: Bundle,
    max_drop: float | None,
    look: Callable[[LabelledImages], Focus] | None = None,
) -> tuple[Report, LabelledImages]:
    """The report on the models, and the pictures that it is about; `doing` says what to tell meanwhile.

    Labels and thresholds are those of `classifiers`, which are of one of the models; `content` is the file of the last.
    `look` finds out where the models look; it comes first, since it may find faults in what it was given. Raises what
    `look`, `labelled.read_labelled` and `Scorer.score` raise, and EdgedenseError when a model does not score as many
    classes as there are labels.
    """
    images = labelled.read_labelled(data, classifiers.labels, classifiers.truth)
    if classifiers.truth == "several":
        if scorer.scale.until is not None:
            raise EdgedenseError(
                "a file whose classes exclude each other for --until",
                "one that scores each class alone",
                "leave it out",
            )
        images = labelled.scored_alone(images)
    masks = None if look is None else look(images)
    names = [model.name for model in scorer.models]
    labels = images.labels if images.kind == "classes" else None
    scored = scorer.score(doing, images.paths, images.image_names, labels, _checking(names, images.names, images.kind))
    images = images.only(scored.taken)
    report = validation.judge(
        images,
        names,
        scored.scores,
        activation=content.recipe.get("activation", "softmax"),
        thresholds=classifiers.thresholds,
        max_drop=max_drop,
        recipe=content.recipe,
    )
    if scored.early is not None:
        report = report.ended_early(scored.early)
    made = version("edgedense")
    return replace(report, masks=masks, sha256=sha256(content.model), measured_with=made), images


def _checking(models: Sequence[str], names: Sequence[str], kind: tables.Kind) -> Callable[[Scores], None]:
    """What raises EdgedenseError when one of `models` does not give as many scores as there are `names`."""

    def check(scores: Scores) -> None:
        for model, found in zip(models, scores, strict=True):
            validation.require_classes(found, model, names, kind)

    return check


def says_values(data: LabelledLike) -> bool:
    """Whether the right values come with the pictures: in a table, or as pairs (picture, values)."""
    if isinstance(data, str | Path | tables.Table):
        return tables.is_table(data)
    return isinstance(data, Sequence) and bool(data) and all(isinstance(item, tuple) for item in data)


def of_values(
    doing: str, data: LabelledLike, scorer: Scorer, names: Sequence[str], recipe: Mapping[str, Any]
) -> tuple[ValueReport, LabelledImages]:
    """How far the values that one model gives, or a reference and then the model under test, are off the right ones;
    and the pictures that it is about. `names` are the values', `recipe` is that of the last model.

    Raises what `labelled.read_labelled` and `Scorer.score` raise, and EdgedenseError for another number of values.
    """
    images = labelled.read_labelled(data, names, "values")
    called = [model.name for model in scorer.models]
    given = scorer.score(doing, images.paths, images.image_names, None, _checking(called, names, "values")).scores
    unit = str(recipe.get("unit", ""))
    patients, truth = images.patients, images.truth
    return values.measured(called, given, truth, names, images.image_names, patients, unit=unit, recipe=recipe), images


def differ(doing: str, data: LabelledLike, scorer: Scorer, names: Sequence[str]) -> Comparison:
    """How far two models that give values are apart on pictures without labels; `names` are the values'. Raises
    EdgedenseError when a model gives more or fewer of them."""
    pictures = collect(data)
    called, (before, after) = image_names(pictures), (model.name for model in scorer.models)
    first, second = scorer.score(doing, pictures, called, None, _checking((before, after), names, "values")).scores
    return Comparison(before, after, len(pictures), values.differences(first, second, names, called))
