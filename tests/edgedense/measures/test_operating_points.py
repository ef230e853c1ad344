from __future__ import annotations

import json

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.measures.operating_points import OperatingPoint, Spec, choose, parse, wilson

# One class: positives at .9 .8 .6 .3, negatives at .7 .5 .4 .3 .1. Of the scores as thresholds
#   .1: 4 of 4 found, 0 of 5 passed   .3: 4, 1   .4: 3, 2   .5: 3, 3   .6: 3, 4   .7: 2, 4   .8: 2, 5   .9: 1, 5
SCORES = np.float32([[0.9], [0.8], [0.6], [0.3], [0.7], [0.5], [0.4], [0.3], [0.1]])
TRUTH = np.array([[1], [1], [1], [1], [0], [0], [0], [0], [0]], float)


def point(spec: str, scores: object = SCORES, truth: object = TRUTH, **options: str) -> OperatingPoint:
    (found,) = choose(scores, truth, ("ill",), parse(spec), **options)
    assert found is not None
    return found


class TestParse:
    @pytest.mark.parametrize(
        ("text", "spec"),
        [
            ("sensitivity=0.95", Spec("sensitivity", 0.95)),
            (" specificity=1 ", Spec("specificity", 1)),
            ("youden", Spec("youden")),
            ("f1", Spec("f1")),
            ("0.5", Spec("threshold", 0.5)),
            ("0", Spec("threshold", 0)),
        ],
    )
    def test_what_people_type(self, text: str, spec: Spec) -> None:
        assert parse(text) == spec
        assert parse(str(spec)) == spec

    @pytest.mark.parametrize(
        "text", ["", "recall=0.5", "sensitivity", "sensitivity=", "sensitivity=0", "youden=0.5", "-0.1", "nan", "200"]
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(EdgedenseError, match=r"--operating-point as sensitivity=.*, youden, f1, or"):
            parse(text)

    def test_points_of_100_are_told_as_shares(self) -> None:
        with pytest.raises(EdgedenseError, match=r"Try: sensitivity=0\.95"):
            parse("sensitivity=95")


class TestWilson:
    def test_against_the_formula_in_other_words(self) -> None:
        """The bounds are where the score test's statistic is exactly z: (p^ - p)^2 = z^2 p (1 - p) / n."""
        found = wilson(15, 20)
        assert found is not None
        for bound in (found.low, found.high):
            assert (0.75 - bound) ** 2 == pytest.approx(1.959963984540054**2 * bound * (1 - bound) / 20, rel=1e-12)
        assert found.value == 0.75

    def test_against_scipy(self) -> None:
        stats = pytest.importorskip("scipy.stats")
        for hits, images in ((0, 7), (7, 7), (1, 30), (950, 1000)):
            own, (low, high) = wilson(hits, images), stats.binomtest(hits, images).proportion_ci(method="wilson")
            assert own is not None
            assert (own.low, own.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))

    def test_all_and_none_have_a_width_and_stay_shares(self) -> None:
        none, every = wilson(0, 10), wilson(10, 10)
        assert none is not None
        assert every is not None
        assert (none.low, every.high) == (0, 1)
        assert none.high == pytest.approx(1 - every.low)
        assert none.high > 0.2
        assert wilson(0, 0) is None


