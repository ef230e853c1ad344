"""What the student is trained for: the teacher's scores and features on the same picture, and labels if there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgedense.converters.network.evaluate import logits_tensor
from edgedense.converters.network.graph import DenseNet, Pool
from edgedense.converters.network.kept import Indices, Kept
from edgedense.converters.network.program import Program
from edgedense.converters.recovery.pictures import UNLABELLED

TEMPERATURE = 2.0  # divides logits, so that the classes that are not the answer count as well
FEATURES = 1.0  # the weight of all features together, against the scores' 1
LABELS = 0.1  # the weight of labels; the teacher knows more than they say


@dataclass(frozen=True)
class Feature:
    """A tensor that the student shall have in common with the teacher. `channels` are the teacher's that the student
    still has (None: all)."""

    student: str
    teacher: str
    channels: Indices | None = None


def features(student: DenseNet, kept: Kept) -> tuple[Feature, ...]:
    """The transitions' outputs, which keep all channels, and the pooled channels of the last block that are kept."""
    found = [
        Feature(f"transition{number}", f"transition{number}")
        for number, block in enumerate(student.blocks, start=1)
        if block.transition is not None
    ]
    if student.head.steps and isinstance(student.head.steps[0], Pool) and len(student.head.steps) > 1:
        found.append(Feature("head/1_pool", "head/1_pool", kept.concats[f"block{len(student.blocks)}"]))
    return tuple(found)


@dataclass(frozen=True)
class Objective:
    """The loss of a student program against a teacher program.

    Scores: KL divergence at TEMPERATURE, times its square so that gradients keep their size (Hinton et al.,
    "Distilling the Knowledge in a Neural Network", 2015); per class where the network ends in a sigmoid; squared error
    relative to the teacher's variance where it ends in neither. Features: squared error, relative to the variance of
    the teacher's channels. Labels: cross-entropy.
    """

    student: Program
    teacher: Program
    features: tuple[Feature, ...]

    def loss(self, tf: Any, student: Mapping[str, Any], teacher: Mapping[str, Any], labels: Any) -> Any:
        """A scalar, from both programs' tensors and labels [B] (UNLABELLED where there is none)."""
        logits = student[logits_tensor(self.student)]
        total = self.scores(tf, student, teacher) + LABELS * label_loss(tf, ending(self.student), logits, labels)
        apart = [_apart(tf, feature, student, teacher) for feature in self.features]
        return total + FEATURES * tf.add_n(apart) / len(apart) if apart else total

    def scores(self, tf: Any, student: Mapping[str, Any], teacher: Mapping[str, Any]) -> Any:
        """The part of the loss that users see: how far the scores are from the teacher's."""
        return score_loss(
            tf, ending(self.student), student[logits_tensor(self.student)], teacher[logits_tensor(self.teacher)]
        )


def ending(program: Program) -> str:
    """The activation that gives the scores: "softmax", "sigmoid", another, or "linear" for none."""
    last = program.ops[-1]
    return last.function.kind if last.kind == "activation" and last.function is not None else "linear"


def score_loss(tf: Any, kind: str, z: Any, z_t: Any) -> Any:
    """Between logits [B, classes] of the student and the teacher."""
    if kind not in ("softmax", "sigmoid"):
        return tf.reduce_mean((z - z_t) ** 2) / (tf.math.reduce_variance(z_t) + 1e-12)
    z, z_t = z / TEMPERATURE, z_t / TEMPERATURE
    if kind == "softmax":
        divergence = tf.reduce_sum(tf.nn.softmax(z_t) * (tf.nn.log_softmax(z_t) - tf.nn.log_softmax(z)), axis=-1)
    else:
        p = tf.sigmoid(z_t)
        cross = tf.nn.sigmoid_cross_entropy_with_logits
        divergence = tf.reduce_sum(cross(labels=p, logits=z) - cross(labels=p, logits=z_t), axis=-1)
    return TEMPERATURE**2 * tf.reduce_mean(divergence)


def label_loss(tf: Any, kind: str, z: Any, labels: Any) -> Any:
    """Cross-entropy over the pictures of a batch that have a label; 0 where none has."""
    known = tf.cast(labels != UNLABELLED, tf.float32)
    if kind == "softmax":
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.maximum(labels, 0), logits=z)
    elif kind == "sigmoid" and z.shape[-1] == 1:
        target = tf.cast(labels == 1, tf.float32)
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=z[:, 0])
    else:  # several sigmoids: a picture may show more than its folder says
        return tf.constant(0.0)
    return tf.reduce_sum(each * known) / tf.maximum(tf.reduce_sum(known), 1.0)


def _apart(tf: Any, feature: Feature, student: Mapping[str, Any], teacher: Mapping[str, Any]) -> Any:
    x, x_t = student[feature.student], teacher[feature.teacher]
    if feature.channels is not None and feature.channels.size < x_t.shape[-1]:
        x_t = tf.gather(x_t, feature.channels, axis=-1)
    variance = tf.reduce_mean(tf.math.reduce_variance(x_t, axis=tuple(range(len(x_t.shape) - 1))))
    return tf.reduce_mean((x - x_t) ** 2) / (variance + 1e-12)
