"""A DenseNet put together from its parts, for readers of files that hold weights and no graph.

What such files leave out is what the published networks have in common: Huang et al., "Densely Connected Convolutional
Networks", 2017, as torchvision and Keras build it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgedense.converters.network.graph import (
    NO_PADDING,
    Affine,
    Array,
    Block,
    Conv,
    Dense,
    DenseLayer,
    DenseNet,
    Head,
    HeadStep,
    MaxPool,
    Padding,
    Stem,
    Transition,
)
from edgedense.errors import EdgedenseError
from edgedense.images.steps import Size

STEM_STRIDE, POOL = 2, MaxPool(3, 2, ((1, 1), (1, 1)))


@dataclass(frozen=True)
class LayerParts:
    """One dense layer: the kernels [1, 1, in, bottleneck] and [3, 3, bottleneck, growth] and the norms before them."""

    norm1: Affine
    conv1: Array
    norm2: Affine
    conv2: Array


@dataclass(frozen=True)
class TransitionParts:
    """The norm and the kernel [1, 1, in, out] between two dense blocks."""

    norm: Affine
    conv: Array


@dataclass(frozen=True)
class Parts:
    """All of a DenseNet: `stem` is the first kernel [7, 7, channels, out], `norm` that behind the last block."""

    stem: Array
    stem_norm: Affine
    blocks: tuple[tuple[LayerParts, ...], ...]
    transitions: tuple[TransitionParts, ...]
    norm: Affine
    head: tuple[HeadStep, ...]


def batch_norm(gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> Affine:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta as scale and shift, Ioffe and Szegedy 2015."""
    factor = gamma / np.sqrt(variance + epsilon)
    return Affine(factor, beta - mean * factor)


def densenet(parts: Parts, size: Size) -> DenseNet:
    """The network for pictures of `size`. Padding is what torchvision and Keras both have: half the kernel around the
    stem and around each 3x3 convolution, one pixel around the maximum pooling. Raises EdgedenseError where the parts do
    not fit each other, or the pictures are too small for them.
    """
    _require_room(size, len(parts.blocks))
    channels, stem = parts.stem.shape[2], _conv(parts.stem, STEM_STRIDE)
    identity = Affine(np.ones(channels), np.zeros(channels))
    entering = _fit("the stem's norm", parts.stem_norm, parts.stem.shape[3])
    blocks = []
    for number, layers in enumerate(parts.blocks, start=1):
        found = []
        for position, layer in enumerate(layers, start=1):
            name = f"block{number}_layer{position}"
            _fit(f"{name}'s first norm", layer.norm1, entering)
            _takes(f"{name}'s 1x1 convolution", layer.conv1, entering)
            _fit(f"{name}'s second norm", layer.norm2, layer.conv1.shape[3])
            _takes(f"{name}'s 3x3 convolution", layer.conv2, layer.conv1.shape[3])
            found.append(DenseLayer(name, layer.norm1, _conv(layer.conv1), layer.norm2, _conv(layer.conv2)))
            entering += layer.conv2.shape[3]
        transition = None
        if number <= len(parts.transitions):
            given = parts.transitions[number - 1]
            _fit(f"transition{number}'s norm", given.norm, entering)
            _takes(f"transition{number}'s convolution", given.conv, entering)
            transition = Transition(f"transition{number}", given.norm, _conv(given.conv))
            entering = given.conv.shape[3]
        blocks.append(Block(tuple(found), transition))
    _fit("the last norm", parts.norm, entering)
    return DenseNet(*size, identity, Stem(stem, parts.stem_norm, POOL), tuple(blocks), Head(parts.norm, parts.head))


def positions(side: int, blocks: int) -> int:
    """Height or width of the last feature map, of pictures with that side: the stem halves it twice, rounded up, and
    each transition once, rounded down."""
    return -(-side // 4) // 2 ** (blocks - 1)


def parameters(network: DenseNet) -> dict[str, int]:
    """How many weights each part of a network has, as `Source.parameters` counts them: four for each channel of a norm,
    as Keras' `model.count_params()` does. The network is as `densenet` makes it, or its head ends in several Dense.
    """
    counted = {"stem": network.stem.conv.kernel.size + _of_norm(network.stem.norm)}
    for number, block in enumerate(network.blocks, start=1):
        counted[f"block{number}"] = sum(
            layer.conv1.kernel.size + layer.conv2.kernel.size + _of_norm(layer.norm1) + _of_norm(layer.norm2)
            for layer in block.layers
        )
        if block.transition is not None:
            transition = block.transition
            counted[f"transition{number}"] = transition.conv.kernel.size + _of_norm(transition.norm)
    part, dense = "head", 0
    counted[part] = _of_norm(network.head.norm)
    for step in network.head.steps:
        if isinstance(step, Dense):
            dense += 1
            part = f"dense{dense}"
            counted[part] = step.kernel.size + step.bias.size
        elif isinstance(step, Affine):
            counted[part] += _of_norm(step)
    return counted


def _of_norm(norm: Affine | None) -> int:
    return 0 if norm is None else 4 * norm.scale.size


def _conv(kernel: Array, stride: int = 1) -> Conv:
    height, width = kernel.shape[0] // 2, kernel.shape[1] // 2
    padding: Padding = ((height, height), (width, width)) if height or width else NO_PADDING
    return Conv(kernel, np.zeros(kernel.shape[3]), stride, padding)


def _fit(what: str, norm: Affine, channels: int) -> int:
    """The channels behind a norm, which are those before it."""
    if norm.scale.shape != (channels,) or norm.shift.shape != (channels,):
        raise EdgedenseError(f"{what} to have {channels} channels", f"{norm.scale.size}", "save the weights again")
    return channels


def _require_room(size: Size, blocks: int) -> None:
    """EdgedenseError where nothing of a picture would be left."""
    if min(positions(side, blocks) for side in size) < 1:
        found = f"{size[0]}x{size[1]} pixels for {blocks} dense blocks"
        raise EdgedenseError("an input that is large enough for the network", found, "choose a larger size")


def _takes(what: str, kernel: Array, channels: int) -> None:
    if kernel.shape[2] != channels:
        raise EdgedenseError(f"{what} to read {channels} channels", f"{kernel.shape[2]}", "save the weights again")
