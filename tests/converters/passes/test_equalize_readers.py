"""What convolutions read inside a layer is balanced between activation and weight precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Affine, Dense, Flatten, Pool
from edgedense.converters.network.program import lower
from edgedense.converters.passes.equalize_readers import LARGEST_FACTOR, equalize_readers
from edgedense.converters.passes.pool_first import pool_first
from edgedense.converters.quantization.measure import measure
from tests import networks, reference
from tests.converters.passes.test_equalize_concat import agree
from tests.networks import array


def test_by_hand() -> None:
    """Two channels of 3 and 48 behind the ReLU, read with weights 1 and 1: factors 4 and 1, less their median 2.5."""
    network = networks.folded_minimal()
    (layer,) = network.blocks[0].layers
    norm = Affine(array(0, 0), array(3, 48))
    layer = replace(layer, norm1=norm, conv1=replace(layer.conv1, kernel=np.ones((1, 1, 2, 2))))
    network = replace(network, blocks=(replace(network.blocks[0], layers=(layer,)),))
    after, statistics = equalize_readers(network, measure(lower(network), np.zeros((1, 2, 2, 3), np.uint8)))
    (layer,) = after.blocks[0].layers
    assert layer.norm1.shift == pytest.approx([3 * 4 / 2.5, 48 * 1 / 2.5])
    # The bottleneck's values are 51 + 11 and 51 + 19; conv2 reads them with weights 1 and 2.
    ratio = layer.conv1.kernel[0, 0, :, 0] / layer.conv1.kernel[0, 0, :, 1]
    assert ratio == pytest.approx(np.sqrt((1 / 62) / (2 / 70)))
    assert statistics["block1/layer1/norm"].high[0] == pytest.approx([3 * 4 / 2.5, 48 * 1 / 2.5])


@pytest.mark.parametrize("pool", ["avg", "max"])
@pytest.mark.parametrize("first", [False, True])
def test_exact_and_statistics_are_those_of_the_new_network(pool: str, first: bool) -> None:
    network = networks.folded()
    network = networks.with_head(network, Pool(pool), *network.head.steps[1:])
    pixels = networks.pictures(network, 5)
    wanted = reference.logits(network, pixels)
    network = pool_first(network) if first else network
    after, moved = equalize_readers(network, networks.statistics(network, pixels))
    assert not networks.equal(after, network)
    agree(moved, networks.statistics(after, pixels))
    assert reference.relative_error(networks.logits(after, pixels), wanted) < networks.EXACT


def test_balances() -> None:
    """Behind it, range times weight share is nearer to the same for all channels of every tensor."""
    network = networks.folded()
    statistics = networks.statistics(network)
    after, moved = equalize_readers(network, statistics)
    for name, conv in (("block1/layer2/bottleneck", 1), ("block2/layer1/bottleneck", 0)):
        number = int(name[5]) - 1
        before = network.blocks[number].layers[conv].conv2.kernel
        behind = after.blocks[number].layers[conv].conv2.kernel

        def uneven(high: np.ndarray, kernel: np.ndarray) -> float:
            live = high.max(axis=0) > 0
            share = np.abs(kernel / np.abs(kernel).max(axis=(0, 1, 2))).max(axis=(0, 1, 3))
            return float(np.ptp(np.log(high.max(axis=0)[live] / share[live])))

        assert uneven(moved[name].high, behind) < uneven(statistics[name].high, before)


def test_dead_channels_keep_a_factor_of_one() -> None:
    network = networks.folded()
    layer = network.blocks[0].layers[0]
    norm = Affine(layer.norm1.scale, layer.norm1.shift.copy())
    norm.shift[0], norm.scale[0] = -1, 0
    kernel = layer.conv1.kernel.copy()
    kernel[..., 1, :] = 0  # and one that nothing reads
    layers = (replace(layer, norm1=norm, conv1=replace(layer.conv1, kernel=kernel)), *network.blocks[0].layers[1:])
    network = replace(network, blocks=(replace(network.blocks[0], layers=layers), *network.blocks[1:]))
    after, _ = equalize_readers(network, networks.statistics(network))
    assert after.blocks[0].layers[0].norm1.shift[0] == -1
    assert after.blocks[0].layers[0].norm1.scale[1] == norm.scale[1]


def test_factors_are_limited() -> None:
    network = networks.folded_minimal()
    (layer,) = network.blocks[0].layers
    norm = Affine(array(0, 0), array(1, 1e-30))
    network = replace(network, blocks=(replace(network.blocks[0], layers=(replace(layer, norm1=norm),)),))
    after, _ = equalize_readers(network, measure(lower(network), np.zeros((1, 2, 2, 3), np.uint8)))
    factors = after.blocks[0].layers[0].norm1.shift / norm.shift
    assert factors.max() / factors.min() <= LARGEST_FACTOR**2


def test_heads_without_global_pooling_are_left_alone() -> None:
    network = networks.folded_minimal()
    network = networks.with_head(network, Flatten(), Dense(np.ones((12, 2)), array(0, 0)), Activation("softmax"))
    after, _ = equalize_readers(network, networks.statistics(network))
    assert after.head is network.head


def test_other_forms_are_left_alone() -> None:
    network = networks.folded(positive=True)
    blocks = tuple(
        replace(block, layers=tuple(replace(layer, form="maximum") for layer in block.layers))
        for block in network.blocks
    )
    network = replace(network, blocks=blocks)
    after, _ = equalize_readers(network, networks.statistics(network))
    for old, new in zip(network.blocks[0].layers, after.blocks[0].layers, strict=True):
        assert new.norm1 is old.norm1
        assert not np.array_equal(new.conv2.kernel, old.conv2.kernel)  # the bottleneck is balanced all the same
