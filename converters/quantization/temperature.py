"""A temperature in the last layer: logits come out divided by it, and nothing else in the network changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.network.graph import Activation, Dense, DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.quantization.quantize import Quantized
from edgedense.converters.tflite.flatbuffer import Tensor
from edgedense.errors import EdgedenseError


def check(network: DenseNet) -> None:
    """Raise EdgedenseError for a head that does not end in a Dense and its activation."""
    head = network.head
    if head.float_head is not None or len(head.steps) < 2 or not isinstance(head.steps[-2], Dense):
        found = f"one that stays float32: {head.float_head.reason}" if head.float_head else "another kind of layer"
        raise EdgedenseError(
            "a head that ends in a Dense layer with softmax or sigmoid for --calibrate-confidence",
            found,
            "leave it out, or divide the logits in the model itself",
        )


def in_network(network: DenseNet, temperature: float) -> DenseNet:
    """The float network with its logits divided."""
    check(network)
    *first, dense, last = network.head.steps
    assert isinstance(dense, Dense)
    assert isinstance(last, Activation)
    divided = Dense(dense.kernel / temperature, dense.bias / temperature)
    return replace(network, head=replace(network.head, steps=(*first, divided, last)))


def logits_name(network: DenseNet) -> str:
    """The tensor of the logits, in the program and in the deployed file."""
    return lower(network).ops[-1].inputs[0]


def with_logits(quantized: Quantized, logits: str) -> Quantized:
    """The same network without what stands behind the tensor `logits`, which becomes its output."""
    last = next(i for i, operator in enumerate(quantized.operators) if logits in operator.outputs)
    operators = quantized.operators[: last + 1]
    used = {name for operator in operators for name in (*operator.inputs, *operator.outputs)}
    tensors = tuple(tensor for tensor in quantized.tensors if tensor.name in used)
    return replace(quantized, tensors=tensors, operators=operators, output=logits, features=None)


def with_temperature(quantized: Quantized, logits: str, temperature: float) -> Quantized:
    """The same network with the tensor `logits` divided by `temperature`.

    Of a float32 Dense kernel and bias are divided. Of one in int8 the scales are: those of kernel, bias and logits, by
    the same number, so that all its integers stay as they are and mean another number.
    """
    operator = next(operator for operator in quantized.operators if logits in operator.outputs)
    assert operator.code == "FULLY_CONNECTED", operator.code
    _, kernel, bias = operator.inputs

    def divided(tensor: Tensor) -> Tensor:
        if tensor.quantization is not None:
            scale = (tensor.quantization.scale / temperature).astype(np.float32)
            return replace(tensor, quantization=replace(tensor.quantization, scale=scale))
        return tensor if tensor.data is None else replace(tensor, data=tensor.data / temperature)

    names = {kernel, bias, logits}
    return replace(quantized, tensors=tuple(divided(t) if t.name in names else t for t in quantized.tensors))
