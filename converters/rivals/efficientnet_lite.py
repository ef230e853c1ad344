"""EfficientNet-Lite0, which Keras does not have: EfficientNet-B0 made for processors that compute with integers.

The table of blocks is EfficientNet-B0's (Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", 2019, table 1). The Lite networks leave squeeze-and-excitation out, and have ReLU6 in place of swish (Liu,
"Higher accuracy on vision models with EfficientNet-Lite", 2020). Lite0 has 4.65 million parameters with 1000 classes,
and 385 million multiply-accumulates in its convolutions and its classifier at 224x224.
"""

from __future__ import annotations

from typing import Any, NamedTuple

STEM, HEAD = 32, 1280  # channels of the first convolution and of the last


class Stage(NamedTuple):
    """`repeats` blocks of `channels`, the first with `stride`. Each widens its input by `expansion`, and has a
    depthwise convolution of `kernel` x `kernel`."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def features(keras: Any, image: Any) -> Any:
    """The last feature map [B, H / 32, W / 32, 1280] of a Keras tensor of pictures [B, H, W, C]."""
    x = _conv(keras, image, STEM, 3, 2)
    for repeats, kernel, stride, expansion, channels in STAGES:
        for number in range(repeats):
            x = _block(keras, x, kernel, stride if number == 0 else 1, expansion, channels)
    return _conv(keras, x, HEAD, 1)


def _block(keras: Any, x: Any, kernel: int, stride: int, expansion: int, channels: int) -> Any:
    """An inverted bottleneck, with a way around it where the shape stays."""
    layers, begin = keras.layers, x
    if expansion > 1:
        x = _conv(keras, x, expansion * x.shape[-1], 1)
    x = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, depthwise_initializer=_fan_out(keras))(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = _conv(keras, x, channels, 1, relu=False)
    return layers.Add()([begin, x]) if begin.shape == x.shape else x


def _conv(keras: Any, x: Any, channels: int, kernel: int, stride: int = 1, relu: bool = True) -> Any:
    layers = keras.layers
    x = layers.Conv2D(channels, kernel, stride, "same", use_bias=False, kernel_initializer=_fan_out(keras))(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU(6.0)(x) if relu else x


def _fan_out(keras: Any) -> Any:
    """Kernels drawn so that gradients keep their size, as in EfficientNet."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
