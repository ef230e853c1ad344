"""Channels that do not depend on the picture become part of a bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import Affine, Array, Block, Conv, DenseLayer, DenseNet, Transition


def fold_constants(network: DenseNet) -> DenseNet:
    """Where a norm's scale is zero its output is relu(shift): a constant, moved into the bias of the 1x1 convolution.

    The channel stays in the concatenation (others read it); here its norm and its kernel row become zero.
    """
    return replace(network, blocks=tuple(_block(block) for block in network.blocks))


def _block(block: Block) -> Block:
    layers = tuple(_layer(layer) for layer in block.layers)
    return replace(block, layers=layers, transition=_transition(block.transition))


def _layer(layer: DenseLayer) -> DenseLayer:
    norm, conv = _fold(layer.norm1, layer.conv1)
    return replace(layer, norm1=norm, conv1=conv)


def _transition(transition: Transition | None) -> Transition | None:
    if transition is None:
        return None
    norm, conv = _fold(transition.norm, transition.conv)
    return replace(transition, norm=norm, conv=conv)


def _fold(norm: Affine, conv: Conv) -> tuple[Affine, Conv]:
    """`conv` is 1x1 without padding, so a constant input is a constant everywhere."""
    dead = norm.scale == 0
    if not dead.any():
        return norm, conv
    value: Array = np.where(dead, np.maximum(norm.shift, 0), 0.0)
    kernel = conv.kernel.copy()
    bias = conv.bias + value @ kernel[0, 0]
    kernel[:, :, dead] = 0.0
    return replace(norm, shift=np.where(dead, 0.0, norm.shift)), replace(conv, kernel=kernel, bias=bias)
