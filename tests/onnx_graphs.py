"""Small ONNX graphs for tests: written operator by operator, or made of the Keras models of `tests.models`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgedense.converters.readers.keras.layers import flatten
from edgedense.converters.readers.structure.layers import Layer

OPSET = 17


class Graph:
    """Nodes and weights, one after the other. Names say nothing, as in files that were stripped of them."""

    def __init__(self, seed: int = 0, opset: int = OPSET) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.random, self.opset = np.random.default_rng(seed), opset

    def op(self, kind: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Appends an operator; inputs that are no names are constants. The name of its output, or of all of them."""
        from onnx import helper

        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        made = [f"v{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, made, **attributes))
        return made[0] if outputs == 1 else made

    def constant(self, value: Any) -> str:
        from onnx import numpy_helper

        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.weights.append(numpy_helper.from_array(array, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def normal(self, *shape: int) -> np.ndarray:
        """Weights that keep the signal's size."""
        return self.random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)

    def model(
        self, outputs: Sequence[str], shape: Sequence[int | str | None], opset: int = OPSET, kind: int = 1
    ) -> Any:
        """The model from the input "image" to `outputs`; `kind` is the number of the picture's type, 1 for float32."""
        from onnx import helper

        image = helper.make_tensor_value_info("image", kind, shape)
        results = [helper.make_tensor_value_info(name, 1, ["rows", "scores"]) for name in outputs]
        made = helper.make_graph(self.nodes, "graph", [image], results, self.weights)
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


Part = Callable[[Graph, str], str]


def of_keras(
    model: Any,
    head: Part = lambda graph, x: x,
    before: Part = lambda graph, x: x,
    folded: bool = False,
    opset: int = OPSET,
    shape: Sequence[int | str | None] | None = None,
    kind: int = 1,
) -> Any:
    """A Keras model of `tests.models` as PyTorch's exporters write it, channels first. `head` goes on with its output,
    `before` comes before it. `folded`: convolutions contain the norms behind them.
    """
    graph, values = Graph(opset=opset), dict[int, str]()
    layers = flatten(model)
    skipped = set()
    for layer in layers:
        inputs = [values[i] for i in layer.inputs]
        if layer.kind == "InputLayer":
            values[layer.index] = before(graph, "image")
        elif layer.index in skipped:
            values[layer.index] = inputs[0]
        else:
            norm = _norm_behind(layers, layer) if folded else None
            skipped |= {norm.index} if norm else set()
            values[layer.index] = _written(graph, layer, norm, inputs)
    height, width, channels = layers[0].shape[1:]
    given = shape or ("batch", channels, height, width)
    return graph.model([head(graph, values[layers[-1].index])], given, opset, kind)


def _norm_behind(layers: Sequence[Layer], layer: Layer) -> Layer | None:
    readers = [other for other in layers if layer.index in other.inputs]
    fits = layer.kind == "Conv2D" and len(readers) == 1 and readers[0].kind == "BatchNormalization"
    return readers[0] if fits else None


def _written(graph: Graph, layer: Layer, norm: Layer | None, inputs: list[str]) -> str:
    """One layer as operators."""
    options, weights = layer.options, layer.weights
    if layer.kind == "Conv2D":
        kernel, bias = weights[0].transpose(3, 2, 0, 1), np.zeros(weights[0].shape[3], np.float32)
        bias = weights[1] if options["use_bias"] else bias
        if norm is not None:
            gamma, beta, mean, variance = norm.weights
            factor = gamma / np.sqrt(variance + norm.options["epsilon"])
            kernel, bias = kernel * factor[:, None, None, None], beta + (bias - mean) * factor
        border = kernel.shape[2] // 2 if options["padding"] == "same" else 0
        needed = [bias] if norm is not None or options["use_bias"] else []
        return graph.op("Conv", *inputs, kernel, *needed, strides=options["strides"], pads=[border] * 4)
    if layer.kind == "BatchNormalization":
        # Before version 14 ONNX' own implementation computes it as in training, unless the momentum is 1.
        old = {"momentum": 1.0} if graph.opset < 14 else {}
        return graph.op("BatchNormalization", *inputs, *weights, epsilon=options["epsilon"], **old)
    if layer.kind == "ZeroPadding2D":
        (top, bottom), (left, right) = options["padding"]
        border = [0, 0, top, left, 0, 0, bottom, right]
        return graph.op("Pad", *inputs, np.array(border)) if graph.opset > 10 else graph.op("Pad", *inputs, pads=border)
    if layer.kind == "MaxPooling2D":
        return graph.op("MaxPool", *inputs, kernel_shape=options["pool_size"], strides=options["strides"])
    if layer.kind == "AveragePooling2D":
        return graph.op("AveragePool", *inputs, kernel_shape=options["pool_size"], strides=options["strides"])
    if layer.kind == "GlobalAveragePooling2D":
        return graph.op("Flatten", graph.op("GlobalAveragePool", *inputs))
    if layer.kind == "Dense":
        x = graph.op("Gemm", *inputs, weights[0].T, weights[1], transB=1)
        return graph.op("Softmax", x, axis=1) if options["activation"] == "softmax" else x
    return graph.op({"Concatenate": "Concat", "Activation": "Relu"}[layer.kind], *inputs, **_axis(layer))


def _axis(layer: Layer) -> dict[str, int]:
    return {"axis": 1} if layer.kind == "Concatenate" else {}


def computed(model: Any, images: np.ndarray) -> np.ndarray:
    """What ONNX' reference implementation computes of images [B, ...] in the model's own layout."""
    from onnx.reference import ReferenceEvaluator

    with np.errstate(all="ignore"):
        return ReferenceEvaluator(model).run(None, {model.graph.input[0].name: images})[0]
