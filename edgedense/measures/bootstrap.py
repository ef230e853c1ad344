"""The bootstrap: how far a figure would move with other pictures of the same kind.

Pictures are drawn from those that there are, with replacement and as many as there are, and the figure is computed of
them again. The middle 95 % of what many draws give is the figure's interval (the percentile interval: Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993).

A draw is an array of weights: how many times each picture was drawn. A figure with weights therefore needs no new
array of pictures, and many draws are computed side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgedense.measures.metrics import Floats

LEVEL = 0.95
# Enough for a percentile interval (Efron and Tibshirani, 1993): from one seed to another its ends move by about a
# twenty-fifth of its half width. Ten times as many would take ten times as long for a third of that.
DRAWS = 1000
ENOUGH = 0.9  # of the draws must have a figure, else it has no interval


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval from `low` to `high`.

    `value` is None where the figure has no meaning, as the sensitivity without a positive picture. The interval is None
    too where fewer than nine of ten draws have the figure: what is left of them would tell of the luckier draws alone.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def weights(
    count: int, groups: Sequence[str] = (), *, draws: int = DRAWS, seed: int = 0, width: int = 1
) -> Iterator[Floats]:
    """How many times each of `count` pictures is in each draw: arrays [count, D], with D `draws` in all.

    With `groups`, one name for each picture, whole groups are drawn. The pictures of one patient are alike, and to draw
    them one by one would make the intervals too narrow (the cluster bootstrap: Rutter, "Bootstrap estimation of
    diagnostic accuracy with patient-clustered data", 2000; Field and Welsh, "Bootstrapping clustered data", 2007).

    `width` says how many numbers the caller makes of each picture: the more, the fewer draws come in one array, so that
    they fit the memory. What is drawn does not depend on that.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1) if len(groups) else np.arange(count)
    total = int(numbers.max()) + 1
    random = np.random.default_rng(seed)
    at_once = int(np.clip(2_000_000 // (count * width), 1, draws))
    for start in range(0, draws, at_once):
        drawn = [
            np.bincount(random.integers(0, total, total), minlength=total) for _ in range(min(at_once, draws - start))
        ]
        yield np.stack(drawn, axis=1)[numbers].astype(np.float64)


def estimate(value: float, drawn: Floats) -> Estimate:
    """A figure and what the draws [D] gave for it; NaN stands for no figure."""
    if np.isnan(value):
        return Estimate(None)
    found = drawn[~np.isnan(drawn)]
    if not drawn.size or found.size < ENOUGH * drawn.size:
        return Estimate(float(value))
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high))
