"""A benchmark as one SVG picture: latency over time, with the temperature below."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edgedense.device.board.benchmark import Measurement

WIDTH, HEIGHT, LEFT, GAP = 720, 170, 60, 46
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#ff7f0e")
_MOST_POINTS = 400  # of a line: more than the picture has pixels for says nothing

Points = Sequence[tuple[float, float]]


def plot(measurements: Sequence[Measurement], title: str) -> str:
    """The picture's text. The lower panel is left out where no temperature was read."""
    names = [f"{m.device}, {m.threads} thread{'s' if m.threads > 1 else ''}" for m in measurements]
    latency = [_thinned([(t, s * 1e3) for t, s in zip(m.ends, m.latencies, strict=True)]) for m in measurements]
    heat = [[(s.second, s.temperature) for s in m.samples if s.temperature is not None] for m in measurements]
    panels = [_panel(latency, "ms per inference", 0, GAP)]
    if any(heat):
        panels.append(_panel(heat, "°C", 20, GAP * 2 + HEIGHT))
    legend = "".join(
        f'<text x="{LEFT + i * 160}" y="38" fill="{_colour(i)}">{escape(name)}</text>' for i, name in enumerate(names)
    )
    height = GAP + len(panels) * (HEIGHT + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 20} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>{legend}{"".join(panels)}</svg>\n'
    )


def _panel(lines: Sequence[Points], unit: str, low: float, top: float) -> str:
    last = max((x for line in lines for x, _ in line), default=1.0) or 1.0
    high = max((y for line in lines for _, y in line), default=1.0) * 1.05
    base = top + HEIGHT
    parts = [f'<text x="{LEFT - 6}" y="{top - 6}" text-anchor="end">{unit}</text>']
    for share in (0.0, 0.5, 1.0):
        y, x = base - share * HEIGHT, LEFT + share * WIDTH
        parts.append(
            f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{low + share * (high - low):.3g}</text>'
            f'<text x="{x}" y="{base + 16}" text-anchor="middle">{share * last:.3g} s</text>'
        )
    for i, line in enumerate(lines):
        points = " ".join(
            f"{LEFT + x / last * WIDTH:.1f},{base - (y - low) / (high - low) * HEIGHT:.1f}" for x, y in line
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_colour(i)}"/>')
    return "".join(parts)


def _thinned(points: Points) -> Points:
    """The slowest of every few points: the peaks are what a plot is looked at for."""
    step = -(-len(points) // _MOST_POINTS)
    return [max(points[i : i + step], key=lambda point: point[1]) for i in range(0, len(points), step)]


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]
