"""What a model gets right of pictures that show several findings, one, or none, and what another one changes about it.

Every class is a question of its own with the answer yes or no, so nothing here sets one class against another: there is
no best class and no confusion matrix. Shapes: scores and truth are [N, K], N images and K classes; truth is 1 where an
image shows the class, 0 where it does not, and NaN where nobody knows. Such an image is left out of that class's
figures, and counts for the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgedense.measures import bootstrap, metrics
from edgedense.measures.bootstrap import Estimate, estimate
from edgedense.measures.drift import Threshold, keeping_sensitivity
from edgedense.measures.metrics import Floats, Integers

Flags = npt.NDArray[np.bool_]
ROC_POINTS = 60  # of a curve: more are no longer told apart in a plot


@dataclass(frozen=True)
class Figures:
    """How well a class is told from its absence; shares from 0 to 1.

    `auroc` and `average_precision` say how well the scores sort the images, whatever the threshold. The others are of
    the decisions at the threshold: a score that reaches it is a yes.

    `auroc`: the chance that an image with the finding scores above one without; it needs images of both kinds.
    `average_precision`: the share of images with the finding among those that score as high as one of them, on average.
    `sensitivity`: of the images with the finding, the share that got a yes. `specificity`: of those without, the share
    that got a no. `positive_predictive_value`: of the images that got a yes, the share with the finding.
    `negative_predictive_value`: of those that got a no, the share without. Both depend on how frequent the finding is,
    and need images of both kinds. `f1`: 2 TP / (2 TP + FP + FN), the harmonic mean of sensitivity and positive
    predictive value.
    """

    auroc: Estimate
    average_precision: Estimate
    sensitivity: Estimate
    specificity: Estimate
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate
    f1: Estimate


FIGURES = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True)
class Finding:
    """One class: `positives` images show it, `negatives` do not, and of `unknown` nobody knows.

    `threshold` is what its score must reach. It is None for a class that the file never reports, for which there are no
    figures. `roc` are points (1 - specificity, sensitivity) of the ROC curve, thinned out for a plot.
    """

    name: str
    threshold: float | None
    positives: int
    negatives: int
    unknown: int
    figures: Figures
    roc: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Scored:
    """One model. `macro` are the means over the classes that have the figure, each class counting the same. `micro` are
    the figures of all pairs (image, class) in one heap, so that frequent findings count for more."""

    model: str
    classes: tuple[Finding, ...]
    macro: Figures
    micro: Figures


@dataclass(frozen=True)
class ClassChange:
    """What became of one class: figures after less figures before, with intervals of the difference itself.

    `score` is by how much its score moved, on average over the images; `agreement` the share of images on which both
    models decide it alike. Both are None for a class that the file never reports.
    """

    name: str
    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    score: float | None
    agreement: float | None


@dataclass(frozen=True)
class Flip:
    """A class that the models decide differently on an image: whether the image shows it (None: nobody knows), whether
    the second model says so, and the scores."""

    name: str
    truth: bool | None
    seen: bool
    before: float
    after: float


@dataclass(frozen=True)
class ChangedFindings:
    """An image on which the models decide at least one class differently."""

    image: str
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class Change:
    """Two models on the same images.

    `drop` is the mean AUROC before less that after, in points of 100. `agreement` is the share of pairs (image, class)
    that are decided alike, `agreement_of_images` the share of images on which all classes are. `moved_most` is the
    class whose scores moved most on average, None without classes. `kl_mean` and `kl_worst` are the sum over classes of
    the Kullback-Leibler divergence in nats (`metrics.independent_kl`). `changed` are the images that are decided
    differently: first those with most mistakes that the first model did not make. `thresholds` keep the first model's
    sensitivity.
    """

    classes: tuple[ClassChange, ...]
    drop: Estimate
    agreement: float
    agreement_of_images: float
    moved_most: str | None
    kl_mean: float
    kl_worst: float
    kl_worst_image: str
    changed: tuple[ChangedFindings, ...]
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True)
class Findings:
    """What was measured on `images` pictures of `patients` patients, 0 where these are not known.

    Intervals hold with 95 % confidence and are the bootstrap's, of so many `draws` of whole patients or, where these
    are not known, of pictures: `drawn_by`. In a draw without a positive image a class has no sensitivity; that draw is
    left out of the class's interval, and the class out of that draw's means. `scored` is the model under test,
    `reference` the one that it is compared with, if any, and `change` what lies between them.
    """

    images: int
    patients: int
    drawn_by: Literal["patient", "picture"]
    draws: int
    scored: Scored
    reference: Scored | None = None
    change: Change | None = None

    @property
    def models(self) -> tuple[Scored, ...]:
        """The reference, if any, and the model under test."""
        return (self.scored,) if self.reference is None else (self.reference, self.scored)

    @property
    def known(self) -> bool:
        """Whether anything is known of the pictures. Without that two models can still be compared."""
        return any(finding.positives or finding.negatives for finding in self.scored.classes)


def measure(
    scores: Sequence[npt.ArrayLike],
    truth: npt.ArrayLike,
    thresholds: Sequence[float],
    names: Sequence[str],
    *,
    models: Sequence[str],
    images: Sequence[str],
    patients: Sequence[str] = (),
    draws: int = bootstrap.DRAWS,
    seed: int = 0,
) -> Findings:
    """Judge one model, or a reference and then the model under test: `scores` [N, K] of each, `truth` [N, K].

    `thresholds` [K] are what the score of each of the classes `names` must reach, in both models; infinite for a class
    that is never reported. `models` are the models' names, `images` [N] the pictures', and `patients` [N] say whose
    each picture is, or are empty. Raises ValueError when the shapes do not fit each other or there is no image.
    """
    arrays = [np.asarray(one, np.float64) for one in scores]
    known, limits = np.asarray(truth, np.float64), np.asarray(thresholds, np.float64)
    _check(arrays, known, (len(images), len(names)), limits)
    judged = np.where(np.isfinite(limits), known, np.nan)  # of what is never reported there is nothing to judge
    counters = [_Counter(one, judged, limits) for one in arrays]
    found = [counter.figures(np.ones((len(images), 1)))[..., 0] for counter in counters]
    drawn = _drawn(counters, len(images), patients, draws, seed)
    scored = [
        _scored(model, counter, names, known, limits, values, all_draws)
        for model, counter, values, all_draws in zip(models, counters, found, drawn, strict=True)
    ]
    by: Literal["patient", "picture"] = "patient" if len(patients) else "picture"
    alone = Findings(len(images), len(set(patients)), by, draws, scored[-1])
    if len(arrays) == 1:
        return alone
    change = _change(arrays, judged, limits, tuple(names), tuple(images), found, drawn)
    return replace(alone, reference=scored[0], change=change)


def mean_auroc(scores: npt.ArrayLike, truth: npt.ArrayLike, thresholds: Sequence[float] = ()) -> float | None:
    """The mean over classes of the area under the ROC curve, 0 to 1, of scores [N, K]: `Scored.macro.auroc` alone.

    Classes with an infinite threshold are left out, and so are those without images of both kinds. None without any.
    """
    array, known = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    kept = [k for k in range(known.shape[1]) if not thresholds or math.isfinite(thresholds[k])]
    areas = [_Column.of(array[:, k], known[:, k]).ranked(np.ones((len(array), 1)))[0, 0] for k in kept]
    found = [float(area) for area in areas if not math.isnan(area)]
    return float(np.mean(found)) if found else None


def agreement(before: npt.ArrayLike, after: npt.ArrayLike, thresholds: Sequence[float]) -> float:
    """The share of pairs (image, class) that two models decide alike, of scores [N, K]; 1 where nothing is decided."""
    limits = np.asarray(thresholds, np.float64)
    alike = (np.asarray(before, np.float64) >= limits) == (np.asarray(after, np.float64) >= limits)
    return float(alike[:, np.isfinite(limits)].mean()) if np.isfinite(limits).any() else 1.0


@dataclass(frozen=True)
class _Column:
    """Images of known truth by score, the best first: sorted once for all draws.

    `positives` and `negatives` are the images' numbers. Positives with equal scores are a group: `starts` [G] is where
    in `positives` each begins. `above` [G] is how many negatives score higher than a group, `ends` [G] how many score
    as high or higher.
    """

    positives: Integers
    negatives: Integers
    starts: Integers
    above: Integers
    ends: Integers

    @classmethod
    def of(cls, scores: Floats, truth: Floats) -> _Column:
        """Of scores [N] and truth [N], or of several classes in one heap: both [N, K]."""
        rows = np.broadcast_to(np.arange(len(scores)).reshape(-1, *[1] * (scores.ndim - 1)), scores.shape)
        found = []
        for kind in (1, 0):
            own = scores[truth == kind]
            order = np.argsort(-own, kind="stable")
            found.append((rows[truth == kind][order], -own[order]))
        (positives, best), (negatives, others) = found
        starts = np.flatnonzero(np.diff(best, prepend=-np.inf))
        above, ends = (np.searchsorted(others, best[starts], side) for side in ("left", "right"))
        return cls(positives, negatives, starts, above, ends)

    def ranked(self, weights: Floats) -> Floats:
        """AUROC and average precision [2, D] with the images' weights [N, D]; NaN where they have no meaning.

        AUROC is the chance that a positive image scores above a negative one, where a tie counts half, as in
        `metrics.auroc`; average precision is as in `metrics.average_precision`. An image with weight 2 counts as two
        equal ones.
        """
        if not self.positives.size:
            return np.full((2, weights.shape[1]), np.nan)
        whole = weights.astype(np.int32)  # half the memory of floats, and counts are whole numbers
        misses = np.zeros((self.negatives.size + 1, weights.shape[1]), np.int32)
        np.cumsum(whole.take(self.negatives, axis=0), axis=0, out=misses[1:])
        here = np.add.reduceat(whole.take(self.positives, axis=0), self.starts, axis=0).astype(np.float64)
        hits, above, ends = np.cumsum(here, axis=0), misses[self.above], misses[self.ends]
        lower = misses[-1] - (above + ends) / 2
        area = np.einsum("gd,gd->d", here, lower)
        precise = np.einsum("gd,gd->d", here, _ratio(hits, hits + ends, empty=0.0))
        return np.stack([_ratio(area, hits[-1] * misses[-1]), _ratio(precise, hits[-1])])

    def roc(self) -> tuple[tuple[float, float], ...]:
        """Points (1 - specificity, sensitivity) from (0, 0) to (1, 1), about ROC_POINTS; none without both kinds."""
        if not self.positives.size or not self.negatives.size:
            return ()
        found = np.append(self.starts, self.positives.size) / self.positives.size
        x = np.stack([self.above, self.ends], axis=1).ravel() / self.negatives.size
        y = np.stack([found[:-1], found[1:]], axis=1).ravel()
        chosen = np.unique(np.linspace(0, x.size - 1, ROC_POINTS).round().astype(int))
        inner = [(round(float(x[i]), 4), round(float(y[i]), 4)) for i in chosen]
        return tuple(dict.fromkeys([(0.0, 0.0), *inner, (1.0, 1.0)]))


class _Counter:
    """A model's figures, for any weights of the images."""

    def __init__(self, scores: Floats, truth: Floats, thresholds: Floats) -> None:
        self.classes = [_Column.of(scores[:, k], truth[:, k]) for k in range(truth.shape[1])]
        self.all = _Column.of(scores, truth)
        self.yes, self.no = (np.where(truth == value, 1.0, 0.0) for value in (1, 0))
        called = scores >= thresholds
        self.right, self.wrong = self.yes * called, self.no * called

    def figures(self, weights: Floats) -> Floats:
        """[figures, K + 2, D]: those of `FIGURES`, of each class, of their means and of all pairs; NaN for none."""
        ranked = np.stack([column.ranked(weights) for column in self.classes], axis=1)
        counts = [mask.T @ weights for mask in (self.right, self.wrong, self.yes, self.no)]
        each = np.concatenate([ranked, _decided(*counts)])
        heap = np.concatenate([self.all.ranked(weights), _decided(*(count.sum(axis=0) for count in counts))])
        return np.concatenate([each, _mean(each)[:, None], heap[:, None]], axis=1)


