"""The page of a search: which values stand in `templates/search.html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from edgedense.boards.coefficients import coefficients
from edgedense.boards.known import BOARDS, known
from edgedense.report import standings, template
from edgedense.report.plots import Dot, Line, Plot, round_numbers
from edgedense.report.standings import interval, ms
from edgedense.report.validation_page import Tile
from edgedense.searching.result import Point, PointKind, SearchResult

KINDS: Mapping[PointKind, str] = {
    "trial": "found by the search",
    "unpruned": "the whole DenseNet",
    "fraction": "--prune-channels alone",
    "rival": "another network",
}
SMALLEST, LARGEST = 4.0, 9.0  # pixels from a mark's middle to its edge
WIDEST = 90.0  # percent of the plot's width at which the slowest file stands
BELOW, ABOVE = 0.08, 0.12  # of the height between the least and the greatest accuracy that stay free


@dataclass(frozen=True)
class Mark:
    """A file in the plot: `x` and `y` in percent of it, from the left and from the top, as are the ends `high` and
    `low` of its interval; `radius` in pixels. `lines` are said when it is pointed at; `href` is empty where no recipe
    was kept."""

    kind: PointKind
    x: float
    y: float
    high: float
    low: float
    radius: float
    href: str
    lines: tuple[str, str, str]
    is_chosen: bool


def render(result: SearchResult) -> str:
    """The page, which stands in the folder of the results: its links go to files and recipes there."""
    points = standings.shown(result)
    rivals = [point for point in points if point.kind == "rival"]
    best = next(point for point in points if point.name == result.chosen)
    return template.render(
        "search.html",
        title=f"The best files of {result.model} for {result.board}",
        verdict=_verdict(result, best, points),
        command=best.command,
        tiles=_tiles(result, best, points),
        measure=result.measure,
        images=best.images,
        tested=standings.tested(result),
        validated=result.best.images,
        kinds=[(kind, said) for kind, said in KINDS.items() if any(point.kind == kind for point in points)],
        plot=_plot(result, points),
        marks=_marks(result, points),
        times=_times(result),
        rivals=[point.name for point in rivals],
        answer=standings.answer(points),
        verdicts=standings.verdicts(points),
        headings=_headings(result),
        rows=[_row(result, point) for point in points],
        made=[(point.name, _made(point)) for point in points],
        notes=result.notes,
        trials=result.trials,
        seed=result.seed,
    )


def _verdict(result: SearchResult, best: Point, points: Sequence[Point]) -> str:
    said = (
        f"{best.name} is the most accurate file that takes at most {result.budget_ms:.3g} ms on {result.board}. It "
        f"takes {ms(best)}."
    )
    whole = next((point for point in points if point.kind == "unpruned"), None)
    if whole is None or whole.name == best.name:
        return said
    lost = whole.accuracy - best.accuracy
    beside = "as good" if abs(lost) < 0.005 else f"{abs(lost):.2f} points {'worse' if lost > 0 else 'better'}"
    return (
        f"{said} The whole DenseNet takes {ms(whole)}. {best.name} is {beside} in {result.measure}"
        f"{' on the same pictures' if beside == 'as good' else ''}."
    )


def _tiles(result: SearchResult, best: Point, points: Sequence[Point]) -> list[Tile]:
    estimated = "estimated" if best.is_estimate else "measured"
    return [
        Tile("time", f"{best.milliseconds:.3g} ms", f"{estimated}; at most {result.budget_ms:.3g} ms"),
        Tile(result.measure, f"{best.accuracy:.2f} %", f"95 %: {best.low:.1f} to {best.high:.1f}"),
        Tile("size", f"{best.size / 1e6:.2f} MB", "of the file"),
        Tile("trials", str(result.trials), f"{len(points)} files measured in full"),
    ]


class _Axes:
    """Milliseconds and points of accuracy as percent of the plot, from the left and from the top."""

    def __init__(self, result: SearchResult, points: Sequence[Point]) -> None:
        self.right = max([point.milliseconds for point in points] + [result.budget_ms]) / WIDEST * 100
        low, high = min(point.low for point in points), max(point.high for point in points)
        room = max(high - low, 0.5)
        self.bottom, self.top = low - BELOW * room, high + ABOVE * room

    def x(self, milliseconds: float) -> float:
        return 100 * milliseconds / self.right

    def y(self, accuracy: float) -> float:
        return 100 * (self.top - accuracy) / (self.top - self.bottom)


def _plot(result: SearchResult, points: Sequence[Point]) -> Plot:
    """The axes, the budget, and the front of the DenseNets as stairs: what is reached within a time."""
    axes = _Axes(result, points)
    stairs: list[Dot] = []
    for point in standings.front(standings.densenets(points)):
        if stairs:
            stairs.append(Dot(axes.x(point.milliseconds), stairs[-1].y))
        stairs.append(Dot(axes.x(point.milliseconds), axes.y(point.accuracy)))
    stairs.append(Dot(100, stairs[-1].y))
    return Plot(
        f"{result.measure} over milliseconds",
        f"milliseconds on {result.board}",
        f"{result.measure}, %",
        tuple((axes.x(value), f"{value:g}") for value in round_numbers(0, axes.right)),
        tuple((axes.y(value), f"{value:g}") for value in round_numbers(axes.bottom, axes.top)),
        (Line("after", tuple(stairs)),),
        marked=axes.x(result.budget_ms),
    )


def _marks(result: SearchResult, points: Sequence[Point]) -> list[Mark]:
    """The chosen one last, so that nothing lies on it."""
    axes = _Axes(result, points)
    largest = max(point.size for point in points)
    return [
        Mark(
            point.kind,
            axes.x(point.milliseconds),
            axes.y(point.accuracy),
            axes.y(point.high),
            axes.y(point.low),
            SMALLEST + (LARGEST - SMALLEST) * (point.size / largest) ** 0.5,
            _link(point.recipe or point.file),
            (point.name, f"{ms(point)}, {point.size / 1e6:.2f} MB", f"{interval(point)} %"),
            point.name == result.chosen,
        )
        for point in sorted(points, key=lambda point: point.name == result.chosen)
    ]


def _link(path: str) -> str:
    """A path below the page's folder as an address: a name with a space or a question mark in it stays one."""
    return quote(path)


