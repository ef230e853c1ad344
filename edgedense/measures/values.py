"""How far two models are apart that give values and no probabilities: an age, a length, a position.

Shapes: `before` and `after` are [N, K], K values for each of N images, of two models on the same images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
NONE = "none"  # the activation, in a recipe, of a file that gives values


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


def names_of(labels: Sequence[str], count: int) -> tuple[str, ...]:
    """What `count` values are called: as `labels` say, or by number, or "value" where there is one alone."""
    if labels:
        return tuple(labels)
    return ("value",) if count == 1 else tuple(map(str, range(count)))


def text(value: float) -> str:
    """A value for people: four digits that matter."""
    return f"{value:.4g}"


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
