"""norm - ReLU in its cheaper form: scale and shift move into the convolution behind, MAXIMUM is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.network.graph import (
    Affine,
    Block,
    Conv,
    Dense,
    DenseLayer,
    DenseNet,
    Form,
    Head,
    Pool,
    Transition,
)


def absorb_scales(network: DenseNet, statistics: Statistics, forms: Mapping[str, Form]) -> tuple[DenseNet, Statistics]:
    """For s > 0, relu(s x + t) = s max(x, -t/s) + t: s and t move into the 1x1 convolution behind.

    `forms` maps a dense layer's or transition's place ("block1/layer2", "transition1", "head") to its form; those not
    named, and norms with a scale below zero, stay depthwise. A scale of zero belongs to a channel that is not read
    (fold_constants); so does its kernel row. Returns the network and the statistics it would have measured.
    """
    blocks = tuple(_block(block, number, forms) for number, block in enumerate(network.blocks, start=1))
    after = replace(network, blocks=blocks, head=_head(network.head, forms.get("head", "depthwise")))
    return after, _statistics(network, after, statistics)


def _block(block: Block, number: int, forms: Mapping[str, Form]) -> Block:
    layers = tuple(
        _layer(layer, forms.get(f"block{number}/layer{position}", "depthwise"))
        for position, layer in enumerate(block.layers, start=1)
    )
    form = forms.get(f"transition{number}", "depthwise")
    return replace(block, layers=layers, transition=_transition(block.transition, form))


def _layer(layer: DenseLayer, form: Form) -> DenseLayer:
    if not _possible(layer.norm1, layer.conv1, layer.form, form):
        return layer
    norm, kernel, bias = _absorb(layer.norm1, layer.conv1.kernel[0, 0], layer.conv1.bias)
    return replace(layer, norm1=norm, conv1=replace(layer.conv1, kernel=kernel[None, None], bias=bias), form=form)


def _transition(transition: Transition | None, form: Form) -> Transition | None:
    if transition is None or not _possible(transition.norm, transition.conv, transition.form, form):
        return transition
    if transition.pool_first:  # the pooling multiplies, so that what it pools keeps a range of its own
        return replace(transition, form=form)
    norm, kernel, bias = _absorb(transition.norm, transition.conv.kernel[0, 0], transition.conv.bias)
    conv = replace(transition.conv, kernel=kernel[None, None], bias=bias)
    return replace(transition, norm=norm, conv=conv, form=form)


def _head(head: Head, form: Form) -> Head:
    """Only in front of a global pooling and a Dense: both let the scale through."""
    match head.steps:
        case (Pool(), Dense() as dense, *rest) if head.norm is not None and head.form != form != "depthwise":
            if (head.norm.scale <= 0).any():
                return head
            norm, kernel, bias = _absorb(head.norm, dense.kernel, dense.bias)
            return replace(head, norm=norm, form=form, steps=(head.steps[0], Dense(kernel, bias), *rest))
    return head


def _statistics(before: DenseNet, after: DenseNet, statistics: Statistics) -> Statistics:
    """What the tensors behind a changed norm hold now: relu(s x + t) / s - t/s."""
    statistics = dict(statistics)
    for norm, tensors in _changed(before, after):
        live = norm.scale > 0
        scale = np.where(live, 1 / np.where(live, norm.scale, 1.0), 1.0)
        shift = np.where(live, -norm.shift * scale, 0.0)
        for tensor in tensors:
            if tensor in statistics:
                statistics[tensor] = statistics[tensor].affine(scale, shift)
    return statistics


def _changed(before: DenseNet, after: DenseNet) -> Iterator[tuple[Affine, tuple[str, ...]]]:
    """The norms whose form changed: as they were, and the tensors that hold their output."""
    for number, (old, new) in enumerate(zip(before.blocks, after.blocks, strict=True), start=1):
        for position, (a, b) in enumerate(zip(old.layers, new.layers, strict=True), start=1):
            if a.form != b.form:
                yield a.norm1, (f"block{number}/layer{position}/norm",)
        if old.transition and new.transition and old.transition.form != new.transition.form:
            yield old.transition.norm, (f"transition{number}/norm",)
    if before.head.norm is not None and before.head.form != after.head.form:
        yield before.head.norm, ("head/norm", "head/1_pool")


def _possible(norm: Affine, conv: Conv, old: Form, new: Form) -> bool:
    if old != "depthwise" or new == "depthwise":
        return False
    unread = (norm.scale == 0) & (conv.kernel[0, 0] == 0).all(axis=1)
    return bool(((norm.scale > 0) | unread).all())


def _absorb(norm: Affine, kernel: np.ndarray, bias: np.ndarray) -> tuple[Affine, np.ndarray, np.ndarray]:
    scale = np.where(norm.scale > 0, norm.scale, 1.0)
    shift = np.where(norm.scale > 0, norm.shift / scale, 0.0)
    kernel = kernel * scale[:, None]
    return Affine(np.ones_like(scale), shift), kernel, bias + shift @ kernel
