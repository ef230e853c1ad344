"""What is left takes over what was cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.pruning.channels import LayerChannels, cut, everything
from edgedense.converters.pruning.reconstruct import reconstruct, ridge
from tests import networks


def test_a_channel_that_others_tell_is_replaced_by_them() -> None:
    """Bottleneck channel 4 is a copy of channel 1: cutting it need lose nothing."""
    network = networks.with_a_copy()
    selection = everything(network).replaced(0, 0, LayerChannels(np.array([0, 1, 2, 3]), np.arange(4)))
    pixels = networks.pictures(network, 24)
    wanted = networks.logits(network, pixels)
    harm = np.abs(networks.logits(cut(network, selection), pixels) - wanted).max()
    left = np.abs(networks.logits(reconstruct(network, selection, pixels), pixels) - wanted).max()
    assert left < 0.02 * harm  # the weakest ridge, 1e-3 of the variance, leaves about so much


def test_the_mean_of_what_is_cut_goes_into_the_bias() -> None:
    """A constant bottleneck channel, which no other tells but all can do without."""
    network = networks.folded()
    block = network.blocks[1]
    layer = block.layers[1]
    kernel, bias = layer.conv1.kernel.copy(), layer.conv1.bias.copy()
    kernel[..., 0], bias[0] = 0, 3
    layer = replace(layer, conv1=replace(layer.conv1, kernel=kernel, bias=bias))
    # Padding would make the constant depend on the position: a kernel with only its centre has none.
    centre = np.zeros_like(layer.conv2.kernel)
    centre[1, 1] = layer.conv2.kernel[1, 1]
    layer = replace(layer, conv2=replace(layer.conv2, kernel=centre))
    network = replace(network, blocks=(network.blocks[0], replace(block, layers=(block.layers[0], layer))))
    selection = everything(network).replaced(1, 1, LayerChannels(np.arange(1, 5), np.arange(4)))
    pixels = networks.pictures(network, 8)
    smaller = reconstruct(network, selection, pixels)
    # float32 measures what is folded; a thousandth of the logits would already be a missing mean
    np.testing.assert_allclose(networks.logits(smaller, pixels), networks.logits(network, pixels), atol=1e-4)


def test_nothing_cut_changes_nothing() -> None:
    network = networks.folded()
    pixels = networks.pictures(network, 8)
    same = reconstruct(network, everything(network), pixels)
    np.testing.assert_allclose(networks.logits(same, pixels), networks.logits(network, pixels), atol=1e-4)  # float32


def test_a_fit_that_does_not_hold_on_other_pictures_is_not_taken() -> None:
    rng = np.random.default_rng(0)
    inputs, kernel = rng.normal(size=(30, 2, 40)), rng.normal(size=(40, 3))
    noise = rng.normal(size=(30, 2, 3))  # nothing to learn, and 40 unknowns to learn it with
    np.testing.assert_array_equal(ridge(inputs, inputs @ kernel + 10 * noise, kernel), kernel)
    other = kernel + rng.normal(size=kernel.shape)
    found = ridge(rng.normal(size=(200, 2, 40)), np.zeros((200, 2, 3)), other)
    assert np.abs(found).max() < 0.01  # 400 samples tell 40 unknowns; the ridge leaves a thousandth of `other`
