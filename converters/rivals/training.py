"""How a rival is trained: as a pruned DenseNet is recovered, but from nothing."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters.recovery import Course, RecoverySpec
from edgedense.converters.recovery.distill import LABELS, label_loss, score_loss
from edgedense.converters.recovery.training import check_loss, follow, mirrored, optimizer, order, split
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
    chosen = loop.trained[: loop.batch]
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


class _Loop:
    """The traced step and the optimizer: a `recovery.training.Loop`."""

    def __init__(self, model: Any, lesson: Lesson, spec: RecoverySpec) -> None:
        import tensorflow as tf

        self.tf, self.model, self.lesson = tf, model, lesson
        self.spec = replace(spec, flip=spec.flip and lesson.mirrored)
        count, height, width, channels = lesson.pictures.pixels.shape
        self.trained, self.held = split(count)
        self.batch = spec.batch_of(len(self.trained), height, width)
        self.batches = len(self.trained) // self.batch
        self.optimizer = optimizer(spec, self.batch, max(spec.epochs * self.batches, 1))
        self.optimizer.build(model.trainable_variables)
        _remember(model, self.batches)
        pixels = tf.TensorSpec((None, height, width, channels), tf.uint8)
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

    def learn(self, chosen: np.ndarray, turned: np.ndarray) -> float:
        """A step on the pictures with these numbers, of which some are mirrored; its loss."""
        tf, pictures = self.tf, self.lesson.pictures
        pixels = mirrored(np.asarray(pictures.pixels[chosen]), turned)
        wanted = self.lesson.logits[turned.astype(int), chosen]
        loss = self.step(tf.constant(pixels), tf.constant(wanted), tf.constant(pictures.labels[chosen]))
        return float(loss.numpy())

    def epoch(self, number: int, tick: Callable[[int], None]) -> float:
        """One pass over the pictures; its mean loss."""
        losses = []
        count = len(self.lesson.pictures.pixels)
        for chosen, turned in order(self.spec, number, self.trained, self.batch, count):
            losses.append(self.learn(chosen, turned))
            tick(1)
            check_loss(losses[-1], number)
        return float(np.mean(losses))

    def held_out(self) -> float:
        """How far the scores of pictures that are not trained on are from the teacher's, as the weights are now."""
        total = 0.0
        for start in range(0, len(self.held), self.batch):
            chosen = self.held[start : start + self.batch]
            pixels = self.tf.constant(np.asarray(self.lesson.pictures.pixels[chosen]))
            total += float(self.distance(pixels, self.tf.constant(self.lesson.logits[0, chosen]))) * len(chosen)
        return total / len(self.held)

    def state(self) -> tuple[np.ndarray, ...]:
        """All that training changes."""
        return tuple(variable.numpy() for variable in self._variables())

    def restore(self, state: tuple[np.ndarray, ...]) -> None:
        """Go on from what `state` gave."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]

    def weights(self) -> tuple[np.ndarray, ...]:
        """The model's variables as they are now, the norms' statistics among them."""
        return tuple(variable.numpy() for variable in self.model.variables)

    def put(self, weights: tuple[np.ndarray, ...]) -> None:
        """Give the model what `weights` gave."""
        for variable, value in zip(self.model.variables, weights, strict=True):
            variable.assign(value)


def _remember(model: Any, batches: int) -> None:
    """Let the norms' statistics be those of the last half epoch: Keras' networks remember 100 steps, or 1000."""
    momentum = float(np.clip(1 - 2 / max(batches, 1), 0.5, 0.99))
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = momentum
