"""The order in which channels are cut: at each step what costs least accuracy per instruction saved, over the whole
network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.pruning.channels import Indices, LayerChannels, Selection, everything
from edgedense.converters.pruning.cost import X86, BlockShape, Cost, block_shapes
from edgedense.converters.pruning.importance import Importance


@dataclass(frozen=True)
class _Move:
    """One step for one dense layer: its channels after it, what that loses, what it saves."""

    block: int
    layer: int
    channels: LayerChannels
    loss: float
    saving: float


def cuts(network: DenseNet, importance: Importance, cost: Cost = X86) -> Iterator[Selection]:
    """Selections from the whole network downward, each a part of the one before, until one dense layer of one tile is
    left in each block. What a head that stays float reads stays whole: in the last block only bottlenecks get thinner.

    A step takes the least important tile of outputs from a bottleneck or from a dense layer's growth channels, or
    all of these, and the layer with them. Which step comes next is decided by loss per `cost` saved;
    what saves nothing is no step.
    """
    shapes = block_shapes(network)
    selection = everything(network)
    whole = {len(network.blocks) - 1} if network.head.float_head is not None else set()

    def moves_of(block: int) -> list[_Move]:
        return _moves(block, selection, shapes[block], importance, cost, block not in whole)

    moves = [moves_of(block) for block in range(len(network.blocks))]
    yield selection
    while any(moves):
        best = min((move for block in moves for move in block), key=lambda move: move.loss / move.saving)
        selection = selection.replaced(best.block, best.layer, best.channels)
        yield selection
        moves[best.block] = moves_of(best.block)


def _moves(
    block: int, selection: Selection, shape: BlockShape, importance: Importance, cost: Cost, growth: bool
) -> list[_Move]:
    """The steps that one dense block has left; `growth`: its growth channels may go."""
    rows = selection.layers[block]
    widths = [(row.bottleneck.size, row.growth.size) for row in rows]
    before = cost.of_block(shape, widths)
    found = []
    for layer, row in enumerate(rows):
        name = f"block{block + 1}/layer{layer + 1}"
        for channels, loss in _smaller(row, importance.bottleneck[name], importance.growth[name], cost.tile):
            if not growth and channels.growth.size < row.growth.size:
                continue
            after = [*widths[:layer], (channels.bottleneck.size, channels.growth.size), *widths[layer + 1 :]]
            # A row of channels that no longer fills a register can cost more than the channels that went.
            saving = before - cost.of_block(shape, after)
            if any(growth for _, growth in after) and saving > 0:
                found.append(_Move(block, layer, channels, loss, saving))
    return found


def _smaller(
    row: LayerChannels, bottleneck: np.ndarray, growth: np.ndarray, tile: int
) -> Iterator[tuple[LayerChannels, float]]:
    """The layer without its least important tile of bottleneck channels or of growth channels, or without all of
    these, and what that loses."""
    if not row.growth.size:
        return
    if row.bottleneck.size > tile:
        stay, loss = _without_a_tile(row.bottleneck, bottleneck, tile)
        yield LayerChannels(stay, row.growth), loss
    stay, loss = _without_a_tile(row.growth, growth, tile)
    yield LayerChannels(row.bottleneck, stay), loss
    if stay.size:
        yield LayerChannels(row.bottleneck, stay[:0]), float(growth[row.growth].sum())


def _without_a_tile(channels: Indices, importance: np.ndarray, tile: int) -> tuple[Indices, float]:
    """What stays is a multiple of a tile, or nothing."""
    going = (channels.size - 1) % tile + 1
    order = channels[np.argsort(importance[channels], kind="stable")]
    return np.sort(order[going:]), float(importance[order[:going]].sum())
