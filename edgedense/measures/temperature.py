"""Temperature scaling: a network's logits are divided by one number, so that its scores say how often it is right.

Source: Guo et al., "On Calibration of Modern Neural Networks", 2017. A logit is the number for a class before softmax
or sigmoid. Dividing all of them by one positive temperature T leaves their order, and so the best class, as it is.
Above 1 it makes scores less sure, below 1 surer.

Shapes: `logits` and `scores` are [N, K], or [N, 1] for one sigmoid; `truth` [N, K] is 1 where an image shows the class,
0 where it does not, NaN where nobody knows. `activation` is "softmax" or "sigmoid".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.errors import EdgedenseError
from edgedense.measures import metrics
from edgedense.measures.metrics import Floats, Integers

ENTRY = "temperature"  # in the recipe
HIGHEST = 20.0  # temperatures from 1 / HIGHEST to HIGHEST are looked at
MEASURED = "two-fold cross-fitting"


@dataclass(frozen=True)
class Temperature:
    """The temperature `value` by which a file's logits were divided, chosen on so many `images`, which have this hash.

    `calibration_error_before` is that of the scores without it. `calibration_error_after` is measured by two-fold
    cross-fitting: the temperature of each half of the images is used on the other half, so that no image is judged by a
    temperature that it helped to choose.
    """

    value: float
    images: int
    sha256: str
    calibration_error_before: float
    calibration_error_after: float

    @property
    def entry(self) -> dict[str, Any]:
        """For the recipe."""
        return {**asdict(self), "calibration_error_measured_by": MEASURED}

    def __str__(self) -> str:
        before, after = 100 * self.calibration_error_before, 100 * self.calibration_error_after
        return (
            f"confidence: the logits are divided by a temperature of {self.value:g}. The calibration error on "
            f"{self.images} pictures is {before:.2f} % without it and {after:.2f} % with it ({MEASURED}). The float "
            "model's are divided by the same temperature wherever the two are compared"
        )


def value_of(recipe: Any) -> float:
    """The temperature that a recipe names, 1 where it names none. Raises EdgedenseError for anything else."""
    entry = recipe.get(ENTRY)
    value = 1.0 if entry is None else entry.get("value") if isinstance(entry, dict) else entry
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise EdgedenseError("a temperature above 0 in the recipe", repr(entry), "convert the model again")
    return float(value)


def activated(logits: npt.ArrayLike, activation: str) -> Floats:
    """Softmax over the last axis, or the sigmoid of each logit."""
    z = np.asarray(logits, np.float64)
    if activation == "sigmoid":
        return np.asarray(0.5 * (1 + np.tanh(z / 2)))  # without an overflow at large |z|
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def tempered(scores: npt.ArrayLike, activation: str, temperature: float) -> Floats:
    """What scores become when the logits behind them are divided by `temperature`.

    softmax: p_c^(1/T) / sum_k p_k^(1/T). sigmoid: p^(1/T) / (p^(1/T) + (1 - p)^(1/T)). A score that float32 rounded to
    0 or 1 stays there.
    """
    p = np.asarray(scores, np.float64)
    powers = p ** (1 / temperature)
    if activation == "sigmoid":
        return np.asarray(powers / (powers + (1 - p) ** (1 / temperature)))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit(logits: npt.ArrayLike, truth: npt.ArrayLike, activation: str) -> float:
    """The temperature with the least negative log likelihood, to four digits.

    With b = 1 / T that is sum_i [log sum_k exp(b z_ik) - b z_iy] for a softmax and sum_ik [log(1 + exp(b z_ik)) -
    b y_ik z_ik] for sigmoids. Both are convex in b, so that the zero of their derivative is found by bisection.

    Raises EdgedenseError where there is none between 1 / HIGHEST and HIGHEST: where the logits tell the images apart
    without a mistake, the likelihood grows for ever as T gets smaller, and where they say nothing, as T gets larger.
    """
    z, y = _checked(logits, truth, activation)
    low, high = -np.log(HIGHEST), np.log(HIGHEST)  # of log b
    if not z.size or _slope(z, y, activation, np.exp(high)) <= 0:
        raise EdgedenseError(
            "labelled pictures some of which the file gets wrong, to fit a temperature on",
            f"{len(z)} of which all are right: how sure the file should be cannot be told from them",
            "more validation pictures, or leave --calibrate-confidence out",
        )
    if _slope(z, y, activation, np.exp(low)) >= 0:
        raise EdgedenseError(
            "scores that say something about the labels, to fit a temperature on",
            f"{len(z)} pictures of which they say nothing",
            "the pictures and labels that belong to the model",
        )
    for _ in range(60):  # halves 6 to less than what float64 tells apart
        middle = (low + high) / 2
        if _slope(z, y, activation, np.exp(middle)) > 0:
            high = middle
        else:
            low = middle
    return float(f"{np.exp(-(low + high) / 2):.4g}")


def cross_fitted(logits: npt.ArrayLike, truth: npt.ArrayLike, activation: str, halves: npt.ArrayLike) -> Floats:
    """The scores of each half of the images at the temperature of the other half; `halves` [N] are 0 or 1."""
    z, known, half = np.asarray(logits, np.float64), np.asarray(truth, np.float64), np.asarray(halves)
    scores = np.empty_like(z)
    for this in (0, 1):
        other = fit(z[half != this], known[half != this], activation)
        scores[half == this] = activated(z[half == this] / other, activation)
    return scores


def halves(truth: npt.ArrayLike, patients: tuple[str, ...] = ()) -> Integers:
    """0 or 1 for each image: every second one of each combination of classes, or every second patient's images."""
    rows = np.asarray(truth, np.float64)
    if patients:
        _, number = np.unique(np.array(patients), return_inverse=True)
        return np.asarray(number % 2, np.int64)
    result, seen = np.zeros(len(rows), np.int64), dict[tuple[float, ...], int]()
    for i, row in enumerate(map(tuple, np.nan_to_num(rows, nan=-1).tolist())):
        result[i] = seen.get(row, 0) % 2
        seen[row] = seen.get(row, 0) + 1
    return result


