"""Who drifts against the others: the statistic by hand, and fleets of which one device, all, or none change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from edgedense.device.monitor.drift import kolmogorov_smirnov, ks_limit, psi_limit
from edgedense.device.monitor.samples import FEATURES
from edgedense.device.overview import drift
from edgedense.device.overview.drift import LEVELS, Past, against_others
from edgedense.device.overview.tally import as_counts, outcomes, tally
from tests.device.mqtt.test_messages import ABOUT, REPORT

USUAL = {"brightness": 120, "contrast": 50, "sharpness": -2, "colour": 10, "confidence": 0.9, "entropy": 0.3}
SPREAD = {"brightness": 20, "contrast": 8, "sharpness": 0.5, "colour": 10, "confidence": 0.05, "entropy": 0.1}
COWS = {"cow": 30, "pig": 30}


@cache
def past(device: int, moved: tuple[tuple[str, float], ...] = (), cows: int = 30, pigs: int = 30) -> Past:
    """400 reports of usual days and 150 of the last day, in which what `moved` is added, and more cows or pigs are
    seen. Barns differ, and each report is like the one before, as those of a camera that stands still are."""
    random = np.random.default_rng(device)
    level = {name: USUAL[name] + random.normal(0, SPREAD[name]) for name in USUAL}
    vectors, state = [], dict.fromkeys(USUAL, 0.0)
    for number in range(550):
        state = {name: 0.9 * state[name] + random.normal(0, 0.2 * SPREAD[name]) for name in USUAL}
        added, seen = (dict(moved), (cows, pigs)) if number >= 400 else ({}, (30, 30))
        sample = {name: level[name] + state[name] + added.get(name, 0) for name in USUAL}
        share = int(random.integers(20, 41))
        answers = {"cow": seen[0] + share, "pig": seen[1] + 60 - share}
        vectors.append(tally(replace(REPORT, sample=sample, seen=answers), ("cow", "pig")))
    return Past(("cow", "pig"), np.sum(vectors[:400], axis=0), np.sum(vectors[400:], axis=0))


DARK = (("brightness", -60.0),)


def fleet(devices: int = 12) -> dict[str, Past]:
    return {f"barn-{device}": past(device) for device in range(devices)}


def named(pasts: Mapping[str, Past]) -> dict[str, set[str]]:
    return {name: {one.feature for one in found} for name, found in against_others(pasts).items() if found}


def test_a_report_counts_once_for_what_it_has() -> None:
    report = replace(REPORT, sample={"brightness": 30.0, "contrast": 4.0}, frames=4, seen={"cow": 3, "pig": 1})
    counts = as_counts(tally(report, ("cow", "pig")))
    assert counts.samples == 1
    assert counts.features[0][:4].tolist() == [0, 0, 1, 0]  # nodes at 0, 15, 30, 45
    assert counts.features[1][:3].tolist() == [0.5, 0.5, 0]  # 4 lies between 0 and 8
    assert counts.features[2].sum() == 0
    assert counts.classes.tolist() == [0.75, 0.25]


def test_no_finding_is_an_outcome_and_values_are_none() -> None:
    each, values = replace(ABOUT, decides="each"), replace(ABOUT, decides="values")
    assert outcomes(ABOUT) == ("cow", "pig")
    assert outcomes(each) == ("cow", "pig", "no finding")
    counted = as_counts(tally(replace(REPORT, frames=10, seen={"cow": 4, "pig": 1}), outcomes(each)))
    assert counted.classes.tolist() == [0.4, 0.1, 0.5]
    assert outcomes(values) == ()
    assert as_counts(tally(REPORT, ())).classes.size == 0


def test_places_among_the_usual_values() -> None:
    even, high = np.array([8.0, 8, 8, 8]), np.array([0.0, 0, 0, 5])
    np.testing.assert_allclose(drift.places(even, 3 * even), LEVELS)  # unchanged
    # All values lie in the highest quarter of the usual ones, evenly: no share up to 3/4, and half of them up to 7/8.
    found = drift.places(even, high)
    assert [found[list(LEVELS).index(level)] for level in (0.5, 0.75, 0.875)] == [0, 0, 0.5]
    # Against a fleet that has not changed the distance is the monitor's own.
    assert np.abs(found - LEVELS).max() == pytest.approx(kolmogorov_smirnov(even, high))
    never_seen = drift.places(np.array([0.0, 0, 4, 4]), np.array([9.0, 0, 0, 0]))
    assert never_seen.tolist() == [1.0] * LEVELS.size  # lower than all usual ones


def test_distances_from_all_others_together() -> None:
    found, weights = np.array([[0.5], [0.25], [0.25]]), np.array([1.0, 1.0, 2.0])
    # others: (0.25 + 2 * 0.25) / 3 = 1/4, (0.5 + 2 * 0.25) / 3 = 1/3, (0.5 + 0.25) / 2 = 3/8
    np.testing.assert_allclose(drift.distances(found, weights), [1 / 4, 1 / 12, 1 / 8])


def test_the_chances_are_at_least_those_of_independent_samples() -> None:
    """The monitor's limits are the inverse. In a fleet that has not moved at all nothing else counts."""
    n, m = np.full(3, 100.0), np.full(3, 400.0)
    distances = np.array([0.0, 0.0, ks_limit(1e-4, 100, 400)])
    np.testing.assert_allclose(drift.distance_chances(distances, n, m), [1, 1, 1e-4])
    index = np.array([0.0, 0.0, psi_limit(1e-4, 100, 400, 5)])
    np.testing.assert_allclose(drift.index_chances(index, n, m, 5)[2], 1e-4, rtol=1e-6)


