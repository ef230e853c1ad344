"""What changed between two models on the same labelled images: arrays in, one frozen result out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgedense.measures import metrics
from edgedense.measures.metrics import ClassFigures, Floats, Integers, ReliabilityBin


@dataclass(frozen=True)
class Ranking:
    """How well one class's score separates its images from all others. None: one of the groups has no
    image."""

    positive: str
    auroc: float | None
    average_precision: float | None


@dataclass(frozen=True)
class Evaluation:
    """One model on so many labelled `images`. Shares are 0 to 1.

    `accuracy` is the share of images whose best class is the right one, `top5` the share where the right one is among
    the five best; it is None for up to five classes, where it says nothing. `calibration_error` is how far the scores
    are from the share that is right, 0 where 80 % of the images that score 0.8 are right; `reliability` has it by
    score. `confusion[true][decided]` counts images. `rankings` are given for heads whose scores are used one by one:
    class 1 of a binary head, every class of several sigmoids.
    """

    model: str
    images: int
    accuracy: float
    top5: float | None
    calibration_error: float
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[ClassFigures, ...]
    reliability: tuple[ReliabilityBin, ...]
    rankings: tuple[Ranking, ...] = ()


@dataclass(frozen=True)
class Threshold:
    """The decision threshold that keeps the first model's sensitivity (share of positive images found) on
    the second.

    `specificity_*` are the shares of other images left alone; None where a group has no image.
    """

    positive: str
    before: float
    after: float
    sensitivity_before: float | None
    sensitivity_after: float | None
    specificity_before: float | None
    specificity_after: float | None

    @property
    def moved(self) -> float:
        """How far the threshold moved; 0 when the old one still serves."""
        return self.after - self.before


@dataclass(frozen=True)
class Changed:
    """An image on which the models decide differently: the decided classes and the scores for them."""

    image: str
    truth: str
    before: str
    before_score: float
    after: str
    after_score: float


@dataclass(frozen=True)
class Drift:
    """Two models on the same images, `before` and `after`.

    `agreement` is the share of images, 0 to 1, that both put into the same class. `kl_mean` and `kl_worst` are the
    Kullback-Leibler divergence in nats, which says how far the scores after are from those before (0: equal), and
    `js_mean` is the symmetric Jensen-Shannon divergence. `logit_cosine` compares the logits' direction (1: equal).

    `drop` is the accuracy before less that after, in points of 100; `drop_low` and `drop_high` bound it with 95 %
    confidence. `lost` images only the first model has right, `won` only the second; `p_value` is McNemar's, the chance
    of numbers so unequal if the models were equally good. `changed` are the images that both decide differently,
    `thresholds` those that keep the first model's sensitivity. The formulas and their sources stand in
    `edgedense.measures.metrics`.
    """

    before: Evaluation
    after: Evaluation
    agreement: float
    kl_mean: float
    kl_worst: float
    kl_worst_image: str
    js_mean: float
    logit_cosine: float
    drop: float
    drop_low: float
    drop_high: float
    p_value: float
    lost: int
    won: int
    changed: tuple[Changed, ...]
    thresholds: tuple[Threshold, ...] = ()


def evaluate(
    scores: npt.ArrayLike, labels: npt.ArrayLike, names: tuple[str, ...], *, model: str, activation: str = "softmax"
) -> Evaluation:
    """Judge one model: scores [N, C] or [N, 1], labels [N] as indices into `names`.

    Raises ValueError when the shapes do not fit each other or there is no image.
    """
    spread, truth = metrics.distribution(scores), np.asarray(labels, np.int64)
    if spread.shape != (truth.size, len(names)) or not truth.size:
        raise ValueError(f"scores {np.shape(scores)} do not fit {truth.size} labels and {len(names)} classes")
    confusion = metrics.confusion_matrix(truth, metrics.predicted(scores), len(names))
    return Evaluation(
        model=model,
        images=truth.size,
        accuracy=metrics.accuracy(scores, truth),
        top5=metrics.top_k_accuracy(scores, truth) if len(names) > 5 else None,
        calibration_error=metrics.calibration_error(scores, truth),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        per_class=metrics.per_class(confusion, names),
        reliability=metrics.reliability(scores, truth),
        rankings=tuple(
            Ranking(
                names[c], metrics.auroc(spread[:, c], truth == c), metrics.average_precision(spread[:, c], truth == c)
            )
            for c in _ranked_classes(len(names), activation)
        ),
    )


def compare(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    labels: npt.ArrayLike,
    names: tuple[str, ...],
    *,
    images: tuple[str, ...],
    models: tuple[str, str],
    activation: str = "softmax",
    thresholds: Sequence[float] = (),
) -> Drift:
    """Judge two models on the same images: `before` and `after` [N, C] or [N, 1], labels [N] as indices
    into `names`, `images` a name per image. `thresholds` are those from which on a class counts as seen in the first
    model, one for each, infinite where none does; without them all are 0.5. Raises ValueError when the shapes do not
    fit each other."""
    truth = np.asarray(labels, np.int64)
    first = evaluate(before, truth, names, model=models[0], activation=activation)
    second = evaluate(after, truth, names, model=models[1], activation=activation)
    right = metrics.predicted(before) == truth
    still = metrics.predicted(after) == truth
    low, high = metrics.bootstrap_drop(right, still)
    divergence = metrics.divergence(before, after, activation)
    worst = int(np.argmax(divergence))
    return Drift(
        before=first,
        after=second,
        agreement=metrics.agreement(before, after),
        kl_mean=float(divergence.mean()),
        kl_worst=float(divergence[worst]),
        kl_worst_image=images[worst],
        js_mean=float(metrics.js_divergence(before, after).mean()),
        logit_cosine=metrics.logit_cosine(before, after),
        drop=100 * (first.accuracy - second.accuracy),
        drop_low=100 * low,
        drop_high=100 * high,
        p_value=metrics.mcnemar(right, still),
        lost=int(np.sum(right & ~still)),
        won=int(np.sum(still & ~right)),
        changed=_changed(before, after, truth, names, images),
        thresholds=tuple(
            keeping_sensitivity(
                metrics.distribution(before)[:, c],
                metrics.distribution(after)[:, c],
                truth == c,
                names[c],
                thresholds[c] if thresholds else 0.5,
            )
            for c in _ranked_classes(len(names), activation)
            if not thresholds or math.isfinite(thresholds[c])
        ),
    )


def _ranked_classes(classes: int, activation: str) -> tuple[int, ...]:
    if classes == 2:
        return (1,)
    return tuple(range(classes)) if activation == "sigmoid" else ()


def _changed(
    before: npt.ArrayLike, after: npt.ArrayLike, truth: Integers, names: tuple[str, ...], images: tuple[str, ...]
) -> tuple[Changed, ...]:
    """Images that went from right to wrong come first, then by how sure the second model is."""
    first, second = metrics.predicted(before), metrics.predicted(after)
    p, q = metrics.distribution(before), metrics.distribution(after)
    indices = sorted(np.flatnonzero(first != second), key=lambda i: (first[i] != truth[i], -q[i, second[i]]))
    return tuple(
        Changed(
            images[i], names[truth[i]], names[first[i]], float(p[i, first[i]]), names[second[i]], float(q[i, second[i]])
        )
        for i in indices
    )


def keeping_sensitivity(
    before: Floats, after: Floats, positives: npt.NDArray[np.bool_], name: str, threshold: float
) -> Threshold:
    """What becomes of the class `name` when the first model decides by `threshold` and the second by the one that finds
    as many positive images: scores [N] of each for the class, `positives` [N]."""
    moved = metrics.preserving_threshold(before, after, positives, threshold) if positives.any() else threshold

    def specificity(scores: Floats, at: float) -> float | None:
        passed = metrics.sensitivity(scores, ~positives, at)
        return None if passed is None else 1 - passed

    return Threshold(
        name,
        threshold,
        moved,
        metrics.sensitivity(before, positives, threshold),
        metrics.sensitivity(after, positives, moved),
        specificity(before, threshold),
        specificity(after, moved),
    )
