"""What a channel costs where others can take over for it."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.pruning.elimination import RIDGE, apart, prices, reader, taken_over
from edgedense.converters.pruning.importance import sensitivity
from tests import networks

WHOLE = np.ones((1, 1, 3, 1))  # of three channels, added up


def test_a_copy_costs_next_to_nothing_and_the_last_of_two_costs_all() -> None:
    """Channels 0 and 2 are equal; all have a variance of one."""
    covariance = networks.array([1, 0, 1], [0, 1, 0], [1, 0, 1])
    found = prices([reader(covariance, WHOLE, networks.array(1))], 0)
    # Twice the ridge of a hundredth is what two such channels leave of each other. Without its copy one gives twice as
    # much, and the square of that is the loss.
    assert found == pytest.approx([2 * RIDGE, 1, 4], rel=0.02)


def test_without_correlation_a_channel_costs_what_depends_on_it() -> None:
    """Each square of weight times spread, with a worth of 2; the ridge adds a hundredth of the mean variance, 2."""
    kernel = networks.array(1, 2, 3).reshape(1, 1, 3, 1)
    found = prices([reader(np.diag([3.0, 2.0, 1.0]), kernel, networks.array(2))], 0)
    np.testing.assert_allclose(found, [2 * 1 * 3.02, 2 * 4 * 2.02, 2 * 9 * 1.02])


def test_a_kernel_is_fitted_as_least_squares_fit_it() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 4)) @ random.normal(size=(4, 4))
    kernel = random.normal(size=(4, 2))
    covariance = x.T @ x / len(x)
    left = reader(covariance, kernel[None, None], np.ones(2)).without(np.array([1, 3]))
    ridge = RIDGE * np.trace(covariance) / 4 * np.eye(4)
    normal = covariance + ridge
    here, gone = [0, 2], [1, 3]
    expected = kernel[here] + np.linalg.solve(normal[np.ix_(here, here)], normal[np.ix_(here, gone)] @ kernel[gone])
    np.testing.assert_allclose(left.kernel[here], expected)
    np.testing.assert_array_equal(left.left, [True, False, True, False])


def test_all_readers_count_and_those_that_enter_stay() -> None:
    """Channel 0 enters the block. The first reader reads it and channel 1, the second also channel 2."""
    found = prices([apart(networks.array(9, 4)), apart(networks.array(0, 1, 7))], first=1)
    np.testing.assert_allclose(found, [5, 7])


def test_a_price_is_never_below_that_of_what_went_before() -> None:
    covariance = networks.array([1, 0.9, 0], [0.9, 1, 0.9], [0, 0.9, 1])
    kernel = networks.array(1, -1, 1).reshape(1, 1, 3, 1)
    found = prices([reader(covariance, kernel, networks.array(1))], 0)
    assert (np.diff(np.sort(found)) >= 0).all()
    assert prices([apart(networks.array(3, 1, 2))], 0, at_once=3).tolist() == pytest.approx([3, 1, 2])


def test_a_bottleneck_channel_that_another_tells_is_cheap() -> None:
    """Channel 4 of a network's first bottleneck becomes a copy of channel 1."""
    network = networks.with_a_copy()
    pixels = networks.pictures(network, 8)
    found = taken_over(network, pixels, sensitivity(network, pixels))["block1/layer1/bottleneck"]
    cheap, dear = sorted(found[[1, 4]])
    assert cheap < 0.05 * dear  # the ridge, a hundredth of the mean variance, keeps it from nothing
