"""`edgedense.model_card`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedense.api.values import with_values

if TYPE_CHECKING:
    from edgedense.measures.result import Report
    from edgedense.report.card import ModelCard


def model_card(report: Report, **stated: Any) -> ModelCard:
    """A model card of the file that `validate` or `compare` reports on: what it is, on what it was measured, its
    figures, its limits, and the hashes by which it is known.

    `stated` is what only people know, each a text: `intended_use`, `not_for`, `population` (whose pictures these are),
    `owner` and `licence`. What is left out stands in the card as "not stated"; nothing is invented. No picture is
    named. `ModelCard.to_markdown` gives the text, and `to_html` takes the card too.

    Raises TypeError for anything else that is stated.
    """
    from edgedense.report.about import About
    from edgedense.report.card import model_card as made

    return made(report, with_values(About(), stated))
