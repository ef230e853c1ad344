"""The HTML page of a conversion."""

from __future__ import annotations

from edgedense import drift, metrics
from edgedense.converters.pipeline import Conversion
from edgedense.report import Extra, Report
from edgedense.report_page import to_html
from edgedense.validation import thumbnail


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
    images = tuple(str(path) for path in pictures.paths)  # whole: two class folders may have equal names
    both = drift.compare(before, after, truth, names, images=images, models=("float", "int8"),
                         activation=conversion.recipe["activation"])
    thumbnails = {change.image: thumbnail(pictures.paths[images.index(change.image)]) for change in both.changed}
    title = f"{conversion.recipe['source']['name']}: float against int8 on the calibration pictures"
    steps = tuple((step.name.replace("_", " "), f"{step.error:.1e}") for step in conversion.steps)
    tried = tuple((c.attempt.describe(), f"{c.divergence:.6f}") for c in conversion.candidates)
    extras = (
        Extra("Rewriting", "How far each exact rewrite moved the logits, relative to the largest.",
              ("step", "change"), steps),
        Extra("Ranges", "Mean KL divergence on the half of the pictures that the ranges were not fitted on.",
              ("estimator", "mean KL"), tried),
    )
    return to_html(Report(title, both.after, both, recipe=conversion.recipe, thumbnails=thumbnails,
                          extras=tuple(extra for extra in extras if extra.rows)))
