"""A tiny deployed file that tells red, green and blue cards apart, written without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl

from edgedense import bundle
from edgedense.preprocessing import Preprocessing

COLOURS = ("red", "green", "blue")
HEIGHT, WIDTH = 48, 64
RECIPE = {"edgedense": "0.1.0", "preprocessing": Preprocessing(HEIGHT, WIDTH, "none").to_dict()}


def make_colour_model(input_type: int = tfl.TensorType.UINT8, outputs: int = 3, version: int = 1) -> bytes:
    """CAST, MEAN over the picture, FULLY_CONNECTED of the channels to the classes, SOFTMAX or LOGISTIC.

    The weight 0.05 turns a difference of 100 levels into one of 5 in the logits. With one output the class is
    "more blue than red".
    """
    weights = 0.05 * np.eye(3, dtype=np.float32) if outputs == 3 else np.float32([[-0.05, 0, 0.05]])
    values = [np.int32([1, 2]), weights, np.zeros(outputs, np.float32)]
    image = [1, HEIGHT, WIDTH, 3]
    shapes = [image, image, [2], [1, 3], [outputs, 3], [outputs], [1, outputs], [1, outputs]]
    kinds = [input_type, tfl.TensorType.FLOAT32, tfl.TensorType.INT32, *[tfl.TensorType.FLOAT32] * 5]
    buffers = [0, 0, 1, 0, 2, 3, 0, 0]
    softmax = tfl.SoftmaxOptionsT()
    softmax.beta = 1.0
    op, kind = tfl.BuiltinOperator, tfl.BuiltinOptions
    steps = [
        (op.CAST, kind.CastOptions, tfl.CastOptionsT(), [0], [1]),
        (op.MEAN, kind.ReducerOptions, tfl.ReducerOptionsT(), [1, 2], [3]),
        (op.FULLY_CONNECTED, kind.FullyConnectedOptions, tfl.FullyConnectedOptionsT(), [3, 4, 5], [6]),
        (op.SOFTMAX, kind.SoftmaxOptions, softmax, [6], [7]) if outputs > 1
        else (op.LOGISTIC, kind.NONE, None, [6], [7]),
    ]
    model = tfl.ModelT()
    model.version = 3
    model.buffers = [tfl.BufferT() for _ in range(4)]
    for buffer, value in zip(model.buffers[1:], values, strict=True):
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    graph = tfl.SubGraphT()
    graph.tensors = [_tensor(*fields) for fields in zip(shapes, kinds, buffers, strict=True)]
    graph.inputs, graph.outputs = [0], [7]
    graph.operators, model.operatorCodes = [], []
    for index, (builtin, options_type, options, inputs, results) in enumerate(steps):
        code = tfl.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = version
        model.operatorCodes.append(code)
        operator = tfl.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = index, inputs, results
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        graph.operators.append(operator)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(shape: list[int], kind: int, buffer: int) -> Any:
    tensor = tfl.TensorT()
    tensor.shape, tensor.type, tensor.buffer, tensor.name = shape, kind, buffer, f"t{buffer}"
    return tensor


@pytest.fixture(scope="session")
def colour_model() -> Callable[..., bytes]:
    """`make_colour_model`, for tests that want other models than the deployed one."""
    return make_colour_model


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deployed file."""
    path = tmp_path_factory.mktemp("model") / "colours.tflite"
    path.write_bytes(bundle.pack(make_colour_model(), labels=COLOURS, recipe=RECIPE))
    return path
