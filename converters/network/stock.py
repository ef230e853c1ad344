"""A head that stays float as TensorFlow Lite operators, made by TensorFlow's own converter.

Only what it makes of float32 with builtin operators is taken: such a file runs wherever TensorFlow Lite runs. The
converter's names carry counters and places in source files; here every tensor is named by its operator and its number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from edgedense.converters.network import float_head
from edgedense.converters.network.graph import FloatHead
from edgedense.converters.network.quiet import silent, unwarned
from edgedense.converters.tflite.flatbuffer import TYPES, Operator, Tensor
from edgedense.errors import EdgedenseError

FEATURES, LOGITS = "features", "logits"  # the names of the first and the last tensor


@dataclass(frozen=True)
class Part:
    """Tensors and operators from the tensor FEATURES [1, H, W, C] to the tensor LOGITS [1, outputs]."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]

    @property
    def content(self) -> bytes:
        """All of it, to tell one head from another."""
        told = repr([(t.name, t.shape, t.dtype) for t in self.tensors] + list(self.operators))
        return told.encode() + b"".join(t.data.tobytes() for t in self.tensors if t.data is not None)

    @property
    def weight_bytes(self) -> int:
        """What its constants take up in the file."""
        return sum(tensor.data.nbytes for tensor in self.tensors if tensor.data is not None)

    @property
    def parameters(self) -> int:
        """How many numbers its float constants are."""
        return sum(tensor.data.size for tensor in self.tensors if tensor.data is not None and tensor.dtype == "float32")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and matrix products, for one picture."""
        shapes = {tensor.name: tensor.shape for tensor in self.tensors}
        return sum(_macs(operator, shapes) for operator in self.operators)

    @property
    def counts(self) -> dict[str, int]:
        """How often each operator occurs."""
        return dict(sorted(Counter(operator.code for operator in self.operators).items()))


@lru_cache(maxsize=8)
def converted(head: FloatHead) -> Part:
    """The operators of `head`, the same for the same head.

    EdgedenseError, naming them, when it needs operators that are not built into TensorFlow Lite.
    """
    return parsed(_convert(head))


def _convert(head: FloatHead) -> bytes:
    import tensorflow as tf

    try:
        with silent(), unwarned():
            converter = tf.lite.TFLiteConverter.from_concrete_functions([float_head.fixed(head)])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            return converter.convert()
    except Exception as error:  # ConverterError is private to TensorFlow; others come from its passes
        raise _refused(head, str(error)) from error


def _refused(head: FloatHead, message: str) -> EdgedenseError:
    """The converter's complaint with the operators by name, and the layers that need them."""
    lists = re.findall(r"^(?:TF Select ops|Custom ops|Flex ops): (.+)$", message, re.MULTILINE)
    kinds = sorted({kind.strip() for found in lists for kind in found.split(",")})
    expected = "a head of operators that are built into TensorFlow Lite"
    hint = "rebuild the head of other layers and load its weights, or train it anew"
    if not kinds:
        lines = [line.strip() for line in message.splitlines() if line.strip()] or ["no reason given"]
        return EdgedenseError(expected, f"a head that TensorFlow's converter cannot convert: {lines[0][:300]}", hint)
    places = sorted({place for kind in kinds for place in _places(head, kind)})
    where = f", in {' and '.join(places)}" if places else ""
    return EdgedenseError(expected, f"the TensorFlow operators {', '.join(kinds)}{where}", hint)


