"""Small .tflite files, and operators without a file."""

from __future__ import annotations

import numpy as np

from edgedense.boards.operators import Operator, Tensor
from edgedense.converters.tflite import flatbuffer
from edgedense.converters.tflite.flatbuffer import Quantization

ONE = Quantization(np.array([0.05], np.float32))


def tensor(number: int, shape: tuple[int, ...], dtype: str = "int8", is_constant: bool = False) -> Tensor:
    return Tensor(number, shape, dtype, is_constant)


def convolution(height: int, channels: int, outputs: int, kernel: int = 1, dtype: str = "int8") -> Operator:
    """Of a square map, with a stride of 1 and its size kept."""
    source, output = tensor(0, (1, height, height, channels), dtype), tensor(3, (1, height, height, outputs), dtype)
    weights = tensor(1, (outputs, kernel, kernel, channels), dtype, True)
    return Operator("CONV_2D", (source, weights, tensor(2, (outputs,), "int32", True)), (output,), (kernel, kernel))


def convolution_file(height: int = 8, channels: int = 16, outputs: int = 32, code: str = "CONV_2D") -> bytes:
    """A 1x1 convolution, or what is called by another name."""
    shape = (outputs, 1, 1, channels)
    tensors = [
        flatbuffer.Tensor("in", (1, height, height, channels), "int8", ONE),
        flatbuffer.Tensor("kernel", shape, "int8", ONE, np.zeros(shape)),
        flatbuffer.Tensor("bias", (outputs,), "int32", ONE, np.zeros(outputs)),
        flatbuffer.Tensor("out", (1, height, height, outputs), "int8", ONE),
    ]
    options = {"padding": 1, "strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    operator = flatbuffer.Operator(code, 3, ("in", "kernel", "bias"), ("out",), "Conv2DOptions", options)
    return flatbuffer.write(tensors, [operator], ["in"], ["out"])
