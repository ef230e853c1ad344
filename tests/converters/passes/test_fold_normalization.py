"""Pixel normalization becomes part of the stem, which then reads whole pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Affine, DenseNet
from edgedense.converters.passes.fold_normalization import fold_normalization
from tests import networks, reference
from tests.networks import array

ONE_AROUND = ((1, 1), (1, 1))


def minimal(normalization: Affine | None, padded: bool = False) -> DenseNet:
    network = replace(networks.minimal(), normalization=normalization)
    if not padded:
        return network
    conv = replace(network.stem.conv, padding=ONE_AROUND)
    return replace(network, stem=replace(network.stem, conv=conv))


def test_scale_and_shift_move_into_the_stem() -> None:
    network = fold_normalization(minimal(Affine(array(2, 4, 8), array(1, 2, 3))))
    assert network.normalization is None
    assert network.stem.conv.kernel[0, 0].tolist() == [[2, 0], [0, 4], [8, 8]]
    assert network.stem.conv.bias.tolist() == [1 + 1 + 3, 2 + 2 + 3]
    assert network.stem.border is not None  # and without padding nothing is drawn
    assert not network.stem.border.any()


def test_zero_padding_becomes_a_border_of_the_pixel_that_is_normalized_to_zero() -> None:
    network = fold_normalization(minimal(Affine(array(0.5, 0.25, 2), array(-50, -3, 0)), padded=True))
    assert network.stem.border is not None
    assert network.stem.border.tolist() == [100, 12, 0]
    assert not np.signbit(network.stem.border).any()  # a border of -0.0 would be hashed and stored as another


def test_densenets_own_normalization_has_its_mean_as_border() -> None:
    network = fold_normalization(minimal(networks.normalization(), padded=True))
    assert network.stem.border == pytest.approx([255 * 0.485, 255 * 0.456, 255 * 0.406])


@pytest.mark.parametrize(("scale", "shift"), [(0.5, 1), (0.5, -128), (0, 1)])
def test_left_alone_when_no_pixel_is_normalized_to_zero(scale: float, shift: float) -> None:
    network = minimal(Affine(np.full(3, scale), np.full(3, shift, float)), padded=True)
    assert fold_normalization(network) is network


def test_without_padding_any_normalization_folds() -> None:
    assert fold_normalization(minimal(Affine(np.zeros(3), np.ones(3)))).normalization is None
    assert fold_normalization(minimal(Affine(np.ones(3), np.ones(3)))).normalization is None


def test_left_alone_without_normalization() -> None:
    network = minimal(None)
    assert fold_normalization(network) is network


@pytest.mark.parametrize("name", ["densenet", "rescale", "none"])
def test_exact(name: str) -> None:
    network = replace(networks.densenet(), normalization=networks.normalization(name))
    pixels = networks.pictures(network)
    wanted = reference.logits(network, pixels)
    after = fold_normalization(network)
    assert after.normalization is None
    assert reference.relative_error(networks.logits(after, pixels), wanted) < networks.EXACT
