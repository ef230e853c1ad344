"""A benchmark as an SVG picture or an HTML page: latency over time, with the temperature below.

It is drawn from the same template as the plots of a page: Matplotlib, of some 60 MB with what it needs, is not on the
device. Letters are in pixels and all else is in percent, so that the picture can be read in a narrow window too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from edgedense.device.board.benchmark import Measurement, table
from edgedense.report.plots import Dot, Line, Plot, ticks
from edgedense.report.template import render

HEIGHT, GAP = 170, 80  # pixels of a panel, and from one to the next
LETTERS = 36  # of a line in large letters, in a window of 390 pixels
COLOURS = 6  # that the template has; further lines begin again with the first
_MOST_POINTS = 400  # of a line: more than the picture has pixels for says nothing

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """A plot and where it stands in the picture, in pixels below the title."""

    plot: Plot
    top: int
    height: int


def plot(measurements: Sequence[Measurement], title: str) -> str:
    """The picture's text. The lower panel is left out where no temperature was read."""
    drawn = _content(measurements)
    lines = wrap(title, LETTERS)  # SVG does not break lines by itself
    top = 20 * len(lines)
    height = top + drawn["panels"][-1].top + HEIGHT + 60
    return render("benchmark.svg", title=title, title_lines=lines, top=top, height=height, **drawn)


def page(measurements: Sequence[Measurement], title: str) -> str:
    """The same as an HTML page with the figures, which can be read on a phone too."""
    verdicts = [f"{m.device}, threads {m.threads}: {m.verdict}" for m in measurements if m.verdict]
    headings, *rows = table(measurements)
    content = _content(measurements)
    return render("benchmark.html", title=title, verdicts=verdicts, headings=headings, rows=rows, **content)


def _content(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """The name of each run, and the panels, which share the axis of time."""
    latency = [_thinned([(t, s * 1e3) for t, s in zip(m.ends, m.latencies, strict=True)]) for m in measurements]
    heat = [[(s.second, s.temperature) for s in m.samples if s.temperature is not None] for m in measurements]
    last = max((x for line in (*latency, *heat) for x, _ in line), default=1.0) or 1.0
    plots = [_over_time(latency, "milliseconds per inference", 0.0, last)]
    if any(heat):
        plots.append(_over_time(heat, "°C", 20.0, last))
    first = 60 + 20 * len(measurements)
    return {
        "names": [f"{m.device}, {m.threads} thread{'s' if m.threads > 1 else ''}" for m in measurements],
        "panels": [Panel(one, first + i * (HEIGHT + GAP), HEIGHT) for i, one in enumerate(plots)],
    }


def _over_time(lines: Sequence[Points], unit: str, low: float, last: float) -> Plot:
    high = max((y for line in lines for _, y in line), default=1.0) * 1.05
    drawn = tuple(
        Line(f"line{i % COLOURS}", tuple(Dot(100 * x / last, 100 - 100 * (y - low) / (high - low)) for x, y in line))
        for i, line in enumerate(lines)
    )
    seconds = tuple((100 * share, f"{share * last:.3g}") for share in (0.0, 0.5, 1.0))
    return Plot(unit, "seconds", unit, seconds, ticks(low, high), drawn)


def _thinned(points: Points) -> Points:
    """The slowest of every few points: the peaks are what a plot is looked at for."""
    step = -(-len(points) // _MOST_POINTS)
    return [max(points[i : i + step], key=lambda point: point[1]) for i in range(0, len(points), step)]
