"""Weights by operator: each lands where the operator reads it, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, DenseNet
from edgedense.converters.network.program import SCORES, Op, lower
from edgedense.converters.network.weights import with_weights
from edgedense.converters.passes.pool_first import pool_first
from tests import networks


def _weighted(network: DenseNet) -> list[Op]:
    return [op for op in lower(network).ops if op.kernel is not None]


@pytest.mark.parametrize("make", [networks.densenet, networks.folded])
def test_every_operator_gets_its_own(make: object) -> None:
    network = make()  # type: ignore[operator]
    random = np.random.default_rng(5)
    wanted = {op.output: tuple(random.normal(size=array.shape) for array in op.weights) for op in _weighted(network)}
    found = {op.output: op.weights for op in _weighted(with_weights(network, wanted))}
    assert found.keys() == wanted.keys()
    for name, (kernel, bias) in wanted.items():
        np.testing.assert_array_equal(found[name][0], kernel)
        np.testing.assert_array_equal(found[name][1], bias)


def test_what_is_not_named_stays() -> None:
    network = networks.folded()
    name = "block2/layer1/growth"
    changed = with_weights(network, {name: (np.zeros((3, 3, 5, 4), np.float32), np.ones(4, np.float32))})
    for before, after in zip(_weighted(network), _weighted(changed), strict=True):
        assert np.array_equal(before.weights[0], after.weights[0]) == (before.output != name)
        assert after.weights[0].dtype == np.float64
    assert networks.equal(network, with_weights(network, {}))


def test_a_dense_that_is_the_last_operator() -> None:
    network = networks.with_head(networks.folded(), *networks.folded().head.steps[:2])
    changed = with_weights(network, {SCORES: (np.ones((15, 3)), np.zeros(3))})
    assert (lower(changed).ops[-1].weights[0] == 1).all()


def test_a_transition_that_pools_first_is_known_by_its_own_name() -> None:
    network = pool_first(networks.folded())
    changed = with_weights(network, {"transition1": (np.zeros((1, 1, 14, 7)), np.zeros(7))})
    assert changed.blocks[0].transition is not None
    assert not changed.blocks[0].transition.conv.kernel.any()


@pytest.mark.parametrize("name", ["block9/layer1/growth", "block1/layer1/concat", "transition1", SCORES])
def test_names_without_weights_are_refused(name: str) -> None:
    assert isinstance(networks.folded().head.steps[-1], Activation)
    with pytest.raises(KeyError, match=name):
        with_weights(networks.folded(), {name: (np.zeros((1, 1, 14, 7)), np.zeros(7))})


def test_a_norm_in_another_form_has_no_weights() -> None:
    network = networks.folded()
    network = replace(network, head=replace(network.head, form="maximum"))
    with pytest.raises(KeyError, match="head/norm"):
        with_weights(network, {"head/norm": (np.ones((1, 1, 15)), np.zeros(15))})


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"growth.*\(3, 3, 5, 4\)"):
        with_weights(networks.folded(), {"block2/layer1/growth": (np.zeros((3, 3, 4, 5)), np.zeros(4))})
