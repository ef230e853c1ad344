"""norm - ReLU in its cheaper form: scale and shift move into the convolution behind, MAXIMUM is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Affine, DenseNet, Form, Pool
from edgedense.converters.network.program import lower
from edgedense.converters.passes.absorb_scales import absorb_scales
from edgedense.converters.passes.fold_constants import fold_constants
from edgedense.converters.passes.pool_first import pool_first
from tests import networks, reference
from tests.converters.passes.test_equalize_concat import agree
from tests.networks import array

PLACES = ("block1/layer1", "block1/layer2", "block2/layer1", "block2/layer2", "transition1", "head")
FORMS: dict[str, Form] = dict.fromkeys(PLACES, "maximum")


def with_norm(norm: Affine) -> DenseNet:
    network = networks.folded_minimal()
    (layer,) = network.blocks[0].layers
    return replace(network, blocks=(replace(network.blocks[0], layers=(replace(layer, norm1=norm),)),))


def absorbed(network: DenseNet) -> DenseNet:
    return absorb_scales(network, {}, FORMS)[0]


def test_maximum_by_hand() -> None:
    """relu(2x + 6) = 2 max(x, -3) + 6, and the 6 is in the bias behind."""
    network = with_norm(Affine(array(2, 4), array(6, 2)))
    conv = network.blocks[0].layers[0].conv1
    after = absorbed(network)
    (layer,) = after.blocks[0].layers
    assert (layer.norm1.scale.tolist(), layer.norm1.shift.tolist()) == ([1, 1], [3, 0.5])
    assert layer.conv1.kernel[0, 0].tolist() == (conv.kernel[0, 0] * [[2], [4]]).tolist()
    assert layer.conv1.bias.tolist() == (conv.bias + array(6, 2) @ conv.kernel[0, 0]).tolist()
    op = next(op for op in lower(after).ops if op.kind == "maximum")
    assert op.constant is not None
    assert op.constant.tolist() == [-3, -0.5]


def test_norms_with_a_scale_below_zero_are_left_alone() -> None:
    network = with_norm(Affine(array(2, -4), array(6, 2)))
    assert absorbed(network).blocks[0].layers[0] is network.blocks[0].layers[0]


def test_a_scale_of_zero_is_allowed_where_the_channel_is_not_read() -> None:
    network = with_norm(Affine(array(2, 0), array(6, 2)))
    assert absorbed(network).blocks[0].layers[0].form == "depthwise"
    assert absorbed(fold_constants(network)).blocks[0].layers[0].form == "maximum"


def test_places_that_are_not_named_are_left_alone() -> None:
    network = networks.folded(positive=True)
    after, _ = absorb_scales(network, {}, {"block1/layer2": "maximum"})
    assert [layer.form for block in after.blocks for layer in block.layers] == [
        "depthwise",
        "maximum",
        "depthwise",
        "depthwise",
    ]
    assert after.blocks[0].transition is network.blocks[0].transition
    assert after.head is network.head


@pytest.mark.parametrize("pool", ["avg", "max"])
@pytest.mark.parametrize("first", [False, True])
def test_exact_and_statistics_are_those_of_the_new_network(pool: str, first: bool) -> None:
    network = networks.folded(positive=True)
    network = networks.with_head(network, Pool(pool), *network.head.steps[1:])
    pixels = networks.pictures(network, 5)
    wanted = reference.logits(network, pixels)
    network = pool_first(network) if first else network
    after, moved = absorb_scales(network, networks.statistics(network, pixels), FORMS)
    assert {layer.form for block in after.blocks for layer in block.layers} == {"maximum"}
    assert (after.blocks[0].transition.form, after.head.form) == ("maximum", "maximum")
    assert reference.relative_error(networks.logits(after, pixels), wanted) < networks.EXACT
    agree(moved, networks.statistics(after, pixels))


def test_tiny_scales_stay_exact() -> None:
    """A gamma of 1e-9 makes a constant of 1e9, which MAXIMUM takes or never takes; the products stay of order one."""
    network = networks.folded(positive=True)
    layer = network.blocks[0].layers[1]
    scale = layer.norm1.scale.copy()
    scale[:2] = 1e-9
    shift = np.concatenate([[0.2, -0.2], layer.norm1.shift[2:]])
    layers = (network.blocks[0].layers[0], replace(layer, norm1=Affine(scale, shift)))
    network = replace(network, blocks=(replace(network.blocks[0], layers=layers), *network.blocks[1:]))
    pixels = networks.pictures(network)
    wanted = reference.logits(network, pixels)
    # 0.2e9 * 1e-9 in float64 keeps 7 digits less than the rest.
    assert reference.relative_error(networks.logits(absorbed(network), pixels), wanted) < 1e-6
