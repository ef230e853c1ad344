"""Pixel normalization becomes part of the first convolution, which then reads whole pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import NO_PADDING, DenseNet


def fold_normalization(network: DenseNet) -> DenseNet:
    """W * (a x + b) = (W a) * x + W * b. Zero padding of a x + b is a border of pixels of value -b / a.

    Left alone when such a pixel lies outside 0..255. The border is exact here; `round_border` makes it whole pixels.
    """
    normalization, first = network.normalization, network.first
    if normalization is None or first.border is not None:
        return network
    border = np.zeros_like(normalization.scale)
    if first.conv.padding != NO_PADDING:
        if (normalization.scale == 0).any():
            return network
        border = -normalization.shift / normalization.scale
        if (border < 0).any() or (border > 255).any():
            return network
    kernel = first.conv.kernel * normalization.scale[:, None]
    bias = first.conv.bias + np.einsum("hwio,i->o", first.conv.kernel, normalization.shift)
    conv = replace(first.conv, kernel=kernel, bias=bias)
    return replace(network, normalization=None).with_first(replace(first, conv=conv, border=np.abs(border)))


def fold_unshifted(network: DenseNet) -> DenseNet:
    """`fold_normalization` where its border is zero, else nothing: an Edge TPU pads with zeros only."""
    folded = fold_normalization(network)
    border = folded.first.border
    return network if border is not None and border.any() else folded
