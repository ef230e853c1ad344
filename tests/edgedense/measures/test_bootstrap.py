"""Draws of pictures or of patients, and the intervals that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.measures.bootstrap import DRAWS, Estimate, estimate, weights


def drawn(*args, **keywords) -> np.ndarray:
    return np.concatenate(list(weights(*args, **keywords)), axis=1)


def test_each_draw_has_as_many_pictures_as_there_are() -> None:
    found = drawn(30, draws=50)
    assert found.shape == (30, 50)
    assert (found.sum(axis=0) == 30).all()
    # A picture is in a draw with a chance of 1 - (29 / 30) ** 30 = 0.638; 1500 pairs scatter by 0.012 around it.
    assert np.mean(found > 0) == pytest.approx(0.638, abs=0.04)


def test_pictures_of_one_patient_are_drawn_together() -> None:
    found = drawn(5, ("b", "a", "b", "c", "a"), draws=40)
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[4])
    assert (found[[0, 1, 3]].sum(axis=0) == 3).all()  # three patients in each draw, however many pictures they have


def test_what_is_drawn_depends_on_the_seed_and_not_on_how_many_come_at_once() -> None:
    parts = list(weights(1000, draws=30, width=100))
    assert [part.shape[1] for part in parts] == [20, 10]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), drawn(1000, draws=30))
    assert (drawn(1000, draws=30, seed=1) != drawn(1000, draws=30)).any()
    assert all(part.shape[1] == 1 for part in weights(1000, draws=3, width=10**7))


def test_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    """Of 400 values the mean has a standard error of s / 20, and 95 % of draws lie within 1.96 of these."""
    values = np.random.default_rng(4).normal(3, 2, 400)
    found = estimate(values.mean(), values @ drawn(400) / 400)
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)  # the ends scatter by 4 % over seeds
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_no_figure_and_no_interval_are_none() -> None:
    draws = np.arange(DRAWS, dtype=float)
    assert estimate(np.nan, draws) == Estimate(None)
    assert estimate(1.0, draws[:0]) == Estimate(1.0)
    rare, often = draws.copy(), draws.copy()
    rare[:101] = np.nan
    often[:100] = np.nan
    assert estimate(1.0, rare) == Estimate(1.0)  # fewer than nine of ten draws have it
    assert estimate(1.0, often).low == pytest.approx(100 + 0.025 * 899)