def _check(arrays: Sequence[Floats], truth: Floats, shape: tuple[int, int], limits: Floats) -> None:
    """ValueError when scores, truth and thresholds are not of so many images and classes, or a score is no number."""
    if truth.shape != shape or not truth.size or limits.shape != shape[1:]:
        raise ValueError(f"truth {truth.shape} and thresholds {limits.shape} do not fit {shape} images and classes")
    for array in arrays:
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"scores must be finite and {shape}, not {array.shape}")


def _scored(
    model: str, counter: _Counter, names: Sequence[str], known: Floats, limits: Floats, values: Floats, drawn: Floats
) -> Scored:
    """A model's figures, `values` [figures, K + 2] and what the draws gave for them, `drawn` [figures, K + 2, D]."""
    classes = tuple(
        Finding(
            name,
            float(limits[k]) if np.isfinite(limits[k]) else None,
            int(np.sum(known[:, k] == 1)),
            int(np.sum(known[:, k] == 0)),
            int(np.sum(np.isnan(known[:, k]))),
            _figures(values[:, k], drawn[:, k]),
            counter.classes[k].roc(),
        )
        for k, name in enumerate(names)
    )
    return Scored(model, classes, _figures(values[:, -2], drawn[:, -2]), _figures(values[:, -1], drawn[:, -1]))


