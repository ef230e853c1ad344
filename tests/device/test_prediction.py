from __future__ import annotations

import numpy as np
import pytest

from edgedense.device.prediction import NEVER, Doubt, Prediction, Rule, decide, doubt, rule, usual_doubt

LABELS = ("a", "b", "c")


def names(classes: tuple[tuple[str, float], ...]) -> list[str]:
    return [label for label, _ in classes]


@pytest.mark.parametrize(
    ("top", "threshold", "expected"),
    [(1, None, ["b"]), (3, None, ["b", "a", "c"]), (9, None, ["b", "a", "c"]), (3, 0.25, ["b", "a"]), (3, 0.9, [])],
)
def test_of_classes_that_exclude_each_other_the_best_are_listed(
    top: int, threshold: float | None, expected: list[str]
) -> None:
    prediction = decide(np.float32([0.25, 0.5, 0.125]), rule(LABELS, "softmax", 3, threshold), top)
    assert names(prediction.top) == expected
    assert prediction.below == ()
    assert prediction.label == (expected[0] if expected else None)
    assert prediction.score == (0.5 if expected else None)
    assert prediction.answer == tuple(expected[:1])


@pytest.mark.parametrize(
    ("scores", "top", "threshold", "findings", "below"),
    [
        ([0.6, 0.9, 0.7], 1, None, ["b", "c", "a"], []),  # a finding is never left out
        ([0.4, 0.9, 0.7], 1, None, ["b", "c"], []),
        ([0.4, 0.9, 0.7], 3, None, ["b", "c"], ["a"]),
        ([0.4, 0.3, 0.1], 1, None, [], ["a"]),  # none: the best is named, and marked
        ([0.4, 0.3, 0.1], 2, None, [], ["a", "b"]),
        ([0.5, 0.3, 0.1], 1, None, ["a"], []),  # at the threshold
        ([0.4, 0.3, 0.1], 1, 0.25, ["a", "b"], []),
        ([0.4, 0.3, 0.1], 1, 0.0, ["a", "b", "c"], []),
    ],
)
def test_of_classes_that_are_scored_alone_each_finding_is_listed(
    scores: list[float], top: int, threshold: float | None, findings: list[str], below: list[str]
) -> None:
    prediction = decide(np.float32(scores), rule(LABELS, "sigmoid", 3, threshold), top)
    assert (names(prediction.top), names(prediction.below)) == (findings, below)
    assert prediction.answer == tuple(sorted(findings))
    assert prediction.label == (findings[0] if findings else None)


def test_thresholds_may_differ_from_class_to_class() -> None:
    each = Rule(LABELS, (0.1, 0.95, 0.5), "each")
    assert decide(np.float32([0.2, 0.9, 0.4]), each) == Prediction((("a", pytest.approx(0.2)),), (), True)


def test_two_labels_of_a_softmax_are_a_pair_where_the_model_has_a_threshold() -> None:
    """Without one the better class is the answer. 0.4 is below one half and above 0.3."""
    two, scores = ("well", "ill"), np.float32([0.6, 0.4])
    assert decide(scores, rule(two, "softmax", 2)).label == "well"
    own = rule(two, "softmax", 2, own=(None, 0.3))
    assert (own.kind, own.thresholds) == ("pair", (0.7, 0.3))
    assert decide(scores, own).label == "ill"
    assert decide(scores, rule(two, "softmax", 2, 0.5, own=(None, 0.3))).label == "well"
    assert rule(two, "softmax", 2, 0.5).kind == "best"
    assert rule((*two, "dead"), "softmax", 3, own=(None, None, 0.3)).kind == "best"


def test_what_decided_is_told() -> None:
    assert decide(np.float32([0.6, 0.4]), rule(("well", "ill"), "sigmoid", 1, own=(0.3,))).thresholds == {
        "well": 0.7,
        "ill": 0.3,
    }
    found = decide(np.float32([0.6, 0.4, 0.2]), rule(LABELS, "sigmoid", 3, own=(0.1, 0.95, 0.5)))
    assert found.thresholds == dict(zip(LABELS, (0.1, 0.95, 0.5), strict=True))
    assert decide(np.float32([0.6, 0.3, 0.1]), rule(LABELS, "softmax", 3, 0.5)).thresholds == {}


def test_a_models_own_thresholds_take_the_place_of_one_half() -> None:
    own = rule(LABELS, "sigmoid", 3, own=(0.1, 0.95, None))
    assert own == Rule(LABELS, (0.1, 0.95, NEVER), "each")
    assert rule(LABELS, "sigmoid", 3, 0.3, own=(0.1, 0.95, None)).thresholds == (0.3, 0.3, NEVER)
    assert rule(("no", "yes"), "sigmoid", 1, own=(0.25,)) == Rule(("no", "yes"), (0.75, 0.25), "pair")


