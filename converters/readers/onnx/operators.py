"""What TensorFlow calls ONNX' operators: a table for heads that stay float.

Each function takes a `Translation` and the node's inputs, tensors and constants alike, and returns its output or a list
of them. The meaning of each operator is that of https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgedense.converters.readers.onnx.graph import Graph, Node, Shape
from edgedense.errors import EdgedenseError


@dataclass(frozen=True)
class Translation:
    """One node on its way to TensorFlow, the module `tf`."""

    tf: Any
    node: Node
    graph: Graph

    def attribute(self, name: str, otherwise: Any = None) -> Any:
        """A setting of the node."""
        return self.node.attributes.get(name, otherwise)

    def numbers(self, name: str, value: Any, otherwise: Any = None) -> Any:
        """What older operators have as attribute `name` and newer ones as an input, `value`, which must be constant."""
        if name in self.node.attributes:
            return self.node.attributes[name]
        if value is None:
            return otherwise
        if not isinstance(value, np.ndarray):
            raise self.refusal(f"{name} that depend on the picture")
        return value.tolist()

    def shape(self, name: str | None = None) -> Shape:
        """The shape of a value in the file, by default that of the first output."""
        return self.graph.shapes[name or self.node.outputs[0]]

    def refusal(self, what: str) -> EdgedenseError:
        return EdgedenseError(
            "a head that has a translation to TensorFlow",
            f"{self.node} with {what}",
            "rebuild the head of other layers and load its weights, or train it anew",
        )


Operator = Callable[..., Any]


def _plain(name: str) -> Operator:
    """A function of TensorFlow of that name, of tensors alone."""

    def run(t: Translation, *inputs: Any) -> Any:
        function: Any = t.tf
        for part in name.split("."):
            function = getattr(function, part)
        return function(*inputs)

    return run


def _folded(name: str) -> Operator:
    """A function of two operands, of any number of them."""

    def run(t: Translation, *inputs: Any) -> Any:
        function, total = getattr(t.tf, name), inputs[0]
        for value in inputs[1:]:
            total = function(total, value)
        return total

    return run


def _mean(t: Translation, *inputs: Any) -> Any:
    return _folded("add")(t, *inputs) / float(len(inputs))


def _divide(t: Translation, a: Any, b: Any) -> Any:
    return t.tf.divide(a, b) if t.tf.as_dtype(a.dtype).is_floating else a // b


def _clip(t: Translation, x: Any, low: Any = None, high: Any = None) -> Any:
    low, high = t.numbers("min", low, -np.inf), t.numbers("max", high, np.inf)
    x = x if low == -np.inf else t.tf.maximum(x, np.float32(low))
    return x if high == np.inf else t.tf.minimum(x, np.float32(high))


def _leaky_relu(t: Translation, x: Any) -> Any:
    return t.tf.nn.leaky_relu(x, t.attribute("alpha", 0.01))


def _prelu(t: Translation, x: Any, slope: Any) -> Any:
    return t.tf.maximum(x, 0.0) + slope * t.tf.minimum(x, 0.0)


def _elu(t: Translation, x: Any) -> Any:
    return t.tf.maximum(x, 0.0) + t.attribute("alpha", 1.0) * (t.tf.exp(t.tf.minimum(x, 0.0)) - 1.0)


def _selu(t: Translation, x: Any) -> Any:
    alpha, gamma = t.attribute("alpha", 1.6732632), t.attribute("gamma", 1.0507009)
    return gamma * (t.tf.maximum(x, 0.0) + alpha * (t.tf.exp(t.tf.minimum(x, 0.0)) - 1.0))


def _erf(t: Translation, x: Any) -> Any:
    """The error function of operators that TensorFlow Lite has, to 1.5e-7: Abramowitz and Stegun, "Handbook of
    Mathematical Functions", 1964, formula 7.1.26.
    """
    size = t.tf.abs(x)
    share = 1.0 / (1.0 + 0.3275911 * size)
    total = 1.061405429 * share
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        total = (total + term) * share
    return t.tf.sign(x) * (1.0 - total * t.tf.exp(-size * size))


def _gelu(t: Translation, x: Any) -> Any:
    if t.attribute("approximate", "none") == "tanh":
        return 0.5 * x * (1.0 + t.tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + _erf(t, x / math.sqrt(2)))


def _hard_sigmoid(t: Translation, x: Any) -> Any:
    return t.tf.clip_by_value(t.attribute("alpha", 0.2) * x + t.attribute("beta", 0.5), 0.0, 1.0)


def _hard_swish(t: Translation, x: Any) -> Any:
    return x * t.tf.clip_by_value(x / 6 + 0.5, 0.0, 1.0)


def _mish(t: Translation, x: Any) -> Any:
    return x * t.tf.tanh(t.tf.math.softplus(x))


def _softmax_of(name: str) -> Operator:
    def run(t: Translation, x: Any) -> Any:
        function = getattr(t.tf.nn, name)
        rank = x.shape.rank
        if t.graph.opset >= 13:
            return function(x, t.attribute("axis", -1))
        axis = range(rank)[t.attribute("axis", 1)]  # before, all that follows was one axis
        if all(size == 1 for size in x.shape.as_list()[axis + 1 :]):
            return function(x, axis)
        if axis != rank - 1:
            raise t.refusal(f"the axis {axis} of {rank}")
        return function(x, axis)

    return run


def _matmul(t: Translation, a: Any, b: Any) -> Any:
    a, b = t.tf.convert_to_tensor(a), t.tf.convert_to_tensor(b)
    if a.shape.rank == 1 or b.shape.rank == 1:
        raise t.refusal("a vector")
    if a.shape.rank > 2 and b.shape.rank == 2:  # the same matrix for all
        return t.tf.tensordot(a, b, 1)
    return t.tf.matmul(a, b)


def _gemm(t: Translation, a: Any, b: Any, c: Any = None) -> Any:
    product = t.tf.matmul(a, b, bool(t.attribute("transA", 0)), bool(t.attribute("transB", 0)))
    product = product * t.attribute("alpha", 1.0)
    return product if c is None else product + c * t.attribute("beta", 1.0)


def _convolution(t: Translation, x: Any, kernel: Any, bias: Any = None) -> Any:
    if not isinstance(kernel, np.ndarray) or kernel.ndim != 4:
        raise t.refusal("other than a constant kernel of two dimensions")
    tf, groups = t.tf, t.attribute("group", 1)
    strides, dilations = t.attribute("strides", [1, 1]), t.attribute("dilations", [1, 1])
    x = tf.pad(tf.transpose(x, (0, 2, 3, 1)), _borders(t, kernel.shape[2:]))
    count = int(x.shape[-1])
    if groups == count and kernel.shape[1] == 1:
        filters = kernel.reshape(groups, -1, *kernel.shape[2:]).transpose(2, 3, 0, 1)
        if strides[0] != strides[1]:
            raise t.refusal(f"strides {strides}")
        y = tf.nn.depthwise_conv2d(x, filters, (1, *strides, 1), "VALID", dilations=dilations)
    elif groups == 1:
        y = tf.nn.conv2d(x, kernel.transpose(2, 3, 1, 0), strides, "VALID", dilations=dilations)
    else:
        parts = zip(tf.split(x, groups, -1), np.split(kernel, groups), strict=True)
        found = [tf.nn.conv2d(p, k.transpose(2, 3, 1, 0), strides, "VALID", dilations=dilations) for p, k in parts]
        y = tf.concat(found, -1)
    return tf.transpose(y if bias is None else y + bias, (0, 3, 1, 2))


def _pool(t: Translation, x: Any) -> Any:
    """Maxima and means of windows. A mean counts what lies inside of the map, or of its border too."""
    tf, window = t.tf, t.attribute("kernel_shape")
    if len(window) != 2 or set(t.attribute("dilations", [1])) != {1}:
        raise t.refusal(f"windows {window} or dilations {t.attribute('dilations')}")
    strides, borders = t.attribute("strides", [1, 1]), _borders(t, tuple(window))
    x = tf.transpose(x, (0, 2, 3, 1))
    if t.node.op == "MaxPool":
        padded = tf.pad(x, borders, constant_values=np.finfo(np.float32).min)
        return tf.transpose(tf.nn.max_pool2d(padded, window, strides, "VALID"), (0, 3, 1, 2))
    sums = tf.nn.avg_pool2d(tf.pad(x, borders), window, strides, "VALID") * float(np.prod(window))
    counted = _counts(t, window, strides, x.shape.as_list()[1:3], borders[1:3])
    return tf.transpose(sums / counted, (0, 3, 1, 2))


def _counts(t: Translation, window: Sequence[int], strides: Sequence[int], size: Sequence[int], borders: Any) -> Any:
    """By how much the sum of each window is divided, [rows, columns, 1]."""
    given = t.attribute("pads", [0, 0, 0, 0]) if t.attribute("count_include_pad", 0) else [0, 0, 0, 0]
    counts = []
    for axis in range(2):
        first, last = borders[axis][0] - given[axis], borders[axis][0] + size[axis] + given[axis + 2]
        starts = np.arange(t.shape()[axis + 2]) * strides[axis]
        counts.append(np.minimum(starts + window[axis], last) - np.maximum(starts, first))
    return np.outer(*counts).astype(np.float32)[..., np.newaxis]


def _borders(t: Translation, window: Shape) -> list[list[int]]:
    """What is padded, [batch, height, width, channels], so that the windows give the shape that the file has."""
    size, result = t.shape(t.node.inputs[0])[2:], t.shape()[2:]
    strides, dilations = t.attribute("strides", [1, 1]), t.attribute("dilations", [1, 1])
    given, auto = t.attribute("pads", [0, 0, 0, 0]), t.attribute("auto_pad", "NOTSET")
    borders = []
    for axis in range(2):
        needed = (result[axis] - 1) * strides[axis] + (window[axis] - 1) * dilations[axis] + 1 - size[axis]
        before = given[axis]
        if auto.startswith("SAME"):
            before = (max(needed, 0) + (auto == "SAME_LOWER")) // 2
        borders.append([before, max(needed - before, 0)])
    return [[0, 0], *borders, [0, 0]]


def _over_map(name: str) -> Operator:
    """A global pooling: over all axes behind the channels."""

    def run(t: Translation, x: Any) -> Any:
        return getattr(t.tf, name)(x, list(range(2, x.shape.rank)), keepdims=True)

    return run


def _reduced(name: str) -> Operator:
    def run(t: Translation, x: Any, axes: Any = None) -> Any:
        over = t.numbers("axes", axes)
        if not over and t.attribute("noop_with_empty_axes", 0):
            return x
        return _reduction(t, name, x, over or list(range(x.shape.rank)))

    return run


def _reduction(t: Translation, name: str, x: Any, over: list[int]) -> Any:
    keeps = t.attribute("keepdims", 1) == 1
    if name == "l2":
        return t.tf.sqrt(t.tf.reduce_sum(x * x, over, keepdims=keeps))
    if name == "l1":
        return t.tf.reduce_sum(t.tf.abs(x), over, keepdims=keeps)
    if name == "square":
        return t.tf.reduce_sum(x * x, over, keepdims=keeps)
    return getattr(t.tf, name)(x, over, keepdims=keeps)


def _to_own_shape(t: Translation, x: Any, *_: Any) -> Any:
    """Reshape, Flatten, Squeeze and Unsqueeze: the file's own shape says all."""
    return t.tf.reshape(x, t.shape())


