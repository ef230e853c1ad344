"""What one Keras layer computes, as arrays of the graph: affines, convolutions, pooling, dense layers,
activations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Activation, Affine, Array, Conv, Dense, MaxPool, Padding, WindowPool
from edgedense.converters.readers import assembly
from edgedense.converters.readers.structure.layers import Layer
from edgedense.errors import EdgedenseError

Size = tuple[int, int]  # height, width

# Keras 3's slope where the configuration names none.
_LEAKY_RELU_SLOPE = 0.2
_ACTIVATIONS = {
    "elu": Activation("elu"),
    "leaky_relu": Activation("leaky_relu", _LEAKY_RELU_SLOPE),
    "relu": Activation("relu"),
    "relu6": Activation("relu6"),
    "sigmoid": Activation("sigmoid"),
    "silu": Activation("swish"),
    "softmax": Activation("softmax"),
    "swish": Activation("swish"),
    "tanh": Activation("tanh"),
}
_OPERATIONS = {
    "Elu": "elu",
    "LeakyRelu": "leaky_relu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Tanh": "tanh",
}


def arrays(layer: Layer, count: int) -> list[Array]:
    """The layer's weights in float64, `count` of them. EdgedenseError when there are others, or one is not
    finite.
    """
    if len(layer.weights) != count:
        raise EdgedenseError(
            f"{count} weight arrays in {layer}",
            f"{len(layer.weights)}",
            "save the model unquantized and with LoRA weights merged",
        )
    if not all(np.isfinite(w).all() for w in layer.weights):
        raise EdgedenseError("finite weights", f"NaN or infinity in {layer}", "retrain, or take an earlier checkpoint")
    return [np.asarray(w, np.float64) for w in layer.weights]


def batch_norm(layer: Layer) -> Affine:
    """A BatchNormalization as scale and shift."""
    scale, center = bool(layer.options["scale"]), bool(layer.options["center"])
    require_channel_axis(layer)
    weights = arrays(layer, 2 + scale + center)
    mean, variance = weights[-2:]
    gamma = weights[0] if scale else np.ones_like(mean)
    beta = weights[scale] if center else np.zeros_like(mean)
    return assembly.batch_norm(gamma, beta, mean, variance, float(layer.options["epsilon"]))


def normalization(layer: Layer) -> Affine:
    """Keras' Normalization: (x - mean) / max(std, 1e-7), or its inverse."""
    mean, variance = (layer.options.get(key) for key in ("mean", "variance"))
    if mean is None:
        mean, variance, _ = arrays(layer, 3)
    mean = np.asarray(mean, np.float64).ravel()
    std = np.maximum(np.sqrt(np.asarray(variance, np.float64).ravel()), 1e-7)  # Keras' epsilon()
    if layer.options.get("invert"):
        return Affine(std, mean)
    return Affine(1 / std, -mean / std)


def convolution(layer: Layer, size: Size, zeros: Padding = ((0, 0), (0, 0))) -> tuple[Conv, Size]:
    """A Conv2D behind zero padding of `zeros`, and the size of its output for an input of `size` before the
    padding.

    EdgedenseError for what the graph has no place for: dilation, groups, unequal strides.
    """
    options = layer.options
    require_channels_last(layer)
    height, width = pair(options["strides"])
    if height != width or pair(options["dilation_rate"]) != (1, 1) or int(options.get("groups", 1)) != 1:
        raise EdgedenseError(
            "a convolution with equal strides, without dilation or groups",
            f"{layer} with strides {height}x{width}, dilation {pair(options['dilation_rate'])}, "
            f"groups {options.get('groups', 1)}",
        )
    bias = bool(options["use_bias"])
    kernel, *rest = arrays(layer, 1 + bias)
    padded = (size[0] + sum(zeros[0]), size[1] + sum(zeros[1]))
    own = padding(options["padding"], padded, kernel.shape[:2], (height, width))
    total = _add(zeros, own)
    conv = Conv(kernel, rest[0] if bias else np.zeros(kernel.shape[3]), height, total)
    return conv, reduced(size, kernel.shape[:2], (height, width), total)


def max_pool(layer: Layer, size: Size, zeros: Padding = ((0, 0), (0, 0))) -> tuple[MaxPool, Size]:
    """A MaxPooling2D behind zero padding of `zeros`, and the size of its output for an input of `size`."""
    window, strides = _window(layer)
    if window[0] != window[1] or strides[0] != strides[1]:
        raise EdgedenseError("a square pooling window", f"{layer} with {window} and strides {strides}")
    padded = (size[0] + sum(zeros[0]), size[1] + sum(zeros[1]))
    total = _add(zeros, padding(layer.options["padding"], padded, window, strides))
    return MaxPool(window[0], strides[0], total), reduced(size, window, strides, total)


def window_pool(layer: Layer, size: Size) -> tuple[WindowPool, Size]:
    """A pooling layer without padding, and the size of its output."""
    window, strides = _window(layer)
    if padding(layer.options["padding"], size, window, strides) != ((0, 0), (0, 0)):
        raise EdgedenseError(
            "pooling without padding",
            f"{layer} with padding {layer.options['padding']!r} on {size[0]}x{size[1]}",
            "use padding='valid'",
        )
    kind = WindowPool("avg" if layer.kind.startswith("Average") else "max", window, strides)
    return kind, reduced(size, window, strides, ((0, 0), (0, 0)))


def zero_padding(layer: Layer) -> Padding:
    """The border of a ZeroPadding2D."""
    require_channels_last(layer)
    (top, bottom), (left, right) = layer.options["padding"]
    return (int(top), int(bottom)), (int(left), int(right))


