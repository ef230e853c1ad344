"""How far two models are apart that give values: by hand, on numbers small enough to check."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.measures import values

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


def test_names() -> None:
    assert values.names_of(("age",), 1) == ("age",)
    assert values.names_of((), 1) == ("value",)
    assert values.names_of((), 2) == ("0", "1")


@pytest.mark.parametrize(("value", "text"), [(0.12634, "0.1263"), (-31.0, "-31"), (123456.0, "1.235e+05")])
def test_text(value: float, text: str) -> None:
    assert values.text(value) == text
