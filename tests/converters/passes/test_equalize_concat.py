"""All channels of a dense block's concatenation get the same range, 0 to 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.calibration.ranges import RangeSpec
from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.network.program import lower
from edgedense.converters.passes.equalize_concat import COSTLY, SMALLEST_SHARE, equalize_concat, equalized, on_grid
from edgedense.converters.passes.pool_first import pool_first
from edgedense.converters.quantization.measure import measure
from tests import networks, reference
from tests.networks import array

SPEC = RangeSpec()
GROWTH = "block1/layer1/growth"


def test_by_hand() -> None:
    """The one growth channel of the minimal network, read by the head's norm with scale 1 and shift 0."""
    network = networks.folded_minimal()
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    statistics = measure(lower(network), pixels)
    low, high = (float(x.min()) for x in (statistics[GROWTH].low, statistics[GROWTH].high))
    after, moved = equalize_concat(network, statistics, SPEC)
    norm, conv = after.head.norm, after.blocks[0].layers[0].conv2
    assert norm is not None
    assert norm.scale[2] == pytest.approx(high - low)  # undoes the division by the range ...
    assert norm.shift[2] == pytest.approx(low)  # ... and the shift to zero
    assert conv.bias[0] == pytest.approx((7 - low) / (high - low))
    assert moved[GROWTH].low.ravel() == pytest.approx([0], abs=1e-6)
    assert moved[GROWTH].high.ravel() == pytest.approx([1])


def test_the_stem_is_scaled_and_not_shifted() -> None:
    """Its ReLU and the pooling's zero padding fix its zero."""
    network = networks.folded()
    statistics = networks.statistics(network)
    highest = statistics["stem/pool"].high.max(axis=0)
    after, _ = equalize_concat(network, statistics, SPEC)
    # Up to what on_grid widens a range by.
    assert after.stem.conv.kernel == pytest.approx(network.stem.conv.kernel / highest, rel=COSTLY)
    assert (after.stem.conv.bias == 0).tolist() == (network.stem.conv.bias == 0).tolist()
    assert after.stem.conv.bias == pytest.approx(network.stem.conv.bias / highest, rel=COSTLY)


def test_every_channel_fills_the_range_and_statistics_are_those_of_the_new_network() -> None:
    network = pool_first(networks.folded())
    pixels = networks.pictures(network, 5)
    after, moved = equalize_concat(network, networks.statistics(network, pixels), SPEC)
    agree(moved, networks.statistics(after, pixels))
    for name in (GROWTH, "block1/layer2/growth", "transition1", "block2/layer1/growth", "block2/layer2/growth"):
        tolerance = 1e-5 if name.startswith("block2") else COSTLY  # in front of a transition, on_grid widens
        assert moved[name].low.min(axis=0) == pytest.approx(0, abs=tolerance)
        assert moved[name].high.max(axis=0) == pytest.approx(1, abs=tolerance)
    assert moved["stem/pool"].high.max(axis=0) == pytest.approx(1, abs=COSTLY)


def test_a_threshold_is_put_on_the_grid_by_less_than_a_step() -> None:
    """0.3 of the range is step 76.5: the far end moves so that it is step 77 of 255; outside, nothing moves."""
    low, high = on_grid(array(0, 0, 0), array(1, 1, 1), array(0.3, 0.9, 1.5))
    place = (array(0.3, 0.9) - low[:2]) / (high - low)[:2] * 255
    assert place == pytest.approx(np.round(place))
    assert (low[1], high[0]) == (0, 1)
    assert (low[2], high[2]) == (0, 1)
    assert (high - low).max() < 1 + 1 / 100


def test_a_range_that_cannot_shift_is_left_alone_where_the_grid_is_too_dear() -> None:
    """Step 1.5 of 255 would need a range of one and a half times the width."""
    low, high = on_grid(array(0), array(1), array(1.5 / 255), shiftable=False)
    assert (low[0], high[0]) == (0, 1)


def agree(kept: Statistics, measured: Statistics) -> None:
    """Both in float32, whose rounding is 1e-7 of values up to some tens."""
    assert kept.keys() == measured.keys()
    for name, channels in kept.items():
        for part in ("low", "high", "samples"):
            assert getattr(channels, part) == pytest.approx(getattr(measured[name], part), rel=1e-4, abs=1e-4), name


def test_exact() -> None:
    network = networks.folded()
    pixels = networks.pictures(network)
    wanted = reference.logits(network, pixels)
    after, _ = equalize_concat(network, networks.statistics(network), SPEC)
    assert not networks.equal(after, network)
    assert reference.relative_error(networks.logits(after, pixels), wanted) < networks.EXACT


def test_exact_whatever_the_ranges() -> None:
    network = networks.folded()
    pixels = networks.pictures(network)
    wanted = reference.logits(network, pixels)
    for spec in (RangeSpec("mse"), RangeSpec("percentile"), RangeSpec("minmax", 1.3)):
        after, _ = equalize_concat(network, networks.statistics(network), spec)
        assert reference.relative_error(networks.logits(after, pixels), wanted) < networks.EXACT


def test_a_dead_channel_is_not_blown_up() -> None:
    network = networks.folded()
    layer = network.blocks[0].layers[0]
    kernel, bias = layer.conv2.kernel.copy(), layer.conv2.bias.copy()
    kernel[..., 1] = 0
    conv2 = replace(layer.conv2, kernel=kernel, bias=bias)
    layers = (replace(layer, conv2=conv2), *network.blocks[0].layers[1:])
    network = replace(network, blocks=(replace(network.blocks[0], layers=layers), *network.blocks[1:]))
    pixels = networks.pictures(network, 5)
    statistics = networks.statistics(network, pixels)
    span = (statistics[GROWTH].high.max(axis=0) - statistics[GROWTH].low.min(axis=0)).max()
    after, moved = equalize_concat(network, statistics, SPEC)
    reader = after.blocks[0].layers[1].norm1.scale[7] / network.blocks[0].layers[1].norm1.scale[7]
    assert reader == pytest.approx(SMALLEST_SHARE * span, rel=COSTLY)
    assert np.isfinite(moved[GROWTH].samples).all()
    wanted = reference.logits(network, pixels)
    assert reference.relative_error(networks.logits(after, pixels), wanted) < networks.EXACT


def test_a_last_block_that_no_norm_follows_is_left_alone() -> None:
    network = networks.folded()
    network = replace(network, head=replace(network.head, norm=None))
    assert equalized(network) == [1]
    after, _ = equalize_concat(network, networks.statistics(network), SPEC)
    assert after.blocks[1] is network.blocks[1]
    assert after.blocks[0] is not network.blocks[0]
    pixels = networks.pictures(network)
    wanted = reference.logits(network, pixels)
    assert reference.relative_error(networks.logits(after, pixels), wanted) < networks.EXACT
