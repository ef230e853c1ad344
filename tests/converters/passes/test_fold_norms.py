"""Batch norms that follow a convolution or meet a Dense become part of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Affine, Dense, Flatten, HeadStep, Pool, WindowPool
from edgedense.converters.passes.fold_norms import fold_norms
from tests import networks, reference
from tests.networks import array

SCALE = Affine(array(2, 3, 4), array(1, 1, 2))
TURN = Affine(array(2, -3, 4), array(1, 1, 2))
DENSE = Dense(array([1, 2], [3, 4], [5, 6]), array(1, 2))
MERGED = Dense(array([2, 4], [9, 12], [20, 24]), array(1 + 1 + 3 + 10, 2 + 2 + 4 + 12))  # Dense behind SCALE


def head(*steps: HeadStep) -> tuple[HeadStep, ...]:
    return fold_norms(networks.with_head(networks.minimal(), *steps)).head.steps


def test_the_stem_and_bottlenecks() -> None:
    network = fold_norms(networks.minimal())
    assert network.stem.norm is None
    assert network.stem.conv.kernel.tolist() == [[[[2, 0], [0, 4], [2, 4]]]]
    assert network.stem.conv.bias.tolist() == [2 * 1 + 1, 4 * 2 + 3]
    (layer,) = network.blocks[0].layers
    assert layer.norm2 is None
    assert layer.conv1.kernel.tolist() == [[[[2, 6], [6, 12]]]]
    assert layer.conv1.bias.tolist() == [2 * 5 + 1, 3 * 6 + 1]


def test_norms_behind_a_concatenation_stay() -> None:
    before = networks.minimal()
    after = fold_norms(before)
    assert after.blocks[0].layers[0].norm1 is before.blocks[0].layers[0].norm1
    assert after.head.norm is before.head.norm


def test_folding_twice_is_folding_once() -> None:
    once = fold_norms(networks.densenet())
    assert networks.equal(fold_norms(once), once)


def same(found: tuple[HeadStep, ...], wanted: tuple[HeadStep, ...]) -> bool:
    network = networks.minimal()
    return networks.equal(networks.with_head(network, *found), networks.with_head(network, *wanted))


@pytest.mark.parametrize("pool", [Pool("avg"), Pool("max")])
def test_a_norm_before_or_behind_the_pooling_meets_the_dense(pool: Pool) -> None:
    assert same(head(pool, SCALE, DENSE), (pool, MERGED))
    assert same(head(SCALE, pool, DENSE), (pool, MERGED))


def test_a_norm_behind_a_dense() -> None:
    after = Affine(array(10, 100), array(1, 2))
    wanted = (Pool("avg"), Dense(array([10, 200], [30, 400], [50, 600]), array(11, 202)), Activation("sigmoid"))
    assert same(head(Pool("avg"), DENSE, after, Activation("sigmoid")), wanted)


def test_two_norms_in_a_row() -> None:
    twice = Dense(array([4, 8], [27, 36], [80, 96]), array(1 + 3 + 12 + 50, 2 + 6 + 16 + 60))  # SCALE twice
    assert same(head(SCALE, SCALE, Pool("avg"), DENSE), (Pool("avg"), twice))


def test_a_norm_before_flatten_is_repeated_for_every_position() -> None:
    dense = Dense(np.ones((12, 1)), array(0))  # 2x2 positions of 3 channels
    wanted = Dense(np.tile([2.0, 3, 4], 4)[:, None], array(4 * (1 + 1 + 2)))
    assert same(head(SCALE, Flatten(), dense), (Flatten(), wanted))


def test_left_alone_where_a_maximum_would_become_a_minimum() -> None:
    assert same(head(TURN, Pool("max"), DENSE), (TURN, Pool("max"), DENSE))
    assert len(head(TURN, Pool("avg"), DENSE)) == 2


def test_left_alone_between_activations() -> None:
    steps = (Pool("avg"), Activation("relu"), SCALE, Activation("tanh"), DENSE)
    assert same(head(*steps), steps)


@pytest.mark.parametrize(
    "steps",
    [
        (SCALE, WindowPool("max", (2, 2), (1, 1)), Flatten(), DENSE),
        (WindowPool("avg", (2, 1), (1, 1)), SCALE, Flatten(), Dense(np.arange(12.0).reshape(6, 2), array(1, 2))),
        (Flatten(), Affine(np.arange(12.0), np.arange(12.0)), Dense(np.arange(24.0).reshape(12, 2), array(1, 2))),
        (TURN, Pool("max"), DENSE, Activation("tanh"), Affine(array(2, 3), array(4, 5)), Activation("softmax")),
    ],
)
def test_heads_compute_the_same(steps: tuple[HeadStep, ...]) -> None:
    network = networks.with_head(networks.minimal(), *steps)
    pixels = np.arange(24).reshape(2, 2, 2, 3)
    wanted = reference.logits(network, pixels)
    assert reference.relative_error(networks.logits(fold_norms(network), pixels), wanted) < networks.EXACT


def test_exact() -> None:
    network = networks.densenet()
    pixels = networks.pictures(network)
    wanted = reference.logits(network, pixels)
    assert reference.relative_error(networks.logits(network, pixels), wanted) < networks.EXACT
    assert reference.relative_error(networks.logits(fold_norms(network), pixels), wanted) < networks.EXACT


def test_a_network_without_norms_to_fold_is_left_alone() -> None:
    network = networks.minimal()
    (layer,) = network.blocks[0].layers
    plain = replace(
        network,
        stem=replace(network.stem, norm=None),
        blocks=(replace(network.blocks[0], layers=(replace(layer, norm2=None),)),),
    )
    assert networks.equal(fold_norms(plain), plain)
