"""The stem's 7x7 convolution on 3 channels becomes a 4x4 one on 12."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Conv, DenseNet, Padding
from edgedense.converters.network.program import lower
from edgedense.converters.passes.fold_normalization import fold_normalization
from edgedense.converters.passes.space_to_depth import space_to_depth
from tests import networks, reference


def stemmed(kernel: tuple[int, int], size: tuple[int, int], padding: Padding, stride: int = 2) -> DenseNet:
    """A network whose stem reads pixels with this kernel."""
    network = networks.densenet(height=size[0], width=size[1])
    random = np.random.default_rng(5)
    conv = Conv(random.normal(0, 0.1, (*kernel, 3, 6)), random.normal(0, 0.1, 6), stride, padding)
    return fold_normalization(replace(network, stem=replace(network.stem, conv=conv)))


def test_rows_and_columns_become_channels() -> None:
    network = stemmed((2, 2), (4, 4), ((0, 0), (0, 0)))
    kernel = np.zeros((2, 2, 3, 6))
    for row, column, channel in np.ndindex(2, 2, 3):
        kernel[row, column, channel, 0] = 100 * row + 10 * column + channel
    stem = replace(network.stem, conv=replace(network.stem.conv, kernel=kernel))
    after = space_to_depth(replace(network, stem=stem)).stem
    assert (after.space_to_depth, after.conv.stride, after.conv.kernel.shape) == (2, 1, (1, 1, 12, 6))
    assert after.conv.kernel[0, 0, :, 0].tolist() == [0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112]


def test_densenets_own_stem() -> None:
    network = space_to_depth(fold_normalization(networks.densenet(height=32, width=32)))
    assert network.stem.conv.kernel.shape == (4, 4, 12, 6)
    assert network.stem.conv.padding == ((3, 3), (3, 3))  # 38 rows are read; the eighth row's weights are zero
    assert lower(network).shapes["stem/space_to_depth"] == (19, 19, 12)


@pytest.mark.parametrize("kernel", [(7, 7), (3, 3), (4, 4), (6, 6), (1, 1), (3, 6), (2, 5)])
@pytest.mark.parametrize("size", [(32, 32), (33, 40), (37, 35)])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((3, 3), (3, 3)), ((0, 1), (2, 0))])
def test_exact(kernel: tuple[int, int], size: tuple[int, int], padding: Padding) -> None:
    network = stemmed(kernel, size, padding)
    after = space_to_depth(network)
    assert lower(after).shapes["stem/conv"] == lower(network).shapes["stem/conv"]
    pixels = networks.pictures(network, 2)
    assert reference.relative_error(networks.logits(after, pixels), networks.logits(network, pixels)) < networks.EXACT


def test_as_the_reference_computes_it() -> None:
    network = networks.densenet()
    pixels = networks.pictures(network)
    after = space_to_depth(fold_normalization(network))
    assert after.stem.space_to_depth == 2
    assert reference.relative_error(networks.logits(after, pixels), reference.logits(network, pixels)) < networks.EXACT


def test_left_alone_with_another_stride() -> None:
    for stride in (1, 3):
        network = stemmed((3, 3), (32, 32), ((1, 1), (1, 1)), stride)
        assert space_to_depth(network) is network


def test_left_alone_when_the_stem_does_not_read_pixels() -> None:
    network = networks.densenet()
    assert space_to_depth(network) is network


def test_left_alone_when_an_even_kernel_leaves_the_last_row_unread() -> None:
    network = stemmed((4, 4), (33, 32), ((0, 0), (0, 0)))
    assert space_to_depth(network) is network
    assert space_to_depth(stemmed((4, 4), (32, 32), ((0, 0), (0, 0)))).stem.space_to_depth == 2


def test_doing_it_twice_changes_nothing() -> None:
    once = space_to_depth(fold_normalization(networks.densenet()))
    assert space_to_depth(once) is once
