"""What a .tflite file holds: its operators with versions, its inputs and outputs with quantization."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedense.deployed import bundle
from edgedense.deployed.bundle import Bundle
from edgedense.deployed.schema import parsed

SHOWN_SCALES = 1  # a per-channel quantization is told by its number of scales


@dataclass(frozen=True)
class OperatorCount:
    """How often an operator occurs in one version and arithmetic ("int8", "float32", "uint8 -> int8")."""

    code: str
    version: int
    arithmetic: str
    count: int


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: shape with the batch, and scale and zero point where it is quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class Contents:
    """The file's network in short. `weight_bytes` is what its constants take up."""

    operators: tuple[OperatorCount, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    tensors: int
    weight_bytes: int
    has_metadata: bool


@dataclass(frozen=True)
class DeployedFile:
    """A .tflite file: its name, its network in short, and its labels and recipe."""

    name: str
    contents: Contents
    bundle: Bundle


def read(path: Path | str) -> DeployedFile:
    """The file at `path`. Raises EdgedenseError when it cannot be read, and as `contents` does."""
    content = bundle.read(path)
    return DeployedFile(Path(path).name, contents(content.model), content)


def contents(model: bytes) -> Contents:
    """Read the flatbuffer `model`. Raises EdgedenseError when it is damaged, DeviceError without ai-edge-litert."""
    return parsed(model, _contents)


def _contents(schema: Any, model: Any) -> Contents:
    graph = model.subgraphs[0]
    return Contents(
        _operators(schema, model, graph),
        tuple(_tensor(schema, graph.tensors[i]) for i in graph.inputs),
        tuple(_tensor(schema, graph.tensors[i]) for i in graph.outputs),
        len(graph.tensors),
        sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None),
        any(entry.name == b"TFLITE_METADATA" for entry in model.metadata or []),
    )


def _operators(schema: Any, model: Any, graph: Any) -> tuple[OperatorCount, ...]:
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    found: Counter[tuple[str, int, str]] = Counter()
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        before = _dtype(schema, graph.tensors[operator.inputs[0]])
        after = _dtype(schema, graph.tensors[operator.outputs[0]])
        arithmetic = after if before == after else f"{before} -> {after}"
        found[names.get(number, str(number)), code.version, arithmetic] += 1
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return tuple(OperatorCount(*key, count) for key, count in ordered)


def _dtype(schema: Any, tensor: Any) -> str:
    names = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    return names.get(tensor.type, str(tensor.type))


def _tensor(schema: Any, tensor: Any) -> TensorInfo:
    quantization = tensor.quantization
    scale = zero_point = None
    if quantization is not None and quantization.scale is not None and len(quantization.scale) == SHOWN_SCALES:
        scale, zero_point = float(quantization.scale[0]), int(quantization.zeroPoint[0])
    shape = tuple(int(n) for n in tensor.shape)
    return TensorInfo(tensor.name.decode(), shape, _dtype(schema, tensor), scale, zero_point)
