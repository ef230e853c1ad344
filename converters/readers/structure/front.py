"""A convolution in front of the stem: how people make of one grey channel what a pre-trained backbone reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgedense.converters.network.graph import NO_PADDING, Activation, Conv, Front
from edgedense.converters.readers.structure import weights as keras_weights
from edgedense.converters.readers.structure.layers import Layer
from edgedense.errors import EdgedenseError
from edgedense.images.steps import Size


def is_front(layers: Sequence[Layer], layer: Layer) -> bool:
    """Whether `layer` is a convolution that another one reads, and nothing else: behind a stem there is a norm, a ReLU,
    a pooling or a dense block."""
    reader = _only_reader(layers, layer) if layer.kind == "Conv2D" else None
    if reader is not None and reader.kind == "ZeroPadding2D":
        reader = _only_reader(layers, reader)
    return reader is not None and reader.kind == "Conv2D"


def read(layer: Layer, size: Size) -> tuple[Front, Size]:
    """The convolution and the size behind it, for pixels of `size`. EdgedenseError for what the graph cannot hold."""
    function = keras_weights.activation(layer)
    if function not in (None, Activation("relu")):
        raise EdgedenseError(
            "a convolution in front of the stem that is linear or ends in ReLU", keras_weights.described(layer)
        )
    conv, behind = keras_weights.convolution(layer, size)
    return Front(conv, relu=function is not None), behind


def is_mixing(front: Front) -> bool:
    """Whether it does nothing but mix the channels of each pixel."""
    conv: Conv = front.conv
    return conv.kernel.shape[:2] == (1, 1) and conv.stride == 1 and conv.padding == NO_PADDING and not front.relu


def mixed(conv: Conv, scale: Sequence[float], shift: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift [out] behind a 1x1 convolution of channels that are scale * x + shift of the same x."""
    kernel = conv.kernel[0, 0]
    return np.asarray(scale) @ kernel, np.asarray(shift) @ kernel + conv.bias


def _only_reader(layers: Sequence[Layer], layer: Layer) -> Layer | None:
    readers = [other for other in layers if layer.index in other.inputs]
    return readers[0] if len(readers) == 1 else None
