"""Pixel normalization becomes part of the stem, which then reads whole pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import NO_PADDING, DenseNet


def fold_normalization(network: DenseNet) -> DenseNet:
    """W * (a x + b) = (W a) * x + W * b. Zero padding of a x + b is a border of pixels of value -b / a.

    Left alone when such a pixel lies outside 0..255. The border is exact here; `round_border` makes it whole pixels.
    """
    normalization, stem = network.normalization, network.stem
    if normalization is None or stem.border is not None:
        return network
    border = np.zeros(3)
    if stem.conv.padding != NO_PADDING:
        if (normalization.scale == 0).any():
            return network
        border = -normalization.shift / normalization.scale
        if (border < 0).any() or (border > 255).any():
            return network
    kernel = stem.conv.kernel * normalization.scale[:, None]
    bias = stem.conv.bias + np.einsum("hwio,i->o", stem.conv.kernel, normalization.shift)
    conv = replace(stem.conv, kernel=kernel, bias=bias)
    return replace(network, normalization=None, stem=replace(stem, conv=conv, border=np.abs(border)))


def fold_unshifted(network: DenseNet) -> DenseNet:
    """`fold_normalization` where its border is zero, else nothing: an Edge TPU pads with zeros only."""
    folded = fold_normalization(network)
    return network if folded.stem.border is not None and folded.stem.border.any() else folded
