"""How a rival is trained: as a pruned DenseNet is recovered, but from nothing."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.recovery import Course, RecoverySpec
from edgedense.converters.recovery.distill import LABELS, label_loss, score_loss
from edgedense.converters.recovery.loop import Chosen, Loop, Turned, follow
from edgedense.converters.rivals.lessons import Lesson
from edgedense.converters.rivals.networks import STEP, ZERO

TIMED = 3  # steps that tell how long an epoch takes


def train(model: Any, lesson: Lesson, spec: RecoverySpec, path: Path | None = None) -> Course:
    """Train the Keras `model`, normalized pictures in and logits out, to give the teacher's scores.

    The loss is that of the recovery, without features, which other networks have none of: the scores' divergence, and
    the cross-entropy of pictures with a label. Schedule, mirroring, held-out pictures and the checkpoint at `path` are
    the recovery's too, so a training that was killed goes on. The model is left with the weights of the best epoch.
    """
    return follow(_Loop(model, lesson, spec), spec.epochs, mark(model, lesson, spec), path, lambda: False, model.name)


def epochs_within(model: Any, lesson: Lesson, spec: RecoverySpec, minutes: float) -> int:
    """How many epochs of the training, at least one and at most `spec.epochs`, fit into so many minutes here.

    It takes a few steps to find out; the model is left as it was.
    """
    loop = _Loop(model, lesson, spec)
    before = loop.weights()
    chosen = loop.shown[: loop.batch]
    loop.learn(chosen, np.zeros(len(chosen), bool))  # the first step is traced, which takes long and happens once
    started = time.perf_counter()
    for _ in range(TIMED):
        loop.learn(chosen, np.zeros(len(chosen), bool))
    epoch = (time.perf_counter() - started) / TIMED * loop.batches
    loop.put(before)
    return int(np.clip(60 * minutes // epoch, 1, spec.epochs))


def mark(model: Any, lesson: Lesson, spec: RecoverySpec) -> str:
    """Names a run: the network with the weights that it begins with, what it learns from, and the options."""
    digest = hashlib.sha256(f"{model.name}\0{lesson.sha256}\0{asdict(spec)}\0".encode())
    digest.update(repr(lesson.pictures.labels.tolist()).encode())
    for variable in model.variables:
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


class _Loop(Loop):
    """The traced step of a rival, whose teacher has spoken already."""

    def __init__(self, model: Any, lesson: Lesson, spec: RecoverySpec) -> None:
        import tensorflow as tf

        spec = replace(spec, flip=spec.flip and lesson.mirrored)
        super().__init__(lesson.pictures, spec, model.trainable_variables, model.variables)
        self.tf, self.model, self.lesson = tf, model, lesson
        _remember(model, self.batches)
        pixels = tf.TensorSpec((None, *lesson.pictures.pixels.shape[1:]), tf.uint8)
        logits = tf.TensorSpec((None, lesson.logits.shape[-1]), tf.float32)
        labels = tf.TensorSpec((None,), tf.int64)
        self.step = tf.function(self._step, input_signature=(pixels, logits, labels), autograph=False)
        self.distance = tf.function(self._distance, input_signature=(pixels, logits), autograph=False)

    def _logits(self, pixels: Any, training: bool) -> Any:
        return self.model((self.tf.cast(pixels, self.tf.float32) - ZERO) / STEP, training=training)

    def _distance(self, pixels: Any, logits: Any) -> Any:
        return score_loss(self.tf, self.lesson.activation, self._logits(pixels, False), logits)

    def _step(self, pixels: Any, wanted: Any, labels: Any) -> Any:
        tf, kind = self.tf, self.lesson.activation
        with tf.GradientTape() as tape:
            logits = self._logits(pixels, True)
            loss = score_loss(tf, kind, logits, wanted) + LABELS * label_loss(tf, kind, logits, labels)
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss

    def learn(self, chosen: Chosen, turned: Turned) -> float:
        """As `Loop.learn`."""
        tf, wanted = self.tf, self.lesson.logits[turned.astype(int), chosen]
        pixels, labels = self.pixels(chosen, turned), self.pictures.labels[chosen]
        return float(self.step(tf.constant(pixels), tf.constant(wanted), tf.constant(labels)).numpy())

    def apart(self, chosen: Chosen) -> float:
        """As `Loop.apart`."""
        pixels, wanted = np.asarray(self.pictures.pixels[chosen]), self.lesson.logits[0, chosen]
        return float(self.distance(self.tf.constant(pixels), self.tf.constant(wanted)))


def _remember(model: Any, batches: int) -> None:
    """Let the norms' statistics be those of the last half epoch: Keras' networks remember 100 steps, or 1000."""
    momentum = float(np.clip(1 - 2 / max(batches, 1), 0.5, 0.99))
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = momentum
