"""Models that give values, against the right ones and each other: by hand, and against scikit-learn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgedense.measures import bootstrap, values
from edgedense.measures.bootstrap import Estimate
from edgedense.measures.values import ValueReport, measured

BEFORE = np.array([[0.0, 10.0], [1.0, 30.0], [2.0, 20.0]])
AFTER = np.array([[0.5, 10.0], [1.0, 30.0], [1.0, 20.0]])


def test_differences_are_in_the_values_own_unit() -> None:
    age, length = values.differences(BEFORE, AFTER, ("age", "length"), ("a.png", "b.png", "c.png"))
    assert (age.name, age.lowest, age.highest) == ("age", 0, 2)
    assert age.mean == pytest.approx(0.5)  # (0.5 + 0 + 1) / 3
    assert age.root_mean_square == pytest.approx(np.sqrt(1.25 / 3))
    assert (age.worst, age.worst_image) == (1, "c.png")
    assert age.correlation == pytest.approx(np.corrcoef(BEFORE[:, 0], AFTER[:, 0])[0, 1])
    assert (length.mean, length.worst, length.correlation) == (0, 0, pytest.approx(1))


def test_a_model_that_always_says_the_same_correlates_with_nothing() -> None:
    (found,) = values.differences(np.ones((3, 1)), [[1], [2], [3]], ("x",), "abc")
    assert (found.correlation, found.worst_image) == (None, "c")


def test_the_squared_error_is_in_units_of_the_values_own_spread() -> None:
    """So that a value in millimetres counts as much as one in metres."""
    spread = BEFORE[:, 0].std()
    expected = np.array([0.5, 0, 1]) ** 2 / spread**2 / 2  # the second value does not differ
    assert values.squared_error(BEFORE, AFTER) == pytest.approx(expected)
    assert values.squared_error(BEFORE * [1, 1000], AFTER * [1, 1000]) == pytest.approx(expected)
    mean = np.broadcast_to(BEFORE.mean(axis=0), BEFORE.shape)
    assert values.squared_error(BEFORE, mean).mean() == pytest.approx(1)
    assert values.squared_error([[2.0], [2.0]], [[2.5], [2.0]]) == pytest.approx([0.25, 0])  # in its own unit


@pytest.mark.parametrize("wrong", [np.ones(3), np.ones((0, 2)), np.ones((1, 2, 3))])
def test_another_shape_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="images, values"):
        values.squared_error(wrong, wrong)


# Right values 10, 12, 14, 16 and errors 1, -1, 3, 1: mean 1, mean square 3, and 8 / 3 around the mean with three
# degrees of freedom; the right values vary by 9 + 1 + 1 + 9 = 20.
RIGHT = np.array([[10.0], [12], [14], [16]])
GIVEN = np.array([[11.0], [11], [17], [17]])


def found(**options: Any) -> ValueReport:
    return measured(("m",), [GIVEN], RIGHT, ("age",), "abcd", **options)


def test_errors_by_hand() -> None:
    (value,) = found(unit="months").values
    (errors,) = value.errors
    assert errors.images == 4
    assert errors.mean_absolute.value == 1.5
    assert errors.root_mean_square.value == pytest.approx(3**0.5, abs=1e-15)
    assert errors.r2.value == pytest.approx(1 - 12 / 20, abs=1e-15)
    assert errors.bias.value == 1
    assert errors.lower.value == pytest.approx(1 - 1.96 * (8 / 3) ** 0.5, abs=1e-15)
    assert errors.upper.value == pytest.approx(1 + 1.96 * (8 / 3) ** 0.5, abs=1e-15)
    assert value.worse is None
    assert [one.image for one in value.pictures] == ["c", "a", "b", "d"]  # as far apart: in their order
    assert value.pictures[0].error == 3


def test_errors_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(1)
    right = random.normal(120, 40, (200, 2))
    given = [right + random.normal(3, 9, right.shape) for _ in range(2)]
    right[::7, 1] = np.nan
    report = measured(("before", "after"), given, right, ("a", "b"), [str(i) for i in range(200)])
    for k, value in enumerate(report.values):
        known = ~np.isnan(right[:, k])
        for model, errors in zip(given, value.errors, strict=True):
            truth, said = right[known, k], model[known, k]
            wanted = {
                "mean_absolute": sklearn.mean_absolute_error(truth, said),
                "root_mean_square": sklearn.root_mean_squared_error(truth, said),
                "r2": sklearn.r2_score(truth, said),
                "bias": np.mean(said - truth),
                "lower": np.mean(said - truth) - 1.96 * np.std(said - truth, ddof=1),
                "upper": np.mean(said - truth) + 1.96 * np.std(said - truth, ddof=1),
            }
            for name, expected in wanted.items():
                assert getattr(errors, name).value == pytest.approx(expected, abs=1e-12, rel=1e-12), name
            assert errors.images == known.sum()
        first, second = (errors.mean_absolute.value for errors in value.errors)
        assert value.worse is not None
        assert value.worse.value == pytest.approx(second - first, abs=1e-12)  # type: ignore[operator]
    assert len(report.differences) == 2


def test_an_interval_is_that_of_the_draws() -> None:
    """Each draw is made of the images themselves, and its figures are computed as those of all are."""
    sklearn = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(2)
    right = random.normal(0, 1, (30, 1))
    given = right + random.normal(0, 1, right.shape)
    names = [str(i) for i in range(30)]
    (value,) = measured(("m",), [given], right, ("v",), names).values
    drawn = []
    for weights in bootstrap.weights(30, width=2):
        for column in weights.T.astype(int):
            rows = np.repeat(np.arange(30), column)
            drawn.append(sklearn.r2_score(right[rows, 0], given[rows, 0]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    r2 = value.errors[0].r2
    assert (r2.low, r2.high) == pytest.approx((low, high), abs=1e-9)


def test_patients_are_drawn_whole() -> None:
    """Ten pictures of each of six patients, all with their patient's error: sixty of which six are different."""
    random = np.random.default_rng(3)
    error = np.repeat(random.normal(0, 1, 6), 10)[:, None]
    right, names = np.arange(60.0)[:, None], [str(i) for i in range(60)]
    patients = np.repeat(list("uvwxyz"), 10).tolist()
    alone = measured(("m",), [right + error], right, ("v",), names)
    grouped = measured(("m",), [right + error], right, ("v",), names, patients)
    assert (alone.patients, grouped.patients) == (0, 6)
    widths = []
    for report in (alone, grouped):
        bias = report.values[0].errors[0].bias
        widths.append(bias.high - bias.low)  # type: ignore[operator]
    assert 2 < widths[1] / widths[0] < 5  # the square root of ten is 3.2


