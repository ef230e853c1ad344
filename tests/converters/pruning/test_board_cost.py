"""What a dense block costs on a board, against the estimate of whole files."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.boards.estimate import estimate
from edgedense.boards.known import known
from edgedense.boards.misses import LINE
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.pruning.board_cost import board_cost
from edgedense.converters.pruning.channels import LayerChannels, Selection, cut, everything
from edgedense.converters.pruning.cost import BlockShape, block_shapes, weights
from edgedense.converters.quantization.shapes import shape_of_file
from edgedense.errors import EdgedenseError
from tests import networks


@pytest.mark.parametrize(("board", "tile"), [("pi5", 16), ("pi4", 8), ("pi3", 16), ("zero2", 16)])
def test_the_outputs_that_are_computed_at_once_are_found_in_the_estimate(board: str, tile: int) -> None:
    """They are the columns of XNNPACK's tiles, in edgedense/boards/known.py."""
    assert board_cost(board).tile == tile


@pytest.mark.parametrize("board", ["pi5", "pi4"])
def test_a_cut_saves_what_the_estimate_of_the_file_says(board: str) -> None:
    network = networks.folded(growth=32, bottleneck=48, positive=True)
    part = LayerChannels(np.arange(16), np.arange(16))
    selection = everything(network).replaced(0, 0, part).replaced(1, 1, LayerChannels(np.arange(48), np.arange(0)))

    def blocks(selection: Selection) -> float:
        return sum(
            board_cost(board).of_block(shape, [(row.bottleneck.size, row.growth.size) for row in rows])
            for shape, rows in zip(block_shapes(network), selection.layers, strict=True)
        )

    about, smaller = known(board), cut(network, selection)
    taken = (instructions(network, board) - instructions(smaller, board)) / about.processor.per_cycle / about.clock
    fetched = (weights(network) - weights(smaller)) / LINE * about.processor.miss  # its maps all stay in the cache
    # What the head's Dense has of the channels that went is the only operator that is not counted.
    assert blocks(everything(network)) - blocks(selection) == pytest.approx(taken + fetched, rel=0.02)


def instructions(network: DenseNet, board: str) -> float:
    found = estimate(shape_of_file(network, "maximum"), board).instructions
    assert found is not None
    return found


def test_a_map_that_the_cache_does_not_hold_is_fetched() -> None:
    """A Raspberry Pi 5 has 512 KiB: 64 channels of 8,192 positions fit in, of 8,193 they do not."""
    of_block = board_cost("pi5").of_block
    here, more, most = (of_block(BlockShape(n, 64, 0, 0), []) for n in (8191, 8192, 8193))
    one_position = more - here
    lines = 3 * 8193  # the head's norm reads the map and writes another, which its mean reads
    assert most - more == pytest.approx(lines * 7.5 + one_position, rel=1e-3)


def test_a_board_without_an_estimate() -> None:
    with pytest.raises(EdgedenseError, match="AVX-VNNI"):
        board_cost("n100")
