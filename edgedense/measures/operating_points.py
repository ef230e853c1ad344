"""Operating points: the score from which on a class counts as seen, chosen on labelled images, and what it does there.

Shapes: `scores` [N, K] are float32 scores of N images for K classes, as the deployed file gives them, each class judged
by itself; `truth` [N, K] is 1 where an image shows the class, 0 where it does not, and NaN where nobody knows: such an
image does not count for that class. A class is seen in an image whose score is at or above the threshold.

Sensitivity is the share of the images with the class in which it is seen, specificity the share of the others in which
it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from edgedense.errors import EdgedenseError
from edgedense.measures.metrics import Floats, Integers

Rule = Literal["sensitivity", "specificity", "youden", "f1", "threshold"]
_WITHOUT_TARGET: dict[str, Rule] = {"youden": "youden", "f1": "f1"}
_WITH_TARGET: dict[str, Rule] = {"sensitivity": "sensitivity", "specificity": "specificity"}
_SPEC = "sensitivity=0.95, specificity=0.9, youden, f1, or a threshold such as 0.5"


@dataclass(frozen=True)
class Spec:
    """How thresholds are chosen: the `rule`, and the share to be reached, or the threshold itself, as `value`."""

    rule: Rule
    value: float | None = None

    def __str__(self) -> str:
        if self.rule == "threshold":
            return f"{self.value:g}"
        return self.rule if self.value is None else f"{self.rule}={self.value:g}"


@dataclass(frozen=True)
class Share:
    """A share of images, 0 to 1, with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OperatingPoint:
    """The `threshold` of the class `label`, and what it did on `positives` images that show the class and `negatives`
    that do not. A figure is None where its group has no image.

    `below` names another class where that one's score decides: of two classes that a single score tells apart, this one
    is seen where the score of the other is below the threshold.
    """

    label: str
    threshold: float
    positives: int
    negatives: int
    sensitivity: Share | None
    specificity: Share | None
    below: str | None = None


def parse(text: str) -> Spec:
    """A spec as people type it: "sensitivity=0.95", "youden", "0.5". Raises EdgedenseError for anything else."""
    word, equals, number = text.strip().partition("=")
    if text.strip() in _WITHOUT_TARGET:
        return Spec(_WITHOUT_TARGET[text.strip()])
    rule = _WITH_TARGET.get(word) if equals else "threshold"
    value = _number(number if equals else word)
    if rule is not None and value is not None:
        if value <= 1 and (value > 0 or rule == "threshold"):  # every threshold has a sensitivity of at least 0
            return Spec(rule, value)
        if 1 < value <= 100:
            said = f"{word}={value / 100:g}" if equals else f"{value / 100:g}"
            raise EdgedenseError("--operating-point with a share from 0 to 1", repr(text), said)
    raise EdgedenseError(f"--operating-point as {_SPEC}", repr(text))


