"""What the plots of a page show, as places in percent: `templates/plots.html` and `lines.svg` draw them.

A plotting library would weigh more than it brings. The page is one file without a script, so nothing may draw it in the
browser; Matplotlib is not on the device, and its pictures scale their letters down with the page, to 6 pixels on a
phone, and know nothing of dark mode. Here places are in percent and letters in pixels: a plot fills the width that it
is given and its letters stay as large as the text around them. Bars and the confusion matrix are HTML tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgedense.measures.bootstrap import Estimate
from edgedense.measures.drift import Evaluation
from edgedense.measures.findings import Finding
from edgedense.measures.metrics import ReliabilityBin
from edgedense.measures.values import Measured

MOST_CLASSES = 60  # of a confusion matrix; a larger one would be millions of cells, and nobody reads it
MOST_MISTAKES = 20  # of the list of confusions
MOST_CURVES = 24  # ROC curves side by side
MOST_DOTS = 1000  # pictures in a plot: each is some 100 bytes of the page
_EXACT = 60.0  # dB at which a layer's curve is cut off: what is exact would flatten the rest


@dataclass(frozen=True)
class Dot:
    """A point of a line. `x` and `y` in percent of the plot, from the left and from the top; `radius` in pixels;
    `said` is its text for the mouse."""

    x: float
    y: float
    radius: float = 3.0
    said: str = ""


@dataclass(frozen=True)
class Line:
    """Points from left to right in one colour: `kind` is a class of `page.css`. `dots` are drawn beside the line."""

    kind: str
    points: tuple[Dot, ...]
    dots: tuple[Dot, ...] = ()


@dataclass(frozen=True)
class Level:
    """A dashed line across a plot, at `y` percent from the top. What it is stands above its right end, or below it, or
    with `left` above its left one."""

    y: float
    said: str
    below: bool = False
    left: bool = False


@dataclass(frozen=True)
class Plot:
    """Lines over two axes. A tick is (place in percent, text); `marked` is where a dashed line stands upright, and
    `levels` are those that lie."""

    title: str
    across: str
    up: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    diagonal: bool = False
    marked: float | None = None
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class Bar:
    """A bar from `left` over `width`, both in percent of its track, with what stands beside it."""

    name: str
    left: float
    width: float
    kind: str
    said: str


@dataclass(frozen=True)
class Whisker:
    """A figure `at` a place, with its interval from `left` over `width`, all in percent of its track."""

    kind: str
    left: float
    width: float
    at: float
    said: str


@dataclass(frozen=True)
class Intervals:
    """Rows (name, whiskers, what stands beside them); what is written under the beginning, the middle and the end of
    the tracks; and where on them an upright dashed line stands."""

    rows: tuple[tuple[str, tuple[Whisker, ...], str], ...]
    ticks: tuple[str, str, str]
    marked: float | None


@dataclass(frozen=True)
class Cell:
    """A cell of a confusion matrix: images, and in percent how strong its colour is."""

    count: int
    shade: int
    kind: str
    said: str


@dataclass(frozen=True)
class Matrix:
    """A model's confusion matrix; `rows` are true classes. Empty for more than MOST_CLASSES."""

    model: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def delta_bars(names: Iterable[str], deltas: Sequence[float]) -> tuple[Bar, ...]:
    """A bar for each change in points, from zero in the middle: to the left as `bad`, to the right as `good`."""
    limit = max([abs(delta) for delta in deltas] + [1.0])
    return tuple(
        Bar(
            name,
            50 + min(delta, 0) / limit * 50,
            abs(delta) / limit * 50,
            "bad" if delta < 0 else "good",
            f"{delta:+.1f}",
        )
        for name, delta in zip(names, deltas, strict=True)
    )


def relative_bars(
    steps: Sequence[str], series: Mapping[str, Sequence[float]]
) -> tuple[tuple[str, tuple[Bar, ...]], ...]:
    """For each step a bar for each named series, as a share of that series' value at the first step."""
    longest = max((value / values[0] for values in series.values() for value in values), default=1.0)

    def bar(name: str, share: float, kind: str) -> Bar:
        return Bar(name, 0, 100 * share / max(longest, 1.0), kind, f"{100 * share:.0f} %")

    return tuple(
        (step, tuple(bar(name, values[i] / values[0], "after" if i else "before") for name, values in series.items()))
        for i, step in enumerate(steps)
    )


