"""The stem's 7x7 convolution on 3 channels becomes a 4x4 one on 12, which fills the kernels' vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import Array, DenseNet


def space_to_depth(network: DenseNet) -> DenseNet:
    """Regroup 2x2 pixels into channels in front of a stem with stride 2 that reads pixels.

    The kernel is padded behind to an even size and regrouped alike; the picture is padded behind to what that reads.
    Stems with another stride, that do not read pixels, or that leave the last row or column of an
    odd size unread are left alone.
    """
    stem = network.stem
    if stem.conv.stride != 2 or stem.space_to_depth != 1 or network.normalization is not None:
        return network
    if stem.border is None or network.front is not None:
        return network
    kernel = _even(stem.conv.kernel)
    padding = tuple(
        _padding(length, size, stem.conv.kernel.shape[axis], pad)
        for axis, (length, size, pad) in enumerate(
            zip((network.height, network.width), kernel.shape[:2], stem.conv.padding, strict=True)
        )
    )
    if min(min(sides) for sides in padding) < 0:
        return network
    conv = replace(stem.conv, kernel=_regroup(kernel), stride=1, padding=(padding[0], padding[1]))
    return replace(network, stem=replace(stem, conv=conv, space_to_depth=2))


def _even(kernel: Array) -> Array:
    odd = [(0, size % 2) for size in kernel.shape[:2]]
    return np.pad(kernel, (*odd, (0, 0), (0, 0)))


def _padding(length: int, even: int, size: int, pad: tuple[int, int]) -> tuple[int, int]:
    """Padding before as it was; behind so that the even kernel gives as many outputs as the odd one gave."""
    outputs = (length + sum(pad) - size) // 2 + 1
    behind = 2 * (outputs - 1) + even - length - pad[0]
    return pad[0], behind


def _regroup(kernel: Array) -> Array:
    """[2h, 2w, in, out] to [h, w, 4 in, out] in SPACE_TO_DEPTH's channel order: row, column, channel."""
    height, width, channels, out = kernel.shape
    split = kernel.reshape(height // 2, 2, width // 2, 2, channels, out)
    return split.transpose(0, 2, 1, 3, 4, 5).reshape(height // 2, width // 2, 4 * channels, out)
