"""What is counted, against sums by hand."""

from __future__ import annotations

import numpy as np

from edgedense.converters.pruning.channels import LayerChannels, cut, everything
from edgedense.converters.pruning.cost import block_cost, block_macs, block_shapes, macs, weights
from tests import networks


def test_multiplications_of_the_smallest_network_by_hand() -> None:
    network = networks.folded_minimal()
    # 4 positions: stem 3 x 2, bottleneck 2 x 2, growth 2 x 1; and the Dense 3 x 2.
    assert macs(network) == 4 * (6 + 4 + 2) + 6
    assert weights(network) == 6 + 2 + 4 + 2 + 3 + 6  # with norms of 2 and 3 channels


def test_a_block_costs_what_its_operators_do() -> None:
    """Cutting channels changes the formula for blocks as it changes the network."""
    network = networks.folded(growth=32, bottleneck=48)
    part = LayerChannels(np.arange(16), np.arange(16))
    selection = everything(network).replaced(0, 0, part).replaced(1, 1, LayerChannels(np.arange(48), np.arange(0)))
    shapes = block_shapes(network)

    def total(rows: tuple[LayerChannels, ...], block: int) -> int:
        return block_macs(shapes[block], [(row.bottleneck.size, row.growth.size) for row in rows])

    whole = sum(total(rows, block) for block, rows in enumerate(everything(network).layers))
    left = sum(total(rows, block) for block, rows in enumerate(selection.layers))
    head = 3 * 32  # rows of the Dense that went with the last layer
    assert macs(network) - macs(cut(network, selection)) == whole - left + head


def test_what_else_takes_time_is_added() -> None:
    shape = block_shapes(networks.folded())[0]
    widths = [(16, 16), (16, 16)]
    assert block_cost(shape, widths) > block_macs(shape, widths)
    assert block_cost(shape, [(16, 16), (16, 0)]) < block_cost(shape, widths)
