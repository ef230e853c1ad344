"""The drop in accuracy before all pictures are looked at, and when that is enough.

Whoever looks at an interval again and again and stops when it pleases has too narrow an interval: each look is a chance
to be wrong. The looks are therefore planned before the first picture, and each has its share of the error that all of
them may have together (Bonferroni, as in Armitage, McPherson and Rowe, "Repeated significance tests on accumulating
data", 1969). With 95 % confidence all intervals that are shown hold the drop, and so does the one at which it stops,
whatever the rule. The pictures must come in random order: in a folder they lie class by class.

At each look the interval is Tango's score interval for a difference of paired proportions ("Equivalence test and
confidence interval for the difference in proportions for the paired-sample design", 1998). Unlike the bootstrap's it
has a width where no picture tells the models apart yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

LEVEL = 0.95
FIRST = 1024  # pictures before the first look: fewer give no interval that is worth showing
GROWTH = 1.5  # times as many pictures at the next look; each look that is planned makes all intervals wider


@dataclass(frozen=True)
class Look:
    """The drop on the first `images` pictures, in points of 100, and its interval, corrected for all looks."""

    images: int
    drop: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """How far the interval goes to the side on which it goes further, in points."""
        return max(self.high - self.drop, self.drop - self.low)

    def __str__(self) -> str:
        return f"drop {self.drop:.2f} ({self.low + 0.0:.2f} to {self.high + 0.0:.2f})"


@dataclass(frozen=True)
class EarlyAnswer:
    """How a measurement ended that was to stop when the interval on the drop is at most `until` points to each side.

    `images` of the `total` pictures were looked at, in an order that `seed` draws, and `look` was the last of the
    `planned` looks that was taken. Its interval holds the drop with 95 % confidence, all looks together.
    """

    until: float
    images: int
    total: int
    seed: int
    planned: int
    look: Look

    @property
    def is_narrow(self) -> bool:
        """Whether the interval became as narrow as was asked for."""
        return self.look.half_width <= self.until


def planned(total: int, step: int) -> tuple[int, ...]:
    """After how many pictures there are looks: multiples of `step`, each about GROWTH times the one before, and all."""
    found, size = [], float(FIRST)
    while size < total:
        found.append(min(total, math.ceil(size / step) * step))
        size = found[-1] * GROWTH
    return (*(one for one in found if one < total), total)


def look(lost: int, won: int, images: int, looks: int) -> Look:
    """What `images` pictures say, of which only the first model has `lost` right and only the second `won`, at one of
    so many planned `looks`."""
    low, high = tango(lost, won, images, 1 - (1 - LEVEL) / looks)
    return Look(images, 100 * (lost - won) / images, 100 * low, 100 * high)


def tango(lost: int, won: int, images: int, level: float = LEVEL) -> tuple[float, float]:
    """Tango's score interval of (lost - won) / images, as shares: the differences d that a score test does not refuse.

    The test's statistic is (lost - won - N d) / sqrt(N (2 q + d (1 - d))), where q is the most likely share of `won` if
    the difference is d: the larger root of 2 N q^2 + ((2 N - lost + won) d - lost - won) q - won d (1 - d) = 0. It
    falls as d grows, so that both ends are found by bisection.
    """
    limit = NormalDist().inv_cdf((1 + level) / 2)
    estimate = (lost - won) / images
    low = _root(lambda d: _statistic(lost, won, images, d) - limit, -1.0, estimate)
    high = _root(lambda d: _statistic(lost, won, images, d) + limit, estimate, 1.0)
    return low, high


def _statistic(lost: int, won: int, images: int, d: float) -> float:
    a = 2.0 * images
    b = (2 * images - lost + won) * d - lost - won
    c = -won * d * (1 - d)
    share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = images * (2 * share + d * (1 - d))
    distance = lost - won - images * d
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance) if distance else 0.0


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero between `low` and `high`, to 1e-12."""
    for _ in range(60):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
