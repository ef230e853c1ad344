"""Losses, weights and figures of both goals, against scikit-learn, Keras and values by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgedense.converters.training import goal
from edgedense.converters.training.goal import OneClass, Several

UNKNOWN = np.nan


class TestOneClass:
    def test_a_single_output_is_for_two_classes(self) -> None:
        assert (OneClass(np.ones(2), single=True).outputs, OneClass(np.ones(2)).outputs) == (1, 2)
        assert (OneClass(np.ones(2), single=True).activation, OneClass(np.ones(2)).activation) == ("sigmoid", "softmax")

    @pytest.mark.parametrize("scores", [[[0.9, 0.1], [0.6, 0.4]], [[0.1], [0.4]]])
    def test_the_loss_is_of_the_class_that_is_shown(self, scores: list[list[float]]) -> None:
        expected = -(math.log(0.9) + math.log(0.4)) / 2
        aim = OneClass(np.array([5.0, 1.0]), single=len(scores[0]) == 1)
        assert aim.loss(np.array(scores), np.array([0, 1])) == pytest.approx(expected)
        assert aim.figure(np.array(scores), np.array([0, 1])) == 0.5

    def test_every_picture_counts_as_its_class(self) -> None:
        labels, weights = OneClass(np.array([0.5, 2.0])).targets(np.array([1, 0, 1]))
        assert labels.tolist() == [1, 0, 1]
        assert weights.tolist() == [2.0, 0.5, 2.0]


class TestSeveral:
    SCORES = np.array([[0.9, 0.2], [0.3, 0.6], [0.8, 0.5]])
    LABELS = np.array([[1, 0], [0, UNKNOWN], [UNKNOWN, 1]])
    AIM = Several(np.array([2.0, 3.0]))

    def test_the_loss_by_hand(self) -> None:
        """Four labels are known, of which the two that are yes count 2 and 3."""
        expected = -(2 * math.log(0.9) + math.log(1 - 0.2) + math.log(1 - 0.3) + 3 * math.log(0.5)) / 4
        assert self.AIM.loss(self.SCORES, self.LABELS) == pytest.approx(expected)

    def test_training_computes_the_same_loss(self) -> None:
        """Keras' mean of the weighted labels, as `fit` has it compute."""
        import keras

        compute, figures = self.AIM.compiled
        model = keras.Sequential([keras.Input((2,)), keras.layers.Identity()])
        model.compile(loss=compute, metrics=figures, run_eagerly=True)
        truth, weights = self.AIM.targets(self.LABELS)
        found = model.evaluate(self.SCORES.astype(np.float32), truth, sample_weight=weights, verbose=0)
        assert found == pytest.approx(self.AIM.loss(self.SCORES, self.LABELS), rel=1e-6)

    def test_what_is_not_known_counts_nowhere(self) -> None:
        other = self.SCORES.copy()
        other[1, 1], other[2, 0] = 0.01, 0.99
        assert self.AIM.loss(other, self.LABELS) == self.AIM.loss(self.SCORES, self.LABELS)
        truth, weights = self.AIM.targets(self.LABELS)
        assert not np.isnan(truth).any()
        assert (weights == 0).tolist() == np.isnan(self.LABELS).tolist()

    def test_certain_and_wrong_is_finite(self) -> None:
        """A probability of 0 counts as 1e-7, as in Keras."""
        loss = Several(np.ones(1)).loss(np.array([[0.0]]), np.array([[1.0]]))
        assert loss == pytest.approx(-math.log(1e-7))

    def test_the_figure_is_scikit_learns_mean_auroc(self) -> None:
        from sklearn.metrics import roc_auc_score

        random = np.random.default_rng(0)
        scores, labels = random.random((60, 3)), (random.random((60, 3)) < 0.4).astype(float)
        labels[:20, 1] = UNKNOWN
        areas = [roc_auc_score(t[~np.isnan(t)], s[~np.isnan(t)]) for s, t in zip(scores.T, labels.T, strict=True)]
        assert Several(np.ones(3)).figure(scores, labels) == pytest.approx(np.mean(areas), abs=1e-12)
        labels[:, 2] = 0  # nothing to rank
        assert Several(np.ones(3)).figure(scores, labels) == pytest.approx(np.mean(areas[:2]), abs=1e-12)
        assert Several(np.ones(3)).figure(scores, np.zeros((60, 3))) is None


def test_class_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0, 0, 0, 1, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert goal.class_weights(labels, 3) == pytest.approx(expected)


def test_both_sides_of_a_class_count_the_same() -> None:
    labels = np.array([[1, 1, UNKNOWN], [0, 1, 1], [0, 1, 0], [0, 0, UNKNOWN]])
    assert goal.positive_weights(labels) == pytest.approx([3, 1 / 3, 1])


def test_one_picture_does_not_outweigh_all_others() -> None:
    labels = np.zeros((1000, 1))
    labels[0] = 1
    assert goal.positive_weights(labels).tolist() == [goal.HEAVIEST]


class TestOfLabels:
    def test_one_class(self) -> None:
        labels = np.array([0, 0, 0, 1])
        assert goal.of_labels(labels, 2, balanced=False, single=True).weights.tolist() == [1, 1]
        made = goal.of_labels(labels, 2, balanced=True, single=False)
        assert made.weights == pytest.approx([4 / 6, 2])
        assert made.outputs == 2

    def test_several(self) -> None:
        labels = np.array([[1.0, 0], [0, 1], [0, 1]])
        made = goal.of_labels(labels, 2, balanced=True, single=False)
        assert isinstance(made, Several)
        assert made.weights == pytest.approx([2, 0.5])
        assert goal.of_labels(labels, 2, balanced=False, single=False).weights.tolist() == [1, 1]

    def test_what_is_told_of_weights(self) -> None:
        for kind in (OneClass, Several):
            assert kind(np.ones(2)).counted == ""
            assert "rare class" in kind(np.array([1.0, 2.0])).counted
