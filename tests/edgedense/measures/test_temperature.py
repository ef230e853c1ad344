from __future__ import annotations

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.measures import metrics, temperature
from edgedense.measures.temperature import activated, calibration_error, chosen, cross_fitted, fit, halves, tempered

RANDOM = np.random.default_rng(5)
# Labels drawn from the scores of these logits: those say exactly how often they are right.
LOGITS = RANDOM.normal(0, 2, (4000, 3))
CLASSES = np.array([RANDOM.choice(3, p=row) for row in activated(LOGITS, "softmax")])
ONE_HOT = np.eye(3)[CLASSES]
SEEN = (RANDOM.random((4000, 3)) < activated(LOGITS, "sigmoid")).astype(float)


def likelihood(logits: np.ndarray, truth: np.ndarray, activation: str) -> float:
    """The negative log likelihood, from the scores themselves."""
    p = activated(logits, activation)
    return float(-np.log(np.where(truth == 1, p, 1 if activation == "softmax" else 1 - p)).sum())


@pytest.mark.parametrize(("activation", "truth"), [("softmax", ONE_HOT), ("sigmoid", SEEN)])
def test_the_temperature_that_scores_were_divided_by_is_found(activation: str, truth: np.ndarray) -> None:
    for true in (0.5, 1.0, 3.0):
        found = fit(true * LOGITS, truth, activation)
        assert found == pytest.approx(true, rel=0.05)
        best = likelihood(true * LOGITS / found, truth, activation)
        for other in (0.99 * found, 1.01 * found):
            assert likelihood(true * LOGITS / other, truth, activation) > best


def test_by_hand() -> None:
    """Three of four images with logits (z, 0) are of the first class: p = 3/4, so z / T = log 3."""
    logits = np.array([[2.0, 0.0]] * 4)
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    assert fit(logits, truth, "softmax") == pytest.approx(2 / np.log(3), rel=1e-3)
    assert fit(logits[:, :1], truth[:, :1], "sigmoid") == pytest.approx(2 / np.log(3), rel=1e-3)


def test_what_nobody_knows_does_not_count() -> None:
    more = np.concatenate([LOGITS, 9 * LOGITS])
    unknown = np.full_like(ONE_HOT, np.nan)
    for activation, truth in (("softmax", ONE_HOT), ("sigmoid", SEEN)):
        assert fit(more, np.concatenate([truth, unknown]), activation) == fit(LOGITS, truth, activation)


def test_without_mistakes_or_without_sense_there_is_none() -> None:
    with pytest.raises(EdgedenseError, match="4000 of which all are right"):
        fit(LOGITS, np.eye(3)[LOGITS.argmax(axis=1)], "softmax")
    with pytest.raises(EdgedenseError, match="say nothing"):
        fit(LOGITS, np.eye(3)[LOGITS.argmin(axis=1)], "softmax")
    with pytest.raises(ValueError, match="do not fit"):
        fit(LOGITS, SEEN[:, :2], "sigmoid")


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_scores_at_a_temperature_are_those_of_divided_logits(activation: str) -> None:
    expected = activated(LOGITS / 1.7, activation)
    np.testing.assert_allclose(tempered(activated(LOGITS, activation), activation, 1.7), expected, rtol=1e-9)
    assert tempered([[1, 0]], activation, 2).tolist() == [[1, 0]]
    extremes = activated(np.array([[1000.0, -1000.0]]), activation)
    assert extremes.tolist() == [[1, 0]]


def test_halves_share_each_class_and_keep_patients_together() -> None:
    assert halves([[1, 0], [1, 0], [0, 1], [0, 1], [1, np.nan], [1, np.nan]]).tolist() == [0, 1] * 3
    assert halves(np.zeros((4, 1)), ("b", "a", "b", "c")).tolist() == [1, 0, 1, 0]


def test_a_half_is_judged_by_the_other_halfs_temperature() -> None:
    half = halves(ONE_HOT)
    scores = cross_fitted(LOGITS, ONE_HOT, "softmax", half)
    other = fit(LOGITS[half == 1], ONE_HOT[half == 1], "softmax")
    np.testing.assert_array_equal(scores[half == 0], activated(LOGITS[half == 0] / other, "softmax"))


@pytest.mark.parametrize(("activation", "truth"), [("softmax", ONE_HOT), ("sigmoid", SEEN)])
def test_the_calibration_error_becomes_small(activation: str, truth: np.ndarray) -> None:
    found = chosen(3 * LOGITS, truth, activation, sha256="abc")
    assert found.value == fit(3 * LOGITS, truth, activation)
    assert found.calibration_error_before > 0.1
    # 15 bins of some 270 images each: a share of 0.5 has a standard error of 0.03 there, whose mean size is 0.024.
    assert found.calibration_error_after < 0.03
    assert found.entry["calibration_error_measured_by"] == "two-fold cross-fitting"
    assert temperature.value_of({"temperature": found.entry}) == found.value


def test_the_calibration_error_of_several_is_the_mean_over_classes() -> None:
    """First class: 0.9 is right once in two, off by 0.4. Second: 0.25 is right once in four, and 0.9 is not known."""
    scores = np.array([[0.9, 0.25], [0.9, 0.25], [0.1, 0.25], [0.1, 0.25], [0.1, 0.9]])
    truth = np.array([[1, 0], [0, 0], [0, 1], [0, 0], [0, np.nan]])
    assert metrics.binary_calibration_error(scores[:, 0], truth[:, 0]) == pytest.approx((2 * 0.4 + 3 * 0.1) / 5)
    assert calibration_error(scores, truth, "sigmoid") == pytest.approx((0.22 + 0) / 2)
    assert calibration_error(scores[:, :1], truth[:, :1], "sigmoid") == metrics.calibration_error(
        scores[:, :1], truth[:, 0]
    )


def test_a_recipes_temperature() -> None:
    assert temperature.value_of({}) == 1
    for wrong in ({"value": 0}, {"value": True}, {}, "hot", -1):
        with pytest.raises(EdgedenseError, match="a temperature above 0 in the recipe"):
            temperature.value_of({"temperature": wrong})
