"""The backbone of a network that was not read by Keras, as weights of the Keras network that is trained.

Such a network holds each norm as scale and shift. That is enough to compute, and too little to train: a batch norm that
trains divides by the deviation of its input, which must be known. So mean and variance of its input are measured on
the pictures that are trained on, and gamma and beta chosen such that the network computes what it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Affine, Array, Conv, DenseNet, MaxPool
from edgedense.converters.readers import assembly, grey
from edgedense.converters.readers.keras import layers as keras_layers
from edgedense.converters.readers.keras_weights.parts import EPSILON
from edgedense.errors import EdgedenseError

MEASURED, BATCH = 64, 8  # pictures that statistics are measured on, and at once
GREY = "the model takes one channel: the trained network takes RGB pictures, and begins by making them grey"
REPEATED = "the model takes one channel, three times: the trained network takes RGB pictures as they are"
RELU = "the trained network has a ReLU behind its last batch norm, which that of the weights has not"
_PADDED = (
    "its first convolution or pooling is padded in another way than in keras.applications, as the trained network is: "
    "its edges see other pixels, which the training has to make up for"
)


def weights(network: DenseNet) -> list[list[Array]]:
    """Kernels [h, w, in, out], and gamma, beta, mean and variance [C] of each norm, in calling order. Mean is 0 and
    variance 1 less Keras' epsilon, so that gamma and beta are scale and shift; `measure` makes statistics of them.

    EdgedenseError for a network with biases or norms that the trained one has no place for.
    """
    stem = network.stem
    found = list(_pair(stem.conv, stem.norm))
    found[0] = [rgb(kernel) for kernel in found[0]]
    for block in network.blocks:
        for layer in block.layers:
            found += [_norm(layer.norm1), *_pair(layer.conv1, layer.norm2), _kernel(layer.conv2)]
        if block.transition is not None:
            found += [_norm(block.transition.norm), _kernel(block.transition.conv)]
    if network.head.norm is None:
        raise _refused("no norm behind the last block")
    return [*found, _norm(network.head.norm)]


def rgb(kernel: Array) -> Array:
    """A first kernel [h, w, 3, out]: of one for a grey channel [h, w, 1, out] the same on the grey of RGB pictures."""
    return kernel if kernel.shape[2] == 3 else kernel * grey.SHARES[:, np.newaxis]


def notes(network: DenseNet) -> tuple[str, ...]:
    """What the trained network does in another way."""
    stem = network.stem
    if network.front is not None:
        raise _refused("a convolution before the stem")
    said = (REPEATED,) if network.repeats > 1 else (GREY,) if network.entering == 1 else ()
    own = stem.conv.stride, stem.conv.padding, stem.pool
    half = tuple((side // 2, side // 2) for side in stem.conv.kernel.shape[:2])
    known = assembly.STEM_STRIDE, half, assembly.POOL
    if own == known:
        return said
    strides = (stem.conv.stride, stem.pool.size if stem.pool else 0, stem.pool.stride if stem.pool else 0)
    if strides != (assembly.STEM_STRIDE, assembly.POOL.size, assembly.POOL.stride):
        raise _refused(f"a stem with stride {strides[0]} and {_pooling(stem.pool)}")
    return (*said, _PADDED)


def measure(model: Any, pixels: Any) -> None:
    """Give each batch norm of a Keras model the mean and variance of its input over `pixels` [N, height, width, 3], and
    gamma and beta with which it computes what it did: for scale s = gamma / sqrt(variance + epsilon) and shift
    t = beta - s mean, the new ones are s sqrt(variance' + epsilon) and t + s mean'.
    """
    layers = [layer.operation for layer in keras_layers.flatten(model) if layer.kind == "BatchNormalization"]
    for layer, mean, variance in zip(layers, *_moments(model, layers, pixels), strict=True):
        gamma, beta, before, old = (np.asarray(array, np.float64) for array in layer.get_weights())
        scale = gamma / np.sqrt(old + layer.epsilon)
        shift = beta - scale * before
        layer.set_weights([scale * np.sqrt(variance + layer.epsilon), shift + scale * mean, mean, variance])


def sample(side: Any) -> Any:
    """At most `MEASURED` pictures of a side, evenly spread."""
    chosen = np.linspace(0, len(side) - 1, min(MEASURED, len(side))).round().astype(int)
    return np.stack([side.pixels[row] for row in side.rows[chosen]])


def _moments(model: Any, layers: list[Any], pixels: Any) -> tuple[list[Array], list[Array]]:
    """Mean and variance [C] of the input of each layer, over pictures and positions."""
    import tensorflow as tf

    inputs = type(model)(model.inputs, [layer.input for layer in layers])

    @tf.function(reduce_retracing=True)
    def moments(batch: Any) -> Any:
        return [tf.nn.moments(value, tuple(range(len(value.shape) - 1))) for value in inputs(batch, training=False)]

    sums: list[list[Array]] = []
    for start in range(0, len(pixels), BATCH):
        batch = np.asarray(pixels[start : start + BATCH], np.float32)
        found = [[np.asarray(part, np.float64) for part in pair] for pair in moments(batch)]
        # variance and mean of a whole out of those of its parts: E[x^2] = variance + mean^2
        sums.append([len(batch) * np.stack([mean, variance + mean**2]) for mean, variance in found])
    means, squares = zip(*(sum(parts) / len(pixels) for parts in zip(*sums, strict=True)), strict=True)
    return list(means), [np.maximum(square - mean**2, 0) for mean, square in zip(means, squares, strict=True)]


def _pair(conv: Conv, norm: Affine | None) -> Iterator[list[Array]]:
    """A convolution and the norm behind it, which some files hold folded into it."""
    yield [conv.kernel]
    if norm is None:
        yield _norm(Affine(np.ones_like(conv.bias), conv.bias))
    else:
        yield _norm(Affine(norm.scale, norm.shift + norm.scale * conv.bias))


def _norm(norm: Affine) -> list[Array]:
    return [norm.scale, norm.shift, np.zeros_like(norm.scale), np.full_like(norm.scale, 1 - EPSILON)]


def _kernel(conv: Conv) -> list[Array]:
    if conv.bias.any():
        raise _refused("a convolution with a bias that no norm follows")
    return [conv.kernel]


def _pooling(pool: MaxPool | None) -> str:
    return "no pooling" if pool is None else f"pooling of {pool.size} with stride {pool.stride}"


def _refused(found: str) -> EdgedenseError:
    return EdgedenseError(
        "weights of a DenseNet as keras.applications builds it, to begin a training with", found, "--weights none"
    )
