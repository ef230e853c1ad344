"""All channels of a dense block's concatenation get the same range, 0 to 1: per-channel quantization for free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.calibration.ranges import LEVELS, RangeSpec, channel_ranges
from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.network.graph import Affine, Array, Block, Conv, DenseNet

SMALLEST_SHARE = 1e-4  # of the widest channel: a dead channel is not blown up beyond this
COSTLY = 0.05  # a range is widened by at most so much to put a threshold on the grid
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

        def equalize(
            conv: Conv,
            tensors: list[str],
            shiftable: bool = True,
            scales: list[Array] = scales,
            shifts: list[Array] = shifts,
            block: Block = block,
        ) -> Conv:
            low, high = channel_ranges(statistics[tensors[-1]], spec)
            low = low if shiftable else np.zeros_like(low)
            if block.transition is not None:
                first = sum(part.size for part in scales)
                low, high = on_grid(low, high, _threshold(block.transition.norm, first, low.size), shiftable)
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
    return [
        number
        for number, block in enumerate(network.blocks, start=1)
        if block.transition is not None or network.head.norm is not None
    ]


def on_grid(low: Array, high: Array, threshold: Array, shiftable: bool = True) -> tuple[Array, Array]:
    """The ranges, widened by a fraction of a step so that `threshold` [C] falls on one of LEVELS equal steps.

    A transition in the form "maximum" compares with the threshold of its ReLU, and averages afterwards: an error of the
    threshold is the same at all positions, so that pooling does not average it away. The end further away is moved.
    Thresholds outside of the range (or not numbers) and those that would cost more than COSTLY are left alone.
    """
    span = np.where(high > low, high - low, 1.0)
    place = (threshold - low) / span * LEVELS
    with np.errstate(divide="ignore", invalid="ignore"):
        up, down = np.ceil(place), np.floor(place)
        lower = np.where(shiftable & (place < LEVELS / 2), (up - place) / (LEVELS - up), np.nan)
        upper = np.where(np.isnan(lower), place / down - 1, np.nan)
    inside = (high > low) & (place > 0) & (place < LEVELS)
    lower, upper = (np.where(inside & (part >= 0) & (part < COSTLY), part, 0.0) for part in (lower, upper))
    return low - lower * span, high + upper * span


def _threshold(norm: Affine, first: int, count: int) -> Array:
    """Where relu(scale * x + shift) begins, of `count` channels from `first`; not a number where scale <= 0."""
    scale, shift = norm.scale[first : first + count], norm.shift[first : first + count]
    return np.where(scale > 0, -shift / np.where(scale > 0, scale, 1.0), np.nan)


def _block(block: Block, layers: list, scales: list[Array], shifts: list[Array]) -> Block:
    if block.transition is None:
        return replace(block, layers=tuple(layers))
    norm = _undo(block.transition.norm, scales, shifts)
    return replace(block, layers=tuple(layers), transition=replace(block.transition, norm=norm))


def _undo(norm: Affine, scales: list[Array], shifts: list[Array]) -> Affine:
    """The norm that reads scale * x + shift as if it were x."""
    scale = norm.scale / np.concatenate(scales)
    return Affine(scale, norm.shift - scale * np.concatenate(shifts))
