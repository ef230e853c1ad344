"""One channel that is repeated to several is read once, where that is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import NO_PADDING, Affine, Array, DenseNet

EQUAL = 1e-9  # relative to the largest shift; weights are float32, which leaves 1e-7 where they only look equal


def fold_repeats(network: DenseNet) -> DenseNet:
    """sum over k of W_k * (a_k x + b_k) = V * (a x + b), with a and b of the copy that is scaled most and V = sum over
    k of W_k a_k / a.

    That holds where each (a_k, b_k) is a multiple of (a, b): then zero padding, too, is the same pixel in all copies.
    Without padding it holds always, the rest being a bias. Else the network is left alone: the copies have borders of
    their own.
    """
    normalization, first = network.normalization, network.first
    if network.repeats == 1 or normalization is None or first.border is not None:
        return network
    scale, shift = normalization.scale, normalization.shift
    most = int(np.abs(scale).argmax())
    if scale[most] == 0:
        return network
    share: Array = scale / scale[most]
    rest = shift - share * shift[most]
    if first.conv.padding != NO_PADDING and np.abs(rest).max() > EQUAL * np.abs(shift).max():
        return network
    kernel = np.einsum("hwko,k->hwo", first.conv.kernel, share)[:, :, None]
    bias = first.conv.bias + np.einsum("hwko,k->o", first.conv.kernel, rest)
    changed = replace(first, conv=replace(first.conv, kernel=kernel, bias=bias))
    once = Affine(scale[[most]], shift[[most]])
    return replace(network, repeats=1, normalization=once).with_first(changed)
