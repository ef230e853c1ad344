"""A sample as numbers, and histograms of many: what the monitor compares.

Of the picture: brightness, contrast, sharpness and colour. Of the prediction: confidence, entropy and class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.device.prediction import Rule, seen
from edgedense.images.decoding import GREY_SHARES

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """A number per sample, counted between `low` and `high` in steps of `step`: a shift by much less than
    a step is no news, whatever its significance."""

    name: str
    low: float
    high: float
    step: float

    @property
    def nodes(self) -> int:
        return round((self.high - self.low) / self.step) + 1

    @property
    def values(self) -> Floats:
        """The value at each node, float64 [nodes]."""
        return np.asarray(self.low + self.step * np.arange(self.nodes), np.float64)

    def count(self, counts: Floats, value: float) -> None:
        """Add a value to a histogram [nodes].

        A value between two nodes counts for both, by its distance: a narrow distribution that crosses a bin's edge
        would otherwise look like a leap. The mean is kept exactly."""
        place = (min(max(value, self.low), self.high) - self.low) / self.step
        node = min(int(place), self.nodes - 2)
        counts[node] += 1 - (place - node)
        counts[node + 1] += place - node


FEATURES = (
    Feature("brightness", 0, 255, 15),  # the mean of the levels
    Feature("contrast", 0, 128, 8),  # their standard deviation
    Feature("sharpness", -8, 2, 0.5),  # a logarithm to base 2: differences of neighbours over the contrast
    Feature("colour", -128, 128, 16),  # red minus blue, in levels
    Feature("confidence", 0, 1, 1 / 16),
    Feature("entropy", 0, 1, 1 / 16),
)
CLASS = "class"
TESTS = len(FEATURES) + 1
_INDEX = {feature.name: index for index, feature in enumerate(FEATURES)}


@dataclass
class Counts:
    """Histograms of `samples` samples: one per feature, and one of what was seen."""

    samples: int
    features: list[Floats]
    classes: Floats

    @classmethod
    def empty(cls, classes: int) -> Counts:
        return cls(0, [np.zeros(feature.nodes) for feature in FEATURES], np.zeros(classes))

    def add(self, values: Sequence[float], seen: Floats) -> None:
        """Count a sample: a value per feature, and shares [classes] of what was seen, whose sum is 1."""
        for feature, counts, value in zip(FEATURES, self.features, values, strict=True):
            feature.count(counts, value)
        self.classes += seen
        self.samples += 1

    def plus(self, other: Counts) -> Counts:
        return Counts(
            self.samples + other.samples,
            [a + b for a, b in zip(self.features, other.features, strict=True)],
            self.classes + other.classes,
        )

    def mean(self, name: str) -> float:
        """The mean of a feature."""
        return self._mean(name, FEATURES[_INDEX[name]].values)

    def mean_size(self, name: str) -> float:
        """The mean of a feature's absolute value, exact where 0 is a node."""
        return self._mean(name, np.abs(FEATURES[_INDEX[name]].values))

    def _mean(self, name: str, values: Floats) -> float:
        return float(values @ self.features[_INDEX[name]]) / max(self.samples, 1)

    def share_at_zero(self, name: str) -> float:
        """The share of samples at 0, from 0 to 1; those nearer to it than one step count in part."""
        at_zero = FEATURES[_INDEX[name]].values == 0
        return float(self.features[_INDEX[name]][at_zero].sum()) / max(self.samples, 1)

    def quantile(self, name: str, share: float) -> float:
        """The node up to which this share of the samples lies."""
        cumulated = np.cumsum(self.features[_INDEX[name]])
        return float(FEATURES[_INDEX[name]].values[np.searchsorted(cumulated, share * cumulated[-1])])

    def to_dict(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "features": [np.round(f, 3).tolist() for f in self.features],
            "classes": np.round(self.classes, 3).tolist(),
        }

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Counts:
        counts = cls(
            int(entry["samples"]),
            [np.array(f, np.float64) for f in entry["features"]],
            np.array(entry["classes"], np.float64),
        )
        if [len(f) for f in counts.features] != [feature.nodes for feature in FEATURES]:
            raise ValueError("histograms of other features")
        return counts


def measure(
    scores: npt.NDArray[Any], image: npt.NDArray[np.uint8], rule: Rule | None = None
) -> tuple[list[float], Floats]:
    """(a value per feature, the shares of what is seen) of scores [classes] and the picture uint8 [H, W, C] they are
    for. `rule` says when a class counts as seen; without one it is the best.

    Where classes exclude each other the answer has all of it: float64 [classes]. Where each is scored alone the
    findings share it, or else the last outcome has it, which stands for no finding: float64 [classes + 1].
    """
    p = np.asarray(scores, np.float64)
    if rule is not None and rule.independent:
        findings = seen(scores, rule)
        shares = np.zeros(p.size + 1)
        shares[findings or [-1]] = 1 / max(len(findings), 1)
        entropy = float(np.mean([_entropy(np.array([1 - value, value])) for value in p]))
        return [*_look(image), float(p.max()), entropy], shares
    p = np.array([1 - p[0], p[0]]) if p.size == 1 else p
    answer = seen(scores, rule)[0] if rule is not None and rule.kind == "pair" else int(p.argmax())
    return [*_look(image), float(p.max()), _entropy(p)], np.eye(p.size)[answer]


def _entropy(p: Floats) -> float:
    """The entropy of a distribution [classes] over the largest that it may be, 0 to 1."""
    shares = np.maximum(p, 1e-9) / np.maximum(p, 1e-9).sum()
    return float(-(shares * np.log(shares)).sum() / math.log(p.size))


def _look(image: npt.NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """(brightness, contrast, sharpness, colour) of a picture, which may have one channel and then has no colour."""
    pixels = image.astype(np.float32)
    has_colour = image.shape[2] == 3
    luma = pixels @ np.array(GREY_SHARES, np.float32) if has_colour else pixels[..., 0]
    spread = float(luma.std())
    slope = float(np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean()) if luma.size > 1 else 0.0
    sharpness = math.log2((slope + 0.1) / (spread + 1))  # relative to the contrast, which exposure changes
    colour = float((pixels[..., 0] - pixels[..., 2]).mean()) if has_colour else 0.0
    return float(luma.mean()), spread, sharpness, colour
