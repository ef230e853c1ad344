"""Which channels of the unpruned network (the teacher) a pruned one (the student) still has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import DenseNet

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kept:
    """Places are those of `program.lower`, by the student's numbering.

    `layers`: "block3/layer5" of the student -> the teacher's place. `bottlenecks`: the same keys -> indices into the
    outputs of the teacher's conv1. `concats`: "block3" -> indices into the channels of the teacher's last concatenation
    of that block, in the student's order; what a layer reads is a prefix of it.
    """

    layers: dict[str, str]
    bottlenecks: dict[str, Indices]
    concats: dict[str, Indices]


def identity(network: DenseNet) -> Kept:
    """What is kept where nothing was pruned."""
    layers, bottlenecks, concats = {}, {}, {}
    for number, block in enumerate(network.blocks, start=1):
        width = _block_input(network, number)
        for position, layer in enumerate(block.layers, start=1):
            place = f"block{number}/layer{position}"
            layers[place] = place
            bottlenecks[place] = np.arange(layer.conv1.bias.size)
            width += layer.conv2.bias.size
        concats[f"block{number}"] = np.arange(width)
    return Kept(layers, bottlenecks, concats)


def check(student: DenseNet, teacher: DenseNet, kept: Kept) -> None:
    """Raise ValueError unless `kept` has an entry of the right size for everything in the student."""
    whole = identity(teacher)
    for place, indices in identity(student).bottlenecks.items():
        found = kept.bottlenecks[place]
        if found.size != indices.size or found.max() >= whole.bottlenecks[kept.layers[place]].size:
            raise ValueError(f"{place}: {indices.size} bottleneck channels, {found.size} kept")
    for block, indices in identity(student).concats.items():
        found = kept.concats[block]
        if found.size != indices.size or found.max() >= whole.concats[block].size:
            raise ValueError(f"{block}: {indices.size} channels, {found.size} kept")


def _block_input(network: DenseNet, number: int) -> int:
    if number == 1:
        return network.stem.conv.bias.size
    transition = network.blocks[number - 2].transition
    assert transition is not None
    return transition.conv.bias.size
