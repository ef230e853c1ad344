"""The HTML page of a conversion."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgedense.converters.pipeline import Conversion
from edgedense.converters.quantization.stages import HEADINGS, ROUNDS, StageFigures, rows
from edgedense.measures import drift, metrics
from edgedense.measures.result import Report
from edgedense.report import plots, thumbnails
from edgedense.report.validation_page import to_html
from edgedense.report.wording import Section


def conversion_report(conversion: Conversion) -> str:
    """The HTML page of a conversion: float against deployed on the calibration pictures.

    Without class folders the float network's own decisions stand in for the true classes.
    """
    pictures = conversion.outcome.pictures
    before, after = conversion.outcome.before, conversion.outcome.after
    classes = max(2, before.shape[1])
    names = conversion.labels if len(conversion.labels) == classes else tuple(str(i) for i in range(classes))
    truth = pictures.indices(names)
    if truth is None:
        truth = metrics.predicted(before)
    images = _names(pictures.paths)
    both = drift.compare(
        before, after, truth, names, images=images, models=("float", "int8"), activation=conversion.recipe["activation"]
    )
    places = dict(zip(images, pictures.paths, strict=True))
    small = thumbnails.changed(both, places.__getitem__)
    title = f"{conversion.recipe['source']['name']}: float against int8 on the calibration pictures"
    steps = tuple((step.name.replace("_", " "), f"{step.error:.1e}") for step in conversion.steps)
    tried = tuple((c.attempt.describe(), f"{c.divergence:.6f}") for c in conversion.candidates)
    extras = (
        *_steps(conversion.stages),
        *_float_head(conversion.recipe),
        Section(
            "Rewriting",
            "How far each exact rewrite moved the logits, relative to the largest.",
            ("step", "change"),
            steps,
        ),
        Section(
            "Ranges",
            "Mean KL divergence on the half of the pictures that the ranges were not fitted on.",
            ("estimator", "mean KL"),
            tried,
        ),
    )
    return to_html(
        Report(title, both.after, both, recipe=conversion.recipe), small, [extra for extra in extras if extra.rows]
    )


def _float_head(recipe: Mapping[str, Any]) -> tuple[Section, ...]:
    """What a head that stays float consists of and costs."""
    facts = recipe.get("float_head")
    if facts is None:
        return ()
    said = (
        f"All before the head is int8. The head stays float32, as TensorFlow's own converter makes it, because of "
        f"{facts['reason']}."
    )
    rows = (
        ("Keras layers", ", ".join(facts["layers"])),
        ("operators", ", ".join(f"{count} {code}" for code, count in facts["operators"].items())),
        ("weights", f"{facts['parameters']:,}"),
        ("bytes", f"{facts['bytes']:,}"),
        ("multiply-accumulates", f"{facts['multiply_accumulates']:,}"),
    )
    return (Section("The head in float32", said, ("", "content"), rows),)


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Each path below the folder that holds all: two class folders may hold pictures of one name."""
    root = Path(os.path.commonpath([path.parent for path in paths]))
    return tuple(path.relative_to(root).as_posix() for path in paths)


def _steps(stages: Sequence[StageFigures]) -> tuple[Section, ...]:
    """What each step did to the file: a plot against the first, and the figures."""
    if not stages:
        return ()
    series: dict[str, list[float]] = {
        "MACs": [stage.macs for stage in stages],
        "file": [stage.flatbuffer_bytes for stage in stages],
        "file, gzip": [stage.compressed_bytes for stage in stages],
        "time": [stage.latency_ms for stage in stages],
    }
    plot = plots.relative_bars([stage.name for stage in stages], series, "Each step against the trained model's file")
    said = (
        f"The int8 file behind each step (MACs: multiply-accumulates). Its time is the median of {ROUNDS} "
        "inferences on one thread of the machine that converted; agreement is with the trained model on the "
        "calibration pictures."
    )
    told = tuple((stage.name, line) for stage in stages for line in _told(stage.parameters))
    return (
        Section("Steps", said, HEADINGS, tuple(rows(stages)), plot),
        Section("Parameters of the steps", "", ("step", "parameters"), told),
    )


def _told(parameters: Mapping[str, Any]) -> list[str]:
    """A line for each parameter, and for each part of a text."""
    return [
        f"{name.replace('_', ' ')}: {part}"
        for name, value in parameters.items()
        if value is not None
        for part in str(value).split("; ")
    ]
