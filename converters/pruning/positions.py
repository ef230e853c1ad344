"""What the operators of a network read and give for pictures, at some positions of each map."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgedense.converters.network.evaluate import run_op
from edgedense.converters.network.graph import Array
from edgedense.converters.network.program import CONSTANT, IMAGE, Op, Program
from edgedense.converters.pruning.channels import Indices
from edgedense.images.preprocessing import Pixels


class Run:
    """A program executed operator by operator, all pictures at once; what no later operator reads is dropped."""

    def __init__(self, tf: Any, program: Program, pixels: Pixels) -> None:
        self.tf, self.program = tf, program
        self.tensors: dict[str, Any] = {IMAGE: tf.constant(pixels, tf.float32)}
        self._last = {name: op.output for op in program.ops for name in op.inputs}
        self._rest = iter(program.ops)

    def linear(self, name: str) -> Any:
        """Go on to the operator `name`; what it gives before its ReLU."""
        for op in self._rest:
            if op.output == name:
                return self.step(op)
            self.step(op)
        raise KeyError(name)

    def step(self, op: Op) -> Any:
        """Execute `op`; what it gives before its ReLU."""
        linear = run_op(self.tf, replace(op, relu=False), self.tensors, "float32")
        self.tensors[op.output] = self.tf.nn.relu(linear) if op.relu else linear
        for name in {*op.inputs} - {CONSTANT}:
            if self._last[name] == op.output:
                del self.tensors[name]
        return linear


def samples(tf: Any, op: Op, x: Any, expected: Any, count: int) -> tuple[Array, Array]:
    """What `op` reads at some positions [N, P, inputs], and what it should give there [N, P, outputs]."""
    if op.kind == "dense":
        return x.numpy().astype(np.float64)[:, None], expected.numpy().astype(np.float64)[:, None]
    height, width = expected.shape[1:3]
    rows, columns = _positions(int(height), int(width), max(count // len(x), 1))
    size = op.weights[0].shape[0]  # square
    if op.same:  # then of odd size and stride 1
        x = tf.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    taps = [
        (row * op.stride + i) * int(x.shape[2]) + column * op.stride + j
        for row, column in zip(rows, columns, strict=True)
        for i in range(size)
        for j in range(size)
    ]
    patches = tf.gather(tf.reshape(x, (len(x), -1, x.shape[-1])), taps, axis=1)
    return patches.numpy().astype(np.float64).reshape(len(x), len(rows), -1), at_positions(tf, expected, count)


def at_positions(tf: Any, x: Any, count: int) -> Array:
    """The channels of a tensor [N, H, W, C] at some positions, `count` of all pictures together: [N, P, C]."""
    height, width = x.shape[1:3]
    rows, columns = _positions(int(height), int(width), max(count // len(x), 1))
    found = tf.gather(tf.reshape(x, (len(x), -1, x.shape[-1])), rows * width + columns, axis=1)
    return found.numpy().astype(np.float64)


def _positions(height: int, width: int, count: int) -> tuple[Indices, Indices]:
    """Rows and columns of at most `count` positions, chosen once for each size by a fixed seed."""
    chosen = np.random.default_rng(height * width).permutation(height * width)[:count]
    return np.divmod(np.sort(chosen), width)
