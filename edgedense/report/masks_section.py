"""Where models look on pictures with masks, in a table and as pictures: the same words in a terminal and on a page."""

from __future__ import annotations

import base64

from edgedense.measures.bootstrap import Estimate
from edgedense.measures.masks import Case, Focus
from edgedense.report.wording import Row, Section, Shown, percent

TITLE = "Where the evidence is, beside what people have marked"


def section(focus: Focus) -> Section:
    """The figures, what they mean, and the pictures that lost most."""
    models = focus.models
    two = len(models) == 2
    rows: list[Row] = [
        ("heatmap inside", *(_share(one.inside) for one in models), *([_points(focus.inside_change)] * two)),
        ("peak inside", *(_share(one.hits) for one in models), *([_points(focus.hits_change)] * two)),
        ("area of the mask", *[_share(focus.area)] * len(models), *[""] * two),
        ("no evidence", *(str(one.without_evidence) for one in models), *[""] * two),
    ]
    if focus.correlation is not None and focus.correlation.value is not None:
        least = f"{focus.correlation.value:.5f}, at least {focus.least_correlation:.5f}"
        rows.append(("correlation", "", "", least))
    headings = ("", *(one.model for one in models), *(["change, in points"] * two))
    return Section(
        TITLE,
        f"{_MEANING} {verdict(focus)}",
        headings,
        tuple(rows),
        tuple(_shown(case) for case in focus.cases if case.pictures),
        _caption(focus),
    )


_MEANING = (
    "For the class that a picture shows: how much of the heatmap (Grad-CAM) lies inside the picture's mask (the "
    "energy-based pointing game), and in how many pictures its peak does (the pointing game). A heatmap that knows "
    "nothing would have the area of the mask in both; one without evidence is zero everywhere. In brackets is the 95 % "
    "interval (bootstrap): other pictures of the same kind would give other shares."
)


def verdict(focus: Focus) -> str:
    """In a sentence or two: does the model look at what is marked, and does it still?"""
    count = f"{focus.images} picture{'' if focus.images == 1 else 's'} with a mask."
    after, change = focus.after, focus.inside_change
    if focus.before is None or change is None or change.value is None:
        how = "more than" if (after.inside.low or 0.0) > (focus.area.value or 0.0) else "not clearly more than"
        return f"{count} {after.model} looks at what is marked {how} chance would."
    points, low, high = (100 * (share or 0.0) for share in (change.value, change.low, change.high))
    if points == 0:
        return f"{count} {after.model} has as much of its heatmap inside the mask as {focus.before.model}."
    side = "less" if points < 0 else "more"
    real = "may be chance" if low <= 0 <= high else "is more than chance"
    return (
        f"{count} {after.model} has {abs(points):.2g} points {side} of its heatmap inside the mask than "
        f"{focus.before.model}, which {real}."
    )


def _caption(focus: Focus) -> str:
    """What is said above the pictures."""
    line = "The line around what is marked is the mask's outline."
    if focus.before is None:
        return f"{line} The pictures of which the least is inside, beside the mask's area, come first."
    sides = f"On the left is the heatmap of {focus.before.model}, on the right that of {focus.after.model}."
    return f"{line} {sides} The pictures that lost most come first."


def _share(figure: Estimate) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return percent(figure.value)
    return f"{100 * figure.value:.1f} % ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def _points(figure: Estimate | None) -> str:
    """A difference of shares, in points of 100."""
    if figure is None or figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return _signed(figure.value)
    return f"{_signed(figure.value)} ({_signed(figure.low)} to {_signed(figure.high)})"


def _signed(share: float) -> str:
    """With three digits, so that an interval fits a phone."""
    points = 100 * share
    return f"{points:+.{2 if abs(points) < 9.995 else 1}f}"


def _shown(case: Case) -> Shown:
    before = "" if case.before is None else f"{case.before.inside:.1%} → "
    said = (f"{case.label}: {before}{case.after.inside:.1%} inside", f"the mask covers {case.area:.1%}")
    return Shown(case.image, said, tuple(base64.b64encode(data).decode() for data in case.pictures))
