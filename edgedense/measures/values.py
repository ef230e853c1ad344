"""Models that give values and no probabilities: an age, a length, a position. How far are they from the right values,
and from each other?

Shapes: what models give, and the right values, are [N, K], K values for each of N images. Two models, `before` and
`after`, are given the same images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.measures import bootstrap
from edgedense.measures.bootstrap import Estimate, estimate
from edgedense.measures.layer_noise import LayerNoise
from edgedense.measures.metrics import Floats

AGREEMENT = 1.96  # standard deviations: 95 % of a normal distribution lie within so many on either side of its mean
WORST = 20  # pictures of each value that are listed


@dataclass(frozen=True)
class Difference:
    """One value of a model beside the same value of another, over many images, in the value's own unit.

    `lowest` and `highest` are the first model's, to measure the rest by. `mean` is the mean absolute difference,
    `root_mean_square` the root of the mean squared one, `worst` the largest, seen on `worst_image`. `correlation` is
    Pearson's, None where one of the two models always says the same.
    """

    name: str
    lowest: float
    highest: float
    mean: float
    root_mean_square: float
    worst: float
    worst_image: str
    correlation: float | None


@dataclass(frozen=True)
class Comparison:
    """Two models that give values, on the same images: their names, how many images, and each value's difference."""

    before: str
    after: str
    images: int
    values: tuple[Difference, ...]

    def to_json(self) -> str:
        """All of it as one JSON object on one line."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class Errors:
    """How far one value of a model is from the right ones, on so many `images` where these are known, in the value's
    own unit. Each figure has a 95 % interval.

    With the error d = given - right of each image: `mean_absolute` is the mean of |d|, `root_mean_square` the root of
    the mean of d squared. `r2` is the coefficient of determination, 1 - sum d^2 / sum (right - mean right)^2: 1 is
    perfect, 0 as good as always saying the mean, and it has no value where all right ones are equal. `bias` is the mean
    of d. Between `lower` and `upper`, bias -/+ 1.96 standard deviations of d, lie 95 % of the errors if these are
    normally distributed: the limits of agreement (Bland and Altman, "Statistical methods for assessing agreement
    between two methods of clinical measurement", 1986).
    """

    images: int
    mean_absolute: Estimate
    root_mean_square: Estimate
    r2: Estimate
    bias: Estimate
    lower: Estimate
    upper: Estimate


@dataclass(frozen=True)
class Pictured:
    """One image: the right value, and what each of the models gave, in their order."""

    image: str
    right: float
    given: tuple[float, ...]

    @property
    def error(self) -> float:
        """What the last model gave, less the right value."""
        return self.given[-1] - self.right


@dataclass(frozen=True)
class Measured:
    """One value of one model or two on images of which the right one is known.

    `errors` are each model's. `worse` is the mean absolute error of the second less that of the first, with the
    interval of this difference: both models' errors on an image stay together. It is None for one model alone.
    `pictures` are all images, those with the largest errors of the last model first.
    """

    name: str
    errors: tuple[Errors, ...]
    worse: Estimate | None
    pictures: tuple[Pictured, ...]


@dataclass(frozen=True)
class ValueReport:
    """Models that give values, on images with the right ones: a reference, if there is one, and then the model under
    test.

    `patients` is how many patients the images are of, 0 where that is not known. `unit` is that of all values, empty
    where nobody named it. `differences` tell how far the two models are apart; there are none for one alone.
    `layer_noise` holds pairs (layer, signal-to-noise ratio in dB), where it was measured. `recipe` is how the file
    under test says that it was made.
    """

    title: str
    models: tuple[str, ...]
    images: int
    patients: int
    unit: str
    values: tuple[Measured, ...]
    differences: tuple[Difference, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    layer_noise: LayerNoise = ()

    @property
    def worst(self) -> tuple[Pictured, ...]:
        """Of each value the pictures with the largest errors, each picture once."""
        found = {one.image: one for value in self.values for one in value.pictures[:WORST]}
        return tuple(found.values())

    def to_dict(self) -> dict[str, Any]:
        """Everything as dictionaries, lists, numbers and text, but of the pictures the 20 worst of each value alone."""
        shown = tuple(replace(value, pictures=value.pictures[:WORST]) for value in self.values)
        noise = [{"layer": name, "sqnr_db": value} for name, value in self.layer_noise]
        return {**asdict(replace(self, values=shown)), "layer_noise": noise, "recipe": dict(self.recipe)}

    def to_json(self) -> str:
        """`to_dict` as one JSON object on one line."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)


def differences(
    before: npt.ArrayLike, after: npt.ArrayLike, names: Sequence[str], images: Sequence[str]
) -> tuple[Difference, ...]:
    """One entry for each value; `names` [K] are the values', `images` [N] the pictures'."""
    first, second = _checked(before), _checked(after)
    found = []
    for k, name in enumerate(names):
        x, y = first[:, k], second[:, k]
        apart = np.abs(x - y)
        worst = int(apart.argmax())
        spread = float(x.std() * y.std())
        correlation = float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread else None
        found.append(
            Difference(
                name,
                float(x.min()),
                float(x.max()),
                float(apart.mean()),
                float(np.sqrt(np.mean(apart**2))),
                float(apart[worst]),
                images[worst],
                correlation,
            )
        )
    return tuple(found)


def measured(
    models: Sequence[str],
    given: Sequence[npt.ArrayLike],
    right: npt.ArrayLike,
    names: Sequence[str],
    images: Sequence[str],
    patients: Sequence[str] = (),
    *,
    unit: str = "",
    recipe: Mapping[str, Any] | None = None,
) -> ValueReport:
    """What one model or two, a reference and then the one under test, `given` [N, K] each, are off the `right` values
    [N, K], of which NaN is not known.

    `names` [K] are the values', `images` [N] the pictures', and `patients` [N] say whose these are: then the intervals
    are drawn by patient (`bootstrap.weights`). A value of which no right one is known is left out.
    """
    arrays, truth = [_checked(one) for one in given], _checked(right)
    found = []
    for k, name in enumerate(names):
        known = np.flatnonzero(~np.isnan(truth[:, k])).tolist()
        if known:
            columns = [array[known, k] for array in arrays]
            whose = [patients[i] for i in known] if patients else []
            found.append(_measured(name, columns, truth[known, k], [images[i] for i in known], whose))
    return ValueReport(
        models[-1],
        tuple(models),
        len(images),
        len(set(patients)),
        unit,
        tuple(found),
        differences(arrays[0], arrays[1], names, images) if len(arrays) == 2 else (),
        recipe or {},
    )


def _measured(
    name: str, given: Sequence[Floats], right: Floats, images: Sequence[str], patients: Sequence[str]
) -> Measured:
    """One value: each of `given` [N] is a model's."""
    apart = [values - right for values in given]
    once = np.ones((len(right), 1))
    drawn = [
        [_figures(error, right, weights) for error in apart]
        for weights in bootstrap.weights(len(right), patients, width=2 * len(given))
    ]
    columns = [np.concatenate([one[number] for one in drawn], axis=1) for number in range(len(apart))]
    values = [_figures(error, right, once)[:, 0] for error in apart]
    errors = tuple(
        Errors(len(right), *(estimate(float(value), draws) for value, draws in zip(*one, strict=True)))
        for one in zip(values, columns, strict=True)
    )
    worse = estimate(float(values[1][0] - values[0][0]), columns[1][0] - columns[0][0]) if len(given) == 2 else None
    order = np.argsort(-np.abs(apart[-1]), kind="stable")
    pictures = tuple(Pictured(images[i], float(right[i]), tuple(float(one[i]) for one in given)) for i in order)
    return Measured(name, errors, worse, pictures)


def _figures(apart: Floats, right: Floats, weights: Floats) -> Floats:
    """The figures of `Errors` in their order, [6, D], of errors [N] and right values [N], where `weights` [N, D] say
    how many times each image was drawn. NaN is no figure."""
    total = weights.sum(axis=0)
    square = apart**2 @ weights
    # Around their means, so that nothing is lost where values are far from zero and close together.
    middle, mean = apart.mean(), right.mean()
    shift = (apart - middle) @ weights / total
    variation = (right - mean) ** 2 @ weights - ((right - mean) @ weights) ** 2 / total
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = ((apart - middle) ** 2 @ weights - shift**2 * total) / (total - 1)
        r2 = np.where(variation > 1e-12 * np.sum((right - mean) ** 2), 1 - square / variation, np.nan)
    limit = AGREEMENT * np.sqrt(spread.clip(0))
    bias = middle + shift
    absolute = np.abs(apart) @ weights / total
    return np.stack([absolute, np.sqrt(square / total), r2, bias, bias - limit, bias + limit])


def squared_error(before: npt.ArrayLike, after: npt.ArrayLike) -> Floats:
    """The squared difference per image, [N], each value in units of its own standard deviation in `before`, the mean
    over the values: 1 is as bad as always saying the mean. A value that never changes counts in its own unit.
    """
    first, second = _checked(before), _checked(after)
    spread = first.std(axis=0)
    return np.mean(((first - second) / np.where(spread > 0, spread, 1.0)) ** 2, axis=1)


def _checked(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"values must be [images, values], not {array.shape}")
    return array
