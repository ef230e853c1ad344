"""Drift and classification metrics, pure numpy.

Shapes: `scores` is [N, C], one row of class probabilities per image, or [N, 1] for a head with a single
sigmoid, which means the probability of class 1; `labels` is [N], integer class indices. `before` and
`after` are the scores of two models on the same images in the same order. Logarithms are natural.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FLOOR = 1e-4  # an int8 softmax says 0 for whatever is below 1/512: without a floor KL is infinite there


def distribution(scores: npt.ArrayLike) -> Floats:
    """Scores [N, C] as float64; a single sigmoid [N, 1] becomes the two columns (1 - p, p).

    Raises ValueError when the array is not two-dimensional or not finite.
    """
    array = np.asarray(scores, np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"scores must be [images, classes], not {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("scores must be finite")
    return np.concatenate([1 - array, array], axis=1) if array.shape[1] == 1 else array


def predicted(scores: npt.ArrayLike) -> Integers:
    """The class each row decides for, [N]: the largest score, the lower index on a tie; a single sigmoid
    says class 1 from 0.5 on."""
    array = np.asarray(scores)
    if array.ndim == 2 and array.shape[1] == 1:
        return (array[:, 0] >= 0.5).astype(np.int64)
    return np.argmax(distribution(array), axis=1).astype(np.int64)


def accuracy(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Top-1: the share of images whose decided class is the true one, 0 to 1."""
    return _mean(predicted(scores) == np.asarray(labels))


def top_k_accuracy(scores: npt.ArrayLike, labels: npt.ArrayLike, k: int = 5) -> float:
    """The share of images whose true class is among the k largest scores (Russakovsky et al., "ImageNet
    Large Scale Visual Recognition Challenge", 2015). A tie goes to the lower index, as in `predicted`."""
    order = np.argsort(-distribution(scores), axis=1, kind="stable")[:, :k]
    return _mean((order == np.asarray(labels)[:, None]).any(axis=1))


def agreement(before: npt.ArrayLike, after: npt.ArrayLike) -> float:
    """The share of images on which both models decide for the same class, right or wrong."""
    return _mean(predicted(before) == predicted(after))


def divergence(before: npt.ArrayLike, after: npt.ArrayLike, activation: str) -> Floats:
    """The KL divergence per image, [N], of scores that `activation` made: of one distribution over the classes, or of
    several sigmoids, each of which is one of its own."""
    several = activation == "sigmoid" and np.shape(before)[1] > 1
    return independent_kl(before, after) if several else kl_divergence(before, after)


def independent_kl(before: npt.ArrayLike, after: npt.ArrayLike, floor: float = FLOOR) -> Floats:
    """The sum over classes of KL(before || after), per image, [N], in nats, where every class is a yes or no of its
    own, as behind sigmoids: the divergence of independent variables is the sum of theirs.

    Scores are clipped to [`floor`, 1 - `floor`], so that the value is finite; it is never below 0.
    """
    p, q = (np.clip(np.asarray(scores, np.float64), floor, 1 - floor) for scores in (before, after))
    return np.sum(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)), axis=1)


def kl_divergence(before: npt.ArrayLike, after: npt.ArrayLike, floor: float = FLOOR) -> Floats:
    """KL(before || after) = sum_c p_c log(p_c / q_c) per image, [N], in nats (Kullback and Leibler, 1951).

    Probabilities below `floor` are raised to it, so that the value is finite. Rows are not rescaled to one
    afterwards, which keeps figures comparable between tools; a value can therefore be as low as -C * floor.
    """
    p, q = _floored(before, floor), _floored(after, floor)
    return np.sum(p * np.log(p / q), axis=1)


def js_divergence(before: npt.ArrayLike, after: npt.ArrayLike, floor: float = FLOOR) -> Floats:
    """Jensen-Shannon: (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, per image, [N], 0 to log 2
    (Lin, 1991).

    Symmetric, unlike KL. Floored as in `kl_divergence`.
    """
    p, q = _floored(before, floor), _floored(after, floor)
    middle = (p + q) / 2
    return np.sum(p * np.log(p / middle) + q * np.log(q / middle), axis=1) / 2


