"""All channels of a dense block's concatenation get the same range, 0 to 1: per-channel quantization for free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.graph import Affine, Array, Block, Conv, DenseNet
from edgedense.converters.ranges import RangeSpec, channel_ranges
from edgedense.converters.statistics import Statistics

SMALLEST_SHARE = 1e-4  # of the widest channel: a dead channel is not blown up beyond this
UNIT = (0.0, 1.0)  # the range of every equalized concatenation


def equalize_concat(network: DenseNet, statistics: Statistics, spec: RangeSpec) -> tuple[DenseNet, Statistics]:
    """A channel in [low, high] becomes (x - low) / (high - low) at its producer; every reader's norm undoes it.

    Each channel of a concatenation is read by norms only, so scale and shift are free. Channels of the stem pass
    through ReLU and zero padding, which fix their zero: they are scaled, not shifted. A last block that no norm
    follows is left alone. For networks behind fold_norms and pool_first. Returns the network and the statistics that
    it would have measured.
    """
    statistics = dict(statistics)
    blocks = list(network.blocks)
    for number in equalized(network):
        block = blocks[number - 1]
        scales: list[Array] = []
        shifts: list[Array] = []

        def equalize(conv: Conv, tensors: list[str], shiftable: bool = True, scales: list[Array] = scales,
                     shifts: list[Array] = shifts) -> Conv:
            low, high = channel_ranges(statistics[tensors[-1]], spec)
            low = low if shiftable else np.zeros_like(low)
            span = np.maximum(high - low, SMALLEST_SHARE * max(float((high - low).max()), 1e-30))
            scale, shift = 1 / span, -low / span
            for tensor in tensors:
                statistics[tensor] = statistics[tensor].affine(scale, shift)
            scales.append(scale)
            shifts.append(shift)
            return replace(conv, kernel=conv.kernel * scale, bias=conv.bias * scale + shift)

        if number == 1:
            tensors = ["stem/conv", "stem/pool"] if network.stem.pool else ["stem/conv"]
            network = replace(network, stem=replace(network.stem, conv=equalize(network.stem.conv, tensors, False)))
        else:
            before = blocks[number - 2]
            assert before.transition is not None
            conv = equalize(before.transition.conv, [f"transition{number - 1}"])
            blocks[number - 2] = replace(before, transition=replace(before.transition, conv=conv))
        layers = []
        for position, layer in enumerate(block.layers, start=1):
            norm = _undo(layer.norm1, scales, shifts)
            conv2 = equalize(layer.conv2, [f"block{number}/layer{position}/growth"])
            layers.append(replace(layer, norm1=norm, conv2=conv2))
        blocks[number - 1] = _block(block, layers, scales, shifts)
        if block.transition is None and network.head.norm is not None:
            network = replace(network, head=replace(network.head, norm=_undo(network.head.norm, scales, shifts)))
    return replace(network, blocks=tuple(blocks)), statistics


def equalized(network: DenseNet) -> list[int]:
    """The numbers of the blocks, from 1, all of whose readers are norms that can undo a scale."""
    return [number for number, block in enumerate(network.blocks, start=1)
            if block.transition is not None or network.head.norm is not None]


def _block(block: Block, layers: list, scales: list[Array], shifts: list[Array]) -> Block:
    if block.transition is None:
        return replace(block, layers=tuple(layers))
    norm = _undo(block.transition.norm, scales, shifts)
    return replace(block, layers=tuple(layers), transition=replace(block.transition, norm=norm))


def _undo(norm: Affine, scales: list[Array], shifts: list[Array]) -> Affine:
    """The norm that reads scale * x + shift as if it were x."""
    scale = norm.scale / np.concatenate(scales)
    return Affine(scale, norm.shift - scale * np.concatenate(shifts))


