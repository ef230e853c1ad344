"""What a .tflite file holds, for people."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from edgedense.converters.tflite.flatbuffer import Operator, Quantization, Tensor, write
from edgedense.device.engines.contents import OperatorCount, TensorInfo, contents
from edgedense.errors import DeviceError, EdgedenseError

ONE = Quantization(np.array([0.5], np.float32), 3)


def model(metadata: bytes = b"") -> bytes:
    """QUANTIZE, two RELU in int8, DEQUANTIZE; and per-channel weights that nothing reads."""
    tensors = [
        Tensor("image", (1, 4), "float32"),
        Tensor("a", (1, 4), "int8", ONE),
        Tensor("b", (1, 4), "int8", ONE),
        Tensor("c", (1, 4), "int8", ONE),
        Tensor("scores", (1, 4), "float32"),
        Tensor("weights", (2, 8), "int8", Quantization(np.array([1, 2], np.float32)), np.arange(16).reshape(2, 8)),
    ]
    operators = [
        Operator("QUANTIZE", 1, ("image",), ("a",)),
        Operator("RELU", 2, ("a",), ("b",)),
        Operator("RELU", 2, ("b",), ("c",)),
        Operator("DEQUANTIZE", 2, ("c",), ("scores",)),
    ]
    return write(tensors, operators, ("image", "a", "weights"), ("scores",), metadata)


def test_operators_are_counted_by_version_and_arithmetic() -> None:
    assert contents(model()).operators == (
        OperatorCount("RELU", 2, "int8", 2),
        OperatorCount("DEQUANTIZE", 2, "int8 -> float32", 1),
        OperatorCount("QUANTIZE", 1, "float32 -> int8", 1),
    )


def test_ends() -> None:
    found = contents(model())
    assert found.inputs == (
        TensorInfo("image", (1, 4), "float32", None, None),
        TensorInfo("a", (1, 4), "int8", 0.5, 3),
        TensorInfo("weights", (2, 8), "int8", None, None),  # a scale for each channel is none for the tensor
    )
    assert found.outputs == (TensorInfo("scores", (1, 4), "float32", None, None),)


def test_sizes_and_metadata() -> None:
    found = contents(model())
    assert (found.tensors, found.weight_bytes, found.has_metadata) == (6, 16, False)
    assert contents(model(b"M")).has_metadata


def test_what_another_writer_makes(colour_model: Callable[..., bytes]) -> None:
    """Without quantization tables, and with options that ours does not use."""
    found = contents(colour_model())
    assert sorted(operator.code for operator in found.operators) == ["CAST", "FULLY_CONNECTED", "MEAN", "SOFTMAX"]
    assert found.inputs[0].dtype == "uint8"
    assert found.inputs[0].scale is None


def test_an_archive_behind_it_does_not_matter() -> None:
    assert contents(model() + b"PK\x03\x04 and so on").operators == contents(model()).operators


def test_a_damaged_file_is_refused() -> None:
    """Wherever it was cut or overwritten: the parser gives up, or there was nothing to see there."""
    data, refused = model(), 0
    random = np.random.default_rng(0)
    damaged = [data[:size] for size in range(0, len(data), 13)]
    for _ in range(300):
        broken = bytearray(data)
        for position in random.integers(8, len(data), 5):
            broken[position] = int(random.integers(0, 256))
        damaged.append(bytes(broken))
    for candidate in damaged:
        try:
            contents(candidate)
        except EdgedenseError:
            refused += 1
    assert refused > 50
    with pytest.raises(EdgedenseError, match=r"whole \.tflite"):
        contents(data[:100])


def test_without_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    data = model()
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(DeviceError, match=r"edgedense\[device\]"):
        contents(data)
