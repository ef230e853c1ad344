"""A DenseNet computed in float64 straight from its definition, one TensorFlow operation per term."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgedense.converters.network import float_head
from edgedense.converters.network.graph import (
    Activation,
    Affine,
    Conv,
    Dense,
    DenseNet,
    Flatten,
    FloatHead,
    HeadStep,
    MaxPool,
    Padding,
    Pool,
    WindowPool,
)

_FUNCTIONS = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "elu": tf.nn.elu,
    "tanh": tf.tanh,
    "swish": tf.nn.silu,
    "sigmoid": tf.sigmoid,
    "softmax": tf.nn.softmax,
}


def logits(network: DenseNet, pixels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The scores before the last softmax or sigmoid, for pixels [B, H, W, 3]."""
    *steps, last = network.head.steps
    if not isinstance(last, Activation) or last.kind not in ("softmax", "sigmoid"):
        steps.append(last)
    return _compute(network, steps, pixels)


def scores(network: DenseNet, pixels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The network's output for pixels [B, H, W, 3]."""
    return _compute(network, list(network.head.steps), pixels)


def relative_error(found: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """The largest difference, relative to the largest magnitude wanted."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def _compute(network: DenseNet, steps: list[HeadStep], pixels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    x = tf.constant(np.asarray(pixels, np.float64))
    x = _conv(network.stem.conv, _affine(network.normalization, x))
    x = tf.nn.relu(_affine(network.stem.norm, x))
    if network.stem.pool:
        x = _max_pool(network.stem.pool, x)
    for block in network.blocks:
        for layer in block.layers:
            y = _conv(layer.conv1, tf.nn.relu(_affine(layer.norm1, x)))
            x = tf.concat([x, _conv(layer.conv2, tf.nn.relu(_affine(layer.norm2, y)))], -1)
        if block.transition:
            x = _conv(block.transition.conv, tf.nn.relu(_affine(block.transition.norm, x)))
            x = tf.nn.avg_pool2d(x, 2, 2, "VALID")
    if network.head.norm:
        x = tf.nn.relu(_affine(network.head.norm, x))
    for step in steps:
        x = _step(step, x)
    return np.asarray(x)


def _affine(affine: Affine | None, x: Any) -> Any:
    return x if affine is None else x * affine.scale + affine.shift


def _pad(padding: Padding, x: Any) -> Any:
    return tf.pad(x, [(0, 0), *padding, (0, 0)])


def _conv(conv: Conv, x: Any) -> Any:
    return tf.nn.conv2d(_pad(conv.padding, x), conv.kernel, conv.stride, "VALID") + conv.bias


def _max_pool(pool: MaxPool, x: Any) -> Any:
    return tf.nn.max_pool2d(_pad(pool.padding, x), pool.size, pool.stride, "VALID")


def _step(step: HeadStep, x: Any) -> Any:
    if isinstance(step, Affine):
        return _affine(step, x)
    if isinstance(step, Dense):
        return x @ step.kernel + step.bias
    if isinstance(step, FloatHead):
        return tf.cast(float_head.function(step)(tf.cast(x, tf.float32)), x.dtype)
    if isinstance(step, Flatten):
        return tf.reshape(x, [x.shape[0], -1])
    if isinstance(step, Pool):
        return (tf.reduce_mean if step.kind == "avg" else tf.reduce_max)(x, [1, 2])
    if isinstance(step, WindowPool):
        pool = tf.nn.avg_pool2d if step.kind == "avg" else tf.nn.max_pool2d
        return pool(x, step.size, step.stride, "VALID")
    if step.kind == "leaky_relu":
        return tf.nn.leaky_relu(x, step.alpha)
    return _FUNCTIONS[step.kind](x)
