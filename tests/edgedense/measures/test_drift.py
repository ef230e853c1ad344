from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgedense.measures import drift

NAMES = ("cat", "dog", "fox")
TRUTH = np.array([0, 1, 2, 0])
BEFORE = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4], [0.4, 0.3, 0.3]])
IMAGES = ("cat/1", "dog/1", "fox/1", "cat/2")


def compare(after: np.ndarray, **more: Any) -> drift.Drift:
    return drift.compare(BEFORE, after, TRUTH, NAMES, images=IMAGES, models=("float", "int8"), **more)


def test_equal_scores_have_no_drift() -> None:
    result = compare(BEFORE.copy())
    assert (result.agreement, result.drop, result.kl_mean, result.js_mean) == (1, 0, 0, 0)
    assert result.p_value == 1
    assert result.changed == ()
    assert result.before.confusion == result.after.confusion == ((2, 0, 0), (0, 1, 0), (0, 1, 0))


def test_changed_images_carry_both_scores_and_losses_come_first() -> None:
    after = BEFORE.copy()
    after[2] = [0.1, 0.3, 0.6]  # wrong before, right now
    after[3] = [0.3, 0.45, 0.25]  # right before, wrong now
    result = compare(after)
    assert [c.image for c in result.changed] == ["cat/2", "fox/1"]
    assert result.changed[0] == drift.Changed("cat/2", "cat", "cat", 0.4, "dog", 0.45)
    assert (result.lost, result.won, result.drop) == (1, 1, 0)
    assert result.agreement == 0.5
    assert result.kl_worst_image == "fox/1"
    assert result.drop_low < 0 < result.drop_high


def test_softmax_heads_have_no_ranking_and_sigmoids_one_per_class() -> None:
    assert compare(BEFORE).before.rankings == ()
    result = compare(BEFORE, activation="sigmoid")
    assert [r.positive for r in result.before.rankings] == list(NAMES)
    assert [t.moved for t in result.thresholds] == [0, 0, 0]


def test_thresholds_of_the_models_own_and_none_of_a_class_without() -> None:
    """Of the dogs one scores 0.7, of all other pictures one 0.5: both reach 0.5, one reaches 0.6."""
    half = compare(BEFORE, activation="sigmoid").thresholds[1]
    assert (half.before, half.sensitivity_before, half.specificity_before) == (0.5, 1, pytest.approx(2 / 3))
    own = compare(BEFORE, activation="sigmoid", thresholds=(0.3, 0.6, float("inf"))).thresholds
    assert [(t.positive, t.before, t.specificity_before) for t in own] == [("cat", 0.3, 1), ("dog", 0.6, 1)]


@pytest.mark.parametrize("columns", [1, 2])
def test_binary_heads_rank_class_1_and_say_how_far_the_threshold_moved(columns: int) -> None:
    p = np.array([0.9, 0.7, 0.2, 0.4])
    scores, lower = (np.stack([1 - x, x], axis=1)[:, -columns:] for x in (p, p - 0.3))
    result = drift.compare(
        scores, lower, [1, 1, 0, 0], ("healthy", "ill"), images=IMAGES, models=("float", "int8"), activation="sigmoid"
    )
    assert [r.positive for r in result.before.rankings] == ["ill"]
    assert result.before.rankings[0].auroc == result.before.rankings[0].average_precision == 1
    (threshold,) = result.thresholds
    assert threshold.moved == pytest.approx(-0.1)
    assert (threshold.sensitivity_before, threshold.sensitivity_after) == (1, 1)
    assert (threshold.specificity_before, threshold.specificity_after) == (1, 1)


def test_a_class_without_images_gives_none() -> None:
    result = drift.compare(
        [[0.1], [0.2]], [[0.1], [0.2]], [0, 0], ("healthy", "ill"), images=("a", "b"), models=("float", "int8")
    )
    assert result.before.rankings[0].auroc is None
    assert result.thresholds[0].moved == 0
    assert result.thresholds[0].sensitivity_before is None


def test_top5_only_where_it_says_something() -> None:
    assert compare(BEFORE).before.top5 is None
    wide = np.eye(6)
    assert drift.evaluate(wide, np.arange(6), tuple("abcdef"), model="m").top5 == 1


@pytest.mark.parametrize(("scores", "labels"), [(BEFORE, TRUTH[:3]), (BEFORE[:, :2], TRUTH), (BEFORE[:0], TRUTH[:0])])
def test_shapes_that_do_not_fit_are_refused(scores: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        drift.evaluate(scores, labels, NAMES, model="m")
