"""Which channels of a DenseNet stay, and the network that is left: a cut is a slice of every array involved.

A bottleneck's channels are private to their dense layer. A growth channel is dropped where it is produced and in every
reader: the dense layers behind it in its block, the transition, or the head. A dense layer without growth channels is
gone. What the stem and the transitions give keeps its width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import (
    Affine,
    Array,
    Block,
    Conv,
    Dense,
    DenseLayer,
    DenseNet,
    FloatHead,
    Head,
    HeadStep,
    Transition,
)
from edgedense.converters.network.kept import Kept

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LayerChannels:
    """Of one dense layer, in ascending order: `bottleneck` indices into conv1's outputs [k], `growth` indices into
    conv2's outputs [g]. No growth: the layer is gone, and its bottleneck with it."""

    bottleneck: Indices
    growth: Indices


@dataclass(frozen=True)
class Selection:
    """What stays of each dense layer of the uncut network, per block."""

    layers: tuple[tuple[LayerChannels, ...], ...]

    def replaced(self, block: int, layer: int, channels: LayerChannels) -> Selection:
        """With another choice for one dense layer; both numbers count from 0."""
        layers = [list(row) for row in self.layers]
        layers[block][layer] = channels
        return Selection(tuple(tuple(row) for row in layers))


def everything(network: DenseNet) -> Selection:
    """Nothing is cut."""
    return Selection(
        tuple(
            tuple(
                LayerChannels(np.arange(layer.conv1.bias.size), np.arange(layer.conv2.bias.size))
                for layer in block.layers
            )
            for block in network.blocks
        )
    )


def cut(network: DenseNet, selection: Selection) -> DenseNet:
    """`network` with the channels of `selection` only."""
    readers = reader_channels(network, selection)
    blocks = tuple(
        _block(block, number, rows, readers)
        for number, (block, rows) in enumerate(zip(network.blocks, selection.layers, strict=True), start=1)
    )
    return replace(network, blocks=blocks, head=_head(network.head, readers["head"], head_channels(network)))


def reader_channels(network: DenseNet, selection: Selection) -> dict[str, Indices]:
    """For each reader of a concatenation ("block1/layer2", "transition1", "head", as the uncut network calls it) the
    indices of its input channels that stay."""
    readers = {}
    for number, (block, rows) in enumerate(zip(network.blocks, selection.layers, strict=True), start=1):
        width = block.layers[0].norm1.scale.size if block.layers else _width_behind(network, block)
        indices = np.arange(width)
        for position, (layer, row) in enumerate(zip(block.layers, rows, strict=True), start=1):
            readers[f"block{number}/layer{position}"] = indices
            indices = np.concatenate([indices, width + row.growth])
            width += layer.conv2.bias.size
        readers[f"transition{number}" if block.transition else "head"] = indices
    return readers


def correspondence(network: DenseNet, selection: Selection) -> Kept:
    """The selection by the names of the network that is left, as recovery needs it: positions close up."""
    readers, names, bottlenecks = reader_channels(network, selection), {}, {}
    for number, rows in enumerate(selection.layers, start=1):
        staying = [(position, row) for position, row in enumerate(rows, start=1) if row.growth.size]
        for after, (before, row) in enumerate(staying, start=1):
            names[f"block{number}/layer{after}"] = f"block{number}/layer{before}"
            bottlenecks[f"block{number}/layer{after}"] = row.bottleneck
    concats = {
        f"block{number}": readers[f"transition{number}" if block.transition else "head"]
        for number, block in enumerate(network.blocks, start=1)
    }
    return Kept(names, bottlenecks, concats)


def head_channels(network: DenseNet) -> int:
    """How many channels the head reads."""
    block = network.blocks[-1]
    if not block.layers:
        return _width_behind(network, block)
    return int(block.layers[-1].norm1.scale.size + block.layers[-1].conv2.bias.size)


def _width_behind(network: DenseNet, block: Block) -> int:
    """The channels that enter `block`: those of the transition before it, or of the stem."""
    index = next(i for i, other in enumerate(network.blocks) if other is block)
    before = network.blocks[index - 1].transition if index else None
    return int((before.conv if before else network.stem.conv).bias.size)


def _block(block: Block, number: int, rows: tuple[LayerChannels, ...], readers: dict[str, Indices]) -> Block:
    layers = tuple(
        _layer(layer, readers[f"block{number}/layer{position}"], row)
        for position, (layer, row) in enumerate(zip(block.layers, rows, strict=True), start=1)
        if row.growth.size
    )
    transition = block.transition and _transition(block.transition, readers[f"transition{number}"])
    return replace(block, layers=layers, transition=transition)


def _layer(layer: DenseLayer, inputs: Indices, row: LayerChannels) -> DenseLayer:
    return replace(
        layer,
        norm1=_affine(layer.norm1, inputs),
        conv1=_conv(layer.conv1, inputs, row.bottleneck),
        norm2=layer.norm2 and _affine(layer.norm2, row.bottleneck),
        conv2=_conv(layer.conv2, row.bottleneck, row.growth),
    )


def _transition(transition: Transition, inputs: Indices) -> Transition:
    outputs = np.arange(transition.conv.bias.size)
    return replace(transition, norm=_affine(transition.norm, inputs), conv=_conv(transition.conv, inputs, outputs))


def _affine(affine: Affine, channels: Indices) -> Affine:
    return Affine(affine.scale[channels], affine.shift[channels])


def _conv(conv: Conv, inputs: Indices, outputs: Indices) -> Conv:
    return replace(conv, kernel=conv.kernel[:, :, inputs][..., outputs], bias=conv.bias[outputs])


def _head(head: Head, channels: Indices, width: int) -> Head:
    norm = head.norm and _affine(head.norm, channels)
    return replace(head, norm=norm, steps=tuple(_steps(head.steps, channels, width)))


def _steps(steps: tuple[HeadStep, ...], channels: Indices, width: int) -> Iterator[HeadStep]:
    """Up to the first Dense every step works on each of the `width` channels alone.

    What a head that stays float does with them is not known: it needs them all, AssertionError where some are missing.
    """
    rest = iter(steps)
    for step in rest:
        assert not isinstance(step, FloatHead) or channels.size == width, channels.size
        if isinstance(step, Dense):
            yield Dense(_rows(step.kernel, channels, width), step.bias)
            break
        if isinstance(step, Affine):  # behind Flatten it has a scale for each position
            yield Affine(_rows(step.scale, channels, width), _rows(step.shift, channels, width))
        else:
            yield step
    yield from rest


def _rows(array: Array, channels: Indices, width: int) -> Array:
    """The rows of some channels; flattened positions come one behind the other, channels within."""
    return array.reshape(-1, width, *array.shape[1:])[:, channels].reshape(-1, *array.shape[1:])
