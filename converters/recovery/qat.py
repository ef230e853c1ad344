"""Quantization-aware training: the rewritten program learns to give the teacher's scores with int8 rounding in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgedense.converters.network.evaluate import run_op
from edgedense.converters.network.graph import Array, DenseNet
from edgedense.converters.network.kept import Kept
from edgedense.converters.network.program import IMAGE, SAME_SCALE, Op, Program, lower
from edgedense.converters.quantization.attempts import Prepared
from edgedense.converters.quantization.quantize import SMALLEST_SCALE
from edgedense.converters.recovery.checkpoint import Epoch
from edgedense.converters.recovery.distill import Feature, Objective, features
from edgedense.converters.recovery.loop import Course, RecoverySpec
from edgedense.converters.recovery.norms import estimating, moments
from edgedense.converters.recovery.pictures import Pictures
from edgedense.converters.recovery.trainable import Trainable
from edgedense.converters.recovery.training import train
from edgedense.converters.tflite.flatbuffer import Quantization

CHECKPOINT = "qat.npz"  # in the work folder
SPEC = RecoverySpec(epochs=2, learning_rate=0.001)  # rounding is a small harm: small steps, and few


@dataclass(frozen=True)
class Tuned:
    """(kernel, bias) by operator, for `attempts.finish`, none where training gained nothing; and what it gave."""

    weights: dict[str, tuple[Array, Array]]
    course: Course

    @property
    def history(self) -> tuple[Epoch, ...]:
        """Each epoch."""
        return self.course.history


class Simulated:
    """A prepared attempt in float that computes what its int8 file does, and can be trained.

    Where the file rounds an activation, so does this, to the same steps and with the same clipping; convolution and
    Dense kernels are rounded per output channel as `quantize.round_weights` does. Gradients pass a rounding unchanged
    and stop where it clips (Jacob et al., "Quantization and Training of Neural Networks", 2018, section 3). Biases,
    which have 32 bits, are left as they are. Norms' and poolings' kernels have one weight per channel, which int8 holds
    exactly.
    """

    def __init__(self, prepared: Prepared, spreads: Mapping[str, Array]) -> None:
        import tensorflow as tf

        self.tf, self.prepared = tf, prepared
        self.program = corrected(prepared)
        self.quantization = prepared.quantization
        self.trainable = Trainable(self.program, spreads)

    @property
    def flat(self) -> list[Any]:
        """Every variable."""
        return self.trainable.flat

    def masked(self, gradients: list[Any]) -> list[Any]:
        """Without the gradients of weights that are and stay zero."""
        return self.trainable.masked(gradients)

    def __call__(self, pixels: Any) -> dict[str, Any]:
        """Every tensor of the program by name, for pixels [B, H, W, C]."""
        weights, values = self.trainable.weights(), {IMAGE: pixels}
        for op in self.program.ops:
            values[op.output] = self.step(op, values, weights.get(op.output))
        return values

    def step(self, op: Op, values: Mapping[str, Any], weights: tuple[Any, Any] | None) -> Any:
        """One operator's output, from the tensors that it reads and its (kernel, bias), not rounded yet."""
        floats = self.prepared.floats
        if op.output in floats:
            return run_op(self.tf, op, dict(values), "float32", weights)
        read = {
            name: self._rounded(name, values[name]) if name in floats else values[name]
            for name in op.inputs
            if name in values
        }
        if weights is not None and op.kind in ("conv", "dense"):
            weights = self._rounded_kernel(op, weights[0]), weights[1]
        y = run_op(self.tf, op, read, "float32", weights)
        moved = op.kind in SAME_SCALE and op.kind != "average_pool"
        return y if moved else self._rounded(op.output, y)

    def _rounded(self, name: str, x: Any) -> Any:
        """To the int8 steps of the tensor `name`."""
        low, high = limits(self.quantization[name])
        return self.tf.quantization.fake_quant_with_min_max_args(x, low, high)

    def _rounded_kernel(self, op: Op, kernel: Any) -> Any:
        """To whole numbers from -127 to 127 times a scale, one per output channel.

        Where all is integer a Dense has one scale for all outputs, as in `quantize.round_weights`.
        """
        tf = self.tf
        single = op.kind == "dense" and self.prepared.output_type != "float32"
        axes = None if single else tuple(range(len(kernel.shape) - 1))
        largest = tf.maximum(tf.stop_gradient(tf.reduce_max(tf.abs(kernel), axes)), 127 * SMALLEST_SCALE)
        if single:
            return tf.quantization.fake_quant_with_min_max_vars(kernel, -largest, largest, narrow_range=True)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -largest, largest, narrow_range=True)


def limits(quantization: Quantization) -> tuple[float, float]:
    """The least and the greatest real value that int8 holds."""
    scale = float(quantization.scale[0])
    return (-128 - quantization.zero_point) * scale, (127 - quantization.zero_point) * scale


def corrected(prepared: Prepared) -> Program:
    """The program with the biases that its rounded weights have: where training starts, nothing is lost yet."""
    ops = []
    for op in prepared.program.ops:
        if (weights := prepared.weights.get(op.output)) is not None:
            scale = float(prepared.quantization[op.inputs[0]].scale[0])
            op = replace(op, bias=weights.bias * weights.scale * scale)
        ops.append(op)
    return replace(prepared.program, ops=tuple(ops))


def tune(
    prepared: Prepared,
    teacher: DenseNet,
    kept: Kept,
    pictures: Pictures,
    spec: RecoverySpec = SPEC,
    work: Path | None = None,
    stop: Callable[[dict[str, tuple[Array, Array]]], bool] | None = None,
) -> Tuned:
    """Weights for `attempts.finish`, trained with the attempt's own rounding against the float `teacher`.

    `teacher` is on raw pixels, as for `recover`; `kept` says which of its channels are left. `stop(weights)` is asked
    after an epoch that is the best so far on held-out pictures; that one's weights are returned. Raises EdgedenseError
    for a checkpoint in `work` of another run.
    """
    program = corrected(prepared)
    found = moments(program, estimating(pictures.pixels))
    model = Simulated(prepared, {name: part.variance**0.5 for name, part in found.items()})

    def met() -> bool:
        return stop is not None and stop(model.trainable.trained_weights())

    common = tuple(_rescaled(feature, prepared) for feature in features(prepared.network, kept))
    course = train(
        model,
        Objective(program, lower(teacher), common),
        pictures,
        spec,
        work / CHECKPOINT if work else None,
        met,
        "training with int8 rounding",
    )
    return Tuned(model.trainable.trained_weights() if course.best else {}, course)


def _rescaled(feature: Feature, prepared: Prepared) -> Feature:
    channels = prepared.statistics[feature.student]
    return replace(feature, scale=channels.scale, shift=channels.shift)
