"""Channels that do not depend on the picture become part of a bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import Affine, Block, Conv, DenseNet, Transition
from edgedense.converters.passes.fold_constants import fold_constants
from tests import networks, reference
from tests.networks import array


def with_norm(norm: Affine) -> DenseNet:
    network = networks.minimal()
    (layer,) = network.blocks[0].layers
    return replace(network, blocks=(Block((replace(layer, norm1=norm),), None),))


def test_a_constant_moves_into_the_bias() -> None:
    (layer,) = fold_constants(with_norm(Affine(array(0, 2), array(3, 4)))).blocks[0].layers
    assert layer.norm1.scale.tolist() == [0, 2]
    assert layer.norm1.shift.tolist() == [0, 4]
    assert layer.conv1.kernel.tolist() == [[[[0, 0], [3, 4]]]]
    assert layer.conv1.bias.tolist() == [5 + 3 * 1, 6 + 3 * 2]


def test_a_constant_that_the_relu_removes_leaves_the_bias() -> None:
    (layer,) = fold_constants(with_norm(Affine(array(0, 2), array(-3, 4)))).blocks[0].layers
    assert layer.conv1.bias.tolist() == [5, 6]
    assert layer.conv1.kernel[0, 0, 0].tolist() == [0, 0]


def test_a_transition() -> None:
    network = networks.minimal()
    conv = Conv(np.ones((1, 1, 3, 1)), array(1))
    transition = Transition("transition1", Affine(array(1, 0, -1), array(0, 5, 0)), conv)
    network = replace(network, blocks=(replace(network.blocks[0], transition=transition),))
    after = fold_constants(network).blocks[0].transition
    assert after is not None
    assert after.conv.bias.tolist() == [6]
    assert after.conv.kernel.ravel().tolist() == [1, 0, 1]


def test_scales_that_are_small_or_negative_are_left_alone() -> None:
    network = with_norm(Affine(array(1e-30, -2), array(3, 4)))
    assert networks.equal(fold_constants(network), network)


def test_exact() -> None:
    network = networks.densenet()
    blocks = []
    for block in network.blocks:  # in every norm one constant channel and one that is always off
        layers = tuple(replace(layer, norm1=killed(layer.norm1)) for layer in block.layers)
        transition = block.transition and replace(block.transition, norm=killed(block.transition.norm))
        blocks.append(Block(layers, transition))
    network = replace(network, blocks=tuple(blocks))
    pixels = networks.pictures(network)
    after = fold_constants(network)
    assert not networks.equal(after, network)
    wanted = reference.logits(network, pixels)
    assert reference.relative_error(networks.logits(after, pixels), wanted) < networks.EXACT


def killed(norm: Affine) -> Affine:
    scale, shift = norm.scale.copy(), norm.shift.copy()
    scale[:2], shift[:2] = 0, (0.7, -0.7)
    return Affine(scale, shift)