def dense(layer: Layer) -> Dense:
    """A Dense layer without its activation."""
    bias = bool(layer.options["use_bias"])
    kernel, *rest = arrays(layer, 1 + bias)
    return Dense(kernel, rest[0] if bias else np.zeros(kernel.shape[1]))


def activation(layer: Layer) -> Activation | None:
    """The function of an activation layer or operation, or of the `activation` of a Dense or Conv2D; None if
    linear.

    EdgedenseError for a function that the graph does not have.
    """
    options = layer.options
    if layer.kind in ("LeakyReLU", "LeakyRelu"):
        slope = next((options[k] for k in ("negative_slope", "alpha") if k in options), _LEAKY_RELU_SLOPE)
        return Activation("leaky_relu", float(slope))
    if layer.kind == "ReLU":
        return _relu(layer)
    if layer.kind in ("ELU", "Elu"):
        if float(options.get("alpha", 1.0)) != 1:
            raise EdgedenseError("ELU with alpha 1", f"{layer} with alpha {options['alpha']}")
        return Activation("elu")
    if layer.kind == "Softmax":
        require_channel_axis(layer)
        return Activation("softmax")
    name = _OPERATIONS.get(layer.kind, options.get("activation", "linear"))
    if name in (None, "linear"):
        return None
    known = _ACTIVATIONS.get(name) if isinstance(name, str) else None
    if known is None:
        raise EdgedenseError(f"one of the activations {', '.join(sorted(_ACTIVATIONS))}", f"{_called(name)} in {layer}")
    return known


def is_activation(layer: Layer) -> bool:
    """Whether the layer does nothing but apply a function."""
    return layer.kind in ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax") or layer.kind in _OPERATIONS


def is_relu(layer: Layer) -> bool:
    """Whether the layer is max(x, 0) and nothing else."""
    if layer.kind == "ReLU":
        return not any(layer.options.get(key) for key in ("max_value", "negative_slope", "threshold"))
    return layer.kind == "Relu" or (layer.kind == "Activation" and layer.options.get("activation") == "relu")


def described(layer: Layer) -> str:
    """The layer for an error message; of an activation also which."""
    if layer.kind in ("Activation", "Dense", "Conv2D") and layer.options.get("activation") != "linear":
        return f"{layer} with activation {_called(layer.options.get('activation'))}"
    settings = [f"{key} {layer.options[key]}" for key in ("max_value", "negative_slope") if layer.options.get(key)]
    return f"{layer} with {' and '.join(settings)}" if layer.kind == "ReLU" and settings else str(layer)


def pair(value: Any) -> Size:
    """Keras' `strides` and sizes, given as one number or two."""
    height, width = value if isinstance(value, list | tuple) else (value, value)
    return int(height), int(width)


def padding(kind: str | Padding, size: Size, window: Size, strides: Size) -> Padding:
    """Keras' "valid" or "same" as a border: "same" puts the odd pixel at the bottom and at the right. A border stays as
    it is.
    """
    if not isinstance(kind, str):
        return kind
    if kind == "valid":
        return (0, 0), (0, 0)
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, window, strides, strict=True)]
    (top, bottom), (left, right) = [(t // 2, t - t // 2) for t in totals]
    return (top, bottom), (left, right)


def reduced(size: Size, window: Size, strides: Size, border: Padding) -> Size:
    """The size of the output of a window that moves over `size` with a border."""
    height, width = ((n + sum(b) - k) // s + 1 for n, b, k, s in zip(size, border, window, strides, strict=True))
    if height < 1 or width < 1:
        raise EdgedenseError(
            "an input that is large enough for the network",
            f"{size[0]}x{size[1]} pixels under a window of {window[0]}x{window[1]}",
            "choose a larger size",
        )
    return height, width


def require_channels_last(layer: Layer) -> None:
    """EdgedenseError for a layer that was built for [batch, channels, height, width]."""
    if layer.options.get("data_format", "channels_last") == "channels_first":
        raise EdgedenseError(
            "channels last", f"{layer} with data_format 'channels_first'", "rebuild the model with channels_last"
        )


def require_channel_axis(layer: Layer) -> None:
    """EdgedenseError for a layer that works along another axis than the last one."""
    axis = layer.options.get("axis", -1)
    axes = [int(a) for a in (axis if isinstance(axis, list | tuple) else [axis])]
    if axes not in ([-1], [len(layer.shape) - 1]):
        raise EdgedenseError("an operation along the channels, the last axis", f"{layer} with axis {axis}")


def _window(layer: Layer) -> tuple[Size, Size]:
    require_channels_last(layer)
    window = pair(layer.options["pool_size"])
    strides = layer.options.get("strides")
    return window, window if strides is None else pair(strides)


def _add(a: Padding, b: Padding) -> Padding:
    return (a[0][0] + b[0][0], a[0][1] + b[0][1]), (a[1][0] + b[1][0], a[1][1] + b[1][1])


def _relu(layer: Layer) -> Activation:
    options = layer.options
    top, slope, threshold = (options.get(key) or 0 for key in ("max_value", "negative_slope", "threshold"))
    if float(threshold) == 0 and options.get("max_value") is None:
        return Activation("leaky_relu", float(slope)) if slope else Activation("relu")
    if float(threshold) == 0 and float(top) == 6 and not slope:
        return Activation("relu6")
    raise EdgedenseError(
        "ReLU, ReLU with max_value 6, or leaky ReLU",
        f"{layer} with max_value {options.get('max_value')}, negative_slope {slope}, threshold {threshold}",
    )


def _called(name: Any) -> str:
    if isinstance(name, Mapping):
        return str(name.get("registered_name") or name.get("class_name"))
    return str(name)
