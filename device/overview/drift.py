"""Which devices drift against the others, by what all of them have reported.

Each device's last day is compared with its own days before. A night, a season or a new lamp in every barn moves all
devices alike, and is no news of one of them. So a device is judged by what the others do at the same time:

- Of a feature such as the brightness, each value of the last day has a place among the device's usual values, from 0
  (lower than all) to 1 (higher than all). This makes a dark barn and a bright yard comparable. The statistic is
  Kolmogorov-Smirnov's distance between the places of one device and those of all others.
- Of the classes it is the population stability index of the device's last day against its days before.
- Reports of one device resemble each other, and no two places change alike. So both statistics are larger than the
  formulas for independent samples say, for every device. By how much, the fleet itself tells: a device's statistic is
  also compared with the median of all devices, as that of a normal distribution's sizes. In studies of many genes this
  is called genomic control (Devlin and Roeder, Biometrics 55, 1999). The larger of both chances counts.
- With a thousand devices and seven statistics each, one in a thousand chances comes true seven times. So what is named
  keeps the rate of false discoveries by the procedure of Benjamini and Hochberg (1995).

Where more than half of the fleet has changed in its own way, the median is that of changed devices, and nobody stands
out any more: that is for the devices' own monitors to tell.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgedense.device.monitor.drift import PART, PARTS, stability_index
from edgedense.device.monitor.samples import CLASS, FEATURES, Counts, Floats
from edgedense.device.monitor.words import ORDER, describe
from edgedense.device.overview.tally import NO_FINDING, as_counts

SAMPLES = PART * PARTS  # reports that a day, and the days before it, must have
DEVICES = 5  # fewer have no median to speak of
FALSE = 0.01  # the share of false ones among those that are named; where nothing drifts, the chance of naming any
LEVELS = np.arange(1, 64) / 64  # at which the distributions of places are compared
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Past:
    """What a device reported in the last day and in the days before it, as vectors of these outcomes (see
    `edgedense.device.overview.tally`)."""

    outcomes: tuple[str, ...]
    usual: Floats
    recent: Floats


@dataclass(frozen=True)
class Deviation:
    """One statistic in which a device drifts against the others, and in `said` what a person sees of it.

    `distance` is Kolmogorov-Smirnov's, from 0 to 1, or the population stability index for the class. `chance` is that
    of one so large in a device that does as the others do.
    """

    feature: str
    said: str
    distance: float
    chance: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        chance = float(f"{self.chance:.3g}")
        return {"feature": self.feature, "said": self.said, "distance": round(self.distance, 4), "chance": chance}


def against_others(pasts: Mapping[str, Past]) -> dict[str, tuple[Deviation, ...]]:
    """For each device that could be judged, by name, in what it drifts: mostly nothing.

    Devices are compared with those that have the same outcomes. One without enough reports is not in the answer, and
    so are all where fewer than DEVICES have enough.
    """
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, past in sorted(pasts.items()):
        if min(as_counts(past.usual).samples, as_counts(past.recent).samples) >= SAMPLES:
            groups[past.outcomes].append(name)
    judged = [names for names in groups.values() if len(names) >= DEVICES]
    tables = [_judge([pasts[name] for name in names]) for names in judged]
    if not tables:
        return {}
    chances = np.concatenate([chance for _, chance in tables])
    named = is_discovery(chances.ravel(), FALSE).reshape(chances.shape)
    found = np.concatenate([found for found, _ in tables])
    rows = zip([name for names in judged for name in names], found, chances, named, strict=True)
    return {name: _differences(pasts[name], *row) for name, *row in rows}


def is_discovery(chances: Floats, rate: float) -> npt.NDArray[np.bool_]:
    """Which of several findings to believe, bool [n], so that on average at most the share `rate` of them is false, by
    `chances` [n]: the k smallest, for the largest k for which the k-th is at most k / n of the rate (Benjamini and
    Hochberg, Journal of the Royal Statistical Society B 57, 1995)."""
    kept = np.sort(chances) <= rate * np.arange(1, chances.size + 1) / max(chances.size, 1)
    return chances <= (np.sort(chances)[np.flatnonzero(kept)[-1]] if kept.any() else -1.0)


def places(usual: Floats, recent: Floats) -> Floats:
    """Of histograms [..., nodes] over the same nodes: the share of recent values whose place among the usual ones is at
    most each of LEVELS, [..., levels]. It is LEVELS itself where nothing has changed."""
    before, now = (np.cumsum(counts, axis=-1) / counts.sum(axis=-1, keepdims=True) for counts in (usual, recent))
    rows = zip(before.reshape(-1, before.shape[-1]), now.reshape(-1, now.shape[-1]), strict=True)
    # A level that no usual value has lies between two nodes: np.interp wants the first point for it too.
    found = [np.interp(LEVELS, [0.0, *b], [0.0, *n]) for b, n in rows]
    return np.array(found).reshape(*usual.shape[:-1], LEVELS.size)


def distances(found: Floats, weights: Floats) -> Floats:
    """Kolmogorov-Smirnov's distance of each device's `places` [devices, levels] from those of all others together, in
    which each counts by its `weights` [devices]."""
    total = weights @ found
    others = (total - weights[:, None] * found) / (weights.sum() - weights)[:, None]
    return np.asarray(np.abs(found - others).max(axis=1))


def distance_chances(found: Floats, n: Floats, m: Floats) -> Floats:
    """How often a device that does as the others do has a distance as large as in `found` [devices], with samples of
    sizes n and m.

    For independent samples it is 2 exp(-2 d^2 / (1 / n + 1 / m)) (Smirnov, 1948), of which `ks_limit` of the monitor is
    the inverse. In the fleet a distance has the size of the shift, in standard deviations, that would make it between
    two normal distributions: 2 Phi^-1((1 + d) / 2).
    """
    independent = np.minimum(1.0, 2 * np.exp(-2 * found**2 / (1 / n + 1 / m)))
    shifts = [2 * _NORMAL.inv_cdf((1 + distance) / 2) for distance in np.minimum(found, 1 - 1e-6)]
    return np.maximum(independent, fleet_chances(np.array(shifts)))


def index_chances(found: Floats, n: Floats, m: Floats, bins: int) -> Floats:
    """As `distance_chances` of a population stability index.

    For independent samples index / (1 / n + 1 / m) is distributed as chi-squared with bins - 1 degrees of freedom
    (Yurdakul, 2018), whose cube root is nearly normal (Wilson and Hilferty, 1931): `psi_limit` of the monitor is the
    inverse. In the fleet its square root counts, which grows as a shift of the shares does.
    """
    k = max(bins - 1, 1)
    roots = (np.cbrt(found / (1 / n + 1 / m) / k) - 1 + 2 / (9 * k)) / math.sqrt(2 / (9 * k))
    independent = np.array([_NORMAL.cdf(-root) for root in roots])
    return np.maximum(independent, fleet_chances(np.sqrt(found)))


def fleet_chances(sizes: Floats) -> Floats:
    """How often a normal distribution's values are at least as far from 0 as each of `sizes` [devices], where half of
    them are as far as the median is."""
    unit = float(np.median(sizes)) / _NORMAL.inv_cdf(0.75)
    return np.array([2 * _NORMAL.cdf(-size / unit) if unit else float(not size) for size in sizes])


def _judge(pasts: Sequence[Past]) -> tuple[Floats, Floats]:
    """(statistics, their chances) of devices with the same outcomes, float64 [devices, tests] each."""
    usual, recent = [as_counts(past.usual) for past in pasts], [as_counts(past.recent) for past in pasts]
    columns = [_feature(usual, recent, i) for i in range(len(FEATURES))]
    columns.append(_classes(usual, recent))
    found, chances = zip(*columns, strict=True)
    return np.stack(found, axis=1), np.stack(chances, axis=1)


def _feature(usual: Sequence[Counts], recent: Sequence[Counts], index: int) -> tuple[Floats, Floats]:
    before, now = (np.stack([counts.features[index] for counts in each]) for each in (usual, recent))
    m, n = before.sum(axis=1), now.sum(axis=1)
    distance, chance = np.zeros(len(usual)), np.ones(len(usual))
    has = (m >= SAMPLES) & (n >= SAMPLES)  # the scores of a model that gives values have no such features
    if has.sum() >= DEVICES:
        distance[has] = distances(places(before[has], now[has]), n[has])
        chance[has] = distance_chances(distance[has], n[has], m[has])
    return distance, chance


def _classes(usual: Sequence[Counts], recent: Sequence[Counts]) -> tuple[Floats, Floats]:
    bins = usual[0].classes.size
    if bins < 2:
        return np.zeros(len(usual)), np.ones(len(usual))
    m, n = (np.maximum([counts.classes.sum() for counts in each], 1.0) for each in (usual, recent))
    index = np.array([stability_index(a.classes, b.classes) for a, b in zip(recent, usual, strict=True)])
    return index, index_chances(index, n, m, bins)


def _differences(past: Past, found: Floats, chances: Floats, named: npt.NDArray[np.bool_]) -> tuple[Deviation, ...]:
    names = [*(feature.name for feature in FEATURES), CLASS]
    moved = [name for name in ORDER if named[names.index(name)]]
    usual, recent = as_counts(past.usual), as_counts(past.recent)
    kinds = [name if name == NO_FINDING else f"class {name}" for name in past.outcomes]
    said = describe(moved, usual, dict.fromkeys(names, recent), kinds)
    at = {name: names.index(name) for name in moved}
    return tuple(Deviation(name, said[name], float(found[i]), float(chances[i])) for name, i in at.items())
