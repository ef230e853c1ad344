"""What calibration measures: per-channel extremes of each picture, and sampled positions, of chosen tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from edgedense.converters.network.graph import Array
from edgedense.converters.network.program import Op, Program

POSITIONS = 8  # sampled per picture and tensor, the same ones in all tensors of one height and width


@dataclass(frozen=True)
class Measured:
    """One tensor over N pictures, as it was measured: `low` and `high` [N, C], `samples` [N, S, C], float32."""

    low: np.ndarray
    high: np.ndarray
    samples: np.ndarray


@dataclass(frozen=True)
class Channels:
    """Of one tensor over N pictures: `low` and `high` [N, C], `samples` [N * POSITIONS, C], float32.

    `scale` and `shift` [C] say how passes have changed the tensor since it was measured: now = scale * then + shift.

    They are worked out when they are asked for, out of what was `measured` (tensors whose channels stand side by side)
    by `changes`, each of which keeps or turns the order of a channel's values. What norms behind concatenations hold
    would be three times as large as all that is measured.
    """

    measured: tuple[Measured, ...]
    changes: tuple[Callable[[np.ndarray], np.ndarray], ...]
    scale: np.ndarray
    shift: np.ndarray
    pictures: slice = field(default_factory=lambda: slice(None))

    @classmethod
    def of(cls, low: np.ndarray, high: np.ndarray, samples: np.ndarray) -> Channels:
        """Statistics as they were measured; `samples` [N * S, C]."""
        pictures, channels = low.shape
        return cls.behind((Measured(low, high, samples.reshape(pictures, -1, channels)),))

    @classmethod
    def behind(cls, measured: tuple[Measured, ...], *changes: Callable[[np.ndarray], np.ndarray]) -> Channels:
        """Statistics of what `changes` make of measured tensors, before any pass has changed the tensor itself."""
        channels = sum(part.low.shape[1] for part in measured)
        return cls(measured, changes, np.ones(channels), np.zeros(channels))

    @property
    def low(self) -> np.ndarray:
        """The least value of each picture and channel."""
        return np.minimum(*self._ends())

    @property
    def high(self) -> np.ndarray:
        """The largest value of each picture and channel."""
        return np.maximum(*self._ends())

    @property
    def samples(self) -> np.ndarray:
        """The values at the sampled positions, picture by picture."""
        samples = self._now([part.samples for part in self.measured])
        return samples.reshape(-1, samples.shape[-1])

    def affine(self, scale: Array, shift: Array) -> Channels:
        """The statistics of scale * x + shift; scale > 0."""
        a, b = scale.astype(np.float32), shift.astype(np.float32)
        return self._changed(lambda x: x * a + b, self.scale * scale, self.shift * scale + shift)

    def refloored(self, old: Array, new: Array) -> Channels:
        """The statistics of an output whose floor `old` [C] becomes `new`."""
        a, b = old.astype(np.float32), new.astype(np.float32)
        return self._changed(lambda x: np.where(x > a, np.maximum(x, b), b), self.scale, self.shift)

    def taken(self, pictures: slice) -> Channels:
        """The statistics of some of the pictures."""
        return replace(self, pictures=pictures)

    def _changed(self, change: Callable[[np.ndarray], np.ndarray], scale: Array, shift: Array) -> Channels:
        return replace(self, changes=(*self.changes, change), scale=scale, shift=shift)

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """What the extremes became, of which either may be the larger one now."""
        return self._now([part.low for part in self.measured]), self._now([part.high for part in self.measured])

    def _now(self, parts: list[np.ndarray]) -> np.ndarray:
        chosen = [part[self.pictures] for part in parts]
        value = chosen[0] if len(chosen) == 1 else np.concatenate(chosen, axis=-1)
        for change in self.changes:
            value = change(value)
        return value


Statistics = dict[str, Channels]
Summary = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]  # tensor -> low [C], high [C], samples [S, C]


def measured(program: Program) -> list[str]:
    """The tensors that are measured: what is computed rather than moved, and what is multiplied.

    Not the norms behind a concatenation, two thirds of all channels: `derived` works their statistics out.
    """
    moved = {"concat", "pad", "space_to_depth", "reshape"}
    computed = [op.output for op in program.ops if op.kind not in moved and not _is_norm(op)]
    read = [op.inputs[0] for op in program.ops if op.kind in ("conv", "dense")]
    norms = {op.output for op in program.ops if _is_norm(op)}
    return [name for name in dict.fromkeys([*computed, *read]) if name not in norms]


def summary(tensors: Mapping[str, np.ndarray]) -> Summary:
    """What is kept of the tensors [1, ..., C] of one picture."""
    kept = {}
    for name, value in tensors.items():
        flat = value.reshape(-1, value.shape[-1])
        kept[name] = flat.min(axis=0), flat.max(axis=0), flat[_positions(len(flat))]
    return kept


class Collected:
    """Room for the summaries of a known number of pictures, which are written into it as they come: copied together at
    the end they would take twice the memory."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._parts: dict[str, Measured] = {}

    def add(self, number: int, kept: Summary) -> None:
        """The summary of one picture, by its number from 0."""
        for name, (low, high, samples) in kept.items():
            if name not in self._parts:
                self._parts[name] = Measured(*(np.empty((self._count, *end.shape), np.float32) for end in kept[name]))
            part = self._parts[name]
            part.low[number], part.high[number], part.samples[number] = low, high, samples

    def statistics(self, program: Program) -> Statistics:
        """Of all pictures, once they were added, and of the norms of `program` too."""
        return derived(program, {name: Channels.behind((part,)) for name, part in self._parts.items()})


def derived(program: Program, statistics: Statistics) -> Statistics:
    """`statistics` and those of the norms that read what is in them, exactly: a norm works on each channel alone and
    keeps or turns its order, and samples are taken at the same positions of all tensors of one size."""
    statistics = dict(statistics)
    ops = {op.output: op for op in program.ops}

    def parts(name: str) -> tuple[Measured, ...]:
        if name in statistics:
            return statistics[name].measured
        return tuple(part for source in ops[name].inputs for part in parts(source))

    for op in program.ops:
        if _is_norm(op):
            statistics[op.output] = Channels.behind(parts(op.inputs[0]), _norm(op))
    return statistics


def _norm(op: Op) -> Callable[[np.ndarray], np.ndarray]:
    kernel, bias = (array.reshape(-1).astype(np.float32) for array in op.weights)
    return lambda x: np.maximum(x * kernel + bias, 0)


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


@lru_cache(maxsize=64)
def _positions(count: int) -> np.ndarray:
    """Positions chosen once for each tensor size, by a fixed seed."""
    return np.sort(np.random.default_rng(count).permutation(count)[:POSITIONS])