def _transpose(t: Translation, x: Any) -> Any:
    return t.tf.transpose(x, t.attribute("perm"))


def _concat(t: Translation, *parts: Any) -> Any:
    return t.tf.concat(parts, t.attribute("axis"))


def _slice(t: Translation, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Any:
    first, last = t.numbers("starts", starts), t.numbers("ends", ends)
    over = t.numbers("axes", axes, list(range(len(first))))
    by = t.numbers("steps", steps, [1] * len(first))
    parts = [slice(None)] * x.shape.rank
    shape = t.shape(t.node.inputs[0])
    for start, end, axis, step in zip(first, last, over, by, strict=True):
        begin, stop, step = slice(start, end, step).indices(shape[axis])
        parts[axis] = slice(begin, None if stop < 0 else stop, step)
    return x[tuple(parts)]


def _split(t: Translation, x: Any, *_: Any) -> Any:
    axis = t.attribute("axis", 0)
    sizes = [t.shape(name)[axis] for name in t.node.outputs]
    return list(t.tf.split(x, sizes, axis))


def _gather(t: Translation, x: Any, indices: Any) -> Any:
    axis = t.attribute("axis", 0)
    chosen = indices % x.shape[axis] if isinstance(indices, np.ndarray) else indices
    return t.tf.gather(x, chosen, axis=axis)


def _batch_norm(t: Translation, x: Any, scale: Any, shift: Any, mean: Any, variance: Any) -> Any:
    if t.attribute("training_mode"):
        raise t.refusal("training_mode")
    factor = scale / np.sqrt(variance + t.attribute("epsilon", 1e-5))
    shape = (-1, *[1] * (x.shape.rank - 2))
    return x * np.reshape(factor, shape) + np.reshape(shift - mean * factor, shape)


def _layer_norm(t: Translation, x: Any, scale: Any, shift: Any = None) -> Any:
    over = list(range(range(x.shape.rank)[t.attribute("axis", -1)], x.shape.rank))
    y = _standardized(t, x, over) * scale
    return y if shift is None else y + shift


def _instance_norm(t: Translation, x: Any, scale: Any, shift: Any) -> Any:
    shape = (-1, *[1] * (x.shape.rank - 2))
    return _standardized(t, x, list(range(2, x.shape.rank))) * np.reshape(scale, shape) + np.reshape(shift, shape)


def _standardized(t: Translation, x: Any, over: list[int]) -> Any:
    mean = t.tf.reduce_mean(x, over, keepdims=True)
    variance = t.tf.reduce_mean((x - mean) * (x - mean), over, keepdims=True)
    return (x - mean) / t.tf.sqrt(variance + t.attribute("epsilon", 1e-5))


def _lp_norm(t: Translation, x: Any) -> Any:
    if t.attribute("p", 2) != 2:
        raise t.refusal("another norm than that of order 2")
    return x / t.tf.sqrt(t.tf.reduce_sum(x * x, t.attribute("axis", -1), keepdims=True))


def _pad(t: Translation, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    given, filled = t.numbers("pads", pads), t.numbers("value", value, 0.0)
    mode = t.attribute("mode", "constant")
    over = t.numbers("axes", axes, list(range(x.shape.rank)))
    borders = [[0, 0] for _ in range(x.shape.rank)]
    for number, axis in enumerate(over):
        borders[axis] = [given[number], given[number + len(over)]]
    if min(map(min, borders)) < 0 or mode not in ("constant", "reflect"):
        raise t.refusal(f"mode {mode} or negative pads")
    if mode == "reflect":
        return t.tf.pad(x, borders, "REFLECT")
    return t.tf.pad(x, borders, constant_values=np.float32(filled))


def _where(t: Translation, condition: Any, x: Any, y: Any) -> Any:
    return t.tf.where(condition, x, y)


def _expand(t: Translation, x: Any, *_: Any) -> Any:
    return t.tf.broadcast_to(x, t.shape())


def _tile(t: Translation, x: Any, repeats: Any) -> Any:
    return t.tf.tile(x, t.numbers("repeats", repeats))


def _same(t: Translation, x: Any, *_: Any) -> Any:
    return x


def _power(t: Translation, x: Any, exponent: Any) -> Any:
    if isinstance(exponent, np.ndarray) and exponent.size == 1:
        number = float(exponent.ravel()[0])
        if number == 2:
            return x * x
        if number == 3:
            return x * x * x
        if number == 0.5:
            return t.tf.sqrt(x)
    return t.tf.pow(x, t.tf.cast(exponent, x.dtype))


def _cast(t: Translation, x: Any) -> Any:
    kinds = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 10: "float32", 11: "float32", 16: "float32"}
    if t.attribute("to") not in kinds:
        raise t.refusal(f"a cast to number {t.attribute('to')}")
    return t.tf.cast(x, kinds[t.attribute("to")])


OPERATORS: dict[str, Operator] = {
    "Abs": _plain("abs"),
    "Add": _plain("add"),
    "And": _plain("logical_and"),
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Ceil": _plain("math.ceil"),
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolution,
    "Cos": _plain("cos"),
    "Div": _divide,
    "Elu": _elu,
    "Equal": _plain("equal"),
    "Erf": _erf,
    "Exp": _plain("exp"),
    "Expand": _expand,
    "Flatten": _to_own_shape,
    "Floor": _plain("floor"),
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _over_map("reduce_mean"),
    "GlobalMaxPool": _over_map("reduce_max"),
    "Greater": _plain("greater"),
    "GreaterOrEqual": _plain("greater_equal"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _same,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _leaky_relu,
    "Less": _plain("less"),
    "LessOrEqual": _plain("less_equal"),
    "Log": _plain("math.log"),
    "LogSoftmax": _softmax_of("log_softmax"),
    "LpNormalization": _lp_norm,
    "MatMul": _matmul,
    "Max": _folded("maximum"),
    "MaxPool": _pool,
    "Mean": _mean,
    "Min": _folded("minimum"),
    "Mish": _mish,
    "Mul": _plain("multiply"),
    "Neg": _plain("negative"),
    "Not": _plain("logical_not"),
    "Or": _plain("logical_or"),
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _power,
    "Reciprocal": _plain("math.reciprocal"),
    "ReduceL1": _reduced("l1"),
    "ReduceL2": _reduced("l2"),
    "ReduceMax": _reduced("reduce_max"),
    "ReduceMean": _reduced("reduce_mean"),
    "ReduceMin": _reduced("reduce_min"),
    "ReduceProd": _reduced("reduce_prod"),
    "ReduceSum": _reduced("reduce_sum"),
    "ReduceSumSquare": _reduced("square"),
    "Relu": _plain("nn.relu"),
    "Reshape": _to_own_shape,
    "Selu": _selu,
    "Sigmoid": _plain("sigmoid"),
    "Sign": _plain("sign"),
    "Sin": _plain("sin"),
    "Slice": _slice,
    "Softmax": _softmax_of("softmax"),
    "Softplus": _plain("math.softplus"),
    "Softsign": _plain("nn.softsign"),
    "Split": _split,
    "Sqrt": _plain("sqrt"),
    "Squeeze": _to_own_shape,
    "Sub": _plain("subtract"),
    "Sum": _folded("add"),
    "Tanh": _plain("tanh"),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _to_own_shape,
    "Where": _where,
}
