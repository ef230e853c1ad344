"""Kernels and biases, by operator, put back into the network that was lowered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import (
    Affine,
    Block,
    Conv,
    Dense,
    DenseNet,
    Form,
    Head,
    HeadStep,
    Stem,
    Transition,
)
from edgedense.converters.network.program import SCORES

Weights = Mapping[str, tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]]  # operator name -> (kernel, bias)


def with_weights(network: DenseNet, weights: Weights) -> DenseNet:
    """`network` with the kernels and biases of the named operators; what is not named stays.

    Names and shapes are those of `lower(network)`: a convolution [h, w, in, out], a Dense [in, out], a norm or the
    pixel normalization [1, 1, channels], biases [out]. What greys the picture is not among them. Raises ValueError for
    a shape that differs, and KeyError for an operator without weights of its own: of norms, only those in the form
    "depthwise" have some.
    """
    put = _Put(weights)
    normalization, front = network.normalization, network.front
    if normalization is not None:
        normalization = put.affine("normalize", normalization)
    if front is not None:
        front = replace(front, conv=put.conv("front/conv", front.conv))
    blocks = tuple(_block(put, block, number) for number, block in enumerate(network.blocks, start=1))
    changed = replace(
        network,
        normalization=normalization,
        front=front,
        stem=_stem(put, network.stem),
        blocks=blocks,
        head=_head(put, network.head),
    )
    if unknown := weights.keys() - put.used:
        raise KeyError(f"no weights of the network belong to {sorted(unknown)[0]!r}")
    return changed


class _Put:
    """Replaces what `weights` names, and notes the names."""

    def __init__(self, weights: Weights) -> None:
        self.weights, self.used = weights, set[str]()

    def conv(self, name: str, old: Conv) -> Conv:
        if (pair := self._pair(name, old.kernel.shape, old.bias.shape)) is None:
            return old
        return replace(old, kernel=pair[0], bias=pair[1])

    def dense(self, name: str, old: Dense) -> Dense:
        pair = self._pair(name, old.kernel.shape, old.bias.shape)
        return old if pair is None else Dense(*pair)

    def affine(self, name: str, old: Affine, form: Form = "depthwise") -> Affine:
        if form != "depthwise":
            return old
        pair = self._pair(name, (1, 1, *old.scale.shape), old.shift.shape)
        return old if pair is None else Affine(pair[0][0, 0], pair[1])

    def _pair(
        self, name: str, kernel: tuple[int, ...], bias: tuple[int, ...]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        if name not in self.weights:
            return None
        self.used.add(name)
        new = tuple(np.asarray(array, np.float64) for array in self.weights[name])
        if (new[0].shape, new[1].shape) != (kernel, bias):
            raise ValueError(f"{name}: kernel {new[0].shape} and bias {new[1].shape} in place of {kernel} and {bias}")
        return new[0], new[1]


def _stem(put: _Put, stem: Stem) -> Stem:
    if stem.norm is None:
        return replace(stem, conv=put.conv("stem/conv", stem.conv))
    return replace(stem, conv=put.conv("stem/linear", stem.conv), norm=put.affine("stem/conv", stem.norm))


def _block(put: _Put, block: Block, number: int) -> Block:
    layers = []
    for position, layer in enumerate(block.layers, start=1):
        name = f"block{number}/layer{position}"
        layer = replace(
            layer,
            norm1=put.affine(f"{name}/norm", layer.norm1, layer.form),
            conv2=put.conv(f"{name}/growth", layer.conv2),
        )
        if layer.norm2 is None:
            layer = replace(layer, conv1=put.conv(f"{name}/bottleneck", layer.conv1))
        else:
            layer = replace(
                layer,
                conv1=put.conv(f"{name}/linear", layer.conv1),
                norm2=put.affine(f"{name}/bottleneck", layer.norm2),
            )
        layers.append(layer)
    return Block(tuple(layers), _transition(put, block.transition, f"transition{number}"))


def _transition(put: _Put, transition: Transition | None, name: str) -> Transition | None:
    if transition is None:
        return None
    return replace(
        transition,
        norm=put.affine(f"{name}/norm", transition.norm, transition.form),
        conv=put.conv(name if transition.pool_first else f"{name}/conv", transition.conv),
    )


def _head(put: _Put, head: Head) -> Head:
    norm = None if head.norm is None else put.affine("head/norm", head.norm, head.form)
    steps: list[HeadStep] = []
    for number, step in enumerate(head.steps, start=1):
        name = SCORES if number == len(head.steps) else f"head/{number}_{type(step).__name__.lower()}"
        if isinstance(step, Dense):
            step = put.dense(name, step)
        elif isinstance(step, Affine):
            step = put.affine(name, step)
        steps.append(step)
    return replace(head, norm=norm, steps=tuple(steps))
