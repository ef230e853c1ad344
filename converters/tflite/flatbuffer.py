"""Tensors and operators -> the bytes of a .tflite file.

Written with the schema's own builder functions rather than by TFLiteConverter: only so the quantization of every tensor
is ours, identical vectors are stored once, names are stable and the same network gives the same bytes.
The format: tensorflow/lite/schema/schema.fbs (version 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np

TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int8": 9}  # TensorType in the schema
ALIGNMENT = 16  # Buffer.data is force_align: 16 in the schema; kernels read it in place


@dataclass(frozen=True)
class Quantization:
    """real = scale * (q - zero_point). One scale per tensor, or one per index along `axis`."""

    scale: np.ndarray
    zero_point: int = 0
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file; `data` (of its dtype and shape) makes it a constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: np.ndarray | None = None


@dataclass(frozen=True)
class Operator:
    """A builtin operator by its schema name; inputs and outputs are tensor names; options by their schema names.

    The name "" stands for an input that is left out.
    """

    code: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options_type: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def write(
    tensors: Sequence[Tensor],
    operators: Sequence[Operator],
    inputs: Sequence[str],
    outputs: Sequence[str],
    metadata: bytes = b"",
) -> bytes:
    """The file's bytes; `metadata` is a TFLite Model Metadata buffer. KeyError: an operator names an unknown tensor."""
    return _Writer(tensors).write(operators, inputs, outputs, metadata)


class _Writer:
    """Keeps the builder and the offsets of what is already written, so that equal content is written once."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.builder = flatbuffers.Builder(1 << 20)
        self.tensors = tensors
        self.index = {"": -1, **{tensor.name: i for i, tensor in enumerate(tensors)}}  # -1: left out
        self.shared: dict[tuple[str, bytes], int] = {}
        self.buffers: list[bytes] = [b""]  # buffer 0 is empty by convention: activations name it
        self.buffer_index: dict[bytes, int] = {b"": 0}

    def once(self, kind: str, key: bytes, make: Callable[[], int]) -> int:
        if (kind, key) not in self.shared:
            self.shared[kind, key] = make()
        return self.shared[kind, key]

    def vector(self, values: Any, dtype: str) -> int:
        array = np.ascontiguousarray(values, dtype)
        return self.once(dtype, array.tobytes(), lambda: self.builder.CreateNumpyVector(array))

    def offsets(self, values: Sequence[int]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependUOffsetTRelative(value)
        return self.builder.EndVector()

    def table(self, kind: str, **fields: Any) -> int:
        """A schema table from fields that are scalars or finished offsets, in the order given."""
        getattr(self.schema, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            if value is not None:
                getattr(self.schema, f"{kind}Add{name}")(self.builder, value)
        return getattr(self.schema, f"{kind}End")(self.builder)

    def quantization(self, q: Quantization | None) -> int | None:
        if q is None:
            return None
        scale = np.atleast_1d(q.scale).astype(np.float32)
        key = scale.tobytes() + f"|{q.zero_point}|{q.axis}".encode()
        scale_offset = self.vector(scale, "float32")
        zero_offset = self.vector(np.full(scale.size, q.zero_point), "int64")
        return self.once(
            "quantization",
            key,
            lambda: self.table(
                "QuantizationParameters",
                Scale=scale_offset,
                ZeroPoint=zero_offset,
                QuantizedDimension=q.axis if scale.size > 1 else None,
            ),
        )

    def buffer_of(self, tensor: Tensor) -> int:
        data = b"" if tensor.data is None else np.ascontiguousarray(tensor.data, tensor.dtype).tobytes()
        if data not in self.buffer_index:
            self.buffer_index[data] = len(self.buffers)
            self.buffers.append(data)
        return self.buffer_index[data]

    def tensor(self, tensor: Tensor) -> int:
        name = self.builder.CreateString(tensor.name)
        shape = self.vector(tensor.shape, "int32")
        quantization = self.quantization(tensor.quantization)
        return self.table(
            "Tensor",
            Shape=shape,
            Type=TYPES[tensor.dtype],
            Buffer=self.buffer_of(tensor),
            Name=name,
            Quantization=quantization,
            HasRank=True,
        )

    def options(self, operator: Operator) -> int | None:
        if not operator.options_type:
            return None
        key = f"{operator.options_type}{sorted(operator.options.items())}".encode()

        def make() -> int:
            table = getattr(self.schema, f"{operator.options_type}T")()
            for name, value in operator.options.items():
                assert hasattr(table, name), f"{operator.options_type} has no {name}"
                setattr(table, name, value)
            return table.Pack(self.builder)

        return self.once("options", key, make)

    def operator(self, operator: Operator, codes: list[tuple[str, int]]) -> int:
        inputs = self.vector([self.index[name] for name in operator.inputs], "int32")
        outputs = self.vector([self.index[name] for name in operator.outputs], "int32")
        options = self.options(operator)
        kind = getattr(self.schema.BuiltinOptions, operator.options_type) if operator.options_type else None
        return self.table(
            "Operator",
            OpcodeIndex=codes.index((operator.code, operator.version)),
            Inputs=inputs,
            Outputs=outputs,
            BuiltinOptionsType=kind,
            BuiltinOptions=options,
        )

    def operator_code(self, code: str, version: int) -> int:
        number = getattr(self.schema.BuiltinOperator, code)
        # The old one-byte field serves runtimes from before 2020; 127 is its "see the other field".
        return self.table("OperatorCode", DeprecatedBuiltinCode=min(number, 127), Version=version, BuiltinCode=number)

    def buffer(self, data: bytes) -> int:
        if not data:
            return self.table("Buffer")
        builder = self.builder
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head = builder.head - len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        return self.table("Buffer", Data=builder.EndVector())

    def metadata(self, data: bytes) -> int:
        self.buffers.append(data)
        name = self.builder.CreateString("TFLITE_METADATA")
        return self.offsets([self.table("Metadata", Name=name, Buffer=len(self.buffers) - 1)])

    def write(
        self, operators: Sequence[Operator], inputs: Sequence[str], outputs: Sequence[str], metadata: bytes
    ) -> bytes:
        codes = list(dict.fromkeys((op.code, op.version) for op in operators))
        tensors = [self.tensor(tensor) for tensor in self.tensors]
        ops = [self.operator(op, codes) for op in operators]
        tensor_vector, op_vector = self.offsets(tensors), self.offsets(ops)
        input_vector = self.vector([self.index[name] for name in inputs], "int32")
        output_vector = self.vector([self.index[name] for name in outputs], "int32")
        name = self.builder.CreateString("main")
        graph = self.table(
            "SubGraph",
            Tensors=tensor_vector,
            Inputs=input_vector,
            Outputs=output_vector,
            Operators=op_vector,
            Name=name,
        )
        graphs = self.offsets([graph])
        code_vector = self.offsets([self.operator_code(*code) for code in codes])
        description = self.builder.CreateString("edgedense")
        entries = self.metadata(metadata) if metadata else None
        buffers = self.offsets([self.buffer(data) for data in self.buffers])
        model = self.table(
            "Model",
            Version=3,
            OperatorCodes=code_vector,
            Subgraphs=graphs,
            Description=description,
            Buffers=buffers,
            Metadata=entries,
        )
        self.builder.Finish(model, file_identifier=b"TFL3")
        return bytes(self.builder.Output())