class TestChoose:
    @pytest.mark.parametrize(
        ("spec", "threshold", "sensitivity", "specificity"),
        [
            ("sensitivity=1", 0.3, 4 / 4, 1 / 5),  # the lowest score of a positive one
            ("sensitivity=0.75", 0.6, 3 / 4, 4 / 5),  # exactly reached counts
            ("sensitivity=0.76", 0.3, 4 / 4, 1 / 5),
            ("specificity=1", 0.8, 2 / 4, 5 / 5),
            ("specificity=0.8", 0.6, 3 / 4, 4 / 5),
            ("youden", 0.6, 3 / 4, 4 / 5),  # 0.75 + 0.8 - 1
            ("f1", 0.6, 3 / 4, 4 / 5),  # 6 / 8; at .3 it is 8 / 12, at .8 4 / 6
            ("0.45", 0.45, 3 / 4, 3 / 5),
        ],
    )
    def test_by_hand(self, spec: str, threshold: float, sensitivity: float, specificity: float) -> None:
        found = point(spec)
        assert found.threshold == (0.45 if spec == "0.45" else float(np.float32(threshold)))
        assert found.sensitivity == wilson(round(4 * sensitivity), 4)
        assert found.specificity == wilson(round(5 * specificity), 5)
        assert (found.label, found.positives, found.negatives) == ("ill", 4, 5)

    def test_what_scikit_learn_finds_on_the_roc_curve(self) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        random = np.random.default_rng(3)
        truth = random.integers(0, 2, 300).astype(float)
        scores = np.round(np.clip(random.normal(0.4 + 0.2 * truth, 0.2), 0, 1), 2).astype(np.float32)  # many ties
        alarms, found, thresholds = metrics.roc_curve(truth, scores, drop_intermediate=False)
        best = int(np.argmax(found - alarms))
        ours = point("youden", scores[:, None], truth[:, None])
        assert ours.threshold == thresholds[best]
        assert ours.sensitivity is not None
        assert ours.specificity is not None
        assert ours.sensitivity.value == pytest.approx(found[best], abs=1e-12)
        assert ours.specificity.value == pytest.approx(1 - alarms[best], abs=1e-12)
        first = int(np.argmax(found >= 0.9))
        assert point("sensitivity=0.9", scores[:, None], truth[:, None]).threshold == thresholds[first]
        f1 = [metrics.f1_score(truth, scores >= t) for t in thresholds[1:]]
        chosen = point("f1", scores[:, None], truth[:, None]).threshold
        assert metrics.f1_score(truth, scores >= chosen) == pytest.approx(max(f1), abs=1e-12)

    def test_the_float32_score_itself_reaches_the_threshold_that_json_kept(self) -> None:
        """0.1 and 0.7 are no float32: as Python numbers they would be missed by the score that they were made of."""
        found = point("sensitivity=1", np.float32([[0.7], [0.1]]), [[1], [0]])
        threshold = json.loads(json.dumps(found.threshold))
        assert np.float32(0.7).tolist() >= threshold
        assert found.specificity == wilson(1, 1)

    def test_of_equal_choices_the_better_sensitivity(self) -> None:
        """At .8 one of two is found and no false alarm, at .2 both and one of two: 0.5 each by Youden."""
        scores, truth = np.float32([[0.8], [0.2], [0.6], [0.1]]), [[1], [1], [0], [0]]
        assert point("youden", scores, truth).threshold == float(np.float32(0.2))
        # Both thresholds pass every negative one; the lower one finds more.
        apart = np.float32([[0.9], [0.8], [0.3]])
        assert point("sensitivity=0.5", apart, [[1], [1], [0]]).threshold == float(np.float32(0.8))
        # F1 is 2 / 3 at .9 (one found, no alarm), and 4 / 6 at .5 (two found, two alarms).
        even = np.float32([[0.9], [0.5], [0.7], [0.6]])
        assert point("f1", even, [[1], [1], [0], [0]]).threshold == float(np.float32(0.5))

    def test_ties_stay_together(self) -> None:
        found = point("sensitivity=0.5", np.float32([[0.5], [0.5], [0.5]]), [[1], [1], [0]])
        assert found.sensitivity == wilson(2, 2)
        assert found.specificity == wilson(0, 1)

    def test_a_negative_one_at_the_top_leaves_nothing_to_find(self) -> None:
        found = point("specificity=1", np.float32([[0.5], [0.8]]), [[1], [0]])
        assert found.threshold == float(np.nextafter(np.float32(0.8), np.float32(1)))
        assert found.sensitivity == wilson(0, 1)
        with pytest.raises(EdgedenseError, match=r"reaches specificity=1 for ill; found .*whose score is 1"):
            point("specificity=1", np.float32([[0.5], [1]]), [[1], [0]])

    def test_what_nobody_knows_does_not_count(self) -> None:
        scores = np.concatenate([SCORES, np.float32([[0.95], [0.05]])])
        truth = np.concatenate([TRUTH, [[np.nan], [np.nan]]])
        assert point("youden", scores, truth) == point("youden")

    @pytest.mark.parametrize("spec", ["sensitivity=0.9", "specificity=0.9", "youden", "f1"])
    def test_a_class_without_positives_or_negatives_is_named(self, spec: str) -> None:
        scores = np.float32([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
        with pytest.raises(EdgedenseError, match="none that show it of none, unknown"):
            choose(scores, [[1, 0, np.nan], [0, 0, 0]], ("both", "none", "unknown"), parse(spec))
        with pytest.raises(EdgedenseError, match="none that do not show it of all"):
            choose(scores, [[1, 1, 1], [0, 1, 0]], ("both", "all", "too"), parse(spec))

    def test_a_threshold_that_was_named_needs_none(self) -> None:
        found = point("0.5", truth=np.zeros_like(TRUTH))
        assert (found.sensitivity, found.positives, found.negatives) == (None, 0, 9)

    def test_classes_are_chosen_one_by_one_and_untrained_ones_are_left(self) -> None:
        scores, truth = np.hstack([SCORES, SCORES, SCORES]), np.hstack([TRUTH, np.zeros_like(TRUTH), 1 - TRUTH])
        first, second, third = choose(
            scores, truth, ("a", "b", "c"), parse("sensitivity=1"), trained=(True, False, True)
        )
        assert second is None
        assert first is not None
        assert third is not None
        assert (first.threshold, third.threshold) == (float(np.float32(0.3)), float(np.float32(0.1)))

    def test_below_the_threshold_is_the_other_class(self) -> None:
        """The scores are those of "well", and "ill" is seen below: .1 .2 .4 of three ill ones, .3 .9 of two well ones.

        All ill ones are found below anything above .4, and there one of two well ones passes."""
        scores, truth = np.float32([[0.1], [0.2], [0.4], [0.3], [0.9]]), [[1], [1], [1], [0], [0]]
        found = point("sensitivity=1", scores, truth, below="well")
        assert found.threshold == float(np.float32(0.9))
        assert (found.sensitivity, found.specificity) == (wilson(3, 3), wilson(1, 2))
        assert point("specificity=1", scores, truth, below="well").threshold == float(np.float32(0.3))
        assert point("0.75", scores, truth, below="well").threshold == 0.25

    def test_wrong_shapes(self) -> None:
        with pytest.raises(ValueError, match="do not fit 1 classes"):
            choose(SCORES, TRUTH[:, 0], ("ill",), parse("youden"))
        with pytest.raises(ValueError, match="finite"):
            choose(np.full_like(SCORES, np.nan), TRUTH, ("ill",), parse("youden"))
