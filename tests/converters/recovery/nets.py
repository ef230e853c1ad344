"""A teacher, a student with fewer channels, and pictures, shared by the tests of recovery."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.kept import Kept, identity
from edgedense.converters.recovery.pictures import UNLABELLED, Pictures
from tests import networks


def teacher(seed: int = 1) -> DenseNet:
    return networks.folded(seed, positive=True)


def cut(network: DenseNet) -> tuple[DenseNet, Kept]:
    """Bottlenecks of 4 of 5 channels, and block 2 without its first layer: 7 + 4 channels instead of 7 + 4 + 4."""
    kept = np.array([0, 1, 3, 4])
    blocks = []
    for block in network.blocks:
        layers = []
        for layer in block.layers:
            conv1 = replace(layer.conv1, kernel=layer.conv1.kernel[..., kept], bias=layer.conv1.bias[kept])
            conv2 = replace(layer.conv2, kernel=layer.conv2.kernel[:, :, kept])
            layers.append(replace(layer, conv1=conv1, conv2=conv2))
        blocks.append(replace(block, layers=tuple(layers)))
    second = blocks[1].layers[1]
    left = np.array([*range(7), *range(11, 15)])
    norm = replace(second.norm1, scale=second.norm1.scale[:7], shift=second.norm1.shift[:7])
    second = replace(second, norm1=norm, conv1=replace(second.conv1, kernel=second.conv1.kernel[:, :, :7]))
    head = network.head
    assert head.norm is not None
    pool, dense, softmax = head.steps
    head = replace(
        head,
        norm=replace(head.norm, scale=head.norm.scale[left], shift=head.norm.shift[left]),
        steps=(pool, replace(dense, kernel=dense.kernel[left]), softmax),
    )  # type: ignore[type-var]
    student = replace(network, blocks=(blocks[0], replace(blocks[1], layers=(second,))), head=head)
    whole = identity(network)
    places = {"block1/layer1": "block1/layer1", "block1/layer2": "block1/layer2", "block2/layer1": "block2/layer2"}
    return student, Kept(places, dict.fromkeys(places, kept), {"block1": whole.concats["block1"], "block2": left})


def pictures(network: DenseNet, count: int = 32, labels: list[int] | None = None) -> Pictures:
    pixels = networks.pictures(network, count)
    places = np.full(count, UNLABELLED, np.int64) if labels is None else np.array(labels, np.int64)
    return Pictures(pixels, places, "a hash", ())


def student(network: DenseNet) -> tuple[DenseNet, Kept]:
    """A cut network with noise on kernels, which no norm makes up for and training does."""
    network, kept = cut(network)
    random = np.random.default_rng(3)

    def noisy(kernel: np.ndarray, share: float) -> np.ndarray:
        return kernel * (1 + random.normal(0, share, kernel.shape))

    blocks = tuple(
        replace(
            block,
            layers=tuple(
                replace(layer, conv2=replace(layer.conv2, kernel=noisy(layer.conv2.kernel, 0.2)))
                for layer in block.layers
            ),
        )
        for block in network.blocks
    )
    pool, dense, softmax = network.head.steps
    noisy_dense = replace(dense, kernel=noisy(dense.kernel, 1.5))  # type: ignore[union-attr]
    return replace(network, blocks=blocks, head=replace(network.head, steps=(pool, noisy_dense, softmax))), kept
