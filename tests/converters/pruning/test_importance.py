"""What each criterion says of a channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Affine, DenseNet
from edgedense.converters.options import Criterion
from edgedense.converters.pruning.importance import TEMPERATURE, measure_importance, sensitivity
from tests import networks


def quiet_channel(network: DenseNet, bottleneck: int, growth: int) -> DenseNet:
    """No one reads these channels of block1/layer1's bottleneck and of block2/layer1's growth."""
    first, second = network.blocks
    kernel = first.layers[0].conv2.kernel.copy()
    kernel[:, :, bottleneck] = 0
    layer = replace(first.layers[0], conv2=replace(first.layers[0].conv2, kernel=kernel))
    first = replace(first, layers=(layer, first.layers[1]))
    channel = 7 + growth
    reader = second.layers[1]
    kernel = reader.conv1.kernel.copy()
    kernel[:, :, channel] = 0
    second = replace(second, layers=(second.layers[0], replace(reader, conv1=replace(reader.conv1, kernel=kernel))))
    dense = network.head.steps[1]
    assert isinstance(dense, networks.Dense)
    rows = dense.kernel.copy()
    rows[channel] = 0
    steps = (network.head.steps[0], replace(dense, kernel=rows), *network.head.steps[2:])
    return replace(network, blocks=(first, second), head=replace(network.head, steps=steps))


def test_taylor_finds_what_nobody_reads() -> None:
    network = networks.folded()
    pixels = networks.pictures(network, 6)
    before = measure_importance(network, pixels)
    bottleneck = int(before.bottleneck["block1/layer1"].argmax())
    growth = int(before.growth["block2/layer1"].argmax())
    after = measure_importance(quiet_channel(network, bottleneck, growth), pixels)
    assert after.bottleneck["block1/layer1"][bottleneck] == 0 < before.bottleneck["block1/layer1"][bottleneck]
    assert after.growth["block2/layer1"][growth] == 0 < before.growth["block2/layer1"][growth]


def test_sensitivity_is_the_divergence_that_a_small_change_makes() -> None:
    """A bottleneck channel that varies little about its mean: KL by the formula against KL as it is."""
    network = networks.folded(3)
    layer = network.blocks[1].layers[1]
    scale = layer.conv1.kernel.copy()
    scale[..., 1] *= 0.03  # so that second order is all there is
    bias = layer.conv1.bias.copy()
    bias[1] = abs(bias[1]) + 1  # and the ReLU does not bend it
    layer = replace(layer, conv1=replace(layer.conv1, kernel=scale, bias=bias))
    block = replace(network.blocks[1], layers=(network.blocks[1].layers[0], layer))
    network = replace(network, blocks=(network.blocks[0], block))
    dense, last = network.head.steps[1:]
    assert isinstance(dense, networks.Dense)
    hot = networks.Dense(dense.kernel * TEMPERATURE, dense.bias * TEMPERATURE)  # what the formula cools down again
    pixels = networks.pictures(network, 40)
    hotter = networks.with_head(network, network.head.steps[0], hot, last)
    predicted = sensitivity(hotter, pixels)["block2/layer2/bottleneck"][1] / TEMPERATURE**2

    mean = bottleneck_mean(network, pixels)
    constant = layer.conv1.kernel.copy()
    constant[..., 1] = 0
    bias = layer.conv1.bias.copy()
    bias[1] = mean
    flat = replace(layer, conv1=replace(layer.conv1, kernel=constant, bias=bias))
    changed = replace(network, blocks=(network.blocks[0], replace(block, layers=(block.layers[0], flat))))
    before, after = networks.logits(network, pixels), networks.logits(changed, pixels)
    p, q = (np.exp(z - z.max(axis=1, keepdims=True)) for z in (before, after))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    divergence = (p * np.log(p / q)).sum(axis=1).mean()
    # Four random directions for each of 40 pictures estimate the mean of a square to about 15 %; three sigma.
    assert predicted == pytest.approx(divergence, rel=0.45)


def bottleneck_mean(network: DenseNet, pixels: np.ndarray) -> float:
    from edgedense.converters.network.evaluate import evaluate
    from edgedense.converters.network.program import lower

    return float(evaluate(lower(network), pixels, output="block2/layer2/bottleneck")[..., 1].mean())


def test_weights_alone_decide_l1() -> None:
    network = networks.folded()
    found = measure_importance(network, networks.pictures(network, 2), "l1")
    layer = network.blocks[1].layers[0]
    np.testing.assert_allclose(found.bottleneck["block2/layer1"], np.abs(layer.conv1.kernel[0, 0]).sum(axis=0))
    np.testing.assert_allclose(found.growth["block2/layer1"], np.abs(layer.conv2.kernel).sum(axis=(0, 1, 2)))


def test_norm_is_the_scale_of_the_batch_norm() -> None:
    """With three times the scale in every reader a growth channel is three times as important."""
    network = networks.folded()
    pixels = networks.pictures(network, 4)
    before = measure_importance(network, pixels, "norm").growth["block1/layer1"]
    channel = 6 + 3
    block = network.blocks[0]
    assert block.transition

    def louder(norm: Affine) -> Affine:
        scale = norm.scale.copy()
        scale[channel] *= 3
        return replace(norm, scale=scale)

    layers = (block.layers[0], replace(block.layers[1], norm1=louder(block.layers[1].norm1)))
    transition = replace(block.transition, norm=louder(block.transition.norm))
    network = replace(network, blocks=(replace(block, layers=layers, transition=transition), network.blocks[1]))
    after = measure_importance(network, pixels, "norm").growth["block1/layer1"]
    np.testing.assert_allclose(after / before, [1, 1, 1, 3], rtol=1e-4)  # variances in float32


@pytest.mark.parametrize("criterion", ["taylor", "l1", "norm", "random"])
def test_every_channel_has_a_number_and_the_same_one_every_time(criterion: Criterion) -> None:
    network = networks.folded()
    network = networks.with_head(network, *network.head.steps[:2], Activation("sigmoid"))
    pixels = networks.pictures(network, 3)
    one, other = (measure_importance(network, pixels, criterion) for _ in range(2))
    assert [values.shape for values in one.bottleneck.values()] == [(5,)] * 4
    assert [values.shape for values in one.growth.values()] == [(4,)] * 4
    for name, values in one.growth.items():
        assert (values >= 0).all()
        np.testing.assert_array_equal(values, other.growth[name])
