"""Runs a program in float with TensorFlow: once, eagerly, or many times, as a traced function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from edgedense.converters.network import float_head
from edgedense.converters.network.program import CONSTANT, IMAGE, Op, Program

Tap = Callable[[str, np.ndarray], None]


def evaluate(
    program: Program,
    pixels: np.ndarray,
    tap: Tap | None = None,
    taps: Iterable[str] = (),
    output: str | None = None,
    dtype: str = "float32",
) -> np.ndarray:
    """The value of `output` (by default the last tensor) for `pixels` [B, H, W, C], 0 to 255.

    `tap(name, value)` is called for each tensor named in `taps` as soon as it exists.
    """
    import tensorflow as tf

    output = output or program.ops[-1].output
    last_use = {name: index for index, op in enumerate(program.ops) for name in op.inputs}
    wanted = set(taps)
    values: dict[str, Any] = {IMAGE: tf.constant(pixels, dtype=dtype)}
    if tap is not None and IMAGE in wanted:
        tap(IMAGE, values[IMAGE].numpy())
    for index, op in enumerate(program.ops):
        values[op.output] = run_op(tf, op, values, dtype)
        if tap is not None and op.output in wanted:
            tap(op.output, values[op.output].numpy())
        if op.output == output:
            return values[output].numpy()
        for name in set(op.inputs):
            if last_use[name] == index and name != CONSTANT:
                del values[name]
    raise KeyError(output)


def traced(program: Program, names: Iterable[str], summary: Callable[[Any, Any], Any]) -> Callable[[np.ndarray], Any]:
    """A function from pixels [B, H, W, C] to {name: summary(tensorflow, tensor)} for the tensors in `names`.

    Tracing takes some seconds; after it TensorFlow fuses operators, which saves a third of the time.
    """
    import tensorflow as tf

    wanted = list(names)

    def run(pixels: Any) -> dict[str, Any]:
        values = forward(tf, program, pixels)
        return {name: summary(tf, values[name]) for name in wanted}

    signature = tf.TensorSpec((None, *program.shapes[IMAGE]), tf.float32)
    compiled = tf.function(run, input_signature=[signature], autograph=False)
    return lambda pixels: compiled(tf.constant(pixels, tf.float32))


def forward(
    tf: Any,
    program: Program,
    pixels: Any,
    watch: Callable[[str, Any], None] = lambda name, x: None,
    weights: Mapping[str, tuple[Any, Any]] | None = None,
) -> dict[str, Any]:
    """Every tensor of `program` by name, float32, for use in a traced function; `watch(name, x)` sees each in turn.

    `weights` are tensors that stand for the (kernel, bias) of the operators that they name.
    """
    values = {IMAGE: pixels}
    for op in program.ops:
        values[op.output] = run_op(tf, op, values, "float32", (weights or {}).get(op.output))
        watch(op.output, values[op.output])
    return values


def gradients(
    program: Program, pixels: np.ndarray, tensor: str, seeds: Callable[[np.ndarray], list[np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """(scores [B, classes], values of `tensor`, gradients in `tensor`) for `pixels` [B, H, W, C], 0 to 255.

    `seeds` takes the scores and returns weights [B, outputs] of the logits; of each such weighted sum of logits there
    is a gradient, of the shape of `tensor`.
    """
    import tensorflow as tf

    logits = logits_tensor(program)
    first = next(i for i, op in enumerate(program.ops) if op.output == tensor) + 1
    values: dict[str, Any] = {IMAGE: tf.constant(pixels, dtype="float32")}
    last_use = {name: index for index, op in enumerate(program.ops) for name in op.inputs}
    for index, op in enumerate(program.ops[:first]):
        values[op.output] = run_op(tf, op, values, "float32")
        values = {name: value for name, value in values.items() if last_use[name] > index}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values[tensor])
        for op in program.ops[first:]:
            values[op.output] = run_op(tf, op, values, "float32")
    scores = values[program.ops[-1].output].numpy()
    zero = tf.UnconnectedGradients.ZERO
    found = [
        tape.gradient(values[logits], values[tensor], tf.constant(seed, tf.float32), zero) for seed in seeds(scores)
    ]
    return scores, values[tensor].numpy(), [gradient.numpy() for gradient in found]


def logits_tensor(program: Program) -> str:
    """The tensor before the last softmax or sigmoid; softmax hides errors where it saturates."""
    last = program.ops[-1]
    if last.kind == "activation" and last.function and last.function.kind in ("softmax", "sigmoid"):
        return last.inputs[0]
    return last.output


def run_op(tf: Any, op: Op, values: dict[str, Any], dtype: str, weights: tuple[Any, Any] | None = None) -> Any:
    """The output of one operator, given the tensors that it reads, and in training those that are its weights."""
    x: Any = values.get(op.inputs[0])
    if op.kind in ("conv", "grey", "depthwise", "dense"):
        return _weighted(tf, op, x, dtype, weights)
    if op.kind == "maximum":
        return tf.maximum(x, tf.constant(op.constant, dtype))
    if op.kind == "concat":
        return _concat(tf, op, values, dtype)
    if op.kind == "pad":
        return tf.pad(x, ((0, 0), *op.padding, (0, 0)))
    if op.kind in ("max_pool", "average_pool"):
        pool = tf.nn.max_pool2d if op.kind == "max_pool" else tf.nn.avg_pool2d
        return pool(x, op.size, op.strides, "VALID")
    if op.kind == "mean":
        return tf.reduce_mean(x, (1, 2))
    if op.kind == "reduce_max":
        return tf.reduce_max(x, (1, 2))
    if op.kind == "space_to_depth":
        return tf.nn.space_to_depth(x, op.stride)
    if op.kind == "reshape":
        return tf.reshape(x, (-1, int(np.prod(x.shape[1:]))))
    if op.kind == "float_head":
        assert op.head is not None
        return tf.cast(float_head.function(op.head)(tf.cast(x, tf.float32)), dtype)
    return _activation(tf, op, x)


def _weighted(tf: Any, op: Op, x: Any, dtype: str, weights: tuple[Any, Any] | None) -> Any:
    kernel, bias = weights or tuple(tf.constant(array, dtype) for array in op.weights)
    padding = "SAME" if op.same else "VALID"
    if op.kind in ("conv", "grey"):
        y = tf.nn.conv2d(x, kernel, op.stride, padding)
    elif op.kind == "dense":
        y = tf.matmul(x, kernel)
    elif kernel.shape[0] == kernel.shape[1] == 1:  # a product is several times faster than a depthwise convolution
        y = x * kernel[0, 0]
    elif op.stride == 2 and kernel.shape[:2] == (2, 2) and np.ptp(op.weights[0], axis=(0, 1)).max() == 0:
        y = tf.nn.avg_pool2d(x, 2, 2, "VALID") * (4 * kernel[0, 0])
    else:
        y = tf.nn.depthwise_conv2d(x, kernel[..., None], (1, op.stride, op.stride, 1), padding)
    y = y + bias
    return tf.nn.relu(y) if op.relu else y


def _concat(tf: Any, op: Op, values: dict[str, Any], dtype: str) -> Any:
    parts = [values.get(name) for name in op.inputs]
    if op.constant is not None:
        batch = tf.shape(next(part for part in parts if part is not None))[0]
        constant = tf.repeat(tf.constant(op.constant, dtype), batch, axis=0)
        parts = [constant if part is None else part for part in parts]
    return tf.concat(parts, op.axis)


def _activation(tf: Any, op: Op, x: Any) -> Any:
    assert op.function is not None
    kind = op.function.kind
    if kind == "leaky_relu":
        return tf.nn.leaky_relu(x, op.function.alpha)
    return {
        "relu": tf.nn.relu,
        "relu6": tf.nn.relu6,
        "elu": tf.nn.elu,
        "tanh": tf.tanh,
        "swish": tf.nn.silu,
        "sigmoid": tf.sigmoid,
        "softmax": tf.nn.softmax,
    }[kind](x)
