"""The HTML page of a conversion: which values stand in the template `conversion.html`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgedense.converters.conversion import Conversion
from edgedense.converters.quantization import stages
from edgedense.converters.quantization.stages import StageFigures
from edgedense.errors import EdgedenseError
from edgedense.images.pictures import names as names_of
from edgedense.measures import drift, findings, metrics
from edgedense.measures.result import Report
from edgedense.measures.scores import HALF
from edgedense.measures.stored_points import THRESHOLDS
from edgedense.measures.temperature import ENTRY as TEMPERATURE
from edgedense.report import plots, thumbnails
from edgedense.report.template import render
from edgedense.report.validation_page import content
from edgedense.report.wording import points_section, temperature_section

NO_LABELS = (
    "The pictures have no labels here: they do not lie in folders named like the classes. What the float model decides "
    "is taken for the true class, so its accuracy is 100 % by definition, and that of the int8 file is the share of "
    "pictures on which it decides the same."
)
NO_LABELS_OF_FINDINGS = (
    "The pictures have no labels here, so nobody knows what is right: the page says how alike both models decide."
)


def to_html(conversion: Conversion) -> str:
    """The HTML page of a conversion: float against deployed on the calibration pictures.

    Without class folders the float network's own decisions stand in for the true classes; where each class is scored
    alone, the page then only says how alike both decide. Raises EdgedenseError for a model that gives values.
    """
    if conversion.outcome.differences:
        raise EdgedenseError(
            "a model that tells classes apart for a page",
            "one that gives values (--activation none), which a page of classes cannot show",
            "leave --report out; the table shows how far the values move",
        )
    pictures = conversion.outcome.pictures
    images = names_of(pictures.paths)
    report, labelled = _compared(conversion, images)
    places = dict(zip(images, pictures.paths, strict=True))
    points = conversion.operating_points
    further = [] if points is None else [points_section(points)]
    if TEMPERATURE in conversion.recipe:
        further.insert(0, temperature_section(conversion.recipe[TEMPERATURE]))
    small = thumbnails.changed(report.changed, places.__getitem__, pictures.preprocessing.depth)
    shown = content(report, small, further)
    shown["labels_said"] = "" if labelled else NO_LABELS if report.findings is None else NO_LABELS_OF_FINDINGS
    return render(
        "conversion.html",
        **shown,
        **_steps(conversion.stages),
        **_float_head(conversion.recipe),
        rewriting=[(step.name.replace("_", " "), f"{step.error:.1e}") for step in conversion.steps],
        ranges=[(c.attempt.describe(), f"{c.divergence:.6f}", str(c.pictures)) for c in conversion.candidates],
    )


def _compared(conversion: Conversion, images: tuple[str, ...]) -> tuple[Report, bool]:
    """Float and deployed on the calibration pictures, and whether these have labels."""
    recipe, pictures = conversion.recipe, conversion.outcome.pictures
    before, after = conversion.outcome.before, conversion.outcome.after
    outputs, models = before.shape[1], ("float", "int8")
    title = f"{recipe['source']['name']}: float against int8 on the calibration pictures"
    alone = recipe["activation"] == "sigmoid" and (outputs > 1 or len(conversion.labels) == 1)
    classes = outputs if alone else max(2, outputs)
    names = conversion.labels if len(conversion.labels) == classes else tuple(str(i) for i in range(classes))
    labels = pictures.indices(names)
    if alone:
        known = np.full((len(images), classes), np.nan) if labels is None else np.eye(classes)[labels]
        own = recipe.get(THRESHOLDS, [HALF] * classes)
        limits = [math.inf if limit is None else limit for limit in own]
        found = findings.measure([before, after], known, limits, names, models=models, images=images)
        return Report(title, None, findings=found, recipe=recipe), labels is not None
    both = drift.compare(
        before,
        after,
        metrics.predicted(before) if labels is None else labels,
        names,
        images=images,
        models=models,
        activation=recipe["activation"],
    )
    return Report(title, both.after, both, recipe=recipe), labels is not None


def _steps(found: Sequence[StageFigures]) -> dict[str, Any]:
    """What each step did to the file: bars against the first, and the figures. Empty without steps."""
    series: dict[str, list[float]] = {
        "MACs": [stage.macs for stage in found],
        "file": [stage.flatbuffer_bytes for stage in found],
        "file, gzip": [stage.compressed_bytes for stage in found],
        "time": [stage.latency_ms for stage in found],
    }
    return {
        "rounds": stages.ROUNDS,
        "stage_bars": plots.relative_bars([stage.name for stage in found], series) if found else (),
        "stage_headings": stages.headings(found) if found else (),
        "stage_rows": stages.rows(found),
        "stage_parameters": [(stage.name, line) for stage in found for line in _told(stage.parameters)],
    }


def _float_head(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a head that stays float consists of and costs; no rows without one."""
    facts = recipe.get("float_head")
    if facts is None:
        return {"head_rows": ()}
    return {
        "head_reason": facts["reason"],
        "head_rows": [
            ("Keras layers", ", ".join(facts["layers"])),
            ("operators", ", ".join(f"{count} {code}" for code, count in facts["operators"].items())),
            ("weights", f"{facts['parameters']:,}"),
            ("bytes", f"{facts['bytes']:,}"),
            ("multiply-accumulates", f"{facts['multiply_accumulates']:,}"),
        ],
    }


def _told(parameters: Mapping[str, Any]) -> list[str]:
    """A line for each parameter, and for each part of a text."""
    return [
        f"{name.replace('_', ' ')}: {part}"
        for name, value in parameters.items()
        if value is not None
        for part in str(value).split("; ")
    ]
