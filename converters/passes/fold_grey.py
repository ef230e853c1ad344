"""What makes a picture grey becomes part of the first convolution, or is rounded to what int8 holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import Affine, DenseNet


def fold_grey(network: DenseNet) -> DenseNet:
    """W * (a g + b) = sum over c of (w_c W) * (a x_c + b), for the grey channel g = sum over c of w_c x_c, whose shares
    add up to 1. Zero padding of a x_c + b is zero padding of the sum.

    Left alone where the grey channel is repeated: its copies have borders of their own (`fold_repeats`).
    """
    grey, normalization, first = network.grey, network.normalization, network.first
    if grey is None or network.repeats > 1 or normalization is None or first.border is not None:
        return network
    conv = replace(first.conv, kernel=first.conv.kernel * grey[:, None])
    scale, shift = (np.repeat(values, grey.size) for values in (normalization.scale, normalization.shift))
    return replace(network, grey=None, normalization=Affine(scale, shift)).with_first(replace(first, conv=conv))


def round_grey(network: DenseNet) -> DenseNet:
    """Shares that 8-bit weights hold exactly and that still add up to 1: (65, 127, 25) / 217 in place of (0.299, 0.587,
    0.114). A grey pixel stays as it is, and the grey of a colour moves by less than half a level of 255.
    """
    if network.grey is None:
        return network
    levels = np.round(127 * network.grey / network.grey.max())
    return replace(network, grey=levels * network.grey.sum() / levels.sum())
