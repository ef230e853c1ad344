"""Transitions pool before they convolve."""

from __future__ import annotations

from edgedense.converters.network.program import lower
from edgedense.converters.passes.pool_first import pool_first
from tests import networks, reference


def kinds(network: networks.DenseNet, name: str) -> list[str]:
    return [op.kind for op in lower(network).ops if op.output.startswith(name)]


def test_pooling_moves_in_front_of_the_convolution() -> None:
    network = networks.densenet()
    assert kinds(network, "transition1") == ["depthwise", "conv", "average_pool"]
    after = pool_first(network)
    assert kinds(after, "transition1") == ["depthwise", "depthwise", "conv"]
    pool = next(op for op in lower(after).ops if op.output == "transition1/pool")
    assert (pool.stride, pool.weights[0].shape, set(pool.weights[0].ravel())) == (2, (2, 2, 14), {0.25})


def test_what_has_no_transition_is_left_alone() -> None:
    network = networks.minimal()
    assert networks.equal(pool_first(network), network)
    once = pool_first(networks.densenet())
    assert networks.equal(pool_first(once), once)


def test_exact_at_an_odd_size_too() -> None:
    for height, width in ((33, 40), (41, 53)):  # 9 x 10 and 11 x 14 positions are pooled: a row is left over
        network = networks.densenet(height=height, width=width)
        pixels = networks.pictures(network)
        wanted = reference.logits(network, pixels)
        assert reference.relative_error(networks.logits(pool_first(network), pixels), wanted) < networks.EXACT
