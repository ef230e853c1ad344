"""Range estimators, on values that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.calibration.ranges import RangeSpec, channel_ranges, tensor_range, widen
from edgedense.converters.calibration.statistics import Channels


def channels(*samples: tuple[float, ...]) -> Channels:
    """One sample a picture, which is its low and high too."""
    values = np.array(samples, np.float32)
    return Channels.of(values, values, values)


def outlier() -> Channels:
    """200 pictures from 0 to 1 in one channel, and one of 100."""
    return channels(*((i / 199,) for i in range(200)), (100.0,))


def test_minmax() -> None:
    low, high = channel_ranges(channels((0, -3), (2, 5), (1, 1)), RangeSpec())
    assert (low.tolist(), high.tolist()) == ([0, -3], [2, 5])


def test_a_tensor_has_the_range_of_all_its_channels() -> None:
    assert tensor_range(channels((0, -3), (2, 5), (1, 1)), RangeSpec()) == (-3, 5)


def test_percentile_leaves_out_one_picture_in_a_hundred() -> None:
    low, high = channel_ranges(outlier(), RangeSpec("percentile"))
    assert low[0] == pytest.approx(0.01, abs=0.01)
    assert 0.98 < high[0] <= 1.0


def test_mse_clips_when_that_costs_less_than_coarse_steps() -> None:
    """N values below 1 and one of 2: clipped to 2 s, the error is (2 - 2 s)^2 / N + (2 s / 255)^2 / 12, which is least
    at s = 1 / (1 + N / (12 * 255^2)); shares are tried in steps of 0.02."""
    for count in (1_000, 100_000):
        values = np.append(np.linspace(0, 1, count), 2).astype(np.float32)[:, None]
        _, high = channel_ranges(Channels.of(values, values, values), RangeSpec("mse"))
        assert high[0] == pytest.approx(2 / (1 + count / (12 * 255**2)), abs=0.02)


def test_the_estimators_differ() -> None:
    data = channels(*((i / 9999,) for i in range(10_000)), (2.0,))
    found = {tensor_range(data, RangeSpec(estimator)) for estimator in ("minmax", "percentile", "mse")}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (-1, 3, (-2, 4)),  # about the same centre, 1.5 times as wide
        (0, 4, (0, 6)),  # behind a ReLU zero stays the lowest
        (-4, 0, (-6, 0)),
        (0, 0, (0, 0)),
    ],
)
def test_headroom(low: float, high: float, wanted: tuple[float, float]) -> None:
    found = widen(np.array([low], float), np.array([high], float), 1.5)
    assert (found[0][0], found[1][0]) == wanted
    same = widen(np.array([low], float), np.array([high], float), 1.0)
    assert (same[0][0], same[1][0]) == (low, high)


@pytest.mark.parametrize("estimator", ["minmax", "percentile", "mse"])
def test_headroom_widens_every_estimate(estimator: str) -> None:
    data = channels(*((np.sin(i), i / 50) for i in range(100)))
    narrow, wide = (tensor_range(data, RangeSpec(estimator, headroom)) for headroom in (1.0, 1.3))
    assert wide[1] - wide[0] == pytest.approx(1.3 * (narrow[1] - narrow[0]))


def test_dead_channels_have_no_range() -> None:
    for estimator in ("minmax", "percentile", "mse"):
        low, high = channel_ranges(channels((0.0,), (0.0,)), RangeSpec(estimator))
        assert (low[0], high[0]) == (0, 0)