def test_the_chances_are_at_least_those_that_the_fleet_has() -> None:
    # The median is 0.6745 standard deviations of a normal distribution, twice and three times it 1.349 and 2.0235.
    np.testing.assert_allclose(
        drift.fleet_chances(np.array([1.0, 1, 1, 2, 3])), [0.5, 0.5, 0.5, 0.1773, 0.0430], atol=1e-4
    )
    n = np.full(3, 1e6)  # so many independent samples would be sure of anything
    # Shifts by 0.5, 1 and 2 standard deviations have distances of 2 Phi(0.25) - 1 = 0.1974 and so on.
    chances = drift.distance_chances(np.array([0.19741, 0.38292, 0.68269]), n, n)
    np.testing.assert_allclose(chances, [0.7359, 0.5, 0.1773], atol=1e-4)
    np.testing.assert_allclose(drift.index_chances(np.array([1.0, 4, 16]), n, n, 3), chances, atol=1e-4)


@pytest.mark.parametrize(
    ("chances", "believed"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05], [1, 1, 1, 1, 1]),  # limits 0.01, 0.02, 0.03, 0.04, 0.05
        ([0.03, 0.5, 0.01, 0.03], [1, 0, 1, 1]),  # limits 0.0125, 0.025, 0.0375, 0.05: the third holds
        ([0.02, 0.03, 0.9, 0.8], [0, 0, 0, 0]),
        ([], []),
    ],
)
def test_benjamini_and_hochberg(chances: list[float], believed: list[int]) -> None:
    assert drift.is_discovery(np.array(chances), 0.05).tolist() == [bool(one) for one in believed]


def test_the_one_that_drifts_is_named_and_said_what_it_sees() -> None:
    pasts = {**fleet(), "barn-3": past(3, DARK)}
    assert named(pasts) == {"barn-3": {"brightness"}}
    found = against_others(pasts)["barn-3"][0]
    assert found.said.startswith("the pictures got darker (mean brightness ")
    assert found.chance < 1e-4
    assert found.to_dict()["feature"] == "brightness"


def test_an_answer_that_takes_over_is_named() -> None:
    pasts = {**fleet(), "barn-5": past(5, cows=600, pigs=0)}
    assert named(pasts) == {"barn-5": {"class"}}
    assert "nearly every answer is class cow" in against_others(pasts)["barn-5"][0].said


def test_a_change_in_all_of_them_is_no_news_of_one() -> None:
    night = {f"barn-{device}": past(device, DARK) for device in range(12)}
    assert named(night) == {}
    assert named({**night, "barn-11": past(11)}) == {"barn-11": {"brightness"}}


def test_nobody_is_named_where_nothing_changes() -> None:
    pasts = fleet()
    assert set(against_others(pasts)) == set(pasts)
    assert named(pasts) == {}


def test_who_cannot_be_judged() -> None:
    pasts = fleet(5)
    young = replace(pasts["barn-0"], recent=pasts["barn-0"].recent * 99 / 150)
    assert len(against_others(pasts)) == 5
    assert against_others({**pasts, "barn-0": young}) == {}  # four are left
    other = replace(pasts["barn-0"], outcomes=("pig", "cow"))
    assert against_others({**pasts, "barn-0": other}) == {}
    assert against_others({}) == {}


def test_values_are_judged_by_their_pictures() -> None:
    """A model that gives values has neither confidence nor classes."""
    pasts = {}
    for name, whole in {**fleet(6), "barn-1": past(1, DARK)}.items():
        ends = sum(feature.nodes for feature in FEATURES[:4])
        vectors = [np.concatenate([vector[:ends], 0 * vector[ends:-2]]) for vector in (whole.usual, whole.recent)]
        pasts[name] = Past((), *vectors)
    assert named(pasts) == {"barn-1": {"brightness"}}
