"""Cascading randomization: Adebayo et al., "Sanity Checks for Saliency Maps", 2018.

A network's weights are made random from the output to the input, part by part. A heatmap that stays as it was shows the
picture, as an edge detector would, and not what the network has learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import (
    Affine,
    Block,
    Conv,
    Dense,
    DenseLayer,
    DenseNet,
    Head,
    HeadStep,
    Stem,
    Transition,
)

Random = np.random.Generator


def cascade(network: DenseNet, seed: int = 0) -> Iterator[tuple[str, DenseNet]]:
    """("head", the network with a random head), then with its last block too, its last transition, ... its stem."""
    random = np.random.default_rng(seed)
    network = replace(network, head=_head(network.head, random))
    yield "head", network
    for number in range(len(network.blocks), 0, -1):
        block = network.blocks[number - 1]
        if block.transition is not None:
            network = _with_block(network, number, replace(block, transition=_transition(block.transition, random)))
            yield f"transition{number}", network
        block = network.blocks[number - 1]
        layers = tuple(_layer(layer, random) for layer in block.layers)
        network = _with_block(network, number, replace(block, layers=layers))
        yield f"block{number}", network
    yield "stem", replace(network, stem=_stem(network.stem, random))


def _with_block(network: DenseNet, number: int, block: Block) -> DenseNet:
    blocks = list(network.blocks)
    blocks[number - 1] = block
    return replace(network, blocks=tuple(blocks))


def _like(weights: npt.NDArray[np.float64], random: Random) -> npt.NDArray[np.float64]:
    """Normal random numbers of the same mean and deviation, so that activations keep their size."""
    return random.normal(weights.mean(), weights.std(), weights.shape)


def _affine(affine: Affine, random: Random) -> Affine:
    order = random.permutation(affine.scale.size)
    return Affine(affine.scale[order], affine.shift[order])


def _conv(conv: Conv, random: Random) -> Conv:
    return replace(conv, kernel=_like(conv.kernel, random))


def _stem(stem: Stem, random: Random) -> Stem:
    return replace(stem, conv=_conv(stem.conv, random), norm=None if stem.norm is None else _affine(stem.norm, random))


def _layer(layer: DenseLayer, random: Random) -> DenseLayer:
    norm2 = None if layer.norm2 is None else _affine(layer.norm2, random)
    return replace(
        layer,
        norm1=_affine(layer.norm1, random),
        conv1=_conv(layer.conv1, random),
        norm2=norm2,
        conv2=_conv(layer.conv2, random),
    )


def _transition(transition: Transition, random: Random) -> Transition:
    return replace(transition, norm=_affine(transition.norm, random), conv=_conv(transition.conv, random))


def _head(head: Head, random: Random) -> Head:
    def step(one: HeadStep) -> HeadStep:
        return Dense(_like(one.kernel, random), one.bias) if isinstance(one, Dense) else one

    return replace(
        head, norm=None if head.norm is None else _affine(head.norm, random), steps=tuple(map(step, head.steps))
    )