def logit_cosine(before: npt.ArrayLike, after: npt.ArrayLike, floor: float = FLOOR) -> float:
    """Cosine of the logits of two models over all images and classes: <z, z'> / (|z| |z'|), -1 to 1.

    A softmax gives its logits only up to a constant per image, so they are taken as the centred log-ratio
    z_c = log p_c - mean_k log p_k (Aitchison, "The Statistical Analysis of Compositional Data", 1986),
    floored as in `kl_divergence`. 1.0 when both models are indifferent everywhere.
    """
    z, other = (_centred_logits(scores, floor) for scores in (before, after))
    norms = float(np.linalg.norm(z) * np.linalg.norm(other))
    if norms == 0:
        return 1.0 if np.array_equal(z, other) else 0.0
    return float(np.clip(np.sum(z * other) / norms, -1.0, 1.0))


def confusion_matrix(labels: npt.ArrayLike, decided: npt.ArrayLike, classes: int) -> Integers:
    """Counts [classes, classes]: rows are the true class, columns the decided one (as in scikit-learn)."""
    flat = np.asarray(labels, np.int64) * classes + np.asarray(decided, np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True)
class ClassFigures:
    """One row of the classification report; precision, recall and f1 from 0 to 1, support in images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


def per_class(confusion: npt.ArrayLike, names: tuple[str, ...]) -> tuple[ClassFigures, ...]:
    """Per class: precision TP / (TP + FP), recall TP / (TP + FN), F1 = 2 TP / (2 TP + FP + FN), support
    TP + FN.

    As scikit-learn's classification_report (van Rijsbergen, "Information Retrieval", 1979); 0 where a
    denominator is 0.
    """
    matrix = np.asarray(confusion, np.float64)
    hits, decided, support = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    columns = _ratio(hits, decided), _ratio(hits, support), _ratio(2 * hits, decided + support)
    return tuple(
        ClassFigures(name, float(p), float(r), float(f), int(n))
        for name, p, r, f, n in zip(names, *columns, support, strict=True)
    )


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose confidence lies in (low, high]: how many, how sure on average, how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(scores: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 15) -> tuple[ReliabilityBin, ...]:
    """The reliability diagram on the decided class's score, equal-width bins; empty bins are left out.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    confidence = distribution(scores).max(axis=1, initial=0.0)
    right = predicted(scores) == np.asarray(labels)
    edges = np.linspace(0, 1, bins + 1)
    # (low, high]: a confidence of exactly 1 belongs to the last bin, one of exactly 0 to the first.
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    found = []
    for i in range(bins):
        here = index == i
        if here.any():
            found.append(
                ReliabilityBin(
                    float(edges[i]),
                    float(edges[i + 1]),
                    int(here.sum()),
                    float(confidence[here].mean()),
                    float(right[here].mean()),
                )
            )
    return tuple(found)


