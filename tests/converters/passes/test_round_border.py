"""The border around the picture becomes whole pixels: the one step that is not exact."""

from __future__ import annotations

from dataclasses import replace

from edgedense.converters.passes.fold_normalization import fold_normalization
from edgedense.converters.passes.rewriting import BORDER_TOLERANCE
from edgedense.converters.passes.round_border import round_border
from tests import networks, reference
from tests.networks import array


def test_rounds_to_whole_pixels() -> None:
    network = fold_normalization(networks.densenet())
    assert network.stem.border is not None
    after = round_border(replace(network, stem=replace(network.stem, border=array(0, 123.675, 99.4))))
    assert after.stem.border is not None
    assert after.stem.border.tolist() == [0, 124, 99]


def test_whole_pixels_and_stems_without_border_are_left_alone() -> None:
    network = networks.densenet()
    assert round_border(network) is network
    network = fold_normalization(replace(network, normalization=networks.normalization("none")))
    assert networks.equal(round_border(network), network)


def test_moves_the_logits_by_little() -> None:
    """By half a level of 255 at most, on a border of 3 in 33 pixels, hence far below what convert() allows."""
    network = fold_normalization(networks.densenet())
    pixels = networks.pictures(network)
    error = reference.relative_error(networks.logits(round_border(network), pixels), networks.logits(network, pixels))
    assert 0 < error < BORDER_TOLERANCE / 4
