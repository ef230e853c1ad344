"""What convolutions read inside a layer is balanced between activation and weight precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.calibration.statistics import Channels, Statistics
from edgedense.converters.network.graph import Affine, Array, Conv, Dense, DenseLayer, DenseNet, Head, Pool, Transition

LARGEST_FACTOR = 1e4  # a channel that is always zero says nothing about its scale


def equalize_readers(network: DenseNet, statistics: Statistics) -> tuple[DenseNet, Statistics]:
    """Scale each channel behind a ReLU so that its share of the activation's range equals its share of the weights'.

    relu(f x) = f relu(x) for f > 0, and the convolution behind divides by f. With ranges a and w the balance is
    f = sqrt(w / a) (Nagel et al., "Data-Free Quantization through Weight Equalization", 2019). Done for norm - ReLU
    outputs, bottlenecks and pooled features. Returns the network and the statistics it would have measured.
    """
    statistics = dict(statistics)
    blocks = []
    for number, block in enumerate(network.blocks, start=1):
        layers = tuple(
            _layer(layer, f"block{number}/layer{position}", statistics)
            for position, layer in enumerate(block.layers, start=1)
        )
        transition = _transition(block.transition, f"transition{number}", statistics)
        blocks.append(replace(block, layers=layers, transition=transition))
    return replace(network, blocks=tuple(blocks), head=_head(network.head, statistics)), statistics


def _layer(layer: DenseLayer, name: str, statistics: Statistics) -> DenseLayer:
    norm, conv1 = layer.norm1, layer.conv1
    if layer.form == "depthwise":
        factor = _balance(statistics[f"{name}/norm"], conv1.kernel)
        norm, conv1 = _scaled(norm, factor), _divided(conv1, factor)
        _update(statistics, factor, f"{name}/norm")
    if layer.norm2 is not None:
        return replace(layer, norm1=norm, conv1=conv1)
    factor = _balance(statistics[f"{name}/bottleneck"], layer.conv2.kernel)
    conv1 = replace(conv1, kernel=conv1.kernel * factor, bias=conv1.bias * factor)
    _update(statistics, factor, f"{name}/bottleneck")
    return replace(layer, norm1=norm, conv1=conv1, conv2=_divided(layer.conv2, factor))


def _transition(transition: Transition | None, name: str, statistics: Statistics) -> Transition | None:
    if transition is None or transition.form != "depthwise":
        return transition
    read = f"{name}/pool" if transition.pool_first else f"{name}/norm"
    factor = _balance(statistics[read], transition.conv.kernel)
    _update(statistics, factor, f"{name}/norm", read)
    return replace(transition, norm=_scaled(transition.norm, factor), conv=_divided(transition.conv, factor))


def _head(head: Head, statistics: Statistics) -> Head:
    match head.steps:
        case (Pool() as pool, Dense() as dense, *rest) if head.norm is not None and head.form == "depthwise":
            read = "head/1_pool"
            factor = _balance(statistics[read], dense.kernel)
            _update(statistics, factor, "head/norm", read)
            steps = (pool, Dense(dense.kernel / factor[:, None], dense.bias), *rest)
            return replace(head, norm=_scaled(head.norm, factor), steps=steps)
    return head


def _balance(channels: Channels, kernel: Array) -> Array:
    """sqrt(weight range / activation range) per input channel; weights relative to their output channel's largest."""
    activation = channels.high.max(axis=0).astype(float)
    largest = np.abs(kernel).reshape(-1, kernel.shape[-1]).max(axis=0)
    relative = np.abs(kernel) / np.where(largest > 0, largest, 1.0)
    axes = tuple(i for i in range(kernel.ndim) if i != kernel.ndim - 2)
    weight = relative.max(axis=axes)
    live = (activation > 0) & (weight > 0)
    factor = np.sqrt(np.where(live, weight, 1.0) / np.where(live, activation, 1.0))
    middle = float(np.median(factor[live])) if live.any() else 1.0
    return np.where(live, np.clip(factor, middle / LARGEST_FACTOR, middle * LARGEST_FACTOR), middle) / middle


def _scaled(norm: Affine, factor: Array) -> Affine:
    return Affine(norm.scale * factor, norm.shift * factor)


def _divided(conv: Conv, factor: Array) -> Conv:
    return replace(conv, kernel=conv.kernel / factor[:, None])


def _update(statistics: Statistics, factor: Array, *tensors: str) -> None:
    for tensor in dict.fromkeys(tensors):
        statistics[tensor] = statistics[tensor].affine(factor, np.zeros_like(factor))
