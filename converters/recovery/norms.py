"""Batch-norm statistics, estimated again: what pruning did to mean and variance of each norm's output is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgedense.converters.network.evaluate import run_op
from edgedense.converters.network.graph import Array, DenseNet
from edgedense.converters.network.kept import Indices, Kept
from edgedense.converters.network.program import CONSTANT, IMAGE, Op, Program, lower
from edgedense.converters.network.weights import with_weights
from edgedense.images.preprocessing import Pixels

DEAD = 1e-8  # a variance below this share of the operator's mean variance is none
LARGEST_FACTOR = 4.0  # a channel that a few pictures say little about is not blown up beyond this
PIXELS, FEWEST, MOST = 1 << 21, 24, 512  # pictures that estimate: as many as hold so many pixels, within limits


@dataclass(frozen=True)
class Moments:
    """Mean and variance [C] of an operator's output over pictures and positions, before its ReLU."""

    mean: Array
    variance: Array


Change = Callable[[Op, Moments], tuple[Array, Array] | None]


def estimating(pixels: Pixels) -> Pixels:
    """The pictures, evenly spread, on which statistics are estimated."""
    count = int(np.clip(PIXELS // (pixels.shape[1] * pixels.shape[2]), FEWEST, MOST))
    return np.asarray(pixels[np.linspace(0, len(pixels) - 1, min(count, len(pixels))).round().astype(int)])


def moments(program: Program, pixels: Pixels, change: Change = lambda op, found: None) -> dict[str, Moments]:
    """Moments of every operator with weights. `change` may replace an operator's (kernel, bias), given its moments;
    what follows then reads the changed output. Layer by layer, with all of `pixels` at once."""
    import tensorflow as tf

    last = {name: index for index, op in enumerate(program.ops) for name in op.inputs}
    values: dict[str, Any] = {IMAGE: tf.constant(pixels, tf.float32)}
    result = {}
    for index, op in enumerate(program.ops):
        if op.kernel is None:
            values[op.output] = run_op(tf, op, values, "float32")
        else:
            plain = replace(op, relu=False)
            y = run_op(tf, plain, values, "float32")
            found = Moments(
                *(part.numpy().astype(np.float64) for part in tf.nn.moments(y, tuple(range(len(y.shape) - 1))))
            )
            result[op.output] = found
            if (changed := change(op, found)) is not None:
                y = run_op(tf, replace(plain, kernel=changed[0], bias=changed[1]), values, "float32")
            values[op.output] = tf.nn.relu(y) if op.relu else y
        for name in op.inputs:
            if last[name] == index and name != CONSTANT:
                del values[name]
    return result


def match_norms(student: DenseNet, teacher: DenseNet, kept: Kept, pixels: Pixels) -> DenseNet:
    """`student` with the output of each norm brought to the teacher's mean and variance, from the stem to the head.

    A norm's output y, before its ReLU, has mean m and variance v per channel. The teacher's m_t and v_t are what its
    batch norm was trained to give; the student's become the same with y' = r (y - m_s) + m_t, r = sqrt(v_t / v_s): its
    batch norm with statistics of the student's own. Folded norms (the stem, each bottleneck) are the convolution's
    output before its ReLU. Channels that the student computes as the teacher does keep their weights.
    """
    wanted = moments(lower(teacher), pixels)
    channels = dict(_norm_channels(student, kept))
    changed: dict[str, tuple[Array, Array]] = {}

    def change(op: Op, found: Moments) -> tuple[Array, Array] | None:
        if op.output not in channels:
            return None
        name, indices = channels[op.output]
        mean, variance = wanted[name].mean[indices], wanted[name].variance[indices]
        live = found.variance > DEAD * max(float(found.variance.mean()), 1e-30)
        factor = np.sqrt(np.where(live, variance / np.where(live, found.variance, 1.0), 1.0))
        factor = np.clip(factor, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
        kernel, bias = op.weights
        changed[op.output] = kernel * factor, np.where(live, (bias - found.mean) * factor + mean, bias)
        return changed[op.output]

    moments(lower(student), pixels, change)
    return with_weights(student, changed)


def _norm_channels(student: DenseNet, kept: Kept) -> Iterator[tuple[str, tuple[str, Indices]]]:
    """Of each norm of the student: its operator, the teacher's operator, and the teacher's channels."""
    yield "stem/conv", ("stem/conv", kept.concats["block1"][: student.stem.conv.bias.size])
    for number, block in enumerate(student.blocks, start=1):
        concat = kept.concats[f"block{number}"]
        for position, layer in enumerate(block.layers, start=1):
            place = f"block{number}/layer{position}"
            source = kept.layers[place]
            yield f"{place}/norm", (f"{source}/norm", concat[: layer.norm1.scale.size])
            yield f"{place}/bottleneck", (f"{source}/bottleneck", kept.bottlenecks[place])
        if block.transition is not None:
            name = f"transition{number}/norm"
            yield name, (name, concat)
        elif student.head.norm is not None:
            yield "head/norm", ("head/norm", concat)
