"""What a report says, in sentences and in table cells: the same in a terminal and on a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgedense.measures import stored_points
from edgedense.measures.drift import Drift, Threshold
from edgedense.measures.layer_noise import CEILING, LayerNoise, sudden_fall
from edgedense.measures.metrics import rule_of_three
from edgedense.measures.operating_points import OperatingPoint, Share
from edgedense.measures.result import Gate, Report
from edgedense.measures.scores import text
from edgedense.measures.sequential import EarlyAnswer
from edgedense.measures.stored_points import Kept, Stored
from edgedense.measures.values import Difference

Row = tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A picture on a page, or several of the same: JPEG files in base64, what it is called, and lines about it."""

    name: str
    said: Row
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A table with its title and what it says, for the terminal and for a page; below it on a page are pictures with a
    caption."""

    title: str
    said: str
    headings: Row
    rows: tuple[Row, ...]
    shown: tuple[Shown, ...] = ()
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """`values` has one text for each model, or a single one that belongs to two models together. `meaning` is for
    somebody who knows pictures and has not met this figure before."""

    name: str
    values: Row
    meaning: str


KL = (
    "How far the second model's probabilities are from the first's (Kullback-Leibler divergence). 0 means that they "
    "are equal. With two classes 0.001 is what it takes to turn 90 % into 88.6 %."
)


def verdict(drift: Drift | None, images: int) -> str:
    """What the figures mean, in a sentence or two: is the drop real?"""
    if drift is None:
        return f"{images} images."
    if drift.lost == drift.won == 0:
        bound = 100 * rule_of_three(drift.after.images)
        return (
            f"No image out of {drift.after.images} went from right to wrong or back. "
            f"With 95 % confidence less than {bound:.2g} % of such images would."
        )
    real = "is more than chance" if drift.p_value < 0.05 else "may be chance"
    return (
        f"{drift.lost} images went from right to wrong, {drift.won} from wrong to right: "
        f"the difference {real} (McNemar, p = {drift.p_value:.2g})."
    )


def early_verdict(early: EarlyAnswer) -> str:
    """How it ended that was to end when the drop is known well enough."""
    asked = f"the interval on the drop was at most {early.until:g} points to each side"
    if early.is_narrow:
        said = f"{early.images} of {early.total} pictures were looked at, in random order: then {asked}."
    else:
        said = f"All {early.total} pictures were looked at, and at no look {asked}: it is {early.look.half_width:.2g}."
    return f"{said} It holds for all {early.planned} looks that were planned together; McNemar's p does not."


def gate_verdict(gate: Gate) -> str:
    """Whether the limit was kept."""
    of = "" if gate.of == "accuracy" else f" of the {gate.of}"
    return f"Gate {'passed' if gate.passed else 'failed'}: drop{of} {gate.drop:.2f} points, limit {gate.max_drop:g}."


def noise_verdict(layers: LayerNoise) -> str:
    """Where precision went, in a sentence."""
    name, value = min(layers, key=lambda layer: layer[1])
    if value >= CEILING:
        return "All layers are equal."
    said = f"The noisiest layer is {name} with {value:.1f} dB."
    fall = sudden_fall(layers)
    return said if fall is None else f"{said} Noise begins all at once at {fall}, with {dict(layers)[fall]:.1f} dB."


def headings(report: Report) -> Row:
    """Column names of the summary."""
    return "", *report.models


def class_headings(report: Report) -> Row:
    """Column names of the per-class table."""
    return ("class", "precision", "recall", "F1", *(["recall change"] if report.drift else []), "support")


def class_rows(report: Report) -> list[Row]:
    """One row per class, in percent; with two models as `before → after`."""
    if report.drift is None:
        return [
            (c.name, percent(c.precision), percent(c.recall), percent(c.f1), str(c.support))
            for evaluation in report.evaluations
            for c in evaluation.per_class
        ]
    return [
        (
            a.name,
            _pair(b.precision, a.precision),
            _pair(b.recall, a.recall),
            _pair(b.f1, a.f1),
            f"{100 * (a.recall - b.recall):+.1f}",
            str(a.support),
        )
        for b, a in zip(report.drift.before.per_class, report.drift.after.per_class, strict=True)
    ]


THRESHOLD_HEADINGS = ("class", "threshold", "moved", "sensitivity", "specificity")


def threshold_row(threshold: Threshold) -> Row:
    """One row of the table of thresholds."""
    return (
        threshold.positive,
        f"{threshold.before:.4f} → {threshold.after:.4f}",
        f"{threshold.moved:+.4f}",
        f"{percent(threshold.sensitivity_before)} → {percent(threshold.sensitivity_after)}",
        f"{percent(threshold.specificity_before)} → {percent(threshold.specificity_after)}",
    )


POINT_HEADINGS = ("class", "seen from", "sensitivity", "specificity", "with it", "without")
KEPT_HEADINGS = ("class", "seen from", "figure", "promised", "here", "of")
_CLINICAL = (
    "Sensitivity is the share of the pictures that show a class in which it is found, specificity the share of the "
    "others in which it is not, both in percent. In brackets is the 95 % interval (Wilson score): other pictures of "
    "the same kind would give other shares."
)


def points_section(stored: Stored) -> Section:
    """The operating points of a file."""
    title = f"Operating points, chosen by {stored.spec} on {stored.images} pictures"
    rows = tuple(_point_row(point) for point in stored.points if point is not None)
    return Section(title, _CLINICAL, POINT_HEADINGS, rows)


def temperature_section(entry: Mapping[str, Any]) -> Section:
    """The temperature of a file, as its recipe has it."""
    said = (
        "The numbers before they become probabilities (logits) are divided by the temperature, so that scores say how "
        "often the file is right. The float model's are divided by it here too. The error with it is measured on "
        "pictures that did not help to choose it (two-fold cross-fitting)."
    )
    rows = (
        ("temperature", f"{entry['value']:g}"),
        ("fitted on", f"{entry['images']} pictures"),
        ("calibration error without it", percent(entry["calibration_error_before"])),
        ("calibration error with it", percent(entry["calibration_error_after"])),
    )
    return Section("Confidence", said, ("figure", "value"), rows)


def kept_section(found: Sequence[Kept]) -> Section:
    """What a file's thresholds do on these pictures, beside what they did where they were chosen."""
    rows = tuple(row for one in found for row in _kept_rows(one))
    return Section("Operating points: promised and here", _CLINICAL, KEPT_HEADINGS, rows)


