"""Cutting channels: what a cut network computes is what the whole one computes without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Affine, Conv, DenseNet, Flatten, Pool
from edgedense.converters.network.kept import check
from edgedense.converters.pruning.channels import LayerChannels, Selection, correspondence, cut, everything
from tests import networks

PART = LayerChannels(np.array([0, 2, 3]), np.array([1, 3]))


def silenced(network: DenseNet, selection: Selection) -> DenseNet:
    """The whole network with zeros in place of what `selection` cuts: no reader sees it."""
    blocks = []
    for block, rows in zip(network.blocks, selection.layers, strict=True):
        staying = list(range(block.layers[0].norm1.scale.size))
        layers = []
        for layer, row in zip(block.layers, rows, strict=True):
            kernel = layer.conv2.kernel.copy()
            kernel[:, :, np.setdiff1d(np.arange(kernel.shape[2]), row.bottleneck)] = 0
            layers.append(replace(layer, conv1=deaf(layer.conv1, staying), conv2=replace(layer.conv2, kernel=kernel)))
            staying += [layer.norm1.scale.size + int(index) for index in row.growth]
        transition = block.transition and replace(block.transition, conv=deaf(block.transition.conv, staying))
        blocks.append(replace(block, layers=tuple(layers), transition=transition))
    dense = network.head.steps[1]
    assert isinstance(dense, networks.Dense)
    kernel = np.where(np.isin(np.arange(len(dense.kernel)), staying)[:, None], dense.kernel, 0)
    steps = (network.head.steps[0], replace(dense, kernel=kernel), *network.head.steps[2:])
    return replace(network, blocks=tuple(blocks), head=replace(network.head, steps=steps))


def deaf(conv: Conv, staying: list[int]) -> Conv:
    """A convolution that reads only some inputs."""
    kernel = np.zeros_like(conv.kernel)
    kernel[:, :, staying] = conv.kernel[:, :, staying]
    return replace(conv, kernel=kernel)


@pytest.mark.parametrize("places", [((0, 0),), ((0, 1), (1, 0)), ((0, 0), (0, 1), (1, 0), (1, 1))])
def test_a_cut_network_computes_what_the_whole_one_does_without_those_channels(
    places: tuple[tuple[int, int], ...],
) -> None:
    network = networks.folded()
    selection = everything(network)
    for block, layer in places:
        selection = selection.replaced(block, layer, PART)
    smaller = cut(network, selection)
    pixels = networks.pictures(network)
    wanted = networks.logits(silenced(network, selection), pixels)
    np.testing.assert_allclose(networks.logits(smaller, pixels), wanted, rtol=0, atol=networks.EXACT)
    assert np.abs(wanted - networks.logits(network, pixels)).max() > 0.01  # they did matter
    layer = smaller.blocks[places[0][0]].layers[places[0][1]]
    assert (layer.conv1.kernel.shape[3], layer.conv2.kernel.shape[2:]) == (3, (3, 2))


def test_a_layer_without_growth_is_gone() -> None:
    network = networks.folded()
    nothing = LayerChannels(np.arange(5), np.arange(0))
    selection = everything(network).replaced(0, 0, nothing)
    smaller = cut(network, selection)
    assert [len(block.layers) for block in smaller.blocks] == [1, 2]
    pixels = networks.pictures(network)
    np.testing.assert_allclose(
        networks.logits(smaller, pixels),
        networks.logits(silenced(network, selection), pixels),
        rtol=0,
        atol=networks.EXACT,
    )


def test_everything_leaves_the_network_alone() -> None:
    network = networks.folded()
    assert networks.equal(cut(network, everything(network)), network)


def test_a_flattened_head_loses_the_channel_at_every_position() -> None:
    network = networks.folded(height=32, width=32)  # the last map is 4 x 4
    rng = np.random.default_rng(3)
    affine = Affine(rng.normal(size=16 * 15), rng.normal(size=16 * 15))
    dense = networks.Dense(rng.normal(size=(16 * 15, 3)), np.zeros(3))
    network = networks.with_head(network, Flatten(), affine, Activation("relu"), dense, Activation("softmax"))
    smaller = cut(network, everything(network).replaced(1, 1, PART))
    _, scale, _, kernel, _ = smaller.head.steps
    assert isinstance(scale, Affine)
    assert isinstance(kernel, networks.Dense)
    stay = [*range(11), 12, 14]  # of 7 that enter and 4 that layer 1 adds all; of layer 2's, the second and the fourth
    at = [position * 15 + channel for position in range(16) for channel in stay]
    np.testing.assert_array_equal(scale.shift, affine.shift[at])
    np.testing.assert_array_equal(kernel.kernel, dense.kernel[at])
    assert networks.logits(smaller, networks.pictures(network)).shape == (3, 3)


def test_the_correspondence_names_what_is_left_by_its_new_places() -> None:
    network = networks.folded()
    nothing = LayerChannels(np.arange(5), np.arange(0))
    selection = everything(network).replaced(0, 0, nothing).replaced(0, 1, PART)
    kept = correspondence(network, selection)
    check(cut(network, selection), network, kept)
    assert kept.layers["block1/layer1"] == "block1/layer2"
    np.testing.assert_array_equal(kept.bottlenecks["block1/layer1"], [0, 2, 3])
    np.testing.assert_array_equal(kept.concats["block1"], [0, 1, 2, 3, 4, 5, 11, 13])
    np.testing.assert_array_equal(kept.concats["block2"], np.arange(15))


def test_a_head_with_a_hidden_layer_loses_rows_of_the_first_only() -> None:
    network = networks.folded()
    rng = np.random.default_rng(4)
    first, second = (networks.Dense(rng.normal(size=shape), np.zeros(shape[1])) for shape in ((15, 15), (15, 3)))
    network = networks.with_head(network, Pool("avg"), first, Activation("relu"), second, Activation("softmax"))
    steps = cut(network, everything(network).replaced(1, 0, PART)).head.steps
    assert isinstance(steps[1], networks.Dense)
    assert isinstance(steps[3], networks.Dense)
    assert (steps[1].kernel.shape, steps[3].kernel.shape) == ((13, 15), (15, 3))
