"""One attempt at int8: how ranges are estimated, which forms and which layers in float; built, scored, chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from edgedense.converters.calibration.ranges import RangeSpec, tensor_range
from edgedense.converters.calibration.statistics import Statistics
from edgedense.converters.network.graph import DenseNet, Form
from edgedense.converters.network.program import Program, lower
from edgedense.converters.options import Estimator
from edgedense.converters.passes.absorb_scales import absorb_scales
from edgedense.converters.passes.equalize_concat import UNIT, equalize_concat, equalized
from edgedense.converters.passes.equalize_readers import equalize_readers
from edgedense.converters.quantization.compensate import corrected_weights, round_constants
from edgedense.converters.quantization.noise import Equalization, equalization
from edgedense.converters.quantization.quantize import Quantized, Range, activations, quantize, scale_groups
from edgedense.converters.tflite import execute
from edgedense.errors import EdgedenseError, listed
from edgedense.images.preprocessing import Pixels
from edgedense.measures import metrics

Apart = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (before, after) [N, classes] -> how far apart, [N]
FLOAT_DENSE = 1 << 17  # weights; a last Dense up to this size stays float32 (512 KiB), a larger one is int8
PIXELS = (0.0, 255.0)
DEFAULT_HEADROOMS = (1.0, 1.15)
FIRST_ROUND = 4  # one of so many held-out pictures is in the first of two rounds ...
FEW = 8  # ... where these are as many at least: fewer would say too little


@dataclass(frozen=True)
class Attempt:
    """The choices of one int8 network.

    `form` is how norm - ReLU is computed in dense layers and transitions: "maximum" is fastest, "depthwise" quietest.
    `floats` are tensors whose operators stay float32.
    """

    ranges: RangeSpec = field(default_factory=RangeSpec)
    form: Form = "maximum"
    floats: tuple[str, ...] = ()

    def describe(self) -> str:
        """For people."""
        text = f"{self.ranges.estimator} x {self.ranges.headroom:g}, {self.form}"
        return text + (f", {len(self.floats)} operators in float" if self.floats else "")


@dataclass(frozen=True)
class Candidate:
    """An attempt and how far it is from the float model on `pictures` that its ranges did not see: the mean KL
    divergence, or of values the mean squared error (`values.squared_error`)."""

    attempt: Attempt
    divergence: float
    pictures: int


@dataclass(frozen=True)
class Built:
    """What an attempt makes: the rewritten network, the quantized one, and how its tensors were equalized."""

    network: DenseNet
    quantized: Quantized
    equalization: Equalization


def candidates(estimator: Estimator | None, headroom: float | None) -> tuple[RangeSpec, ...]:
    """The range estimators to choose from, less those that the user ruled out."""
    if estimator and headroom:
        return (RangeSpec(estimator, headroom),)
    if estimator:
        return tuple(RangeSpec(estimator, h) for h in DEFAULT_HEADROOMS)
    if headroom:
        return tuple(RangeSpec(e, headroom) for e in ("minmax", "percentile", "mse"))
    return (*(RangeSpec("minmax", h) for h in DEFAULT_HEADROOMS), RangeSpec("percentile"), RangeSpec("mse"))


def choose(
    network: DenseNet,
    statistics: Statistics,
    pixels: Pixels,
    scores: np.ndarray,
    specs: tuple[RangeSpec, ...],
    output_type: str,
    tick: Callable[[int], None],
    apart: Apart = metrics.kl_divergence,
    base: Attempt = Attempt(),
) -> tuple[Attempt, tuple[Candidate, ...]]:
    """`base` with the range estimator that keeps closest to the float `scores` [N, classes] on every second picture,
    when fitted on the others. `apart` says how far, for each picture.

    A quarter of these pictures decides which half of the estimators is scored on the rest too: successive halving
    (Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", 2016).
    """
    if len(specs) == 1 or len(pixels) < 2:
        tick(len(specs))
        return replace(base, ranges=specs[0]), ()
    half = {name: channels.taken(slice(0, None, 2)) for name, channels in statistics.items()}
    held = np.arange(1, len(pixels), 2)
    first = held[::FIRST_ROUND] if len(held) >= FIRST_ROUND * FEW else held
    rest = np.setdiff1d(held, first)
    tried = [replace(base, ranges=spec) for spec in specs]
    files: list[bytes] = []
    found: list[np.ndarray] = []

    def distances(file: bytes, chosen: np.ndarray) -> np.ndarray:
        return apart(scores[chosen], execute.run(file, pixels[chosen]))

    for attempt in tried:
        files.append(build(network, half, attempt, output_type).quantized.to_bytes())
        found.append(distances(files[-1], first))
        tick(1)
    ahead = sorted(range(len(specs)), key=lambda number: found[number].mean())
    if len(rest):
        ahead = ahead[: -(-len(specs) // 2)]
        for number in ahead:
            found[number] = np.concatenate([found[number], distances(files[number], rest)])
    best = min(ahead, key=lambda number: found[number].mean())
    return tried[best], tuple(
        Candidate(attempt, float(far.mean()), len(far)) for attempt, far in zip(tried, found, strict=True)
    )


def build(network: DenseNet, statistics: Statistics, attempt: Attempt, output_type: str = "float32") -> Built:
    """Equalize, choose forms, and quantize `network` by `statistics` of its tensors.

    Raises EdgedenseError where a layer of `attempt.floats` is none of the network's.
    """
    network, statistics = equalize_concat(network, statistics, attempt.ranges)
    network, statistics = equalize_readers(network, statistics)
    network, statistics = absorb_scales(network, statistics, _forms(network, attempt.form))
    program = lower(network)
    if unknown := set(attempt.floats) - {op.output for op in program.ops}:
        raise EdgedenseError(
            f"layers of the network ({listed(op.output for op in program.ops)})",
            listed(sorted(unknown)),
            "edgedense inspect FILE.tflite --layers, on a file made without --float-layers, names them",
        )
    floats = frozenset(attempt.floats) | _float_head(program)
    floats |= _float_tail(program) if output_type == "float32" else frozenset()
    ranges = _ranges(network, program, statistics, attempt.ranges)
    quantization = activations(program, ranges)
    program, statistics = round_constants(program, quantization, statistics)
    weights = corrected_weights(program, quantization, statistics, floats, output_type != "float32")
    quantized = quantize(program, ranges, floats, weights, output_type)
    return Built(network, quantized, equalization(statistics))


def _forms(network: DenseNet, form: Form) -> dict[str, Form]:
    """`form` in dense layers and transitions. The head stays depthwise: its mean would lose a range of its own."""
    forms: dict[str, Form] = {}
    for number, block in enumerate(network.blocks, start=1):
        forms[f"transition{number}"] = form
        forms.update({f"block{number}/layer{position}": form for position in range(1, len(block.layers) + 1)})
    return forms


def _float_tail(program: Program) -> frozenset[str]:
    """What stays float for a float output: the last Dense if it is small, and all that follows it.

    An int8 softmax rounds to 1/256, which costs more than all the rest of the network.
    """
    last = max((i for i, op in enumerate(program.ops) if op.kind == "dense"), default=len(program.ops) - 1)
    op = program.ops[last]
    first = last if op.kernel is not None and op.kernel.size <= FLOAT_DENSE else last + 1
    return frozenset(op.output for op in program.ops[first:])


def _float_head(program: Program) -> frozenset[str]:
    """A head that stays float, with all behind it and the norm before it.

    The norm undoes the equalization of the last concatenation, whose channels fill the int8 range: in float the head
    reads each of them to 8 bits of its own range, where an int8 feature map would have one range for all.
    """
    first = next((i for i, op in enumerate(program.ops) if op.head is not None), len(program.ops))
    floats = [op.output for op in program.ops[first:]]
    return frozenset([*floats, "head/norm"] if floats else [])


def _ranges(network: DenseNet, program: Program, statistics: Statistics, spec: RangeSpec) -> dict[str, Range]:
    """A range for every tensor that was measured. What shares an equalized concatenation's scale holds 0 to 1, and a
    picture made grey has whole levels."""
    groups = scale_groups(program)
    unit = {groups[f"block{number}/layer1/concat"] for number in equalized(network)}
    ranges = {}
    for op in program.ops:
        if groups[op.output] in unit:
            ranges[op.output] = UNIT
        elif op.kind == "grey":
            ranges[op.output] = PIXELS
        elif op.output in statistics:
            ranges[op.output] = tensor_range(statistics[op.output], spec)
    return ranges
