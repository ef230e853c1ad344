"""What rounding does on average is moved into the biases, so that it does not add up from layer to layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedense.converters.calibration.statistics import Channels, Statistics
from edgedense.converters.network.graph import Array
from edgedense.converters.network.program import Op, Program
from edgedense.converters.quantization.quantize import Weights, int_bias, round_weights
from edgedense.converters.tflite.flatbuffer import Quantization

IDLE = 0.01  # of a step above its floor, a sample still counts as lying on it ...
FLOAT32 = 1e-6  # ... for samples are float32 and floors are not


def round_constants(
    program: Program, quantization: dict[str, Quantization], statistics: Statistics
) -> tuple[Program, Statistics]:
    """Round the constants of MAXIMUM to the steps of their input, and clip them to its range.

    Inputs saturate at that range, so a constant beyond it is always or never the output: what clipping changes is the
    same for every picture. What rounding changes, it changes where the constant is the output; the share of that is
    measured. Both go into the bias of the operator that reads the output, through poolings. Returns the program and the
    statistics of its changed tensors.
    """
    statistics, missing, ops = dict(statistics), {}, []
    for op in program.ops:
        if op.kind == "maximum" and op.constant is not None and op.inputs[0] in quantization:
            q = quantization[op.inputs[0]]
            op, missing[op.output], statistics[op.output] = _rounded(op, q, statistics[op.output])
        elif op.inputs[0] in missing:
            gap = missing[op.inputs[0]]
            if op.kind in ("conv", "dense") and op.kernel is not None:
                op = replace(op, bias=op.bias + gap @ op.kernel.reshape(-1, *op.kernel.shape[-2:]).sum(axis=0))
            elif op.kind == "depthwise" and op.kernel is not None:
                op = replace(op, bias=op.bias + gap * op.kernel.sum(axis=(0, 1)))
            else:  # a pooling, which passes a constant on
                missing[op.output] = gap
        ops.append(op)
    return Program(tuple(ops), program.shapes), statistics


def _rounded(op: Op, q: Quantization, channels: Channels) -> tuple[Op, Array, Channels]:
    """The operator with its constant on the grid, the mean of true less rounded output per channel, and statistics."""
    assert op.constant is not None
    scale = float(q.scale[0])
    low, high = (-128 - q.zero_point) * scale, (127 - q.zero_point) * scale
    floor = op.constant + np.maximum(IDLE * scale, FLOAT32 * np.abs(op.constant))
    idle = np.where(op.constant >= high, 1.0, 1.0 - (channels.samples > floor).mean(axis=0))
    constant = np.round(np.clip(op.constant, low, high) / scale) * scale
    gap = np.where(op.constant <= low, 0.0, (op.constant - constant) * idle)
    return replace(op, constant=constant), gap, channels.refloored(floor, constant)


def corrected_weights(
    program: Program,
    quantization: dict[str, Quantization],
    statistics: Statistics,
    float_ops: frozenset[str],
    integer_only: bool = False,
) -> dict[str, Weights]:
    """Round-to-nearest weights whose bias makes up for the mean change of the output.

    mean(x W) - mean(x_q W_q), with x_q the rounded input, both over the calibration samples (Nagel et al., "Data-Free
    Quantization through Weight Equalization and Bias Correction", 2019, section 4.2, with measured means).
    """
    result = {}
    for op in program.ops:
        source = op.inputs[0]
        if op.kind not in ("conv", "dense") or op.output in float_ops or source not in statistics:
            continue
        kernel, bias = op.weights
        q = quantization[source]
        scale = float(q.scale[0])
        x = statistics[source].samples.astype(np.float64)
        x_q = (np.clip(np.round(x / scale) + q.zero_point, -128, 127) - q.zero_point) * scale
        w = round_weights(op, scale, integer_only)
        taps = tuple(range(kernel.ndim - 2))
        rounded = (w.kernel * w.scale).sum(axis=taps)
        bias = bias + x.mean(axis=0) @ kernel.sum(axis=taps) - x_q.mean(axis=0) @ rounded
        result[op.output] = replace(w, bias=int_bias(bias, scale, w.scale))
    return result
