"""Pictures through the models that `validate` and `compare` are given: labelled ones, or for values any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.deployed.bundle import Bundle
from edgedense.files import sha256
from edgedense.images import tables
from edgedense.images.pictures import LabelledLike, collect
from edgedense.measures import labelled, validation, values
from edgedense.measures.labelled import LabelledImages
from edgedense.measures.masks import Focus
from edgedense.measures.result import Report
from edgedense.measures.validation import Model
from edgedense.measures.values import Comparison, ValueReport
from edgedense.progress import progress as step

if TYPE_CHECKING:
    from edgedense.device.classifiers import Classifiers


def judge(
    doing: str,
    data: LabelledLike,
    models: Sequence[Model],
    classifiers: Classifiers,
    content: Bundle,
    max_drop: float | None,
    look: Callable[[LabelledImages], Focus] | None = None,
) -> tuple[Report, LabelledImages]:
    """The report on the models, and the pictures that it is about; `doing` says what to tell meanwhile.

    Labels and thresholds are those of `classifiers`, which are of one of the models; `content` is the file of the last.
    `look` finds out where the models look; it comes first, since it may find faults in what it was given. Raises what
    `look`, `labelled.read_labelled` and `validation.judge` raise.
    """
    images = labelled.read_labelled(data, classifiers.labels, classifiers.truth)
    if classifiers.truth == "several":
        images = labelled.scored_alone(images)
    masks = None if look is None else look(images)
    with step(doing, len(images.paths)) as tick:
        report = validation.judge(
            images,
            models,
            tick,
            activation=content.recipe.get("activation", "softmax"),
            thresholds=classifiers.thresholds,
            max_drop=max_drop,
            recipe=content.recipe,
        )
    made = version("edgedense")
    return replace(report, masks=masks, sha256=sha256(content.model), measured_with=made), images


def says_values(data: LabelledLike) -> bool:
    """Whether the right values come with the pictures: in a table, or as pairs (picture, values)."""
    if isinstance(data, str | Path | tables.Table):
        return tables.is_table(data)
    return isinstance(data, Sequence) and bool(data) and all(isinstance(item, tuple) for item in data)


def of_values(
    doing: str, data: LabelledLike, models: Sequence[Model], names: Sequence[str], recipe: Mapping[str, Any]
) -> tuple[ValueReport, LabelledImages]:
    """How far the values that one model gives, or a reference and then the model under test, are off the right ones;
    and the pictures that it is about. `names` are the values', `recipe` is that of the last model.

    Raises what `labelled.read_labelled` and `validation.given` raise.
    """
    images = labelled.read_labelled(data, names, "values")
    with step(doing, len(images.paths)) as tick:
        given = validation.given(images.paths, models, names, tick)
    called = [model.name for model in models]
    unit = str(recipe.get("unit", ""))
    patients, truth = images.patients, images.truth
    return values.measured(called, given, truth, names, images.image_names, patients, unit=unit, recipe=recipe), images


def differ(doing: str, data: LabelledLike, models: Sequence[Model], names: Sequence[str]) -> Comparison:
    """How far two models that give values are apart on pictures without labels; `names` are the values'."""
    pictures = collect(data)
    with step(doing, len(pictures)) as tick:
        return validation.differ(pictures, models, names, tick)
