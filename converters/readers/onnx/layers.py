"""The operators of an ONNX graph as a list of layers in Keras' words, which `structure.matching` reads.

ONNX lays pictures out [batch, channels, height, width], with Transposes where another layout comes in. Here every map
is [batch, height, width, channels]: of each value it is known which of its axes is which, and a Transpose makes no
layer. What these words do not fit is a layer by the operator's own name, for a head that stays float.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Padding
from edgedense.converters.readers.onnx.graph import Constant, Graph, Node, Shape
from edgedense.converters.readers.onnx.shaping import SHAPING
from edgedense.converters.readers.onnx.walk import CHANNELS_FIRST, CHANNELS_LAST, POOLED, Listed, Place, Walk, Word


def listed(graph: Graph, channel_axis: int) -> Listed:
    """The layers of `graph`, whose picture has its channels on `channel_axis`, 1 or 3."""
    return Walk(graph, CHANNELS_FIRST if channel_axis == 1 else CHANNELS_LAST).all(_WORDS | SHAPING)


def _convolution(walk: Walk, node: Node) -> bool:
    place, kernel = walk.place(node), walk.constant(node, 1)
    bias = walk.constant(node, 2)
    if place is None or kernel is None or kernel.ndim != 4 or (bias is None and len(node.inputs) > 2):
        return False
    window = kernel.shape[2:]
    strides, dilations, groups = _ints(node, "strides"), _ints(node, "dilations"), node.attributes.get("group", 1)
    if place.axes == POOLED and window == (1, 1) and groups == 1 and _pads(walk, node, window) == ((0, 0), (0, 0)):
        return _dense(walk, node, kernel[:, :, 0, 0].T, bias)
    if place.axes != CHANNELS_FIRST:
        return False
    options = {
        "kernel_size": window,
        "strides": strides,
        "dilation_rate": dilations,
        "groups": groups,
        "use_bias": bias is not None,
        "padding": _pads(walk, node, window),
        "activation": "linear",
    }
    weights = [np.asarray(kernel, np.float64).transpose(2, 3, 1, 0), *([] if bias is None else [bias])]
    return walk.add(node, "Conv2D", CHANNELS_FIRST, options, weights)


def _batch_norm(walk: Walk, node: Node) -> bool:
    place = walk.place(node)
    weights = [walk.constant(node, number) for number in range(1, 5)]
    if place is None or any(w is None for w in weights) or node.attributes.get("training_mode"):
        return False
    if len(place.axes) < 2 or place.axes[1] != len(walk.layers[place.layer].shape) - 1:
        return False
    # The shortest decimal that gives this float32: what the training's epsilon was.
    epsilon = float(str(np.float32(node.attributes.get("epsilon", 1e-5))))
    options = {"scale": True, "center": True, "epsilon": epsilon, "axis": -1}
    return walk.add(node, "BatchNormalization", place.axes, options, [w for w in weights if w is not None])


def _arithmetic(walk: Walk, node: Node) -> bool:
    """A scale and a shift per channel, which is what a batch norm is; of two in a row one is made."""
    places = [walk.place(node, number) for number in range(len(node.inputs))]
    number = next((i for i, place in enumerate(places) if place is not None), None)
    if number is None:
        return False
    if len(places) == 2 and None not in places:
        return _swish(walk, node)
    place = places[number]
    assert place is not None
    operand = np.zeros(1) if len(places) == 1 else walk.constant(node, 1 - number)
    vector = None if operand is None else _per_channel(walk, place, operand, walk.physical(node))
    if vector is None or (node.op == "Div" and number == 1):
        return False
    one, zero = np.ones_like(vector), np.zeros_like(vector)
    with np.errstate(divide="ignore"):  # what is not finite is refused where weights are read
        scale, shift = {
            "Add": (one, vector),
            "Sub": (one, -vector) if number == 0 else (-one, vector),
            "Mul": (vector, zero),
            "Div": (1 / vector, zero),
            "Neg": (-one, zero),
        }[node.op]
    return _scaled(walk, node, number, scale, shift)


def _scaled(walk: Walk, node: Node, number: int, scale: Constant, shift: Constant) -> bool:
    name = node.inputs[number]
    place, parameters = walk.places[name], walk.count(node)
    before = walk.layers[place.layer]
    alone = walk.single(name)
    if alone and before.options.get("arithmetic"):
        first, second = before.weights[:2]
        weights = (first * scale, second * scale + shift, *before.weights[2:])
        return walk.absorb(node, place, replace(before, weights=weights, parameters=before.parameters + parameters))
    if alone and before.kind in ("Conv2D", "Dense") and np.all(scale == 1):
        bias = shift + (before.weights[1] if before.options["use_bias"] else 0)
        changed = replace(
            before,
            options={**before.options, "use_bias": True},
            weights=(before.weights[0], bias),
            parameters=before.parameters + parameters,
        )
        return walk.absorb(node, place, changed)
    options = {"scale": True, "center": True, "epsilon": 0.0, "axis": -1, "arithmetic": True}
    weights = (scale, shift, np.zeros_like(shift), np.ones_like(shift))
    walk.add(node, "BatchNormalization", place.axes, options, weights, inputs=(place.layer,))
    walk.layers[-1] = replace(walk.layers[-1], parameters=parameters)
    return True


def _per_channel(walk: Walk, place: Place, operand: Constant, result: Shape) -> Constant | None:
    """The operand as a vector of one number per channel; None where it varies along another axis, or is no float."""
    rank = len(place.axes)
    channel = len(walk.layers[place.layer].shape) - 1
    if operand.ndim > rank or len(result) != rank or channel < 1 or operand.dtype.kind != "f":
        return None
    shape = (1,) * (rank - operand.ndim) + operand.shape
    if any(size > 1 and axis != channel for size, axis in zip(shape, place.axes, strict=True)):
        return None
    count = walk.shape(place)[-1]
    if operand.size not in (1, count):
        return None
    return np.broadcast_to(np.asarray(operand, np.float64).ravel(), count).copy()


def _swish(walk: Walk, node: Node) -> bool:
    """x * sigmoid(x)."""
    if node.op != "Mul":
        return False
    for one, two in ((0, 1), (1, 0)):
        plain, gate = walk.places[node.inputs[one]], walk.places[node.inputs[two]]
        layer = walk.layers[gate.layer]
        if (
            walk.single(node.inputs[two])
            and layer.options.get("activation") == "sigmoid"
            and (layer.inputs, plain.axes) == ((plain.layer,), gate.axes)
        ):
            return walk.absorb(node, gate, replace(layer, options={"activation": "swish"}))
    return False


def _function(kind: str, **options: Any) -> Word:
    """An elementwise function without settings."""

    def add(walk: Walk, node: Node) -> bool:
        place = walk.place(node)
        return place is not None and walk.add(node, kind, place.axes, options)

    return add


def _leaky(walk: Walk, node: Node) -> bool:
    return _function("LeakyReLU", negative_slope=float(node.attributes.get("alpha", 0.01)))(walk, node)


def _elu(walk: Walk, node: Node) -> bool:
    return _function("ELU", alpha=float(node.attributes.get("alpha", 1.0)))(walk, node)


def _clip(walk: Walk, node: Node) -> bool:
    low, high = walk.setting(node, "min", 1, -np.inf), walk.setting(node, "max", 2, np.inf)
    if low != 0 or high not in (6, np.inf, float(np.finfo(np.float32).max)):
        return False
    return _function("ReLU", **({"max_value": 6.0} if high == 6 else {}))(walk, node)


def _softmax(walk: Walk, node: Node) -> bool:
    place = walk.place(node)
    if place is None:
        return False
    newer = walk.graph.opset >= 13
    axis = range(len(place.axes))[int(node.attributes.get("axis", -1 if newer else 1))]
    over = place.axes[axis : axis + 1] if newer else place.axes[axis:]  # before, all that follows was one axis
    if [a for a in over if a is not None] != [len(walk.layers[place.layer].shape) - 1]:
        return False
    return walk.add(node, "Softmax", place.axes, {"axis": -1})


def _pool(walk: Walk, node: Node) -> bool:
    place = walk.place(node)
    if place is None or place.axes != CHANNELS_FIRST or set(node.attributes.get("dilations", [1])) != {1}:
        return False
    if len(node.outputs) > 1 and walk.reads.get(node.outputs[1]):
        return False
    window, strides = _ints(node, "kernel_shape"), _ints(node, "strides")
    pads = _pads(walk, node, window, whole=bool(node.attributes.get("ceil_mode")))
    average = node.op == "AveragePool"
    if walk.physical(node)[2:] == (1, 1) and pads == ((0, 0), (0, 0)) and walk.shape(place)[:2] == window:
        return walk.add(node, "GlobalAveragePooling2D" if average else "GlobalMaxPooling2D", POOLED)
    options = {"pool_size": window, "strides": strides, "padding": pads}
    return walk.add(node, "AveragePooling2D" if average else "MaxPooling2D", CHANNELS_FIRST, options)


def _global_pool(walk: Walk, node: Node) -> bool:
    place = walk.place(node)
    if place is None or place.axes != CHANNELS_FIRST:
        return False
    return walk.add(node, "GlobalAveragePooling2D" if "Average" in node.op else "GlobalMaxPooling2D", POOLED)


def _reduced(walk: Walk, node: Node) -> bool:
    """A mean or maximum over height and width."""
    place, over = walk.place(node), walk.setting(node, "axes", 1)
    if place is None or over is None:
        return False
    gone = {range(len(place.axes))[axis] for axis in over}
    keeps = node.attributes.get("keepdims", 1) == 1
    left = tuple((None if i in gone else axis) for i, axis in enumerate(place.axes) if keeps or i not in gone)
    axes = {place.axes[i] for i in gone}
    if axes == {None}:
        return walk.same(node, left)
    if axes - {None} != {1, 2} or len(walk.layers[place.layer].shape) != 4:
        return False
    renamed = tuple(1 if axis == 3 else axis for axis in left)  # the channels are the second axis of what is left
    return walk.add(node, "GlobalAveragePooling2D" if node.op == "ReduceMean" else "GlobalMaxPooling2D", renamed)


def _gemm(walk: Walk, node: Node) -> bool:
    place, kernel, bias = walk.place(node), walk.constant(node, 1), walk.constant(node, 2)
    if place is None or place.axes != (0, 1) or kernel is None or node.attributes.get("transA"):
        return False
    if bias is None and len(node.inputs) > 2 and node.inputs[2]:
        return False
    kernel = np.asarray(kernel.T if node.attributes.get("transB") else kernel, np.float64)
    count = kernel.shape[1]
    if bias is not None:
        if bias.size not in (1, count) or bias.shape[-1:] not in ((), (1,), (count,)):
            return False
        bias = np.broadcast_to(bias.ravel(), count) * float(node.attributes.get("beta", 1.0))
    return _dense(walk, node, kernel * float(node.attributes.get("alpha", 1.0)), bias)


def _matmul(walk: Walk, node: Node) -> bool:
    place, kernel = walk.place(node), walk.constant(node, 1)
    if place is None or place.axes != (0, 1) or kernel is None or kernel.ndim != 2:
        return False
    return _dense(walk, node, kernel, None)


def _dense(walk: Walk, node: Node, kernel: Constant, bias: Constant | None) -> bool:
    options = {"use_bias": bias is not None, "activation": "linear"}
    axes = walk.places[node.inputs[0]].axes
    return walk.add(node, "Dense", axes, options, [kernel, *([] if bias is None else [bias])])


def _ints(node: Node, name: str) -> tuple[int, int]:
    """A setting for height and width, by default 1."""
    height, width = node.attributes.get(name) or (1, 1)
    return int(height), int(width)


def _pads(walk: Walk, node: Node, window: Shape, whole: bool = False) -> Padding:
    """The border of a convolution or pooling, ((top, bottom), (left, right)).

    `whole`: windows that reach beyond the end count (ceil_mode), unless they begin there; the border is then larger.
    """
    sizes, strides = walk.graph.shapes[node.inputs[0]][2:], _ints(node, "strides")
    dilations, given = _ints(node, "dilations"), node.attributes.get("pads") or (0, 0, 0, 0)
    auto, borders = node.attributes.get("auto_pad", "NOTSET"), []
    for axis, (size, reach, stride, dilation) in enumerate(zip(sizes, window, strides, dilations, strict=True)):
        reach = (reach - 1) * dilation + 1
        before, after = int(given[axis]), int(given[axis + 2])
        if auto != "NOTSET":
            total = max((-(-size // stride) - 1) * stride + reach - size, 0) if auto.startswith("SAME") else 0
            before = total // 2 if auto != "SAME_LOWER" else total - total // 2
            after = total - before
        elif whole:
            count = -(-(size + before + after - reach) // stride) + 1
            count -= (count - 1) * stride >= size + before
            after = max(after, (count - 1) * stride + reach - size - before)
        borders.append((before, after))
    return borders[0], borders[1]


_WORDS: dict[str, Word] = {
    "Add": _arithmetic,
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Conv": _convolution,
    "Div": _arithmetic,
    "Elu": _elu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "LeakyRelu": _leaky,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Mul": _arithmetic,
    "Neg": _arithmetic,
    "ReduceMax": _reduced,
    "ReduceMean": _reduced,
    "Relu": _function("ReLU"),
    "Sigmoid": _function("Activation", activation="sigmoid"),
    "Softmax": _softmax,
    "Sub": _arithmetic,
    "Tanh": _function("Activation", activation="tanh"),
}