def _point_row(point: OperatingPoint) -> Row:
    shares = _interval(point.sensitivity), _interval(point.specificity)
    return point.label, _seen_from(point), *shares, str(point.positives), str(point.negatives)


def _kept_rows(one: Kept) -> list[Row]:
    promised, here = one.promised, one.here
    return [
        (
            here.label,
            _seen_from(here),
            name,
            _interval(getattr(promised, name, None)),
            _interval(getattr(here, name)),
            str(count),
        )
        for name, count in (("sensitivity", here.positives), ("specificity", here.negatives))
    ]


def _seen_from(point: OperatingPoint) -> str:
    return f"{point.threshold:.4f}" if point.below is None else f"{point.below} below {point.threshold:.4f}"


def _interval(share: Share | None) -> str:
    return "–" if share is None else f"{100 * share.value:.1f} ({100 * share.low:.0f}–{100 * share.high:.0f})"


def percent(share: float | None) -> str:
    """0.8748 -> "87.48 %"; a dash where there is no figure."""
    return "–" if share is None else f"{100 * share:.2f} %"


def number(value: float | None) -> str:
    """Four decimals; a dash where there is no figure."""
    return "–" if value is None else f"{value:.4f}"


def _pair(before: float, after: float) -> str:
    return f"{100 * before:.1f} → {100 * after:.1f}"


VALUE_HEADINGS = ("value", "lowest", "highest", "mean change", "largest", "on")


def value_row(value: Difference) -> Row:
    """What a value spans in the first model, and how far the second is from it, in the value's own unit."""
    return (value.name, *map(text, (value.lowest, value.highest, value.mean, value.worst)), value.worst_image)


def recipe_rows(recipe: Mapping[str, Any], above: str = "") -> list[Row]:
    """Nested entries as rows, values as the JSON that they are: {"a": {"b": [1]}, "c": "d"} -> ("a.b", "[1]"),
    ("c", "d"). Operating points have a table of their own."""
    rows: list[Row] = []
    for key, value in recipe.items():
        if above + key == stored_points.ENTRY:
            continue
        if isinstance(value, Mapping):
            rows += recipe_rows(value, f"{above}{key}.")
        else:
            rows.append((above + key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return rows