def _number(text: str) -> float | None:
    """A number that is not negative, None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value >= 0 else None


def wilson(hits: int, images: int, level: float = 0.95) -> Share | None:
    """hits / images with its Wilson score interval; None of no images.

    The interval holds the shares p that a score test does not reject: |hits / n - p| <= z sqrt(p (1 - p) / n), with z
    the normal distribution's quantile at (1 + level) / 2 (Wilson, "Probable Inference, the Law of Succession, and
    Statistical Inference", 1927). Unlike the usual p +- z sqrt(p (1 - p) / n) it has a width where all or none are
    hits. It takes images to be independent: several of one patient make it too narrow.
    """
    if not images:
        return None
    share, z = hits / images, NormalDist().inv_cdf((1 + level) / 2)
    middle = share + z**2 / (2 * images)
    half = z * sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    whole = 1 + z**2 / images
    low = 0.0 if hits == 0 else (middle - half) / whole
    high = 1.0 if hits == images else (middle + half) / whole
    return Share(share, low, high)


def choose(
    scores: npt.ArrayLike,
    truth: npt.ArrayLike,
    names: Sequence[str],
    spec: Spec,
    *,
    trained: Sequence[bool] = (),
    below: str | None = None,
) -> tuple[OperatingPoint | None, ...]:
    """The operating point of each class; None for one that was not `trained`. `names` [K] are the classes'.

    sensitivity: of the thresholds that reach it, the one with the best specificity; of equal ones, the one with the
    better sensitivity. specificity: the other way round. youden: the largest sensitivity + specificity - 1 (Youden,
    "Index for rating diagnostic tests", 1950). f1: the largest F1 = 2 TP / (2 TP + FP + FN). Of thresholds that are
    equally good by one of the last two, the one with the better sensitivity is taken. threshold: as it is.

    A threshold is one of the scores that were seen, so that the float32 score itself reaches it, or the next float32
    above all of them. `below`: the scores are those of this other class, and a class is seen where they are below the
    threshold; a threshold that was named is one minus it then.

    Raises EdgedenseError, naming the classes, where one has no image that shows it, or none that does not, or where no
    threshold reaches the target.
    """
    table, known = columns(scores, truth, names)
    wanted = [k for k in range(len(names)) if not trained or trained[k]]
    _require_both(known, names, wanted, spec)
    points: list[OperatingPoint | None] = [None] * len(names)
    beyond = []
    for k in wanted:
        if spec.rule == "threshold":
            assert spec.value is not None
            threshold: float | None = spec.value if below is None else 1 - spec.value
        else:
            threshold = _best(table[:, k], known[:, k], spec, below is not None)
        if threshold is None:
            beyond.append(names[k])
        else:
            points[k] = measured(table[:, k], known[:, k], names[k], threshold, below=below)
    if beyond:
        raise EdgedenseError(
            f"a threshold of at most 1 that reaches {spec} for {', '.join(beyond)}",
            "pictures on the wrong side of it whose score is 1",
            f"a {spec.rule} below {spec.value:g}",
        )
    return tuple(points)


def measured(
    scores: npt.ArrayLike, truth: npt.ArrayLike, label: str, threshold: float, *, below: str | None = None
) -> OperatingPoint:
    """What `threshold` does for one class: scores [N], truth [N] as above."""
    values, known = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    seen = (values < threshold) if below is not None else (values >= threshold)
    positive, negative = known == 1, known == 0
    positives, negatives = int(positive.sum()), int(negative.sum())
    return OperatingPoint(
        label,
        float(threshold),
        positives,
        negatives,
        wilson(int(np.sum(seen & positive)), positives),
        wilson(int(np.sum(~seen & negative)), negatives),
        below,
    )


def columns(scores: npt.ArrayLike, truth: npt.ArrayLike, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Scores and truth [N, K] as float64. Raises ValueError when they do not fit each other or K `names`."""
    table, known = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if table.ndim != 2 or table.shape != known.shape or table.shape[1] != len(names):
        raise ValueError(f"scores {table.shape} and truth {known.shape} do not fit {len(names)} classes")
    if not np.isfinite(table).all():
        raise ValueError("scores must be finite")
    return table, known


def _require_both(truth: Floats, names: Sequence[str], wanted: Iterable[int], spec: Spec) -> None:
    """EdgedenseError naming the classes of which a threshold cannot be chosen. One that was named needs no images."""
    if spec.rule == "threshold":
        return
    for value, what in ((1, "that show it"), (0, "that do not show it")):
        lacking = [names[k] for k in wanted if not (truth[:, k] == value).any()]
        if lacking:
            raise EdgedenseError(
                f"for each class pictures that show it and others that do not, to choose a threshold by {spec}",
                f"none {what} of {', '.join(lacking)}",
                "more labelled pictures, or a threshold such as --operating-point 0.5",
            )


def _best(scores: Floats, truth: Floats, spec: Spec, below: bool) -> float | None:
    """The threshold that `spec` asks for, of one class; None where none reaches the target."""
    values = scores.astype(np.float32)
    candidates = np.unique(values[~np.isnan(truth)])
    above = np.nextafter(candidates[-1], np.float32(2))
    candidates = np.append(candidates, above) if above <= 1 else candidates
    positives, found = _reaching(values[truth == 1], candidates)
    negatives, alarms = _reaching(values[truth == 0], candidates)
    if below:
        found, alarms = positives - found, negatives - alarms
    passed = negatives - alarms
    first, second, reached = _order(spec, found, passed, positives, negatives)
    if not reached.any():
        return None
    places = np.flatnonzero(reached)
    return float(candidates[places[np.lexsort((second[places], first[places]))[-1]]])


def _reaching(scores: npt.NDArray[np.float32], thresholds: npt.NDArray[np.float32]) -> tuple[int, Integers]:
    """How many scores there are, and how many are at or above each threshold."""
    return scores.size, scores.size - np.searchsorted(np.sort(scores), thresholds, side="left")


def _order(
    spec: Spec, found: Integers, passed: Integers, positives: int, negatives: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """By what thresholds are compared, first and then where that is equal, and which of them may be taken. `found` and
    `passed` are true positives and true negatives. Counts and quotients of counts are exactly equal where they are
    equal, so that no rounding decides."""
    everyone, target = np.ones(found.shape, np.bool_), spec.value or 0.0
    if spec.rule == "sensitivity":
        return passed, found, found / positives >= target
    if spec.rule == "specificity":
        return found, passed, passed / negatives >= target
    if spec.rule == "youden":
        return found * negatives + passed * positives, found, everyone
    assert spec.rule == "f1", get_args(Rule)
    return 2 * found / (found + positives + negatives - passed), found, everyone
