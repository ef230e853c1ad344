"""One channel that is repeated to several is read once, where that is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Affine, DenseNet, Front
from edgedense.converters.network.program import lower
from edgedense.converters.passes.fold_repeats import fold_repeats
from tests import networks, reference
from tests.networks import array

PADDED = ((1, 1), (1, 1))


def minimal(scale: tuple[float, ...], shift: tuple[float, ...], padded: bool = True) -> DenseNet:
    """One channel, three times; the stem reads (1, 0), (0, 1) and (1, 1) of the copies."""
    network = replace(networks.minimal(), normalization=Affine(array(*scale), array(*shift)), repeats=3)
    if not padded:
        return network
    return network.with_first(replace(network.stem, conv=replace(network.stem.conv, padding=PADDED)))


def test_kernels_of_equal_copies_are_added() -> None:
    folded = fold_repeats(minimal((0.5, 0.5, 0.5), (-1, -1, -1)))
    assert (folded.repeats, folded.channels, folded.entering) == (1, 1, 1)
    assert folded.stem.conv.kernel.tolist() == [[[[2, 2]]]]
    assert folded.normalization is not None
    assert (folded.normalization.scale.tolist(), folded.normalization.shift.tolist()) == ([0.5], [-1])


def test_copies_that_are_multiples_of_the_largest_are_weighted() -> None:
    folded = fold_repeats(minimal((1, -2, 0), (3, -6, 0)))
    assert folded.stem.conv.kernel.tolist() == [[[[-0.5, 1]]]]
    assert folded.normalization is not None
    assert (folded.normalization.scale.tolist(), folded.normalization.shift.tolist()) == ([-2], [-6])


def test_copies_with_borders_of_their_own_are_left_alone() -> None:
    network = minimal((1, 1, 1), (0, -1, 0))
    assert fold_repeats(network) is network


def test_without_padding_there_are_no_borders() -> None:
    folded = fold_repeats(minimal((1, 1, 1), (0, -1, 0), padded=False))
    assert folded.repeats == 1
    assert folded.stem.conv.kernel.tolist() == [[[[2, 2]]]]
    assert folded.stem.conv.bias.tolist() == [1, 2 - 1]  # the second copy is read by the second output


@pytest.mark.parametrize(
    "network",
    [networks.minimal(), minimal((0, 0, 0), (1, 2, 3)), replace(minimal((1, 1, 1), (0, 0, 0)), normalization=None)],
    ids=["three channels", "nothing of the picture", "no normalization"],
)
def test_left_alone(network: DenseNet) -> None:
    assert fold_repeats(network) is network


@pytest.mark.parametrize("in_front", [False, True])
def test_exact(in_front: bool) -> None:
    network = replace(networks.densenet(), normalization=Affine(array(0.1, 0.2, -0.1), array(1, 2, -1)), repeats=3)
    if in_front:
        conv = replace(
            network.stem.conv, kernel=np.ones((3, 3, 3, 3)) / 9, bias=array(1, 2, 3), stride=1, padding=PADDED
        )
        network = replace(network, front=Front(conv, relu=True))
    pixels = networks.pictures(network)[..., :1]
    folded = fold_repeats(network)
    assert lower(folded).shapes["image"] == (33, 40, 1)
    wanted = networks.logits(network, pixels)
    assert reference.relative_error(networks.logits(folded, pixels), wanted) < networks.EXACT
    three = networks.logits(replace(network, repeats=1), np.repeat(pixels, 3, axis=3))
    assert reference.relative_error(wanted, three) < networks.EXACT
