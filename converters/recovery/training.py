"""How a network is trained so that its scores are a teacher's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.network.evaluate import forward
from edgedense.converters.network.program import Program
from edgedense.converters.network.stock import converted
from edgedense.converters.recovery.checkpoint import make_folder
from edgedense.converters.recovery.distill import Objective
from edgedense.converters.recovery.loop import Chosen, Course, Loop, RecoverySpec, Turned, follow
from edgedense.converters.recovery.pictures import Pictures
from edgedense.converters.recovery.trainable import Trainable


def train(
    model: Trainable,
    objective: Objective,
    pictures: Pictures,
    spec: RecoverySpec,
    path: Path | None,
    stop: Callable[[], bool],
) -> Course:
    """Train `model` in place, for `spec.epochs` or until `stop()` says that an epoch's weights, better than all before,
    are good enough. It is left with the weights whose scores are closest on held-out pictures, be they the start's.

    `path` is that of `follow`.
    """
    if path is not None:
        make_folder(path.parent)
    mark = fingerprint(model, objective, pictures, spec)
    return follow(_Loop(model, objective, pictures, spec), spec.epochs, mark, path, stop, "recovering")


def fingerprint(model: Trainable, objective: Objective, pictures: Pictures, spec: RecoverySpec) -> str:
    """Names a run: both networks, the pictures and the options."""
    digest = hashlib.sha256(f"{asdict(spec)}\0{pictures.sha256}\0{pictures.labels.tolist()}".encode())
    for program in (model.program, objective.teacher):
        update(digest, program)
    return digest.hexdigest()


def update(digest: Any, program: Program) -> None:
    """Feed a hash with all that `program` computes with."""
    for op in program.ops:
        digest.update(f"{op.kind}\0{op.output}\0{op.inputs}\0{op.stride}\0".encode())
        for array in (op.kernel, op.bias, op.constant):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        digest.update(b"" if op.head is None else converted(op.head).content)


class _Loop(Loop):
    """The traced step of a recovery."""

    def __init__(self, model: Trainable, objective: Objective, pictures: Pictures, spec: RecoverySpec) -> None:
        import tensorflow as tf

        super().__init__(pictures, spec, model.flat, model.flat)
        self.tf, self.model, self.objective = tf, model, objective
        shapes = tf.TensorSpec((None, *pictures.pixels.shape[1:]), tf.uint8), tf.TensorSpec((None,), tf.int64)
        self.step = tf.function(self._step, input_signature=shapes, autograph=False)
        self.distance = tf.function(self._distance, input_signature=shapes[:1], autograph=False)

    def _distance(self, pixels: Any) -> Any:
        pixels = self.tf.cast(pixels, self.tf.float32)
        return self.objective.scores(self.tf, self.model(pixels), forward(self.tf, self.objective.teacher, pixels))

    def _step(self, pixels: Any, labels: Any) -> Any:
        tf = self.tf
        pixels = tf.cast(pixels, tf.float32)
        teacher = forward(tf, self.objective.teacher, pixels)
        with tf.GradientTape() as tape:
            loss = self.objective.loss(tf, self.model(pixels), teacher, labels)
        gradients = tape.gradient(
            loss, [variable.value for variable in self.model.flat], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        self.optimizer.apply(self.model.masked(gradients), self.model.flat)
        return loss

    def learn(self, chosen: Chosen, turned: Turned) -> float:
        """As `Loop.learn`."""
        pixels, labels = self.pixels(chosen, turned), self.pictures.labels[chosen]
        return float(self.step(self.tf.constant(pixels), self.tf.constant(labels)).numpy())

    def apart(self, chosen: Chosen) -> float:
        """As `Loop.apart`."""
        return float(self.distance(self.tf.constant(np.asarray(self.pictures.pixels[chosen]))))
