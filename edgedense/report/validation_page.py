"""The page of a validation or comparison: which values stand in `templates/validation.html`."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgedense.measures.bootstrap import Estimate
from edgedense.measures.drift import Changed, Drift, Evaluation
from edgedense.measures.findings import ChangedFindings, Findings
from edgedense.measures.result import Report
from edgedense.report import masks_section, plots, several, wording
from edgedense.report.card import ModelCard
from edgedense.report.figures import figures, verdict
from edgedense.report.noise_page import noise_profile
from edgedense.report.template import render
from edgedense.report.thumbnails import SHOWN
from edgedense.report.wording import Section, percent


@dataclass(frozen=True)
class Tile:
    """A figure in large letters at the top of a page."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Line:
    """What is said of an image: a label of the kind "right", "unknown" or neither, and text before and behind it."""

    before: str
    label: str
    after: str
    kind: str


@dataclass(frozen=True)
class Card:
    """An image that is decided differently, what was said of it, and `picture`, a JPEG in base64 or nothing."""

    image: str
    lines: tuple[Line, ...]
    picture: str


def to_html(
    report: Report,
    thumbnails: Mapping[str, bytes] | None = None,
    further: Sequence[Section] = (),
    card: ModelCard | None = None,
) -> str:
    """The page. `thumbnails` has JPEG bytes by the image names that `report.changed` uses, `further` what else is
    to be shown before the recipe, and `card` the model card, if there is to be one."""
    return render("validation.html", **{**content(report, thumbnails or {}, further), "card": card})


def content(report: Report, thumbnails: Mapping[str, bytes], further: Sequence[Section] = ()) -> dict[str, Any]:
    """What the template takes: an empty value leaves its section out."""
    changed = report.changed
    thresholds = report.drift.thresholds if report.drift else ()
    return {
        **judged(report),
        "verdict": verdict(report),
        "gate": report.gate,
        "labels_said": "",
        "compared": len(report.models) > 1,
        "images": report.images,
        "threshold_headings": wording.THRESHOLD_HEADINGS,
        "thresholds": [wording.threshold_row(threshold) for threshold in thresholds],
        "changed": len(changed),
        "cards": [_card(change, thumbnails.get(change.image)) for change in changed[:SHOWN]],
        **noise_profile(
            report.layer_noise, report.models[0] if len(report.models) > 1 else "the model it was made from"
        ),
        "further": (
            *([wording.kept_section(report.operating_points)] if report.operating_points else []),
            *([masks_section.section(report.masks)] if report.masks else []),
            *further,
        ),
        "card": None,
        "recipe": wording.recipe_rows(report.recipe),
    }


def judged(report: Report) -> dict[str, Any]:
    """What every page about labelled images shows: tiles, figures, and class by class what they hold."""
    of_classes = _findings(report.findings) if report.findings else _classes(report.drift, report.evaluations)
    return {
        "title": report.title,
        "models": report.models,
        "tiles": _tiles_of_findings(report.findings)
        if report.findings
        else _tiles(report.drift, report.evaluations[-1]),
        "figures": figures(report),
        "several": report.findings is not None,
        "class_headings": wording.class_headings(report),
        "class_rows": wording.class_rows(report),
        **of_classes,
    }


def _classes(drift: Drift | None, models: Sequence[Evaluation]) -> dict[str, Any]:
    """What `templates/classes.html` takes: confusion and reliability."""
    evaluation = models[-1]
    return {
        "recall_changes": _recall_changes(drift) if drift else (),
        "matrices": [plots.confusion(model) for model in models],
        "mistakes": plots.mistakes(evaluation) if len(evaluation.per_class) > 10 else [],
        "reliability": plots.reliability_curves(drift.before.reliability if drift else None, evaluation.reliability),
        "calibration_errors": [percent(model.calibration_error) for model in models],
    }


def _findings(found: Findings) -> dict[str, Any]:
    """What `templates/findings.html` takes: AUROCs, tables, ROC curves."""
    kinds = ("before", "after")[-len(found.models) :]
    series = {
        kind: [finding.figures.auroc for finding in model.classes]
        for kind, model in zip(kinds, found.models, strict=True)
    }
    befores = found.reference.classes if found.reference else (None,) * len(found.scored.classes)
    curves = [
        (after.name, plots.roc(before, after))
        for before, after in zip(befores, found.scored.classes, strict=True)
        if after.roc
    ]
    return {
        "intervals": plots.intervals([one.name for one in found.scored.classes], series) if found.known else None,
        "sections": several.sections(found),
        "curves": curves[: plots.MOST_CURVES],
        "left_out": max(0, len(curves) - plots.MOST_CURVES),
    }


