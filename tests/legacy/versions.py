"""The operator versions that tflite-runtime 2.14, its last release, can run. `make test-legacy` measures them again."""

from __future__ import annotations

from typing import Any

NEWEST = {
    "ADD": 5,
    "AVERAGE_POOL_2D": 3,
    "BATCH_MATMUL": 4,
    "CONCATENATION": 4,
    "CONV_2D": 7,
    "DEPTHWISE_CONV_2D": 7,
    "DEQUANTIZE": 5,
    "ELU": 1,
    "EXP": 2,
    "FULLY_CONNECTED": 10,
    "GATHER": 6,
    "GELU": 2,
    "HARD_SWISH": 1,
    "LEAKY_RELU": 2,
    "LOG": 1,
    "LOGISTIC": 3,
    "MAXIMUM": 4,
    "MAX_POOL_2D": 3,
    "MEAN": 3,
    "MINIMUM": 4,
    "MUL": 7,
    "NEG": 1,
    "PACK": 4,
    "PAD": 4,
    "PRELU": 1,
    "QUANTIZE": 3,
    "REDUCE_MAX": 3,
    "RELU": 3,
    "RELU6": 3,
    "RESHAPE": 1,
    "RSQRT": 2,
    "SELECT": 4,
    "SELECT_V2": 2,
    "SOFTMAX": 3,
    "SPACE_TO_DEPTH": 2,
    "SPLIT": 4,
    "SQRT": 1,
    "SQUARE": 1,
    "SQUARED_DIFFERENCE": 2,
    "STRIDED_SLICE": 8,
    "SUB": 5,
    "SUM": 2,
    "TANH": 3,
    "TRANSPOSE": 6,
    "TRANSPOSE_CONV": 4,
    "UNPACK": 4,
}


def too_new(model: bytes) -> list[str]:
    """The operators of a flatbuffer that tflite-runtime 2.14 does not know, as "NAME version"."""
    return [f"{name} {version}" for name, version in operators(model) if version > NEWEST.get(name, 0)]


def operators(model: bytes) -> list[tuple[str, int]]:
    """The kinds of operators in a flatbuffer: name and version."""
    from ai_edge_litert import schema_py_generated as schema

    names: dict[Any, str] = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    codes = schema.ModelT.InitFromPackedBuf(model, 0).operatorCodes
    return [(names[max(code.builtinCode, code.deprecatedBuiltinCode)], code.version) for code in codes]
