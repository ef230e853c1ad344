"""What makes a picture grey becomes part of the first convolution, or is rounded to what int8 holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Affine, Conv, DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.passes.fold_grey import fold_grey, round_grey
from edgedense.converters.passes.fold_normalization import fold_normalization
from edgedense.converters.quantization.quantize import weight_scale
from edgedense.converters.readers.grey import SHARES
from tests import networks, reference
from tests.networks import array


def minimal(repeats: int = 1) -> DenseNet:
    """A stem that gives x and 2 x of one channel."""
    network = networks.minimal()
    conv = Conv(array([[[[1, 2]] * repeats]])[0], array(1, 2))
    normalization = Affine(np.full(repeats, 0.5), np.full(repeats, -8.0))
    grey = array(0.25, 0.5, 0.25)
    return replace(network, normalization=normalization, grey=grey, repeats=repeats).with_first(
        replace(network.stem, conv=conv)
    )


def test_shares_move_into_the_stem() -> None:
    folded = fold_grey(minimal())
    assert folded.grey is None
    assert folded.channels == 3
    assert folded.stem.conv.kernel.tolist() == [[[[0.25, 0.5], [0.5, 1], [0.25, 0.5]]]]
    assert folded.normalization is not None
    assert (folded.normalization.scale.tolist(), folded.normalization.shift.tolist()) == ([0.5] * 3, [-8.0] * 3)


def test_left_alone_where_there_is_nothing_to_do_or_copies_differ() -> None:
    for network in (networks.minimal(), minimal(3), replace(minimal(), normalization=None)):
        assert fold_grey(network) is network


def test_a_border_stays_the_same_grey() -> None:
    network = minimal()
    padded = network.with_first(replace(network.stem, conv=replace(network.stem.conv, padding=((1, 1), (1, 1)))))
    border = fold_normalization(fold_grey(padded)).stem.border
    assert border is not None
    assert border.tolist() == [16, 16, 16]  # 0.5 * 16 - 8 is zero


def grey_densenet(repeats: int = 1) -> DenseNet:
    network = networks.densenet()
    conv = replace(network.stem.conv, kernel=network.stem.conv.kernel[:, :, :repeats])
    scale, shift = array(0.01, 0.02, 0.03)[:repeats], array(-1, 1, 2)[:repeats]
    return replace(network, normalization=Affine(scale, shift), grey=SHARES, repeats=repeats).with_first(
        replace(network.stem, conv=conv)
    )


def test_exact() -> None:
    network = grey_densenet()
    pixels = networks.pictures(network)
    wanted = networks.logits(network, pixels)
    assert reference.relative_error(networks.logits(fold_grey(network), pixels), wanted) < networks.EXACT
    mixed = (pixels @ SHARES)[..., None]
    assert reference.relative_error(networks.logits(replace(network, grey=None), mixed), wanted) < networks.EXACT


def test_rounded_shares_are_whole_8_bit_weights() -> None:
    rounded = round_grey(grey_densenet(3)).grey
    assert rounded is not None
    assert rounded == pytest.approx([65 / 217, 127 / 217, 25 / 217])
    assert rounded / weight_scale(rounded[:, None]) == pytest.approx([65, 127, 25], abs=1e-5)  # scales are float32
    assert round_grey(networks.minimal()).grey is None


def test_a_grey_picture_stays_as_it_is_and_colours_move_by_half_a_level() -> None:
    network = grey_densenet(3)
    levels = np.repeat(networks.pictures(network)[..., :1], 3, axis=3)
    rounded = round_grey(network)
    wanted = networks.logits(network, levels)
    assert reference.relative_error(networks.logits(rounded, levels), wanted) < networks.EXACT
    assert rounded.grey is not None
    colours = array(*np.ndindex(2, 2, 2)) * 255
    assert np.abs(colours @ rounded.grey - colours @ SHARES).max() < 0.5


def test_the_grey_operator_comes_before_the_copies() -> None:
    program = lower(grey_densenet(3))
    assert [(op.kind, op.output, program.shapes[op.output][2]) for op in program.ops[:3]] == [
        ("grey", "grey", 1),
        ("concat", "repeat", 3),
        ("depthwise", "normalize", 3),
    ]