def _tiles_of_findings(found: Findings) -> list[Tile]:
    """Mean figures of the file under test, and beside a reference what changed."""
    macro, change = found.scored.macro, found.change
    tiles = [
        Tile("mean AUROC", _plain(macro.auroc), _interval(macro.auroc)),
        Tile("mean sensitivity", _plain(macro.sensitivity, 100), _interval(macro.sensitivity, 100)),
        Tile("mean specificity", _plain(macro.specificity, 100), _interval(macro.specificity, 100)),
    ]
    if not found.known:
        tiles[:1] = [Tile("images", str(found.images), "without labels")]
    if change is None:
        people = f"of {found.patients} patients" if found.patients else "patients not known"
        return [*tiles, Tile("images", str(found.images), people)]
    drop = "–" if change.drop.value is None else f"{change.drop.value + 0.0:+.2f}"
    bounds = "" if change.drop.low is None else f"95 %: {change.drop.low + 0.0:+.2f} to {change.drop.high or 0.0:+.2f}"
    return [
        tiles[0],
        Tile("drop, in points", drop, bounds or "of the mean AUROC"),
        Tile("same decision", percent(change.agreement), f"{len(change.changed)} of {found.images} images changed"),
        Tile("mean KL divergence", f"{change.kl_mean:.5f}", f"worst {change.kl_worst:.3f}"),
    ]


def _plain(estimate: Estimate, scale: float = 1) -> str:
    """A figure alone: 0.912, or in percent."""
    if estimate.value is None:
        return "–"
    return f"{estimate.value:.3f}" if scale == 1 else f"{scale * estimate.value:.1f} %"


def _interval(estimate: Estimate, scale: float = 1) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval"
    low, high = (f"{end:.3f}" if scale == 1 else f"{scale * end:.1f}" for end in (estimate.low, estimate.high))
    return f"95 %: {low} to {high}"


def _tiles(drift: Drift | None, alone: Evaluation) -> list[Tile]:
    if drift is not None:
        return [
            Tile("accuracy", percent(drift.after.accuracy), f"was {percent(drift.before.accuracy)}"),
            Tile("drop, in points", f"{drift.drop:+.2f}", f"95 %: {drift.drop_low:+.2f} to {drift.drop_high:+.2f}"),
            Tile("same decision", percent(drift.agreement), f"{len(drift.changed)} of {alone.images} changed"),
            Tile("mean KL divergence", f"{drift.kl_mean:.5f}", f"worst {drift.kl_worst:.3f}"),
        ]
    tiles = [Tile("accuracy", percent(alone.accuracy), f"{alone.images} images")]
    if alone.top5 is not None:
        tiles.append(Tile("top-5", percent(alone.top5), "one of five guesses is right"))
    return [*tiles, Tile("calibration error", percent(alone.calibration_error), "0 % would be best")]


def _recall_changes(drift: Drift) -> tuple[plots.Bar, ...]:
    pairs = [(b, a) for b, a in zip(drift.before.per_class, drift.after.per_class, strict=True) if a.support]
    return plots.delta_bars([a.name for _, a in pairs], [100 * (a.recall - b.recall) for b, a in pairs])


def _card(change: Changed | ChangedFindings, thumbnail: bytes | None) -> Card:
    lines = tuple(_flips(change) if isinstance(change, ChangedFindings) else _labels(change))
    return Card(change.image, lines, base64.b64encode(thumbnail).decode() if thumbnail else "")


def _labels(change: Changed) -> Iterator[Line]:
    for arrow, label, score in (("", change.before, change.before_score), ("→ ", change.after, change.after_score)):
        yield Line(arrow, label, f"{100 * score:.0f} %", "right" if label == change.truth else "")


def _flips(change: ChangedFindings) -> Iterator[Line]:
    for flip in change.flips:
        kind = "unknown" if flip.truth is None else "right" if flip.seen == flip.truth else ""
        said = flip.name if flip.seen else f"no {flip.name}"
        yield Line("", said, f"{flip.before:.3f} → {flip.after:.3f}", kind)