def intervals(names: Sequence[str], series: Mapping[str, Sequence[Estimate]]) -> Intervals:
    """AUROCs with their 95 % intervals, a whisker for each class and series; `series` are named by their kind. The axis
    ends at 1, and begins where all have room. A class without the figure has no whisker."""
    found = [one for estimates in series.values() for one in estimates if one.value is not None]
    least = min([one.value if one.low is None else one.low for one in found if one.value is not None] + [0.9])
    start = math.floor(10 * least) / 10

    def place(value: float) -> float:
        return 100 * (value - start) / (1 - start)

    def whisker(kind: str, one: Estimate) -> Whisker:
        value = one.value or 0.0
        low, high = (value if end is None else end for end in (one.low, one.high))
        return Whisker(
            kind, place(low), place(high) - place(low), place(value), f"{value:.3f} ({low:.3f} to {high:.3f})"
        )

    rows = tuple(
        (
            name,
            tuple(whisker(kind, all_of[i]) for kind, all_of in series.items() if all_of[i].value is not None),
            " → ".join("–" if all_of[i].value is None else f"{all_of[i].value:.3f}" for all_of in series.values()),
        )
        for i, name in enumerate(names)
    )
    return Intervals(rows, (f"{start:g}", f"{(1 + start) / 2:.3g}", "1"), place(0.5) if start < 0.5 else None)


def roc(before: Finding | None, after: Finding) -> Plot:
    """The ROC curves of a class; the dots are where the threshold puts it."""
    ticks = (0, 0.5, 1)
    lines = []
    for kind, finding in (("before", before), ("after", after)):
        if finding is not None:
            found, left = finding.figures.sensitivity.value, finding.figures.specificity.value
            dots = () if found is None or left is None else (_roc_dot(1 - left, found),)
            lines.append(Line(kind, tuple(Dot(100 * x, 100 - 100 * y) for x, y in finding.roc), dots))
    return Plot(
        f"ROC curve of {after.name}",
        "1 - specificity",
        "sensitivity",
        tuple((100 * tick, f"{tick:g}") for tick in ticks),
        tuple((100 - 100 * tick, f"{tick:g}") for tick in ticks),
        tuple(lines),
        diagonal=True,
    )


def _roc_dot(x: float, y: float) -> Dot:
    return Dot(
        100 * x, 100 - 100 * y, 5, f"at the threshold: sensitivity {100 * y:.1f} %, specificity {100 - 100 * x:.1f} %"
    )


def confusion(evaluation: Evaluation) -> Matrix:
    """The matrix, shaded by the share of its row; the diagonal is `good`, the rest `bad`."""
    names = tuple(figures.name for figures in evaluation.per_class)
    if len(names) > MOST_CLASSES:
        return Matrix(evaluation.model, names, ())

    def cell(i: int, j: int, count: int, total: int) -> Cell:
        shade = round(8 + 82 * count / total) if count else 0
        return Cell(count, shade, "good" if i == j else "bad", f"{names[i]} taken for {names[j]}: {count}")

    rows = tuple(
        (names[i], tuple(cell(i, j, count, sum(row)) for j, count in enumerate(row)))
        for i, row in enumerate(evaluation.confusion)
    )
    return Matrix(evaluation.model, names, rows)


def mistakes(evaluation: Evaluation, most: int = MOST_MISTAKES) -> list[tuple[str, str, str, str]]:
    """(true class, decided class, images, share of the true class's images) of the most frequent confusions."""
    names = [figures.name for figures in evaluation.per_class]
    found = [
        (count, i, j) for i, row in enumerate(evaluation.confusion) for j, count in enumerate(row) if count and i != j
    ]
    return [
        (names[i], names[j], str(count), f"{100 * count / sum(evaluation.confusion[i]):.1f} %")
        for count, i, j in sorted(found, key=lambda entry: (-entry[0], entry[1:]))[:most]
    ]


def reliability_curves(before: Sequence[ReliabilityBin] | None, after: Sequence[ReliabilityBin]) -> Plot:
    """Accuracy over confidence, both 0 to 1; on the dashed diagonal a model is as often right as it says. The area of a
    dot grows with its share of the images."""
    ticks = (0, 0.25, 0.5, 0.75, 1)
    return Plot(
        "How often a model is right, over how sure it is",
        "how sure it is: the probability of its decision",
        "how often it is right",
        tuple((100 * tick, f"{tick:g}") for tick in ticks),
        tuple((100 - 100 * tick, f"{tick:g}") for tick in ticks),
        tuple(_curve(kind, bins) for kind, bins in (("before", before), ("after", after)) if bins),
        diagonal=True,
    )


def _curve(kind: str, bins: Sequence[ReliabilityBin]) -> Line:
    total = sum(b.count for b in bins)
    dots = tuple(
        Dot(
            100 * b.confidence,
            100 - 100 * b.accuracy,
            2 + 7 * (b.count / total) ** 0.5,
            f"{b.count} images: {100 * b.confidence:.0f} % sure, {100 * b.accuracy:.0f} % right",
        )
        for b in bins
    )
    return Line(kind, dots, dots)


