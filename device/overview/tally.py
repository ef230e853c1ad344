"""Many reports of a device as one vector: the histograms that its monitor makes of samples, one behind the other.

It holds the nodes of each feature, and then a number for each outcome: a class, or "no finding". Vectors of the same
outcomes are added, so that a day is the sum of its hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from edgedense.device.monitor.samples import FEATURES, Counts, Floats
from edgedense.device.mqtt.messages import About, Report

_ENDS = tuple(accumulate((feature.nodes for feature in FEATURES), initial=0))
NO_FINDING = "no finding"


def outcomes(about: About) -> tuple[str, ...]:
    """What a report counts: the labels, and "no finding" where each class is scored alone. Values are not counted."""
    if about.decides == "values":
        return ()
    return (*about.labels, NO_FINDING) if about.decides == "each" else about.labels


def tally(report: Report, counted: Sequence[str]) -> Floats:
    """The vector float64 [nodes of all features + outcomes] of one report.

    A report counts once for each feature that it has, and once for what was seen since the one before, however many
    frames that were.
    """
    vector = np.zeros(_ENDS[-1] + len(counted))
    for feature, (begin, end) in zip(FEATURES, pairwise(_ENDS), strict=True):
        if feature.name in report.sample:
            feature.count(vector[begin:end], report.sample[feature.name])
    shares = np.array([report.seen.get(name, 0) for name in counted], np.float64)
    if NO_FINDING in counted[-1:]:
        shares[-1] = max(0.0, report.frames - shares[:-1].sum())
    if shares.sum():
        vector[_ENDS[-1] :] = shares / shares.sum()
    return vector


def as_counts(vector: Floats) -> Counts:
    """The same as the monitor on a device has it."""
    features = [vector[begin:end] for begin, end in pairwise(_ENDS)]
    return Counts(round(max(float(counts.sum()) for counts in features)), features, vector[_ENDS[-1] :])
