from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgedense.errors import EdgedenseError
from edgedense.measures import stored_points
from edgedense.measures.operating_points import measured, parse, wilson
from edgedense.measures.stored_points import Stored, kept, require_thresholds

# a and c alike: positives at .9 and .6, negatives at .5 and .1. By Youden's index .6 is best, where all is right.
SCORES = np.float32([[0.9, 0.4, 0.9], [0.6, 0.4, 0.6], [0.5, 0.4, 0.5], [0.1, 0.4, 0.1]])
TRUTH = np.array([[1, np.nan, 1], [1, np.nan, 1], [0, np.nan, 0], [0, np.nan, 0]])
NAMES = ("a", "b", "c")
SIX = float(np.float32(0.6))


def findings() -> Stored:
    """Of a model that was not trained for b."""
    options = {"activation": "sigmoid", "outputs": 3, "sha256": "abc", "trained": (True, False, True)}
    return stored_points.chosen(SCORES, TRUTH, NAMES, parse("youden"), **options)


def through_a_file(entries: dict[str, Any], activation: str = "sigmoid") -> dict[str, Any]:
    return {"activation": activation, **json.loads(json.dumps(entries))}


class TestChosen:
    def test_one_for_each_class(self) -> None:
        stored = findings()
        recipe = through_a_file(stored.entries(3))
        assert recipe["thresholds"] == [SIX, None, SIX]
        assert "positive" not in recipe
        assert stored_points.read(recipe) == Stored("youden", 4, "abc", rounded(stored), None)
        assert recipe["operating_points"]["interval"] == "95 %, Wilson score"

    @pytest.mark.parametrize(
        ("activation", "outputs", "expected"), [("sigmoid", 1, [SIX]), ("softmax", 2, [None, SIX])]
    )
    def test_two_classes_have_one_threshold(self, activation: str, outputs: int, expected: list[float | None]) -> None:
        """The scores are those of "ill". Where "well" is to be found, it is seen below the threshold: .6 again, below
        which both well ones lie and no ill one."""
        both = np.hstack([1 - SCORES[:, :1], SCORES[:, :1]])
        truth = np.hstack([1 - TRUTH[:, :1], TRUTH[:, :1]])
        options: dict[str, Any] = {"activation": activation, "outputs": outputs, "sha256": "abc"}
        names = ("well", "ill")
        stored = stored_points.chosen(both[:, 2 - outputs :], truth, names, parse("specificity=1"), **options)
        recipe = through_a_file(stored.entries(outputs), activation)
        assert (recipe["thresholds"], recipe["positive"]) == (expected, "ill")
        other = stored_points.chosen(
            both[:, 2 - outputs :], truth, names, parse("sensitivity=1"), positive="well", **options
        )
        recipe = through_a_file(other.entries(outputs), activation)
        assert (recipe["thresholds"], recipe["positive"]) == (expected, "well")
        assert other.points[0] == measured(SCORES[:, 0], truth[:, 0], "well", SIX, below="ill")

    def test_models_that_no_threshold_decides(self) -> None:
        with pytest.raises(EdgedenseError, match=r"found 3 classes that exclude each other \(softmax\)"):
            require_thresholds(NAMES, "softmax", 3)
        with pytest.raises(EdgedenseError, match="one that gives values"):
            require_thresholds(("months",), "none", 1)
        with pytest.raises(EdgedenseError, match="for --positive; found 3 that are scored one by one"):
            require_thresholds(NAMES, "sigmoid", 3, "a")
        with pytest.raises(EdgedenseError, match="--positive well or ill; found sick"):
            require_thresholds(("well", "ill"), "sigmoid", 1, "sick")


def rounded(stored: Stored) -> tuple[Any, ...]:
    """As a recipe keeps them: the shares' bounds to six decimals."""
    return tuple(None if one is None else stored_points._point(stored_points._entry(one)) for one in stored.points)


class TestKept:
    def test_promised_and_here(self) -> None:
        scores, truth = [[0.61, 0, 0.2], [0.5, 0, 0.9]], [[1, 1, 0], [1, 0, 1]]
        first, third = kept(through_a_file(findings().entries(3)), scores, truth, NAMES)
        assert first.promised == rounded(findings())[0]
        assert first.here == measured([0.61, 0.5], [1, 1], "a", SIX)
        assert (first.here.sensitivity, first.here.specificity) == (wilson(1, 2), None)
        assert third.here.label == "c"

    def test_thresholds_of_a_model_that_does_not_say_how_they_were_chosen(self) -> None:
        found = kept({"activation": "sigmoid", "thresholds": [0.5, None]}, [[0.6, 0.1]], [[1, 0]], ("a", "b"))
        assert [(one.promised, one.here.label, one.here.threshold) for one in found] == [(None, "a", 0.5)]
        assert kept({}, [[0.6, 0.1]], [[1, 0]], ("a", "b")) == ()

    @pytest.mark.parametrize("scores", [[[0.3], [0.6]], [[0.7, 0.3], [0.4, 0.6]]])
    @pytest.mark.parametrize("positive", ["well", "ill"])
    def test_a_pair_has_one_threshold(self, scores: list[list[float]], positive: str) -> None:
        """The second picture alone is "ill", and scores 0.6 for it."""
        stored = stored_points.chosen(
            np.float32([[0.2], [0.5]]),
            [[1, 0], [0, 1]],
            ("well", "ill"),
            parse("youden"),
            activation="sigmoid",
            outputs=1,
            sha256="abc",
            positive=positive,
        )
        (found,) = kept(through_a_file(stored.entries(1)), scores, [[1, 0], [0, 1]], ("well", "ill"))
        assert found.here.label == positive
        assert found.here.threshold == 0.5
        assert (found.here.sensitivity, found.here.specificity) == (wilson(1, 1), wilson(1, 1))

    def test_two_labels_of_two_sigmoids_are_no_pair(self) -> None:
        found = kept({"activation": "sigmoid", "thresholds": [0.5, 0.2]}, [[0.6, 0.1]], [[1, 1]], ("a", "b"))
        assert [one.here.label for one in found] == ["a", "b"]

    def test_labels_in_place_of_the_files_own_are_told(self) -> None:
        found = kept(findings().entries(3) | {"activation": "sigmoid"}, [[0.5, 0.5, 0.5]], [[1, 1, 1]], ("x", "y", "z"))
        assert [one.here.label for one in found] == ["x", "z"]
        assert all(one.promised is not None for one in found)

    def test_a_damaged_entry_is_no_traceback(self) -> None:
        recipe = findings().entries(3)
        del recipe["operating_points"]["sha256"]
        with pytest.raises(EdgedenseError, match="operating points as edgedense writes them; found damaged ones"):
            stored_points.read(recipe)
        with pytest.raises(EdgedenseError, match="3 of 2 outputs"):
            kept({**findings().entries(3), "thresholds": [0.5, 0.5]}, [[0.5, 0.5]], [[1, 1]], ("a", "b"))