def calibration_error(scores: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: sum_b n_b / N |accuracy_b - confidence_b|, 0 to 1 (Guo et al., 2017)."""
    found = reliability(scores, labels, bins)
    total = sum(b.count for b in found)
    return sum(b.count * abs(b.accuracy - b.confidence) for b in found) / total if total else 0.0


def binary_calibration_error(positive_scores: npt.ArrayLike, positives: npt.ArrayLike, bins: int = 15) -> float:
    """The calibration error of one class that is scored alone: sum_b n_b / N |share of positives_b - mean score_b| over
    equal-width bins of the score, 0 to 1.

    Unlike `calibration_error`, which asks whether the decided class is right as often as its score says, it asks
    whether a class with the score 0.2 is there in 20 % of the images (Naeini et al., "Obtaining Well Calibrated
    Probabilities Using Bayesian Binning", 2015). Bins are closed above, as there.
    """
    scores, truth = np.asarray(positive_scores, np.float64), np.asarray(positives, np.float64)
    index = np.clip(np.searchsorted(np.linspace(0, 1, bins + 1), scores, side="left") - 1, 0, bins - 1)
    off = np.bincount(index, truth - scores, minlength=bins)
    return float(np.abs(off).sum() / scores.size) if scores.size else 0.0


def bootstrap_drop(
    before_right: npt.ArrayLike, after_right: npt.ArrayLike, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the drop in accuracy, before - after, as shares (0.01 is a point).

    Paired: images are drawn with replacement and both models' results on an image stay together (Efron
    and Tibshirani, "An Introduction to the Bootstrap", 1993). Each image's difference is -1, 0 or 1, so
    that a draw of N images is one draw from a multinomial distribution. With no difference at all the
    interval is [0, 0]: see `rule_of_three`.
    """
    difference = np.asarray(before_right, np.int64) - np.asarray(after_right, np.int64)
    images = difference.size
    if images == 0:
        return 0.0, 0.0
    shares = np.array([np.mean(difference == d) for d in (1, -1, 0)])
    counts = np.random.default_rng(seed).multinomial(images, shares / shares.sum(), size=draws)
    drops = (counts[:, 0] - counts[:, 1]) / images
    low, high = np.quantile(drops, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def rule_of_three(images: int) -> float:
    """What happened on none of `images` images happens on less than 3 / N of all, with 95 % confidence
    (Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983)."""
    return min(1.0, 3 / images) if images else 1.0


def mcnemar(before_right: npt.ArrayLike, after_right: npt.ArrayLike) -> float:
    """McNemar's exact two-sided p-value: is the difference between two models on the same images chance?

    Of the b + c images that only one model has right, each is a fair coin if the models are equally good:
    p = min(1, 2 P(X <= min(b, c))) with X ~ Binomial(b + c, 1/2) (McNemar, 1947; exact form: Agresti,
    "Categorical Data Analysis", 2002). 1.0 when no image tells them apart.
    """
    first, second = np.asarray(before_right, bool), np.asarray(after_right, bool)
    return binomial_sign_test(int(np.sum(first & ~second)), int(np.sum(~first & second)))


def binomial_sign_test(lost: int, won: int) -> float:
    """The two-sided exact p-value of `lost` against `won` tosses of a fair coin."""
    tosses, fewer = lost + won, min(lost, won)
    term = tail = 1
    for k in range(1, fewer + 1):
        term = term * (tosses - k + 1) // k  # C(n, k) from C(n, k - 1): exact, because Python's integers are
        tail += term
    return min(1.0, (2 * tail) / (1 << tosses))


def auroc(positive_scores: npt.ArrayLike, positives: npt.ArrayLike) -> float | None:
    """Area under the ROC curve: the chance that a positive image scores above a negative one, ties count
    half.

    Computed from mid-ranks: (sum of positive ranks - P (P + 1) / 2) / (P N) (Hanley and McNeil, 1982).
    `positive_scores` [N], `positives` [N] booleans. None when one of the two groups is empty.
    """
    scores, truth = np.asarray(positive_scores, np.float64), np.asarray(positives, bool)
    count, others = int(truth.sum()), int((~truth).sum())
    if not count or not others:
        return None
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return float((ranks[truth].sum() - count * (count + 1) / 2) / (count * others))


def average_precision(positive_scores: npt.ArrayLike, positives: npt.ArrayLike) -> float | None:
    """Average precision: sum_n (R_n - R_{n-1}) P_n over the distinct thresholds, as scikit-learn defines
    it (Manning et al., "Introduction to Information Retrieval", 2008). None when there is no positive
    image."""
    scores, truth = np.asarray(positive_scores, np.float64), np.asarray(positives, bool)
    if not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
    precision, recall = hits[ends] / (ends + 1), hits[ends] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def sensitivity(positive_scores: npt.ArrayLike, positives: npt.ArrayLike, threshold: float) -> float | None:
    """The share of positive images that score at or above `threshold`; None without positive images. With
    the other group's mask it is 1 - specificity."""
    scores, truth = np.asarray(positive_scores, np.float64), np.asarray(positives, bool)
    return float(np.mean(scores[truth] >= threshold)) if truth.any() else None


def preserving_threshold(
    before: npt.ArrayLike, after: npt.ArrayLike, positives: npt.ArrayLike, threshold: float = 0.5
) -> float:
    """The threshold on `after` that finds as many positive images as `threshold` does on `before`; both [N].

    Any threshold between two neighbouring positive scores does the same; of those the one closest to
    `threshold` is returned, so that a model that did not change keeps its threshold. Where ties allow no
    equal count, the one that finds more is returned: a missed patient costs more than a second look.
    """
    truth = np.asarray(positives, bool)
    found = int(np.sum(np.asarray(before, np.float64)[truth] >= threshold))
    ordered = np.sort(np.asarray(after, np.float64)[truth])[::-1]
    now = int(np.sum(ordered >= threshold))
    if now == found:
        return threshold
    if now < found:
        return float(ordered[found - 1])
    above = float(ordered[found])  # the best of those that must stay below
    if found == 0:
        return math.nextafter(above, math.inf)
    kept = float(ordered[found - 1])
    return (above + kept) / 2 if kept > above else kept


def _floored(scores: npt.ArrayLike, floor: float) -> Floats:
    return np.maximum(distribution(scores), floor)


def _centred_logits(scores: npt.ArrayLike, floor: float) -> Floats:
    logs = np.log(_floored(scores, floor))
    return logs - logs.mean(axis=1, keepdims=True)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _mean(flags: npt.ArrayLike) -> float:
    array = np.asarray(flags)
    return float(array.mean()) if array.size else 0.0
