"""The page of a validation or comparison: which values stand in `templates/validation.html`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgedense.measures.drift import Changed, Drift
from edgedense.measures.result import Report
from edgedense.report import plots, wording
from edgedense.report.figures import figures
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
class Card:
    """An image whose label changed: `said` has (label, score, whether it is right) before and after, and `picture` a
    JPEG in base64 or nothing."""

    image: str
    said: tuple[tuple[str, str, bool], ...]
    picture: str


def to_html(report: Report, thumbnails: Mapping[str, bytes] | None = None, further: Sequence[Section] = ()) -> str:
    """The page. `thumbnails` has JPEG bytes by the image names that `report.drift.changed` uses, `further` what else is
    to be shown before the recipe."""
    return render("validation.html", **content(report, thumbnails or {}, further))


def content(report: Report, thumbnails: Mapping[str, bytes], further: Sequence[Section] = ()) -> dict[str, Any]:
    """What the template takes: an empty value leaves its section out."""
    drift = report.drift
    return {
        **judged(report),
        "verdict": wording.verdict(report),
        "gate": report.gate,
        "labels_said": "",
        "compared": drift is not None,
        "images": report.evaluation.images,
        "threshold_headings": wording.THRESHOLD_HEADINGS,
        "thresholds": [wording.threshold_row(threshold) for threshold in drift.thresholds] if drift else [],
        "changed": len(drift.changed) if drift else 0,
        "cards": [_card(change, thumbnails.get(change.image)) for change in drift.changed[:SHOWN]] if drift else [],
        **noise_profile(report.layer_noise, drift.before.model if drift else "the model it was made from"),
        "further": (*([wording.kept_section(report.operating_points)] if report.operating_points else []), *further),
        "recipe": wording.recipe_rows(report.recipe),
    }


def judged(report: Report) -> dict[str, Any]:
    """What every page about labelled images shows: tiles, figures, classes, confusion, reliability."""
    drift, evaluation = report.drift, report.evaluation
    models = (drift.before, drift.after) if drift else (evaluation,)
    return {
        "title": report.title,
        "models": [model.model for model in models],
        "tiles": _tiles(report),
        "figures": figures(report),
        "recall_changes": _recall_changes(drift) if drift else (),
        "class_headings": wording.class_headings(report),
        "class_rows": wording.class_rows(report),
        "matrices": [plots.confusion(model) for model in models],
        "mistakes": plots.mistakes(evaluation) if len(evaluation.per_class) > 10 else [],
        "reliability": plots.reliability_curves(drift.before.reliability if drift else None, evaluation.reliability),
        "calibration_errors": [percent(model.calibration_error) for model in models],
    }


def _tiles(report: Report) -> list[Tile]:
    drift, alone = report.drift, report.evaluation
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


def _card(change: Changed, thumbnail: bytes | None) -> Card:
    said = tuple(
        (label, f"{100 * score:.0f} %", label == change.truth)
        for label, score in ((change.before, change.before_score), (change.after, change.after_score))
    )
    return Card(change.image, said, base64.b64encode(thumbnail).decode() if thumbnail else "")