def test_the_change_of_the_mean_error_is_paired() -> None:
    """Both models are wrong by much, and the second by exactly 1 more on every image: that is certain."""
    random = np.random.default_rng(4)
    right = random.normal(0, 1, (40, 1))
    before = right + np.abs(random.normal(0, 50, right.shape))
    report = measured(("m", "n"), [before, before + 1], right, ("v",), [str(i) for i in range(40)])
    (value,) = report.values
    assert value.worse is not None
    assert (value.worse.value, value.worse.low, value.worse.high) == pytest.approx((1, 1, 1), abs=1e-9)


def test_what_has_no_figure() -> None:
    """Equal right values have no R2, one image no limits, and a value of which nothing is known is left out."""
    same = measured(("m",), [GIVEN], np.full((4, 1), 12.0), ("age",), "abcd")
    assert same.values[0].errors[0].r2 == Estimate(None)
    one = measured(("m",), [GIVEN[:1]], RIGHT[:1], ("age",), "a")
    assert (one.values[0].errors[0].lower, one.values[0].errors[0].upper) == (Estimate(None), Estimate(None))
    known = np.concatenate([RIGHT, np.full((4, 1), np.nan)], axis=1)
    both = measured(("m",), [np.repeat(GIVEN, 2, axis=1)], known, ("age", "size"), "abcd")
    assert [value.name for value in both.values] == ["age"]


def test_a_report_of_values_is_json() -> None:
    names = [str(i) for i in range(60)]
    right = np.arange(60.0)[:, None]
    report = measured(("m",), [right + right / 9], right, ("age",), names, unit="months", recipe={"unit": "months"})
    read = json.loads(report.to_json())
    assert read["unit"] == "months"
    assert read["values"][0]["errors"][0]["mean_absolute"]["value"] == pytest.approx(29.5 / 9)
    assert [one["image"] for one in read["values"][0]["pictures"]] == names[:39:-1]  # the worst 20
    assert len(report.values[0].pictures) == 60
