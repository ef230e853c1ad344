"""`edgedense.to_html`: results as one HTML page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgedense.converters.conversion import Conversion
    from edgedense.images.in_memory import Picture
    from edgedense.images.pictures import LabelledLike
    from edgedense.measures.result import Report
    from edgedense.measures.values import ValueReport
    from edgedense.report.card import ModelCard


def to_html(
    result: Report | ValueReport | Conversion, data: LabelledLike | None = None, card: ModelCard | None = None
) -> str:
    """A result as one HTML page without outside parts: figures, tables, plots, and for a conversion how it was made.

    `data` are the labelled pictures that `validate` or `compare` were given: with them the page shows those whose label
    changed, or whose value is furthest from the right one. `card` is a model card that the page of a report is to hold.
    Raises EdgedenseError when one of the pictures can no longer be read.
    """
    from edgedense.measures.result import Report
    from edgedense.measures.values import ValueReport
    from edgedense.report import thumbnails, validation_page, values_page

    if isinstance(result, Report | ValueReport):
        depth = result.recipe.get("preprocessing", {}).get("depth", 8)
        pictures = result.changed if isinstance(result, Report) else result.worst
        shown = {} if data is None else thumbnails.changed(pictures, _places(data), depth)
        if isinstance(result, ValueReport):
            return values_page.to_html(result, shown)
        return validation_page.to_html(result, shown, card=card)
    from edgedense.converters import conversion_page

    return conversion_page.to_html(result)


def _places(data: LabelledLike) -> Callable[[str], Picture]:
    """Where the picture of a name in a report is."""
    from edgedense.images import tables
    from edgedense.images.pictures import names, one, pairs
    from edgedense.images.places import place

    data = tables.recognized(data)
    if isinstance(data, tables.Table):
        rows = tables.read(data, usual=tables.TEST)
        return dict(zip(rows.image_names, rows.paths, strict=True)).__getitem__
    if isinstance(data, str | Path):
        return place(data).joinpath
    pictures = [one(item, number) for number, item in enumerate(pairs(data)[0])]
    return dict(zip(names(pictures), pictures, strict=True)).__getitem__
