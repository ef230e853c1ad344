"""A program whose weights are Keras variables, so that it can be trained in a traced function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgedense.converters.network.evaluate import forward
from edgedense.converters.network.graph import Array
from edgedense.converters.network.program import Op, Program

SMALLEST_UNIT = 1e-3  # of an operator's median: a channel that hardly moves does not get steps that hardly move


def trained(op: Op) -> str:
    """What of an operator is trained: "kernel" and "bias", only the "bias", or nothing ("").

    The scale of a norm is not: the convolution behind has the same freedom, relu(s x + t) W = relu(x + t/s) (s W) for
    s > 0. And a scale that training takes below zero would cost the operator its fast form (absorb_scales).
    """
    if op.kind in ("conv", "dense"):
        return "kernel"
    return "bias" if op.kind == "depthwise" and op.relu and op.output.endswith("/norm") else ""


class Trainable:
    """`program` with a variable for each trained kernel and bias, in units of its own size.

    A variable v stands for the weight unit * v, with one unit per output channel: the kernel's root mean square, and
    for a bias the standard deviation of the output, which `spreads` gives by operator. So one learning rate is a
    relative one, whatever folding and equalization did to the scales. Zeros in a kernel stay zeros: `masked` clears
    their gradients, and Adam leaves alone what never had one.
    """

    def __init__(self, program: Program, spreads: Mapping[str, Array]) -> None:
        import keras
        import tensorflow as tf

        self.tf, self.program = tf, program
        self.units: dict[str, tuple[Array, Array]] = {}
        self.variables: dict[str, tuple[Any, ...]] = {}  # operator -> (kernel, bias) or (bias,)
        self.masks: list[Any] = []  # one per variable, in order; None where nothing is zero
        for op in program.ops:
            if not (what := trained(op)):
                continue
            kernel, bias = op.weights
            self.units[op.output] = kernel_unit(kernel), bias_unit(spreads[op.output])
            parts = [(bias / self.units[op.output][1], None)]
            if what == "kernel":
                mask = None if kernel.all() else tf.constant(kernel != 0, tf.float32)
                parts.insert(0, (kernel / self.units[op.output][0], mask))
            self.variables[op.output] = tuple(keras.Variable(value, dtype="float32") for value, _ in parts)
            self.masks += [mask for _, mask in parts]

    @property
    def flat(self) -> list[Any]:
        """Every variable, in the program's order."""
        return [variable for parts in self.variables.values() for variable in parts]

    def weights(self) -> dict[str, tuple[Any, Any]]:
        """(kernel, bias) tensors by operator, for `evaluate.forward`."""
        result = {}
        for op in self.program.ops:
            if op.output in self.variables:
                *kernel, bias = (variable.value for variable in self.variables[op.output])
                unit, bias_unit = (self.tf.constant(part, self.tf.float32) for part in self.units[op.output])
                whole = kernel[0] * unit if kernel else self.tf.constant(op.weights[0], self.tf.float32)
                result[op.output] = whole, bias * bias_unit
        return result

    def __call__(self, pixels: Any) -> dict[str, Any]:
        """Every tensor of the program by name, for pixels [B, H, W, C]."""
        return forward(self.tf, self.program, pixels, weights=self.weights())

    def masked(self, gradients: list[Any]) -> list[Any]:
        """The gradients of `flat`, without those of weights that are and stay zero."""
        return [
            gradient if mask is None else gradient * mask for gradient, mask in zip(gradients, self.masks, strict=True)
        ]

    def trained_weights(self) -> dict[str, tuple[Array, Array]]:
        """(kernel, bias) by operator as they are now, for `weights.with_weights`. Computed in float64 from float32."""
        result = {}
        for op in self.program.ops:
            if op.output in self.variables:
                *kernel, bias = (variable.numpy().astype(np.float64) for variable in self.variables[op.output])
                unit, bias_unit = self.units[op.output]
                result[op.output] = (kernel[0] * unit if kernel else op.weights[0], bias * bias_unit)
        return result


def kernel_unit(kernel: Array) -> Array:
    """The root mean square of a kernel's non-zero weights, per output channel (the last axis); 1 where all are zero."""
    flat = kernel.reshape(-1, kernel.shape[-1])
    count = (flat != 0).sum(axis=0)
    return np.where(count > 0, np.sqrt((flat**2).sum(axis=0) / np.maximum(count, 1)), 1.0)


def bias_unit(spread: Array) -> Array:
    """`spread` [C], of which none is less than a thousandth of the median; 1 where nothing varies."""
    if not (spread > 0).any():
        return np.ones_like(spread)
    return np.maximum(spread, SMALLEST_UNIT * float(np.median(spread[spread > 0])))
