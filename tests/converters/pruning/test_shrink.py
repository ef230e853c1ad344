"""Goals, and what becomes of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from edgedense.converters.pruning.cost import macs, weights
from edgedense.converters.pruning.shrink import fraction_removed, shrink
from edgedense.errors import EdgedenseError
from tests import networks


@contextlib.contextmanager
def silent(description: str, total: int) -> Iterator[Callable[[int], None]]:
    done = 0

    def tick(pieces: int) -> None:
        nonlocal done
        done += pieces

    yield tick
    assert done in (0, total), description  # some criteria look at no pictures


def test_a_fraction_is_removed_and_hardly_more() -> None:
    network = networks.folded(growth=32, bottleneck=64)
    pixels = networks.pictures(network, 6)
    shrunk = shrink(network, pixels, fraction_removed(network, 0.3), "taylor", silent, "30 %")
    share = macs(shrunk.network) / macs(network)
    assert 0.6 < share <= 0.7  # a tile of one layer of four is some 5 %
    assert "block 1: 2 of 2 layers" in shrunk.describe()
    before, after = networks.logits(network, pixels), networks.logits(shrunk.network, pixels)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9


def test_a_goal_that_is_met_leaves_the_channels_alone() -> None:
    network = networks.folded(growth=32, bottleneck=48)
    shrunk = shrink(network, networks.pictures(network, 4), lambda smaller: True, "l1", silent, "anything")
    assert (macs(shrunk.network), weights(shrunk.network)) == (macs(network), weights(network))


def test_a_goal_out_of_reach_says_how_far_it_would_go() -> None:
    network = networks.folded(growth=32, bottleneck=48)
    with pytest.raises(EdgedenseError, match=r"99 % less.*of the multiply-accumulates.*--input-size"):
        shrink(network, networks.pictures(network, 4), fraction_removed(network, 0.99), "l1", silent, "99 % less")