def layer_profile(layers: Sequence[tuple[str, float]], mark: int = 3) -> Plot:
    """Signal-to-noise ratio in dB over the layers, from the input on the left; the `mark` worst are dots."""
    values = [min(value, _EXACT) for _, value in layers]
    low, high = min([0.0, *values]), max([1.0, *values])
    places = _spread(len(values))
    at = tuple(Dot(x, 100 - 100 * (v - low) / (high - low)) for x, v in zip(places, values, strict=True))
    worst = sorted(range(len(values)), key=values.__getitem__)[:mark]
    dots = tuple(Dot(at[i].x, at[i].y, 4, f"{layers[i][0]}: {layers[i][1]:.1f} dB") for i in worst)
    return Plot(
        "Signal-to-noise ratio by layer",
        "layers, from input to output",
        "dB",
        (),
        ticks(low, high),
        (Line("after", at), Line("bad", (), dots)),
    )


def learning_curves(
    training: Sequence[float], validation: Sequence[float], best: int, title: str, top: float | None = None
) -> Plot:
    """A figure over the epochs, on training pictures (`before`; empty where it is not measured on them) and on
    validation pictures (`after`); the dashed line marks epoch number `best`, counted from 0. The axis goes from 0 to
    `top` or the largest value."""
    high = top or max([*training, *validation, 1e-9])
    places = _spread(len(validation))
    every = max(1, math.ceil(len(places) / 10))
    lines = []
    for kind, name, values in (("before", "training", training), ("after", "validation", validation)):
        dots = tuple(
            Dot(x, 100 - 100 * min(v / high, 1), 3, f"epoch {i + 1}, {name}: {v:.4f}")
            for i, (x, v) in enumerate(zip(places if values else (), values, strict=True))
        )
        lines.append(Line(kind, dots, dots))
    return Plot(
        title,
        "epochs",
        "",
        tuple((places[i], str(i + 1)) for i in range(0, len(places), every)),
        ticks(0, high),
        tuple(lines),
        marked=places[best],
    )


def bland_altman(value: Measured, model: int, unit: str = "") -> Plot:
    """The error of one of the models over the mean of right and given value, a dot for each picture; dashed the bias
    and the limits of agreement (Bland and Altman, 1986). The axes are the same for each model. Of more than MOST_DOTS
    pictures so many are drawn, evenly from the largest error to the smallest."""
    step = max(1.0, len(value.pictures) / MOST_DOTS)
    drawn = [value.pictures[int(i * step)] for i in range(min(len(value.pictures), MOST_DOTS))]
    middles = [(one.right + given) / 2 for one in drawn for given in one.given]
    apart = [given - one.right for one in drawn for given in one.given]
    lines = [
        [number for number in (errors.lower.value, errors.bias.value, errors.upper.value) if number is not None]
        for errors in value.errors
    ]
    left, right = _widened(middles)
    low, high = _widened([0.0, *apart, *(number for each in lines for number in each)])

    def place(y: float) -> float:
        return 100 - 100 * (y - low) / (high - low)

    dots = tuple(
        Dot(
            100 * ((one.right + one.given[model]) / 2 - left) / (right - left),
            place(one.given[model] - one.right),
            2.5,
            f"{one.image}: {one.given[model]:.4g}, right is {one.right:.4g}",
        )
        for one in drawn
    )
    errors = value.errors[model]
    levels = [
        Level(place(found.value), f"{name} {found.value:+.3g}", below=name == "lower", left=name == "bias")
        for name, found in (("upper", errors.upper), ("bias", errors.bias), ("lower", errors.lower))
        if found.value is not None
    ]
    kind = "before" if model < len(value.errors) - 1 else "after"
    of = f", {unit}" if unit else ""
    return Plot(
        f"Errors of {value.name} over its size",
        f"mean of right and given value{of}",
        f"error{of}",
        tuple((100 * share, f"{left + share * (right - left):.3g}") for share in (0, 0.25, 0.5, 0.75, 1)),
        ticks(low, high),
        (Line(kind, (), dots),),
        levels=tuple(levels),
    )


def _widened(numbers: Sequence[float]) -> tuple[float, float]:
    """The range of some numbers with a twentieth of it on either side; not empty."""
    low, high = min(numbers), max(numbers)
    margin = 0.05 * (high - low) or max(abs(high), 1.0)
    return low - margin, high + margin


def ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Five ticks of an upright axis, (place in percent from the top, text)."""
    return tuple((100 - 100 * share, f"{low + share * (high - low):.3g}") for share in (0, 0.25, 0.5, 0.75, 1))


def round_numbers(low: float, high: float) -> tuple[float, ...]:
    """From 4 to 10 numbers between `low` and `high`, each a multiple of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(power * times for times in (5, 2, 1) if (high - low) / (power * times) >= 4)
    return tuple(round(step * k, 12) for k in range(math.ceil(low / step), math.floor(high / step) + 1))


def _spread(count: int) -> list[float]:
    """Places for so many points from 0 to 100; a single one stands on the left."""
    return [100 * i / max(count - 1, 1) for i in range(count)]
