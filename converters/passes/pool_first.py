"""Transitions pool before they convolve: a quarter of the work."""

from __future__ import annotations

from dataclasses import replace

from edgedense.converters.network.graph import Block, DenseNet


def pool_first(network: DenseNet) -> DenseNet:
    """Average pooling and a 1x1 convolution are both linear and act on different axes, so they commute."""
    return replace(network, blocks=tuple(_block(block) for block in network.blocks))


def _block(block: Block) -> Block:
    if block.transition is None or block.transition.pool_first:
        return block
    return replace(block, transition=replace(block.transition, pool_first=True))
