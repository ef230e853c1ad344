"""How much of a heatmap lies inside a mask: by hand, on maps small enough to check."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.measures import masks
from edgedense.measures.bootstrap import Estimate
from edgedense.measures.masks import Case, Seen

LEFT = np.array([[True, False], [True, False]])


class TestOneHeatmap:
    def test_the_share_of_the_energy(self) -> None:
        heat = [[3.0, 1.0], [3.0, 1.0]]
        assert masks.share_inside(heat, LEFT) == 6 / 8
        assert masks.share_inside(heat, ~LEFT) == 2 / 8
        assert masks.share_inside(np.multiply(heat, 7), LEFT) == 6 / 8  # whatever its unit

    def test_a_heatmap_that_lies_outside_gets_nothing(self) -> None:
        heat = [[0.0, 5.0], [0.0, 1.0]]
        assert masks.share_inside(heat, LEFT) == 0
        assert not masks.peak_inside(heat, LEFT)

    def test_one_that_knows_nothing_gets_the_area(self) -> None:
        mask = np.zeros((10, 10), bool)
        mask[2:5, 3:7] = True
        assert masks.share_inside(np.ones((10, 10)), mask) == mask.mean() == pytest.approx(0.12)

    def test_the_peak(self) -> None:
        assert masks.peak_inside([[0.0, 2.0], [3.0, 1.0]], LEFT)
        assert not masks.peak_inside([[0.0, 3.0], [2.0, 1.0]], LEFT)
        assert masks.peak_inside([[3.0, 3.0], [0.0, 0.0]], LEFT)  # of equal ones the first
        assert not masks.peak_inside([[3.0, 3.0], [0.0, 0.0]], ~LEFT)

    def test_no_evidence_is_not_inside(self) -> None:
        assert masks.share_inside(np.zeros((2, 2)), LEFT) == 0
        assert not masks.peak_inside(np.zeros((2, 2)), LEFT)

    @pytest.mark.parametrize(
        ("heat", "mask"), [(np.ones((2, 3)), LEFT), (np.ones((2, 2)), LEFT.astype(int)), (np.ones(4), LEFT.ravel())]
    )
    def test_what_does_not_fit_is_a_defect(self, heat: np.ndarray, mask: np.ndarray) -> None:
        for measure in (masks.share_inside, masks.peak_inside):
            with pytest.raises(ValueError, match="do not fit"):
                measure(heat, mask)

    def test_correlation_is_numpys(self) -> None:
        one, other = np.random.default_rng(0).normal(0, 1, (2, 5, 6))
        assert masks.correlation(one, other) == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])
        assert masks.correlation(one, -one) == -1
        assert masks.correlation(one, np.ones_like(one)) is None


class TestMeans:
    def test_by_hand(self) -> None:
        (found,) = masks.means(np.array([[0.0], [1.0]]), ["a", "b"])
        assert found == Estimate(0.5, 0.0, 1.0)  # each is drawn twice in every fourth draw
        (same,) = masks.means(np.full((5, 1), 0.25), list("abcde"))
        assert same == Estimate(0.25, 0.25, 0.25)

    def test_the_interval_is_that_of_a_mean(self) -> None:
        """Of many pictures it is the mean +- 1.96 standard errors, but for the noise of the draws."""
        values = np.random.default_rng(1).normal(0.4, 0.1, (400, 1))
        (found,) = masks.means(values, list(map(str, range(400))))
        error = values.std() / 20
        assert found.value == pytest.approx(values.mean())
        assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
        assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)

    def test_pictures_of_one_patient_are_drawn_together(self) -> None:
        """Ten copies of a picture know no more than the one: the interval is that of the two patients."""
        values = np.array([[0.0], [1.0]])
        repeated = np.repeat(values, 10, axis=0)
        assert masks.means(repeated, ["a"] * 10 + ["b"] * 10) == masks.means(values, ["a", "b"])
        (alone,) = masks.means(repeated, list(map(str, range(20))))
        assert alone.low
        assert alone.high
        assert alone.high - alone.low < 0.5

    def test_what_is_not_known_is_left_out(self) -> None:
        assert masks.means(np.array([[0.5], [np.nan]] * 9), [*"abcdefghijklmnopqr"]) == (Estimate(0.5, 0.5, 0.5),)
        assert masks.means(np.full((3, 1), np.nan), ["a", "b", "c"]) == (Estimate(None),)


def case(image: str, after: float, before: float | None = None, correlation: float | None = None) -> Case:
    seen = None if before is None else Seen(before, before > 0.5)
    return Case(image, "cat", 0.1, Seen(after, after > 0.5, after > 0), seen, correlation)


class TestSummary:
    def test_one_model(self) -> None:
        found = masks.summarized([case("a", 0.8), case("b", 0.0), case("c", 0.4)], ["m.tflite"])
        assert (found.images, found.area.value, found.before, found.inside_change) == (
            3,
            pytest.approx(0.1),
            None,
            None,
        )
        assert (found.after.model, found.after.inside.value) == ("m.tflite", pytest.approx(0.4))
        assert (found.after.hits.value, found.after.without_evidence) == (pytest.approx(1 / 3), 1)
        assert [one.image for one in found.cases] == ["b", "c", "a"]  # the least inside first
        assert (found.correlation, found.least_correlation) == (None, None)

    def test_two_models(self) -> None:
        cases = [case("a", 0.8, 0.7, 0.9), case("b", 0.3, 0.6, 0.5), case("c", 0.4, 0.4)]
        found = masks.summarized(cases, ["m.keras", "m.tflite"])
        assert found.before
        assert found.inside_change
        assert found.hits_change
        assert found.correlation
        assert (found.before.inside.value, found.after.inside.value) == (pytest.approx(1.7 / 3), pytest.approx(0.5))
        assert found.inside_change.value == pytest.approx((0.1 - 0.3 + 0) / 3)
        assert found.inside_change.low == pytest.approx(-0.3)  # three draws of "b" are one of 27
        assert found.hits_change.value == pytest.approx(-1 / 3)
        assert (found.correlation.value, found.least_correlation) == (pytest.approx(0.7), 0.5)
        assert [one.image for one in found.cases] == ["b", "c", "a"]  # what lost most first

    def test_the_difference_is_paired(self) -> None:
        """Each picture lost exactly 0.1, however different they are: the interval has no width."""
        cases = [case(str(i), share - 0.1, share) for i, share in enumerate((0.2, 0.9, 0.5))]
        change = masks.summarized(cases, ["m.keras", "m.tflite"]).inside_change
        assert change
        assert (change.value, change.low, change.high) == (pytest.approx(-0.1),) * 3

    def test_a_picture_of_several_classes_counts_once(self) -> None:
        assert masks.summarized([case("a", 0.8), case("a", 0.2)], ["m.tflite"]).images == 1

    def test_nothing(self) -> None:
        with pytest.raises(ValueError, match="no case"):
            masks.summarized([], ["m.tflite"])