def calibration_error(scores: npt.ArrayLike, truth: npt.ArrayLike, activation: str) -> float:
    """Of classes that exclude each other, or one sigmoid, `metrics.calibration_error`; of several sigmoids the mean
    over the classes of `metrics.binary_calibration_error`, each on the images of which it is known."""
    p, known = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if activation == "sigmoid" and p.shape[1] > 1:
        columns = [(p[there, k], known[there, k]) for k, there in enumerate(~np.isnan(known.T)) if there.any()]
        return float(np.mean([metrics.binary_calibration_error(*column) for column in columns]))
    there = ~np.isnan(known).any(axis=1)
    p, known = p[there], known[there]
    return metrics.calibration_error(p, known[:, 0] if p.shape[1] == 1 else known.argmax(axis=1))


def chosen(
    logits: npt.ArrayLike, truth: npt.ArrayLike, activation: str, *, sha256: str, patients: tuple[str, ...] = ()
) -> Temperature:
    """The temperature of a file whose logits for images are known, and what it does. Raises EdgedenseError as `fit`
    does, for each half of the images too."""
    half = halves(truth, patients)
    after = cross_fitted(logits, truth, activation, half)
    return Temperature(
        fit(logits, truth, activation),
        len(np.asarray(logits)),
        sha256,
        round(calibration_error(activated(logits, activation), truth, activation), 6),
        round(calibration_error(after, truth, activation), 6),
    )


def _checked(logits: npt.ArrayLike, truth: npt.ArrayLike, activation: str) -> tuple[Floats, Floats]:
    """As float64; for a softmax without images of which something is not known."""
    z, y = np.asarray(logits, np.float64), np.asarray(truth, np.float64)
    if z.ndim != 2 or z.shape != y.shape:
        raise ValueError(f"logits {z.shape} and truth {y.shape} do not fit")
    if activation == "sigmoid":
        return z, y
    there = ~np.isnan(y).any(axis=1)
    return z[there], y[there]


def _slope(z: Floats, y: Floats, activation: str, b: float) -> float:
    """The derivative of the negative log likelihood by b = 1 / T, over what is known."""
    return float(np.nansum((activated(b * z, activation) - y) * z))
