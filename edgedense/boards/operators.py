"""The operators of a .tflite file, with the shapes that they work on."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from edgedense.deployed.schema import parsed

_BYTES = {"FLOAT32": 4, "INT32": 4, "INT64": 8, "FLOAT16": 2, "INT16": 2}


@dataclass(frozen=True)
class Tensor:
    """`number` is its index in the file; `dtype` as the schema calls it, in small letters."""

    number: int
    shape: tuple[int, ...]
    dtype: str
    is_constant: bool

    @property
    def size(self) -> int:
        """Values."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes that its values take up."""
        return self.size * _BYTES.get(self.dtype.upper(), 1)


@dataclass(frozen=True)
class Operator:
    """An operator by the name in the schema; an input that is left out is None. `kernel` is (height, width) of a
    convolution's or a pooling's window, (1, 1) of all others; `stride` is the vertical one. `axis` is that of a
    concatenation, counted from the front."""

    code: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    axis: int = 0

    @property
    def source(self) -> Tensor:
        """The first input that is computed, not stored."""
        given = [tensor for tensor in self.inputs if tensor is not None]
        return next((tensor for tensor in given if not tensor.is_constant), given[0])

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    @property
    def arithmetic(self) -> str:
        """The type that it works in, "int8", or both types of one that changes it, "uint8 to int8"."""
        before, after = self.source.dtype, self.output.dtype
        return after if before == after else f"{before} to {after}"


def read(model: bytes) -> tuple[Operator, ...]:
    """The operators in the order in which they run.

    Raises EdgedenseError where `model` is no whole flatbuffer, DeviceError without ai-edge-litert.
    """
    return parsed(model, _operators)


def _operators(schema: Any, model: Any) -> tuple[Operator, ...]:
    codes = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    types = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    graph = model.subgraphs[0]
    tensors = [
        Tensor(
            number,
            tuple(int(n) for n in tensor.shape) if tensor.shape is not None else (),
            types.get(tensor.type, str(tensor.type)),
            model.buffers[tensor.buffer].data is not None,
        )
        for number, tensor in enumerate(graph.tensors)
    ]
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = codes[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = tuple(None if i < 0 else tensors[i] for i in operator.inputs)
        outputs = tuple(tensors[i] for i in operator.outputs)
        options = operator.builtinOptions
        kernel, stride, axis = (1, 1), 1, 0
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weights = inputs[1]
            assert weights is not None
            kernel = weights.shape[1], weights.shape[2]
        elif name in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            kernel = int(options.filterHeight), int(options.filterWidth)
        if hasattr(options, "strideH"):
            stride = int(options.strideH)
        if name == "CONCATENATION":
            axis = int(options.axis) % len(outputs[0].shape)
        found.append(Operator(name, inputs, outputs, kernel, stride, axis))
    return tuple(found)
