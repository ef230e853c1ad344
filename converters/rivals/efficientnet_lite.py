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
    """The last feature map [B, H / 32, W / 32, 1280] of a Keras tensor of pictures [B, H, W, C].

    Every layer has a name of its own: those that Keras gives are counted, and would be in the file.
    """
    x = _conv(keras, image, "stem", STEM, 3, 2)
    for number, stage in enumerate(STAGES, start=1):
        for repeat in range(stage.repeats):
            x = _block(keras, x, f"block{number}_{repeat + 1}", stage, stage.stride if repeat == 0 else 1)
    return _conv(keras, x, "head", HEAD, 1)


def _block(keras: Any, x: Any, name: str, stage: Stage, stride: int) -> Any:
    """An inverted bottleneck, with a way around it where the shape stays."""
    layers, begin = keras.layers, x
    if stage.expansion > 1:
        x = _conv(keras, x, f"{name}_expand", stage.expansion * x.shape[-1], 1)
    depthwise = layers.DepthwiseConv2D(
        stage.kernel, stride, "same", use_bias=False, depthwise_initializer=_fan_out(keras), name=f"{name}_depthwise"
    )
    x = layers.BatchNormalization(name=f"{name}_depthwise_norm")(depthwise(x))
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = _conv(keras, x, f"{name}_project", stage.channels, 1, relu=False)
    return layers.Add(name=f"{name}_add")([begin, x]) if begin.shape == x.shape else x


def _conv(keras: Any, x: Any, name: str, channels: int, kernel: int, stride: int = 1, relu: bool = True) -> Any:
    layers, initializer = keras.layers, _fan_out(keras)
    x = layers.Conv2D(channels, kernel, stride, "same", use_bias=False, kernel_initializer=initializer, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _fan_out(keras: Any) -> Any:
    """Kernels drawn so that gradients keep their size, as in EfficientNet."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