def _decided(right: Floats, wrong: Floats, positives: Floats, negatives: Floats) -> Floats:
    """Sensitivity, specificity, predictive values and F1 from counts of any shape: true and false positives, images
    with and without the finding."""
    both = np.where((positives > 0) & (negatives > 0), 1.0, np.nan)
    left = negatives - wrong
    return np.stack(
        [
            _ratio(right, positives),
            _ratio(left, negatives),
            both * _ratio(right, right + wrong),
            both * _ratio(left, left + positives - right),
            np.where(positives > 0, 1.0, np.nan) * _ratio(2 * right, right + wrong + positives),
        ]
    )


def _drawn(counters: Sequence[_Counter], count: int, patients: Sequence[str], draws: int, seed: int) -> list[Floats]:
    """The figures [figures, K + 2, D] of each model, all of the same draws; no draws where there is one group alone."""
    classes = len(counters[0].classes)
    if (len(set(patients)) if patients else count) < 2:
        return [np.empty((len(FIGURES), classes + 2, 0)) for _ in counters]
    parts = [
        [counter.figures(weights) for counter in counters]
        for weights in bootstrap.weights(count, patients, draws=draws, seed=seed, width=classes)
    ]
    return [np.concatenate(part, axis=2) for part in zip(*parts, strict=True)]


