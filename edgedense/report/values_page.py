"""The page of values against the right ones: which values stand in `templates/values.html`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from edgedense.measures.scores import text
from edgedense.measures.values import WORST, Measured, Pictured, ValueReport
from edgedense.report import plots, values, wording
from edgedense.report.noise_page import noise_profile
from edgedense.report.template import render
from edgedense.report.validation_page import Tile


def to_html(report: ValueReport, thumbnails: Mapping[str, bytes] | None = None) -> str:
    """The page. `thumbnails` has JPEG bytes by the image names of `report.worst`."""
    before = report.models[0] if len(report.models) > 1 else "the model it was made from"
    return render(
        "values.html",
        title=report.title,
        verdict=values.verdict(report),
        models=report.models,
        values=[_value(report, value, thumbnails or {}) for value in report.values],
        moved=[wording.value_row(difference) for difference in report.differences],
        moved_headings=wording.VALUE_HEADINGS,
        **noise_profile(report.layer_noise, before),
        recipe=wording.recipe_rows(report.recipe),
    )


def _value(report: ValueReport, value: Measured, thumbnails: Mapping[str, bytes]) -> dict[str, Any]:
    """One value's part of the page."""
    return {
        "title": values.title(report, value),
        "tiles": _tiles(report, value),
        "figures": values.figures(value),
        "plots": [
            (model, plots.bland_altman(value, number, report.unit)) for number, model in enumerate(report.models)
        ],
        "left_out": max(0, len(value.pictures) - plots.MOST_DOTS),
        "worst": [_card(report, one, thumbnails.get(one.image)) for one in value.pictures[:WORST]],
    }


def _tiles(report: ValueReport, value: Measured) -> list[Tile]:
    last, unit = value.errors[-1], f" {report.unit}" if report.unit else ""
    before = value.errors[0].mean_absolute.value if len(value.errors) > 1 else None
    limits = ["–" if limit.value is None else f"{limit.value:+.4g}" for limit in (last.lower, last.upper)]
    number = {name: estimate.value for name, estimate in vars(last).items() if name != "images"}
    shown = {name: "–" if found is None else text(found) for name, found in number.items()}
    return [
        Tile(
            "mean absolute error",
            shown["mean_absolute"] + unit,
            f"{last.images} images" if before is None else f"was {text(before)}",
        ),
        Tile("bias", shown["bias"] + unit, "0 would be best"),
        Tile("limits of agreement", " to ".join(limits), "95 % of the errors"),
        Tile("R²", shown["r2"], "1 would be best"),
    ]


def _card(report: ValueReport, one: Pictured, thumbnail: bytes | None) -> dict[str, Any]:
    said = [("right", text(one.right) + (f" {report.unit}" if report.unit else ""))]
    said += [(model, text(given)) for model, given in zip(report.models, one.given, strict=True)]
    return {"image": one.image, "said": said, "picture": base64.b64encode(thumbnail).decode() if thumbnail else ""}
