"""The figures equal scikit-learn's on the same predictions; the rest is checked against hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgedense.measures import metrics

sk = pytest.importorskip("sklearn.metrics")

CLASSES = 7


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scores before, scores after, labels): a model that is often right, and a noisy copy of it. A class
    is never true, another never decided, so that every zero division is met."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, CLASSES - 1, 400)
    logits = rng.normal(0, 1.2, (400, CLASSES))
    logits[np.arange(400), labels] += 1.5
    logits[:, 2] -= 30
    return _softmax(logits), _softmax(logits + rng.normal(0, 0.4, logits.shape)), labels


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_classification_figures_equal_scikit_learn(scored) -> None:
    scores, _, labels = scored
    decided = metrics.predicted(scores)
    assert metrics.accuracy(scores, labels) == sk.accuracy_score(labels, decided)
    assert metrics.top_k_accuracy(scores, labels, 5) == pytest.approx(
        sk.top_k_accuracy_score(labels, scores, k=5, labels=range(CLASSES))
    )
    confusion = metrics.confusion_matrix(labels, decided, CLASSES)
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(labels, decided, labels=range(CLASSES)))
    expected = sk.precision_recall_fscore_support(labels, decided, labels=range(CLASSES), zero_division=0)
    rows = metrics.per_class(confusion, tuple("abcdefg"))
    assert [row.name for row in rows] == list("abcdefg")
    for column, field in zip(expected, ("precision", "recall", "f1", "support"), strict=True):
        np.testing.assert_allclose([getattr(row, field) for row in rows], column, rtol=1e-12)
    assert rows[6].support == 0
    assert rows[2].precision == 0


@pytest.mark.parametrize("decimals", [12, 1])  # at one decimal most scores are tied
def test_ranking_figures_equal_scikit_learn(scored, decimals: int) -> None:
    scores, _, labels = scored
    for c in (0, 1):
        column, truth = np.round(scores[:, c], decimals), labels == c
        assert metrics.auroc(column, truth) == pytest.approx(sk.roc_auc_score(truth, column), abs=1e-12)
        assert metrics.average_precision(column, truth) == pytest.approx(
            sk.average_precision_score(truth, column), abs=1e-12
        )


def test_ranking_without_one_of_the_groups_is_none_and_not_a_number() -> None:
    assert metrics.auroc([0.1, 0.9], [True, True]) is None
    assert metrics.auroc([0.1, 0.9], [False, False]) is None
    assert metrics.average_precision([0.1, 0.9], [False, False]) is None
    assert metrics.sensitivity([0.1, 0.9], [False, False], 0.5) is None


def test_divergences_are_zero_for_equal_models_and_positive_otherwise(scored) -> None:
    before, after, _ = scored
    for divergence in (metrics.kl_divergence, metrics.js_divergence):
        np.testing.assert_allclose(divergence(before, before), 0, atol=1e-15)
        assert (divergence(before, after) >= -CLASSES * metrics.FLOOR).all()
        assert divergence(before, after).mean() > 0.001
    assert metrics.logit_cosine(before, before) == pytest.approx(1)
    assert metrics.logit_cosine(before, after) < 0.999


def test_kl_by_hand_with_and_without_floor() -> None:
    p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    assert metrics.kl_divergence(p, q)[0] == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert metrics.kl_divergence(q, p)[0] != pytest.approx(metrics.kl_divergence(p, q)[0], abs=1e-4)
    surprised = metrics.kl_divergence([[1.0, 0.0]], [[0.0, 1.0]])[0]
    assert surprised == pytest.approx(math.log(1e4), rel=2e-3)  # what the floor of 1e-4 allows at most


def test_jensen_shannon_is_symmetric_and_bounded_by_log_2(scored) -> None:
    before, after, _ = scored
    np.testing.assert_allclose(metrics.js_divergence(before, after), metrics.js_divergence(after, before))
    assert metrics.js_divergence([[1.0, 0.0]], [[0.0, 1.0]])[0] == pytest.approx(math.log(2), rel=2e-3)


def test_cosine_ignores_a_constant_and_sees_a_reversal() -> None:
    z = np.array([[1.0, -0.5, 0.2], [0.3, 0.1, -2.0]])
    assert metrics.logit_cosine(_softmax(z), _softmax(z + 5)) == pytest.approx(1)
    assert metrics.logit_cosine(_softmax(z), _softmax(2 * z)) == pytest.approx(1)
    assert metrics.logit_cosine(_softmax(z), _softmax(-z)) == pytest.approx(-1)
    flat = np.full((2, 3), 1 / 3)
    assert metrics.logit_cosine(flat, flat) == 1
    assert metrics.logit_cosine(flat, _softmax(z)) == 0


def test_a_single_sigmoid_is_read_as_two_classes() -> None:
    scores = np.array([[0.2], [0.5], [0.9]])
    np.testing.assert_array_equal(metrics.predicted(scores), [0, 1, 1])
    np.testing.assert_allclose(metrics.distribution(scores), [[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]])
    assert metrics.accuracy(scores, [0, 1, 0]) == pytest.approx(2 / 3)


def test_ties_go_to_the_lower_index_in_top_1_and_top_5() -> None:
    tied = np.full((1, 8), 1 / 8)
    assert metrics.predicted(tied)[0] == 0
    assert metrics.top_k_accuracy(tied, [4], 5) == 1
    assert metrics.top_k_accuracy(tied, [5], 5) == 0


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((2, 0)), np.array([[np.nan, 1.0]])])
def test_what_is_no_table_of_scores_is_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="scores must be"):
        metrics.distribution(scores)


def test_calibration_error_by_hand() -> None:
    scores = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    labels = np.array([0] * 8 + [1] * 2 + [0] * 6 + [1] * 4)  # sure 0.9, right 0.8; sure 0.6, right 0.6
    assert metrics.calibration_error(scores, labels) == pytest.approx(0.05)
    high, low = sorted(metrics.reliability(scores, labels), key=lambda b: -b.confidence)
    assert (high.count, high.accuracy) == (10, 0.8)
    assert (low.count, low.accuracy) == (10, 0.6)
    assert high.low < 0.9 <= high.high


def test_calibration_error_takes_confidences_of_zero_and_one() -> None:
    assert metrics.calibration_error([[1.0, 0.0], [0.0, 1.0]], [0, 1]) == 0
    assert metrics.calibration_error([[1.0, 0.0], [0.0, 1.0]], [1, 0]) == 1


def test_bootstrap_interval_covers_the_drop_and_agrees_with_resampling_images() -> None:
    rng = np.random.default_rng(0)
    before = rng.random(300) < 0.9
    after = np.where(rng.random(300) < 0.1, ~before, before)
    low, high = metrics.bootstrap_drop(before, after)
    assert low < before.mean() - after.mean() < high
    assert (low, high) == metrics.bootstrap_drop(before, after)  # seeded
    picks = rng.integers(0, 300, (10_000, 300))
    plain = np.quantile(before[picks].mean(axis=1) - after[picks].mean(axis=1), [0.025, 0.975])
    np.testing.assert_allclose((low, high), plain, atol=0.005)  # quantiles lie on a grid of 1/300


def test_bootstrap_of_equal_models_is_zero_and_the_rule_of_three_says_how_little_that_means() -> None:
    assert metrics.bootstrap_drop([True] * 300, [True] * 300) == (0, 0)
    assert metrics.rule_of_three(300) == pytest.approx(0.01)
    assert metrics.rule_of_three(0) == metrics.rule_of_three(2) == 1


def test_mcnemar_equals_the_exact_binomial_test() -> None:
    stats = pytest.importorskip("scipy.stats")
    for lost, won in [(0, 0), (1, 0), (8, 1), (30, 12), (400, 500), (5, 5)]:
        before = np.array([True] * lost + [False] * won + [True] * 10)
        after = np.array([False] * lost + [True] * won + [True] * 10)
        expected = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
        assert metrics.mcnemar(before, after) == pytest.approx(expected, rel=1e-9)


def test_preserving_threshold() -> None:
    before = np.array([0.9, 0.8, 0.6, 0.3, 0.7, 0.1])
    truth = np.array([True, True, True, True, False, False])
    assert metrics.preserving_threshold(before, before, truth) == 0.5  # nothing changed, nothing moves
    lower = before - 0.2
    # Lower would do as well, higher would miss the positive at 0.6 - 0.2.
    assert metrics.preserving_threshold(before, lower, truth) == pytest.approx(0.4)
    higher = before + 0.3
    moved = metrics.preserving_threshold(before, higher, truth)
    assert 0.6 < moved < 0.9  # between the positive that stays below and the one that stays above
    for after in (lower, higher):
        at = metrics.preserving_threshold(before, after, truth)
        assert metrics.sensitivity(after, truth, at) == metrics.sensitivity(before, truth, 0.5)


def test_preserving_threshold_on_ties_finds_more_rather_than_fewer() -> None:
    truth = np.array([True, True, True])
    assert metrics.preserving_threshold([0.9, 0.4, 0.3], [0.7, 0.7, 0.7], truth) == 0.7
    nothing = metrics.preserving_threshold([0.4, 0.4, 0.3], [0.7, 0.7, 0.7], truth)
    assert nothing > 0.7
    assert metrics.sensitivity([0.7, 0.7, 0.7], truth, nothing) == 0


def test_divergence_of_sigmoids_is_the_sum_of_one_divergence_per_class() -> None:
    """A KL over classes that are no distribution can be below 0, and would call a worse file the better one."""
    before, after = np.array([[0.9, 0.5]]), np.array([[0.8, 0.6]])
    expected = sum(p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)) for p, q in ((0.9, 0.8), (0.5, 0.6)))
    assert metrics.divergence(before, after, "sigmoid") == pytest.approx([expected])
    assert metrics.kl_divergence(before, after)[0] < expected
    lower = np.full((1, 3), 0.5), np.full((1, 3), 0.6)
    assert metrics.kl_divergence(*lower)[0] < 0 < metrics.divergence(*lower, "sigmoid")[0]
    assert np.isfinite(metrics.independent_kl([[0.0, 1.0]], [[1.0, 0.0]])).all()


@pytest.mark.parametrize(("activation", "scores"), [("softmax", [[0.2, 0.8]]), ("sigmoid", [[0.3]])])
def test_divergence_of_one_distribution_is_kl(activation: str, scores: list[list[float]]) -> None:
    other = 1 - np.array(scores)
    assert metrics.divergence(scores, other, activation) == metrics.kl_divergence(scores, other)
