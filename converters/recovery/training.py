"""The training loop of recovery and of quantization-aware training: the same pictures, the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgedense.converters.evaluate import forward
from edgedense.converters.graph import Array
from edgedense.converters.program import Program
from edgedense.converters.recovery.checkpoint import Checkpoint, Epoch, load, make_folder, save
from edgedense.converters.recovery.distill import Objective
from edgedense.converters.recovery.pictures import Pictures
from edgedense.errors import EdgedenseError
from edgedense.progress import progress

BATCH, BATCH_PIXELS, SMALLEST_BATCH = 64, 1 << 19, 8  # pictures of a batch: so many, or as many as hold so many pixels
WARM_UP = 0.05  # of all steps
CLIP = 1.0  # largest norm of the gradient of all variables, each in units of its own size
FIRST, LAST = 0.1, 0.01  # of the learning rate, at the first step and at the last


@dataclass(frozen=True)
class RecoverySpec:
    """How long and how fast. `batch` None: by the pictures' size. `learning_rate` is relative to each weight's size."""

    epochs: int = 8
    learning_rate: float = 0.01
    batch: int | None = None
    flip: bool = True
    seed: int = 0

    def batch_of(self, count: int, height: int, width: int) -> int:
        """Pictures of a batch, of `count` in all."""
        fitting = min(BATCH, max(SMALLEST_BATCH, BATCH_PIXELS // (height * width)))
        return min(self.batch or fitting, count)


class Model(Protocol):
    """What is trained: a `Trainable`, or the same behind quantization."""

    program: Program

    @property
    def flat(self) -> list[Any]: ...

    def __call__(self, pixels: Any) -> dict[str, Any]: ...

    def masked(self, gradients: list[Any]) -> list[Any]: ...


Weighted = Mapping[str, tuple[Array, Array]]


def train(model: Model, objective: Objective, pictures: Pictures, spec: RecoverySpec, path: Path | None,
          stop: Callable[[], bool], title: str) -> tuple[Epoch, ...]:
    """Train `model` in place, for `spec.epochs` or until `stop()` says so after an epoch.

    With a `path`, what is found there is gone on with and every epoch is written there. The order of pictures depends
    on seed and epoch alone, so a run that was killed ends with the weights of one that was not.
    """
    if path is not None:
        make_folder(path.parent)
    loop = _Loop(model, objective, pictures, spec)
    mark = fingerprint(model, objective, pictures, spec)
    history: tuple[Epoch, ...] = ()
    if path is not None and (found := load(path, mark)) is not None:
        loop.restore(found.state)
        history = found.history
        if found.done:
            return history
    batches = loop.batches * (spec.epochs - len(history))
    with progress(title, batches) as tick:
        for number in range(len(history) + 1, spec.epochs + 1):
            loss = loop.epoch(number, tick)
            met = stop()
            history = (*history, Epoch(number, loss, met))
            if path is not None:
                save(path, mark, Checkpoint(loop.state(), history, met or number == spec.epochs))
            if met:
                break
    return history


def fingerprint(model: Model, objective: Objective, pictures: Pictures, spec: RecoverySpec) -> str:
    """Names a run: both networks, the pictures and the options."""
    digest = hashlib.sha256(f"{asdict(spec)}\0{pictures.sha256}\0{pictures.labels.tolist()}".encode())
    for program in (model.program, objective.teacher):
        for op in program.ops:
            digest.update(f"{op.kind}\0{op.output}\0{op.inputs}\0{op.stride}\0".encode())
            for array in (op.kernel, op.bias, op.constant):
                digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class _Loop:
    """The traced step, the optimizer, and the order of the pictures."""

    def __init__(self, model: Model, objective: Objective, pictures: Pictures, spec: RecoverySpec) -> None:
        import keras
        import tensorflow as tf

        self.tf, self.model, self.objective, self.pictures, self.spec = tf, model, objective, pictures, spec
        count, height, width, _ = pictures.pixels.shape
        self.batch = spec.batch_of(count, height, width)
        self.batches = count // self.batch
        steps = max(spec.epochs * self.batches, 1)
        warm = max(int(WARM_UP * steps), 1)
        rate = spec.learning_rate * np.sqrt(self.batch / BATCH)
        schedule = keras.optimizers.schedules.CosineDecay(FIRST * rate, max(steps - warm, 1), LAST, warmup_target=rate,
                                                          warmup_steps=warm)
        self.optimizer = keras.optimizers.Adam(schedule, global_clipnorm=CLIP)
        self.optimizer.build(model.flat)
        shapes = tf.TensorSpec((self.batch, height, width, 3), tf.uint8), tf.TensorSpec((self.batch,), tf.int64)
        self.step = tf.function(self._step, input_signature=shapes, autograph=False)

    def _step(self, pixels: Any, labels: Any) -> Any:
        tf = self.tf
        pixels = tf.cast(pixels, tf.float32)
        teacher = forward(tf, self.objective.teacher, pixels)
        with tf.GradientTape() as tape:
            loss = self.objective.loss(tf, self.model(pixels), teacher, labels)
        gradients = tape.gradient(loss, [variable.value for variable in self.model.flat],
                                  unconnected_gradients=tf.UnconnectedGradients.ZERO)
        self.optimizer.apply(self.model.masked(gradients), self.model.flat)
        return loss

    def epoch(self, number: int, tick: Callable[[int], None]) -> float:
        """One pass over the pictures; its mean loss."""
        losses = []
        for pixels, labels in self._pictures(number):
            losses.append(self.step(self.tf.constant(pixels), self.tf.constant(labels)).numpy())
            tick(1)
            if not np.isfinite(losses[-1]):
                raise EdgedenseError("training that converges", f"a loss of {losses[-1]} in epoch {number}",
                                     "report this model: its weights take no steps of 1 %")
        return float(np.mean(losses))

    def _pictures(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        random = np.random.default_rng((self.spec.seed, number))
        order = random.permutation(len(self.pictures.pixels))
        turned = random.random(len(order)) < (0.5 if self.spec.flip else 0.0)
        for start in range(0, self.batches * self.batch, self.batch):
            chosen = np.sort(order[start : start + self.batch])  # in the file's order
            pixels = np.asarray(self.pictures.pixels[chosen])
            pixels = np.where(turned[chosen][:, None, None, None], pixels[:, :, ::-1], pixels)
            yield pixels, self.pictures.labels[chosen]

    def _variables(self) -> list[Any]:
        return [*self.model.flat, *self.optimizer.variables]

    def state(self) -> tuple[np.ndarray, ...]:
        """All that training changes."""
        return tuple(variable.numpy() for variable in self._variables())

    def restore(self, state: tuple[np.ndarray, ...]) -> None:
        """Go on from what `state` gave."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)
