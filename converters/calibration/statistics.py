"""What calibration measures: per-channel extremes of each picture, and sampled positions, of chosen tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgedense.converters.network.evaluate import evaluate, traced
from edgedense.converters.network.graph import Array
from edgedense.converters.network.program import Op, Program

POSITIONS = 8  # sampled per picture and tensor, the same ones in all tensors of one height and width


@dataclass(frozen=True)
class Channels:
    """Of one tensor over N pictures: `low` and `high` [N, C], `samples` [N * POSITIONS, C], float32.

    `scale` and `shift` [C] say how passes have changed the tensor since it was measured: now = scale * then + shift.
    """

    low: np.ndarray
    high: np.ndarray
    samples: np.ndarray
    scale: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, low: np.ndarray, high: np.ndarray, samples: np.ndarray) -> Channels:
        """Statistics as they were measured."""
        return cls(low, high, samples, np.ones(low.shape[1]), np.zeros(low.shape[1]))

    def affine(self, scale: Array, shift: Array) -> Channels:
        """The statistics of scale * x + shift; scale > 0."""
        a, b = scale.astype(np.float32), shift.astype(np.float32)
        return Channels(
            self.low * a + b, self.high * a + b, self.samples * a + b, self.scale * scale, self.shift * scale + shift
        )

    def refloored(self, old: Array, new: Array) -> Channels:
        """The statistics of an output whose floor `old` [C] becomes `new`."""
        a, b = old.astype(np.float32), new.astype(np.float32)
        low, high, samples = (
            np.where(part > a, np.maximum(part, b), b) for part in (self.low, self.high, self.samples)
        )
        return replace(self, low=low, high=high, samples=samples)

    def take(self, pictures: np.ndarray) -> Channels:
        """The statistics of some of the pictures, by index."""
        samples = self.samples.reshape(len(self.low), -1, self.samples.shape[1])[pictures]
        return replace(
            self, low=self.low[pictures], high=self.high[pictures], samples=samples.reshape(-1, samples.shape[2])
        )


Statistics = dict[str, Channels]


def measured(program: Program) -> list[str]:
    """The tensors that are measured: what is computed rather than moved, and what is multiplied.

    Not the norms behind a concatenation, two thirds of all channels: `derived` works their statistics out.
    """
    moved = {"concat", "pad", "space_to_depth", "reshape"}
    computed = [op.output for op in program.ops if op.kind not in moved and not _is_norm(op)]
    read = [op.inputs[0] for op in program.ops if op.kind in ("conv", "dense")]
    norms = {op.output for op in program.ops if _is_norm(op)}
    return [name for name in dict.fromkeys([*computed, *read]) if name not in norms]


def measure(
    program: Program, batches: Iterable[np.ndarray], advance: Callable[[int], None] = lambda n: None
) -> Statistics:
    """Run `program` over `batches` of pixels [B, H, W, 3] and keep the statistics of its tensors."""
    names = measured(program)
    parts: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in names}
    summarize = traced(program, names, _summary)
    for pixels in batches:
        for name, ends in summarize(pixels).items():
            parts[name].append(tuple(end.numpy() for end in ends))
        advance(len(pixels))
    found = {
        name: Channels.of(*(np.concatenate(part) for part in zip(*values, strict=True)))
        for name, values in parts.items()
    }
    return derived(program, found)


def measure_once(program: Program, pixels: np.ndarray) -> Statistics:
    """The same for a few pictures [N, H, W, 3], all at once and without tracing, which would take longer than they."""
    found: dict[str, Channels] = {}

    def keep(name: str, value: np.ndarray) -> None:
        channels = value.shape[-1]
        flat = value.reshape(len(value), -1, channels)
        samples = flat[:, _positions(flat.shape[1])].reshape(-1, channels)
        found[name] = Channels.of(flat.min(axis=1), flat.max(axis=1), samples)

    evaluate(program, pixels, keep, measured(program))
    return derived(program, found)


def derived(program: Program, statistics: Statistics) -> Statistics:
    """`statistics` and those of the norms that read what is in them, exactly: a norm works on each channel alone and
    keeps or turns its order, and samples are taken at the same positions of all tensors of one size."""
    statistics = dict(statistics)
    ops = {op.output: op for op in program.ops}

    def parts(name: str) -> list[Channels]:
        if name in statistics:
            return [statistics[name]]
        return [part for source in ops[name].inputs for part in parts(source)]

    for op in program.ops:
        if _is_norm(op):
            read = parts(op.inputs[0])
            kernel, bias = (array.reshape(-1).astype(np.float32) for array in op.weights)
            ends = [
                np.maximum(np.concatenate([getattr(part, end) for part in read], axis=1) * kernel + bias, 0)
                for end in ("low", "high", "samples")
            ]
            statistics[op.output] = Channels.of(np.minimum(*ends[:2]), np.maximum(*ends[:2]), ends[2])
    return statistics


def _is_norm(op: Op) -> bool:
    """norm - ReLU as a 1x1 depthwise convolution of a whole map."""
    return (
        op.kind == "depthwise"
        and op.relu
        and op.stride == 1
        and op.kernel is not None
        and op.kernel.shape[:2] == (1, 1)
        and op.output.endswith("/norm")
    )


def _summary(tf: Any, value: Any) -> tuple[Any, Any, Any]:
    """Per picture and channel the least and the largest value [B, C], and samples [B * POSITIONS, C]."""
    channels, count = value.shape[-1], int(np.prod(value.shape[1:-1]))
    flat = tf.reshape(value, (-1, count, channels))
    sampled = tf.reshape(tf.gather(flat, _positions(count), axis=1), (-1, channels))
    return tf.reduce_min(flat, axis=1), tf.reduce_max(flat, axis=1), sampled


def _positions(count: int) -> np.ndarray:
    """Positions chosen once for each tensor size, by a fixed seed."""
    return np.sort(np.random.default_rng(count).permutation(count)[:POSITIONS])