def _figures(values: Floats, drawn: Floats) -> Figures:
    return Figures(*(estimate(float(value), draws) for value, draws in zip(values, drawn, strict=True)))


def _change(
    arrays: Sequence[Floats],
    truth: Floats,
    limits: Floats,
    names: tuple[str, ...],
    images: tuple[str, ...],
    found: Sequence[Floats],
    drawn: Sequence[Floats],
) -> Change:
    """What lies between two models, from their scores, and their figures of the same draws."""
    before, after = arrays
    reported = np.isfinite(limits)
    same = (before >= limits) == (after >= limits)
    moved = np.abs(after - before).mean(axis=0)
    divergence = metrics.independent_kl(before[:, reported], after[:, reported])
    worst = int(np.argmax(divergence))
    difference, differences = found[1] - found[0], drawn[1] - drawn[0]
    compared = [(FIGURES.index(name), name) for name in ("auroc", "sensitivity", "specificity")]
    return Change(
        classes=tuple(
            ClassChange(
                name,
                **{one: estimate(float(difference[f, k]), differences[f, k]) for f, one in compared},
                score=float(moved[k]) if reported[k] else None,
                agreement=float(same[:, k].mean()) if reported[k] else None,
            )
            for k, name in enumerate(names)
        ),
        drop=estimate(-100 * float(difference[0, -2]), -100 * differences[0, -2]),
        agreement=agreement(before, after, thresholds=limits.tolist()),
        agreement_of_images=float(same[:, reported].all(axis=1).mean()),
        moved_most=names[int(np.where(reported, moved, -1).argmax())] if reported.any() else None,
        kl_mean=float(divergence.mean()),
        kl_worst=float(divergence[worst]),
        kl_worst_image=images[worst],
        changed=_changed(before, after, truth, limits, names, images),
        thresholds=tuple(
            _kept(before[:, k], after[:, k], truth[:, k], names[k], float(limits[k])) for k in np.flatnonzero(reported)
        ),
    )


def _kept(before: Floats, after: Floats, truth: Floats, name: str, limit: float) -> Threshold:
    known = ~np.isnan(truth)
    return keeping_sensitivity(before[known], after[known], truth[known] == 1, name, limit)


def _changed(
    before: Floats, after: Floats, truth: Floats, limits: Floats, names: tuple[str, ...], images: tuple[str, ...]
) -> tuple[ChangedFindings, ...]:
    """Images with new mistakes come first, those with most of them before the others, then in their order."""
    seen = after >= limits
    flipped = (before >= limits) != seen
    mistakes = (flipped & ((seen & (truth == 0)) | (~seen & (truth == 1)))).sum(axis=1)
    return tuple(
        ChangedFindings(
            images[i],
            tuple(
                Flip(
                    names[k],
                    None if np.isnan(truth[i, k]) else bool(truth[i, k]),
                    bool(seen[i, k]),
                    float(before[i, k]),
                    float(after[i, k]),
                )
                for k in np.flatnonzero(flipped[i])
            ),
        )
        for i in sorted(np.flatnonzero(flipped.any(axis=1)), key=lambda i: -mistakes[i])
    )


def _ratio(numerator: Floats, denominator: Floats, empty: float = np.nan) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, empty), where=denominator > 0)


def _mean(values: Floats) -> Floats:
    """Over the classes of [figures, K, D], of those that have the figure; NaN where none has."""
    count = (~np.isnan(values)).sum(axis=1).astype(np.float64)
    return _ratio(np.nansum(values, axis=1), count)
