"""What a network learns to say of a picture, and how far its scores are from that.

Either which one of the classes the picture shows, or of each class whether it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from edgedense.measures import metrics
from edgedense.measures.findings import mean_auroc
from edgedense.measures.metrics import Floats, Integers
from edgedense.report.wording import number, percent

SMALLEST = 1e-7  # a probability below counts as this in a loss, as in Keras
# A picture that shows a rare class counts as much as so many that do not, and no more: as all others of a usual batch
# together. A step would else follow that one picture: in ChestX-ray14 a hernia would weigh 493 times as much.
HEAVIEST = 32.0

Labels = Integers | Floats


@dataclass(frozen=True)
class OneClass:
    """A picture shows one of the classes; labels [N] are their numbers.

    `weights` [C] say how much a picture of each class counts. `single`: of two classes, one output gives the
    probability of the second.
    """

    weights: Floats
    single: bool = False
    called: ClassVar[str] = "accuracy"

    @property
    def outputs(self) -> int:
        """How many scores the network gives."""
        return 1 if self.single else len(self.weights)

    @property
    def activation(self) -> Literal["softmax", "sigmoid"]:
        """What the last layer ends in."""
        return "sigmoid" if self.single else "softmax"

    @property
    def compiled(self) -> tuple[Any, list[str]]:
        """The loss and the figures that Keras computes on training pictures."""
        return "binary_crossentropy" if self.single else "sparse_categorical_crossentropy", ["accuracy"]

    @property
    def counted(self) -> str:
        """What to tell of the losses; nothing where all pictures count the same."""
        return "" if _even(self.weights) else "On training pictures the loss counts rare classes more."

    def targets(self, labels: Labels) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """What the loss compares scores with, int32 [B], and how much each picture counts, float32 [B]."""
        return labels.astype(np.int32), self.weights[labels.astype(np.int64)].astype(np.float32)

    def loss(self, scores: Floats, labels: Labels) -> float:
        """The mean of -log p(the class that is shown), in nats; scores [N, C] or [N, 1]. All pictures count alike."""
        true = np.take_along_axis(metrics.distribution(scores), labels.astype(np.int64)[:, None], axis=1)
        return float(-np.log(np.maximum(true, SMALLEST)).mean())

    def figure(self, scores: Floats, labels: Labels) -> float | None:
        """The share of pictures that are decided right."""
        return metrics.accuracy(scores, labels)

    @staticmethod
    def said(figure: float | None) -> str:
        """The figure for people; a dash where there is none."""
        return percent(figure)


@dataclass(frozen=True)
class Several:
    """A picture shows any number of the K classes, and each is a yes or no of its own; labels [N, K] are 1, 0, and NaN
    where nobody knows. What is not known counts nowhere.

    `weights` [K] say how much a yes of each class counts; a no counts 1.
    """

    weights: Floats
    called: ClassVar[str] = "mean AUROC"
    activation: ClassVar[Literal["sigmoid"]] = "sigmoid"

    @property
    def outputs(self) -> int:
        """How many scores the network gives."""
        return len(self.weights)

    @property
    def compiled(self) -> tuple[Any, list[str]]:
        """The loss, and no figure: of varied training pictures none is worth the time."""
        return _cross_entropies, []

    @property
    def counted(self) -> str:
        """What to tell of the losses; nothing where all pictures count the same."""
        if _even(self.weights):
            return ""
        return "The loss counts pictures with a rare class more, training and validation pictures alike."

    def targets(self, labels: Labels) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """What the loss compares scores with and how much each of it counts, both float32 [B, K]; 0 and 0 where nobody
        knows. The weights are such that Keras' mean over all of them is the mean over those that are known."""
        weights = self._counted(labels)
        known = max(int(np.count_nonzero(weights)), 1)
        return np.nan_to_num(labels).astype(np.float32), (weights * (weights.size / known)).astype(np.float32)

    def loss(self, scores: Floats, labels: Labels) -> float:
        """The weighted binary cross-entropy, in nats: the mean of -w y log p - (1 - y) log(1 - p) over all known labels
        y, where w is the class's weight; scores [N, K].

        It is weighted as in training. Scores of a network that was trained with weights are higher than the shares that
        they stand for, and without weights the loss would hold that against the better epoch.
        """
        p = np.clip(scores, SMALLEST, 1 - SMALLEST)
        values = -np.where(labels == 1, np.log(p), np.log(1 - p))
        weights = self._counted(labels)
        return float(np.sum(weights * values) / max(int(np.count_nonzero(weights)), 1))

    def figure(self, scores: Floats, labels: Labels) -> float | None:
        """The mean AUROC over the classes that have pictures with and without them; None where no class has."""
        return mean_auroc(scores, labels)

    @staticmethod
    def said(figure: float | None) -> str:
        """The figure for people; a dash where there is none."""
        return number(figure)

    def _counted(self, labels: Labels) -> Floats:
        return np.where(np.isnan(labels), 0.0, np.where(labels == 1, self.weights, 1.0))


Goal = OneClass | Several


def of_labels(labels: Labels, classes: int, *, balanced: bool, single: bool) -> Goal:
    """That of training labels [N] or [N, K], the latter of several findings; `balanced` weighs the rare ones more."""
    if labels.ndim == 2:
        return Several(positive_weights(labels.astype(np.float64)) if balanced else np.ones(classes))
    return OneClass(class_weights(labels, classes) if balanced else np.ones(classes), single)


def class_weights(labels: npt.ArrayLike, classes: int) -> Floats:
    """The weight of each class [classes]: N / (classes * N_c), scikit-learn's "balanced"."""
    counts = np.bincount(np.asarray(labels), minlength=classes)
    return counts.sum() / (classes * np.maximum(counts, 1))


def positive_weights(labels: Floats) -> Floats:
    """How much a yes counts where a no counts 1, [K], for labels [N, K]: noes / yeses, so that all yeses of a class
    together count as much as its noes. At most HEAVIEST.

    CheXNet weighs a yes by noes / all and a no by yeses / all, which is the same ratio (Rajpurkar et al., "CheXNet",
    2017).
    """
    yes, no = np.sum(labels == 1, axis=0), np.sum(labels == 0, axis=0)
    return np.minimum(no / np.maximum(yes, 1), HEAVIEST)


def _even(weights: Floats) -> bool:
    return bool(np.ptp(weights) == 0)


def _cross_entropies(truth: Any, scores: Any) -> Any:
    """That of each label [B, K], which Keras weighs and averages."""
    import keras

    return keras.ops.binary_crossentropy(truth, scores)
