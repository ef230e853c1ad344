"""Where a pruned DenseNet stops being sensible: what other networks of a search reach in the same time, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from edgedense.errors import listed
from edgedense.searching.result import Point, SearchResult


@dataclass(frozen=True)
class Standing:
    """A rival beside the DenseNets. Times are in milliseconds, infinite where there is no such DenseNet.

    `unsure_from` is that of the fastest DenseNet that reaches the rival's interval: from there on the two may be
    equally good. `beaten_from` is that of the fastest DenseNet that is at least as accurate, and `fastest` that of the
    fastest of all.
    """

    rival: Point
    unsure_from: float
    beaten_from: float
    fastest: float

    @property
    def wins(self) -> bool:
        """Whether it is more accurate than some DenseNet, and none that is as fast equals it."""
        return self.beaten_from > max(self.rival.milliseconds, self.fastest)

    @property
    def is_only_faster(self) -> bool:
        """Whether no DenseNet here is as fast, and the fastest is at least as accurate. One that was cut further was
        not tried, so that nothing is known about which is better in this time."""
        return self.beaten_from == self.fastest > self.rival.milliseconds

    @property
    def is_sure(self) -> bool:
        """Whether there is one in which the rival is better than its interval is wide."""
        return self.unsure_from > self.rival.milliseconds


def shown(result: SearchResult) -> tuple[Point, ...]:
    """The points with the accuracies that are to be compared: those on test pictures where all have one, because the
    others are those that the search chose by."""
    test = result.test or {}
    if not all(point.name in test for point in result.points):
        return result.points
    found = []
    for point in result.points:
        accuracy, low, high = test[point.name]
        found.append(replace(point, accuracy=accuracy, low=low, high=high, images=result.test_images))
    return tuple(found)


def tested(result: SearchResult) -> bool:
    """Whether `shown` gives accuracies on pictures that the search did not use."""
    return all(point.name in (result.test or {}) for point in result.points)


def front(points: Iterable[Point]) -> tuple[Point, ...]:
    """Those that no faster one equals in accuracy, the fastest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (one.milliseconds, -one.accuracy)):
        if not found or point.accuracy > found[-1].accuracy:
            found.append(point)
    return tuple(found)


def densenets(points: Iterable[Point]) -> tuple[Point, ...]:
    """All but the rivals."""
    return tuple(point for point in points if point.kind != "rival")


def standings(points: Sequence[Point]) -> tuple[Standing, ...]:
    """Each rival beside the DenseNets, the fastest first."""
    ours = densenets(points)

    def fastest(able: Iterable[Point]) -> float:
        return min((point.milliseconds for point in able), default=math.inf)

    return tuple(
        Standing(
            rival,
            fastest(point for point in ours if point.high >= rival.low),
            fastest(point for point in ours if point.accuracy >= rival.accuracy),
            fastest(ours),
        )
        for rival in sorted(points, key=lambda point: point.milliseconds)
        if rival.kind == "rival"
    )


def answer(points: Sequence[Point]) -> str:
    """In a sentence or two: below which time another network is the better choice. Empty without rivals."""
    found = standings(points)
    if not found:
        return ""
    wins = [one for one in found if one.wins]
    faster = [one for one in found if one.is_only_faster]
    if not wins and faster:
        return (
            f"No DenseNet here is as fast as {listed([one.rival.name for one in faster])}, and the fastest, with "
            f"{faster[0].fastest:.3g} ms, is at least as accurate. A smaller --budget tries DenseNets that are faster."
        )
    if not wins:
        return (
            "None of the other networks is better than a pruned DenseNet, however much time there is: for each there "
            "is a DenseNet that is as fast and at least as accurate."
        )
    last = max(wins, key=lambda one: one.beaten_from)
    if math.isinf(last.beaten_from):
        said = f"No DenseNet here is as accurate as {last.rival.name}, which takes {ms(last.rival)}."
    else:
        said = (
            f"A pruned DenseNet stops being sensible below {last.beaten_from:.3g} ms: with less time, down to "
            f"{min(one.rival.milliseconds for one in wins):.3g} ms, {listed([one.rival.name for one in wins])} "
            f"{'is' if len(wins) == 1 else 'are'} better than every DenseNet that is as fast."
        )
    if not any(one.is_sure for one in wins):
        said += " The intervals overlap, so this may be chance."
    return said


def verdicts(points: Sequence[Point]) -> tuple[str, ...]:
    """A paragraph for each rival, the fastest first, with how long it was trained."""
    return tuple(" ".join(filter(None, (_verdict(one), _training(one.rival)))) for one in standings(points))


def _training(rival: Point) -> str:
    """How a rival that was trained here was trained."""
    epochs, pictures = rival.settings.get("epochs"), rival.settings.get("pictures")
    if epochs is None or pictures is None:
        return ""
    return f"It was trained from nothing, {epochs} time{'' if epochs == 1 else 's'} over {pictures:,} pictures."


def _verdict(one: Standing) -> str:
    rival, sure, until = one.rival, one.unsure_from, one.beaten_from
    said = f"{rival.name}: {ms(rival)}, {interval(rival)} %."
    if one.is_only_faster:
        return f"{said} No DenseNet here is as fast; the fastest, with {one.fastest:.3g} ms, is at least as accurate."
    if not one.wins:
        return f"{said} A DenseNet of at most that time is at least as accurate."
    if math.isinf(sure):
        return f"{said} No DenseNet here comes near it: all their intervals end below its own."
    parts = []
    if one.is_sure:
        parts.append(f"Below {sure:.3g} ms it is better than every DenseNet, and the intervals do not overlap.")
    if until > max(sure, rival.milliseconds):
        start = f"From {sure:.3g} ms on" if one.is_sure else "Beside the DenseNets that are as fast"
        parts.append(f"{start} it is more accurate, but intervals overlap, so this may be chance.")
    if math.isfinite(until):
        parts.append(f"From {until:.3g} ms on a DenseNet is at least as accurate.")
    return " ".join((said, *parts))


def ms(point: Point) -> str:
    """The time, as an estimate where it is one."""
    return f"about {point.milliseconds:.3g} ms" if point.is_estimate else f"{point.milliseconds:.3g} ms"


def interval(point: Point) -> str:
    """ "87.24 (86.3 to 88.1)": the accuracy in percent with its interval."""
    return f"{point.accuracy:.2f} ({point.low:.1f} to {point.high:.1f})"