def test_a_class_that_is_never_seen_is_not_named() -> None:
    """Not as the next best either, and it leaves no doubt."""
    own = rule(LABELS, "sigmoid", 3, own=(0.5, 0.5, None))
    prediction = decide(np.float32([0.7, 0.2, 0.9]), own, 3)
    assert (names(prediction.top), names(prediction.below)) == (["a"], ["b"])
    assert names(decide(np.float32([0.1, 0.2, 0.9]), own).below) == ["b"]
    assert doubt(np.float32([0.9, 0.3, 0.9]), own) == Doubt("b", pytest.approx(0.3), pytest.approx(0.7))
    assert doubt(np.float32([0.99, 0.01, 1.0]), own).label == "a"


def test_the_threshold_of_a_pair_is_the_second_ones() -> None:
    """As validate prints it: the threshold that finds as many of the second class as before."""
    sensitive = rule(("no", "yes"), "sigmoid", 1, 0.3)
    assert decide(np.float32([0.6, 0.4]), sensitive).label == "yes"
    assert names(decide(np.float32([0.6, 0.4]), sensitive, 2).top) == ["yes", "no"]
    assert decide(np.float32([0.75, 0.25]), sensitive).label == "no"
    assert decide(np.float32([0.5, 0.5]), rule(("no", "yes"), "sigmoid", 1)).label == "no"  # as validate counts it
    assert doubt(np.float32([0.6, 0.4]), sensitive) == Doubt("yes", pytest.approx(0.4), pytest.approx(0.5 + 0.05 / 0.7))
    assert doubt(np.float32([0.75, 0.25]), sensitive) == Doubt("no", 0.75, pytest.approx(0.5 + 0.025 / 0.3))


def test_equal_scores_follow_the_numbers() -> None:
    for activation in ("softmax", "sigmoid"):
        assert names(decide(np.float32([0.5, 0.5, 0.5]), rule(LABELS, activation, 3), 3).top) == ["a", "b", "c"]


def test_scores_that_are_no_probabilities_have_no_threshold() -> None:
    assert decide(np.float32([-3.5]), rule(("months",), "linear", 1)).score == -3.5


def test_the_answer_is_the_same_in_whatever_order_the_findings_stand() -> None:
    each = rule(LABELS, "sigmoid", 3)
    assert decide(np.float32([0.8, 0.9, 0]), each).answer == decide(np.float32([0.9, 0.8, 0]), each).answer


@pytest.mark.parametrize(
    ("scores", "thresholds", "expected"),
    [
        ([0.9, 0.02, 0.7], (0.5,) * 3, Doubt("c", 0.7, 0.7)),
        ([0.9, 0.35, 0.98], (0.5,) * 3, Doubt("b", 0.35, 0.65)),  # not seen: 1 - 0.35
        ([0.5, 0.0, 1.0], (0.5,) * 3, Doubt("a", 0.5, 0.5)),
        ([0.1, 0.1, 0.1], (0.2, 0.8, 0.8), Doubt("a", 0.1, 0.75)),  # halfway from 0.2 to 0
        ([0.6, 0.1, 0.1], (0.2, 0.8, 0.8), Doubt("a", 0.6, 0.75)),  # halfway from 0.2 to 1
        ([0.0, 1.0, 0.5], (0.0, 1.0, 0.5), Doubt("a", 0.0, 0.5)),  # a threshold at the end of the scale
    ],
)
def test_doubt_is_nearness_to_a_threshold(scores: list[float], thresholds: tuple, expected: Doubt) -> None:
    found = doubt(np.float32(scores), Rule(LABELS, thresholds, "each"))
    assert found.label == expected.label
    assert found.score == pytest.approx(expected.score)
    assert found.sureness == pytest.approx(expected.sureness)


def test_doubt_of_one_answer_is_its_score() -> None:
    assert doubt(np.float32([0.25, 0.5, 0.25]), rule(LABELS, "softmax", 3, 0.9)) == Doubt("b", 0.5, 0.5)


def test_two_classes_are_unsure_below_three_quarters() -> None:
    """The better of two scores that sum to 1 is never below one half: with that limit nothing would be kept."""
    assert usual_doubt(rule(LABELS, "softmax", 3)) == 0.5
    assert usual_doubt(rule(("no", "yes"), "softmax", 2)) == usual_doubt(rule(LABELS, "sigmoid", 3)) == 0.75


def test_values_are_told_with_their_unit() -> None:
    aged = rule(("age", "size"), "none", 2, unit="months")
    prediction = decide(np.float32([120.04, -3]), aged)
    assert names(prediction.top) == ["age", "size"]
    assert prediction.said(120.04) == "120 months"
    assert prediction.answer == ("age 120 months", "size -3 months")
    assert decide(np.float32([120.04, -3]), rule(("age", "size"), "none", 2)).said(-3) == "-3"
