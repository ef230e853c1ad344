"""Range estimators: which real values int8 must represent, and which may be clipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgedense.converters.calibration.statistics import Channels
from edgedense.converters.network.graph import Array
from edgedense.converters.options import Estimator

PERCENTILE = 99.0  # of the pictures: one picture in a hundred may be clipped at its extreme
CANDIDATES = np.linspace(0.5, 1.0, 26)  # shares of min-max that the MSE estimator tries
LEVELS = 255.0
MOST_SAMPLES = 1 << 16  # of one tensor: the MSE estimate is no better with more


@dataclass(frozen=True)
class RangeSpec:
    """How ranges are estimated. `headroom` widens each range about its centre: 1.0 leaves it as measured."""

    estimator: Estimator = "minmax"
    headroom: float = 1.0


def channel_ranges(channels: Channels, spec: RangeSpec) -> tuple[Array, Array]:
    """Low and high [C] per channel."""
    return _estimated(channels.low, channels.high, lambda: channels.samples, spec)


def tensor_range(channels: Channels, spec: RangeSpec) -> tuple[float, float]:
    """One range for all channels."""

    def samples() -> np.ndarray:
        flat = channels.samples.reshape(-1, 1)
        return flat[:: -(-len(flat) // MOST_SAMPLES)]

    ends = channels.low.min(axis=1, keepdims=True), channels.high.max(axis=1, keepdims=True)
    low, high = _estimated(*ends, samples, spec)
    return float(low[0]), float(high[0])


def _estimated(
    lows: np.ndarray, highs: np.ndarray, samples: Callable[[], np.ndarray], spec: RangeSpec
) -> tuple[Array, Array]:
    """Low and high [C] of what had the extremes `lows` and `highs` [N, C] in N pictures; `samples` [S, C] are worked
    out for the one estimator that looks at them."""
    low, high = lows.min(axis=0).astype(float), highs.max(axis=0).astype(float)
    if spec.estimator == "percentile":
        low = np.percentile(lows.astype(float), 100 - PERCENTILE, axis=0)
        high = np.percentile(highs.astype(float), PERCENTILE, axis=0)
    elif spec.estimator == "mse":
        low, high = _least_error(samples().astype(float), low, high)
    return widen(low, high, spec.headroom)


def widen(low: Array, high: Array, headroom: float) -> tuple[Array, Array]:
    """The range about the same centre, `headroom` times as wide; an end at zero (ReLU) stays there."""
    extra = (high - low) * (headroom - 1.0)
    share = np.where((low == 0) | (high == 0), 1.0, 0.5)
    return np.where(low == 0, 0.0, low - extra * share), np.where(high == 0, 0.0, high + extra * share)


def _least_error(samples: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """The share of min-max, per channel, with the least squared error on `samples` [S, C].

    Error = clipping + rounding, the latter a uniform step's variance, step^2 / 12 (Bennett, 1948).
    """
    best_error = np.full(low.shape, np.inf)
    best_low, best_high = low.copy(), high.copy()
    centre = np.where(low == 0, 0.0, (low + high) / 2)
    for share in CANDIDATES:
        a, b = centre + (low - centre) * share, centre + (high - centre) * share
        clipped = np.clip(samples, a, b) - samples
        error = (clipped**2).mean(axis=0) + ((b - a) / LEVELS) ** 2 / 12
        better = error < best_error
        best_error = np.where(better, error, best_error)
        best_low, best_high = np.where(better, a, best_low), np.where(better, b, best_high)
    return best_low, best_high