def _places(head: FloatHead, kind: str) -> Iterator[str]:
    """The layers of `head` in whose part of the graph an operator of this kind stands."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(head.graph)
    for node in definition.node:
        if node.op == kind:
            yield from (layer for layer in head.layers if node.name.startswith(f"{layer.split(' (')[0]}/"))


def parsed(model: bytes) -> Part:
    """The one graph of a float .tflite file with one input and one output.

    EdgedenseError, naming it, for what a part of another file cannot have: state, further graphs, custom operators.
    """
    from ai_edge_litert import schema_py_generated as schema

    read = schema.ModelT.InitFromPackedBuf(model, 0)
    if len(read.subgraphs) > 1:
        raise _unsupported("loops or branches (operators WHILE, IF or CALL_ONCE)")
    graph = read.subgraphs[0]
    names = _names(schema, read, graph)
    tensors = tuple(_tensor(schema, read, tensor, name) for tensor, name in zip(graph.tensors, names, strict=True))
    operators = tuple(_operator(schema, read, operator, names) for operator in graph.operators)
    return Part(tensors, operators)


def _unsupported(what: str) -> EdgedenseError:
    return EdgedenseError(
        "a head of plain operators that are built into TensorFlow Lite",
        what,
        "rebuild the head of other layers and load its weights, or train it anew",
    )


def _names(schema: Any, model: Any, graph: Any) -> list[str]:
    """A name for each tensor, by the number and the kind of the operator that makes it; constants are counted."""
    names = {int(graph.inputs[0]): FEATURES}
    for number, operator in enumerate(graph.operators, start=1):
        code = _code(schema, model, operator)[0].lower()
        for place, index in enumerate(operator.outputs):
            names[int(index)] = f"{number}_{code}" if len(operator.outputs) == 1 else f"{number}_{code}_{place}"
    names[int(graph.outputs[0])] = LOGITS
    constants = (index for index in range(len(graph.tensors)) if index not in names)
    names.update({index: f"constant{number}" for number, index in enumerate(constants, start=1)})
    return [names[index] for index in range(len(graph.tensors))]


def _code(schema: Any, model: Any, operator: Any) -> tuple[str, int]:
    """The builtin operator's name and version."""
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    if kinds.get(number, "CUSTOM") == "CUSTOM":
        raise _unsupported(f"the custom operator {(code.customCode or b'?').decode()}")
    return kinds[number], int(code.version)


def _tensor(schema: Any, model: Any, tensor: Any, name: str) -> Tensor:
    kinds = {value: kind.lower() for kind, value in vars(schema.TensorType).items() if isinstance(value, int)}
    dtype = kinds[tensor.type]
    if dtype not in TYPES:
        raise _unsupported(f"a tensor of the type {dtype}")
    if tensor.isVariable:
        raise _unsupported("a layer with a state of its own")
    shape = () if tensor.shape is None else tuple(int(size) for size in tensor.shape)
    content = model.buffers[tensor.buffer].data
    if content is None or not len(content):
        return Tensor(name, shape, dtype)
    return Tensor(name, shape, dtype, data=np.frombuffer(bytes(content), dtype).reshape(shape))


def _operator(schema: Any, model: Any, operator: Any, names: list[str]) -> Operator:
    code, version = _code(schema, model, operator)
    if getattr(operator, "builtinOptions2Type", 0):
        raise _unsupported(f"the operator {code}")
    kinds = {value: name for name, value in vars(schema.BuiltinOptions).items() if isinstance(value, int)}
    options = operator.builtinOptions
    plain = (
        {}
        if options is None
        else {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(options).items()}
    )
    inputs = tuple("" if index < 0 else names[index] for index in operator.inputs)  # -1: an input that is left out
    outputs = tuple(names[index] for index in operator.outputs)
    kind = "" if options is None else kinds[operator.builtinOptionsType]
    return Operator(code, version, inputs, outputs, kind, plain)


def _macs(operator: Operator, shapes: dict[str, tuple[int, ...]]) -> int:
    """Output positions times kernel size of a convolution, outputs times summands of a matrix product."""
    inputs, outputs = ([shapes.get(name, ()) for name in names] for names in (operator.inputs, operator.outputs))
    count = int(np.prod(outputs[0]))
    if operator.code == "CONV_2D":  # kernel [out, height, width, in]
        return count * int(np.prod(inputs[1][1:]))
    if operator.code == "DEPTHWISE_CONV_2D":  # kernel [1, height, width, channels]
        return count * int(np.prod(inputs[1][1:3]))
    if operator.code == "TRANSPOSE_CONV":  # inputs: shape, kernel [out, height, width, in], map
        return int(np.prod(inputs[2][:3])) * int(np.prod(inputs[1]))
    if operator.code == "FULLY_CONNECTED":  # kernel [out, in]
        return count * inputs[1][-1]
    if operator.code == "BATCH_MATMUL":
        return count * inputs[0][-2 if operator.options.get("adjX") else -1]
    return 0
