"""What the numbers are that a network ends in: probabilities, or values. Nothing heavy is imported: what classifies a
picture needs these names, and none of the formulas."""

from __future__ import annotations

from collections.abc import Sequence

NONE = "none"  # the activation, in a recipe, of a file that gives values
HALF = 0.5  # a sigmoid's threshold where nobody names another: the class is more likely there than not


def names_of(labels: Sequence[str], count: int) -> tuple[str, ...]:
    """What `count` values are called: as `labels` say, or by number, or "value" where there is one alone."""
    if labels:
        return tuple(labels)
    return ("value",) if count == 1 else tuple(map(str, range(count)))


def text(value: float) -> str:
    """A value for people: four digits that matter."""
    return f"{value:.4g}"
