"""The order of cuts."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, pairwise

import numpy as np

from edgedense.converters.network.graph import Activation, FloatHead
from edgedense.converters.pruning.channels import Selection
from edgedense.converters.pruning.cost import BlockShape, Cost, Widths
from edgedense.converters.pruning.importance import Importance
from edgedense.converters.pruning.selection import cuts
from tests import networks

NAMES = [f"block{block}/layer{layer}" for block in (1, 2) for layer in (1, 2)]


def importance(bottleneck: int = 48, growth: int = 32, **quiet: float) -> Importance:
    """All alike, but for the dense layers named "b1l2": their bottleneck channels lose only that much."""
    return Importance(
        {name: np.full(bottleneck, quiet.get(f"b{name[5]}l{name[12]}", 1.0)) for name in NAMES},
        {name: np.full(growth, 1e3) for name in NAMES},
    )


def widths(selection: Selection) -> list[list[tuple[int, int]]]:
    return [[(row.bottleneck.size, row.growth.size) for row in rows] for rows in selection.layers]


def test_the_least_important_tile_goes_first() -> None:
    network = networks.folded(growth=32, bottleneck=48)
    way = cuts(network, importance(b2l1=1e-6))
    assert widths(next(way)) == [[(48, 32), (48, 32)], [(48, 32), (48, 32)]]
    assert widths(next(way)) == [[(48, 32), (48, 32)], [(32, 32), (48, 32)]]
    assert widths(next(way)) == [[(48, 32), (48, 32)], [(16, 32), (48, 32)]]


def test_within_a_layer_the_least_important_channels_go() -> None:
    network = networks.folded(growth=32, bottleneck=48)
    found = importance(b1l1=1e-3)
    found.bottleneck["block1/layer1"][:] = np.where(np.arange(48) % 3 == 0, 1e-6, 1e-3)
    way = cuts(network, found)
    next(way)
    np.testing.assert_array_equal(next(way).layers[0][0].bottleneck, [i for i in range(48) if i % 3])


def test_every_step_is_part_of_the_one_before_down_to_one_layer_a_block() -> None:
    network = networks.folded(growth=32, bottleneck=48)
    way = list(cuts(network, importance()))
    for before, after in pairwise(way):
        for old, new in zip(chain(*before.layers), chain(*after.layers), strict=True):
            assert set(new.bottleneck) <= set(old.bottleneck)
            assert set(new.growth) <= set(old.growth)
    for block in widths(way[-1]):
        assert sorted(growth for _, growth in block) == [0, 16]
        assert (16, 16) in block


def test_widths_stay_multiples_of_a_tile() -> None:
    """Bottlenecks of 40 and growth of 24 come down to 32 and 16 first: 24 outputs take as long as 32."""
    network = networks.folded(growth=24, bottleneck=40)
    for selection in list(cuts(network, importance(40, 24)))[1:]:
        for bottleneck, growth in chain.from_iterable(widths(selection)):
            assert bottleneck in (40, 32, 16)
            assert growth in (24, 16, 0)


def test_the_cost_decides_what_goes_first_and_by_how_many_channels() -> None:
    def of_block(shape: BlockShape, widths: Widths) -> float:
        """Bottlenecks of the second block's small map cost most, those of the first cost nothing."""
        return sum(growth + (0 if shape.transition else 1e6 * bottleneck) for bottleneck, growth in widths if growth)

    network = networks.folded(growth=32, bottleneck=48)
    way = [widths(selection) for selection in cuts(network, importance(), Cost(of_block, 8))]
    assert way[1] == [[(48, 32), (48, 32)], [(40, 32), (48, 32)]]
    thin = [(8, 32), (8, 32)]
    assert way.index([[(48, 32), (48, 32)], thin]) == 10  # before any growth channels
    assert all(bottleneck == 48 for first, _ in way for bottleneck, growth in first if growth)


def test_layers_of_less_than_a_tile_go_as_a_whole() -> None:
    network = networks.folded()
    last = list(cuts(network, importance(5, 4)))[-1]
    for block in widths(last):
        assert sorted(block) == [(5, 0), (5, 4)]


def test_what_a_float_head_reads_stays() -> None:
    """In the last block only bottlenecks get thinner; in the others growth channels go too."""
    network = networks.folded(growth=32, bottleneck=48)
    head = FloatHead(b"", "", "", (1, 1, 71), 3)
    network = replace(network, head=replace(network.head, steps=(head, Activation("softmax"))))
    *_, last = cuts(network, importance())
    assert widths(last)[1] == [(16, 32), (16, 32)]
    assert sum(growth for _, growth in widths(last)[0]) == 16
    assert widths(last)[0].count((16, 16)) == 1