def _times(result: SearchResult) -> str:
    """Where the times are from, and how far off they may be."""
    estimates = [point for point in result.points if point.is_estimate]
    if not estimates:
        return f"Times were measured on {result.board}: the median of an inference on one thread."
    some = "Times" if len(estimates) == len(result.points) else "Times with “about” before them"
    said = (
        f"{some} are estimates for one thread of {result.board}, computed from the operators of each file. Take them "
        "to compare files; how long a file takes on your board, a measurement there says (--on)."
    )
    if result.board in BOARDS:
        error = coefficients(known(result.board).processor.counted).error
        said += (
            f" The instructions that they begin with were at most {100 * error:.2g} % off the counted ones, for files "
            "that nothing was fitted to. The step from instructions to milliseconds adds an error that is not known."
        )
    return said


def _headings(result: SearchResult) -> tuple[str, ...]:
    return ("file", "what it is", "ms", "instructions, M", f"{result.measure}, %", "MB", "remark", "kept")


def _row(result: SearchResult, point: Point) -> dict[str, Any]:
    marks = ["chosen"] * (point.name == result.chosen) + ["on the front"] * point.on_front
    counted = "–" if point.instructions is None else f"{point.instructions / 1e6:,.1f}"
    accuracy = f"{point.accuracy:.2f} ({point.low:.2f} to {point.high:.2f})"
    return {
        "kind": point.kind,
        "is_chosen": point.name == result.chosen,
        "cells": (
            point.name,
            KINDS[point.kind],
            f"{point.milliseconds:.3g}",
            counted,
            accuracy,
            f"{point.size / 1e6:.2f}",
            ", ".join(marks),
        ),
        "links": [(word, _link(path)) for word, path in (("file", point.file), ("recipe", point.recipe)) if path],
    }


def _made(point: Point) -> str:
    """The command that makes a file again; of a rival, which has none, its settings."""
    if point.command:
        return point.command
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in point.settings.items())
