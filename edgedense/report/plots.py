"""Plots as SVG text: data in, one `<svg>` element out.

Colours are CSS classes (`before`, `after`, `good`, `bad`, `ink`, `grid`), so that the page decides what
they look like in light, dark and print. Every picture scales with its column and carries a title for
screen readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from edgedense.measures.metrics import ReliabilityBin

CHARACTERS = 18  # of a name that are shown


def delta_bars(names: Sequence[str], deltas: Sequence[float], title: str, unit: str = "points") -> str:
    """Horizontal bars around zero, one per name: negative to the left as `bad`, positive to the right as
    `good`."""
    row, width, left_of = 22, 520, _label_width(names)
    limit = max([abs(d) for d in deltas] + [1.0])
    zero = left_of + (width - left_of) / 2
    reach = (width - left_of) / 2 - 44  # leaves room for the number behind the bar
    parts = [f'<line class="grid" x1="{zero:g}" x2="{zero:g}" y1="0" y2="{row * len(names)}"/>']
    for i, (name, delta) in enumerate(zip(names, deltas, strict=True)):
        length = abs(delta) / limit * reach
        left = zero - length if delta < 0 else zero
        end, anchor = (left - 4, "end") if delta < 0 else (left + length + 4, "start")
        parts.append(
            _text(left_of - 8, i * row + 15, _short(name), "end")
            + f'<rect class="{"bad" if delta < 0 else "good"}" x="{left:.1f}" y="{i * row + 4}" '
            f'width="{max(length, 0.5):.1f}" height="{row - 8}" rx="2"/>'
            + _text(end, i * row + 15, f"{delta:+.1f}", anchor)
        )
    return _svg(width, row * len(names) + 2, f"{title}, in {unit}", parts)


def heatmap(names: Sequence[str], counts: Sequence[Sequence[int]], title: str) -> str:
    """A confusion matrix: rows are true classes, shaded by their share of the row; the diagonal is `good`,
    the rest `bad`. Counts are written in where they fit."""
    cell = 34 if len(names) <= 12 else 18
    left_of, top = _label_width(names), 100
    parts = []
    for i, (name, row) in enumerate(zip(names, counts, strict=True)):
        y, total = top + i * cell, max(sum(row), 1)
        middle = left_of + i * cell + cell / 2 + 4
        parts.append(_text(left_of - 8, y + cell / 2 + 4, _short(name), "end"))
        parts.append(
            f'<text class="ink" transform="translate({middle:g} {top - 8}) rotate(-55)">'
            f"{escape(_short(name, 12))}</text>"
        )
        for j, count in enumerate(row):
            place = f'x="{left_of + j * cell + 1}" y="{y + 1}" width="{cell - 2}" height="{cell - 2}" rx="2"'
            shade = 0.06 + 0.84 * count / total if count else 0
            parts.append(f'<rect class="{"good" if i == j else "bad"}" {place} fill-opacity="{shade:.2f}"/>')
            said = f"{escape(name)} as {escape(names[j])}: {count}"
            parts.append(f'<rect class="cell" {place}><title>{said}</title></rect>')
            if count and cell > 20:
                parts.append(_text(left_of + j * cell + cell / 2, y + cell / 2 + 4, str(count), "middle"))
    # The last slanted name leans out to the right.
    return _svg(left_of + cell * len(names) + 30, top + cell * len(names), title, parts)


def reliability_curves(before: Sequence[ReliabilityBin] | None, after: Sequence[ReliabilityBin], title: str) -> str:
    """Accuracy over confidence, both 0 to 1; on the dashed diagonal a model is as often right as it says.
    The area of a dot grows with its share of the images."""
    size, left, base = 300, 44, 310
    parts = [f'<line class="grid dashed" x1="{left}" y1="{base}" x2="{left + size}" y2="{base - size}"/>']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = left + tick * size, base - tick * size
        parts.append(
            f'<line class="grid" x1="{left}" x2="{left + size}" y1="{y:g}" y2="{y:g}"/>'
            + _text(left - 6, y + 4, f"{tick:g}", "end")
            + _text(x, base + 16, f"{tick:g}", "middle")
        )
    parts.append(_text(left + size / 2, base + 34, "confidence", "middle"))
    parts.append(
        f'<text class="ink" text-anchor="middle" transform="translate(12 {base - size / 2:g}) rotate(-90)">'
        "accuracy</text>"
    )
    for kind, bins in (("before", before), ("after", after)):
        parts.extend(_curve(bins or (), kind, left, base, size))
    return _svg(left + size + 12, base + 42, title, parts)


def _curve(bins: Sequence[ReliabilityBin], kind: str, left: float, base: float, size: float) -> list[str]:
    total = sum(b.count for b in bins)
    at = [(left + b.confidence * size, base - b.accuracy * size, 2 + 7 * (b.count / total) ** 0.5, b) for b in bins]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in at)
    return [f'<polyline class="line {kind}" points="{path}"/>'] + [
        f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"><title>{b.count} images, '
        f"confidence {b.confidence:.2f}, accuracy {b.accuracy:.2f}</title></circle>"
        for x, y, r, b in at
    ]


def layer_profile(layers: Sequence[tuple[str, float]], title: str, mark: int = 3) -> str:
    """Signal-to-noise in dB over the layers in their order, input on the left; the `mark` worst are dots
    with a name."""
    width, height, left, base = 520, 220, 40, 190
    values = [min(value, 60.0) for _, value in layers]  # what is exact would flatten the rest
    low, high = min([0.0, *values]), max([1.0, *values])
    step = (width - left - 8) / max(len(layers) - 1, 1)
    at = [(left + i * step, base - (v - low) / (high - low) * (base - 14)) for i, v in enumerate(values)]
    parts = [
        f'<line class="grid" x1="{left}" x2="{width - 8}" y1="{y:g}" y2="{y:g}"/>' + _text(left - 6, y + 4, s, "end")
        for y, s in ((base, f"{low:.0f}"), (14, f"{high:.0f}"))
    ]
    parts.append(f'<polyline class="line after" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>')
    for i in sorted(range(len(values)), key=values.__getitem__)[:mark]:
        (x, y), (name, value) = at[i], layers[i]
        parts.append(
            f'<circle class="dot bad" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(name)}: {value:.1f} dB'
            "</title></circle>"
        )
    parts.append(_text((left + width) / 2, height - 8, "layers, from input to output", "middle"))
    return _svg(width, height, title, parts)


def learning_curves(
    training: Sequence[float], validation: Sequence[float], best: int, title: str, top: float | None = None
) -> str:
    """A figure over the epochs, on training pictures (`before`) and on validation pictures (`after`); the
    dashed line marks epoch number `best`, counted from 0. The axis goes from 0 to `top` or the largest value."""
    width, height, left, base = 420, 230, 40, 190
    high = top or max([*training, *validation, 1e-9])
    step = (width - left - 12) / max(len(training) - 1, 1)
    x = [left + i * step for i in range(len(training))]
    marked = x[best]
    parts = [f'<line class="grid dashed" x1="{marked:.1f}" x2="{marked:.1f}" y1="14" y2="{base}"/>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = base - share * (base - 14)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - 12}" y1="{y:g}" y2="{y:g}"/>'
            + _text(left - 6, y + 4, f"{share * high:.3g}", "end")
        )
    every = max(1, -(-len(x) // 10))
    parts += [_text(x[i], base + 16, str(i + 1), "middle") for i in range(0, len(x), every)]
    for kind, name, values in (("before", "training", training), ("after", "validation", validation)):
        at = [(px, base - min(v / high, 1) * (base - 14), v) for px, v in zip(x, values, strict=True)]
        parts.append(f'<polyline class="line {kind}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b, _ in at)}"/>')
        parts += [
            f'<circle class="dot {kind}" cx="{a:.1f}" cy="{b:.1f}" r="3"><title>epoch {i + 1}, {name}: {v:.4f}'
            "</title></circle>"
            for i, (a, b, v) in enumerate(at)
        ]
    parts.append(_text((left + width) / 2, height - 4, "epochs", "middle"))
    return _svg(width, height, title, parts)


def relative_bars(steps: Sequence[str], series: Mapping[str, Sequence[float]], title: str) -> str:
    """For each step a group of bars, one per named series, as a share of that series' value at the first step."""
    row, width, left_of = 16, 520, _label_width([*steps, *series])
    longest = max(value / values[0] for values in series.values() for value in values)
    reach = (width - left_of - 48) / max(longest, 1.0)
    parts, y = [], 0
    for i, step in enumerate(steps):
        parts.append(_text(0, y + 13, step, "start"))
        y += 20
        for name, values in series.items():
            share = values[i] / values[0]
            kind = "before" if i == 0 else "after"
            parts.append(
                _text(left_of - 8, y + 12, _short(name), "end")
                + f'<rect class="dot {kind}" x="{left_of}" y="{y + 2}" width="{max(share * reach, 0.5):.1f}" '
                f'height="{row - 4}" rx="2"/>'
                + _text(left_of + share * reach + 5, y + 12, f"{100 * share:.0f} %", "start")
            )
            y += row
        y += 6
    return _svg(width, y, title, parts)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" style="max-width:{width:g}px" role="img">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="ink" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _label_width(names: Sequence[str]) -> int:
    """Room for the longest name at 12 units a line: a letter is 7 wide at most in common fonts."""
    return 12 + 7 * max((len(_short(name)) for name in names), default=0)


def _short(name: str, limit: int = CHARACTERS) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
