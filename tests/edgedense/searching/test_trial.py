"""What tells apart trials that are equally accurate."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.measures import metrics
from edgedense.measures.labelled import LabelledImages
from edgedense.searching.trial import loss


def labelled(truth: list[list[float]], kind: str) -> LabelledImages:
    known = np.array(truth)
    labels = known.argmax(axis=1) if kind == "classes" else np.array([], np.int64)
    count = len(known)
    return LabelledImages(("",) * count, ("",) * count, labels, ("a", "b"), (), known, kind=kind)  # type: ignore[arg-type]


def test_of_classes_that_exclude_each_other() -> None:
    """The right class has a half, then a quarter."""
    images = labelled([[1, 0], [0, 1]], "classes")
    scores = np.array([[0.5, 0.5], [0.75, 0.25]])
    assert loss(scores, images) == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_of_one_score_for_two_classes() -> None:
    assert loss(np.array([[0.25]]), labelled([[0, 1]], "classes")) == pytest.approx(np.log(4))
    assert loss(np.array([[0.25]]), labelled([[1, 0]], "classes")) == pytest.approx(np.log(4 / 3))


def test_of_classes_that_are_scored_alone() -> None:
    """Present with a half, absent with a quarter; and nobody knows of the third."""
    images = labelled([[1, 0], [np.nan, 1]], "several")
    scores = np.array([[0.5, 0.25], [0.1, 1.0]])
    assert loss(scores, images) == pytest.approx((np.log(2) + np.log(4 / 3) + 0) / 3)


def test_a_score_of_nothing_is_no_infinite_loss() -> None:
    assert loss(np.array([[0.0, 1.0]]), labelled([[1, 0]], "classes")) == pytest.approx(-np.log(metrics.FLOOR))
