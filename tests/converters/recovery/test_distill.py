"""The loss: nothing where student and teacher agree, and of each part what its definition says."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Dense, Flatten
from edgedense.converters.network.kept import identity
from edgedense.converters.network.program import lower
from edgedense.converters.recovery.distill import (
    FEATURES,
    LABELS,
    TEMPERATURE,
    Feature,
    Objective,
    ending,
    features,
    label_loss,
    score_loss,
)
from tests import networks
from tests.converters.recovery import nets

tf = pytest.importorskip("tensorflow")

Z = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 0.0]], np.float32)
Z_T = np.array([[1.5, 1.0, -1.0], [0.5, 0.2, 0.1]], np.float32)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z / TEMPERATURE)
    return e / e.sum(axis=-1, keepdims=True)


def test_softmax_scores() -> None:
    p, q = softmax(Z_T), softmax(Z)
    wanted = TEMPERATURE**2 * (p * np.log(p / q)).sum(axis=-1).mean()
    assert float(score_loss(tf, "softmax", Z, Z_T)) == pytest.approx(wanted, rel=1e-4)


def test_sigmoid_scores() -> None:
    p, q = 1 / (1 + np.exp(-Z_T / TEMPERATURE)), 1 / (1 + np.exp(-Z / TEMPERATURE))
    each = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert float(score_loss(tf, "sigmoid", Z, Z_T)) == pytest.approx(TEMPERATURE**2 * each.sum(-1).mean(), rel=1e-4)


def test_other_scores() -> None:
    wanted = ((Z - Z_T) ** 2).mean() / Z_T.var()
    assert float(score_loss(tf, "linear", Z, Z_T)) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "linear"])
def test_agreement_costs_nothing(kind: str) -> None:
    assert abs(float(score_loss(tf, kind, Z_T, Z_T))) < 1e-6


def test_labels() -> None:
    """Only pictures with a label count; a single sigmoid is the probability of the second label."""
    log_p = Z - np.log(np.exp(Z).sum(axis=-1, keepdims=True))
    assert float(label_loss(tf, "softmax", Z, np.array([1, -1]))) == pytest.approx(-log_p[0, 1], rel=1e-4)
    assert float(label_loss(tf, "softmax", Z, np.array([-1, -1]))) == 0
    one = np.array([[2.0], [1.0]], np.float32)
    assert float(label_loss(tf, "sigmoid", one, np.array([1, 0]))) == pytest.approx(
        (np.log1p(np.exp(-2)) + np.log1p(np.exp(1))) / 2, rel=1e-4
    )
    assert float(label_loss(tf, "sigmoid", Z, np.array([1, 0]))) == 0


def test_features_are_the_blocks_outputs() -> None:
    student, kept = nets.cut(nets.teacher())
    transition, pooled = features(student, kept)
    assert transition == Feature("transition1", "transition1")
    assert pooled.channels is not None
    assert pooled.channels.tolist() == kept.concats["block2"].tolist()


def test_a_head_that_does_not_pool_has_the_transitions_only() -> None:
    network = networks.with_head(nets.teacher(), Flatten(), Dense(np.ones((90, 2)), np.zeros(2)), Activation("softmax"))
    assert [feature.student for feature in features(network, identity(network))] == ["transition1"]


def test_the_parts_are_weighted_and_features_compared_channel_by_channel() -> None:
    """Of the teacher's three channels the student has two."""
    program = lower(nets.teacher())
    logits = "head/2_dense"
    random = np.random.default_rng(0)
    x_t = random.normal(size=(2, 4, 4, 3)).astype(np.float32)
    channels = np.array([0, 2])
    error = np.array([0.1, 0.2])
    x = (x_t[..., channels] + error).astype(np.float32)
    objective = Objective(program, program, (Feature("a", "b", channels),))
    found = objective.loss(tf, {logits: Z, "a": x}, {logits: Z_T, "b": x_t}, np.array([1, 2]))
    variance = x_t[..., channels].var(axis=(0, 1, 2)).mean()
    wanted = (
        float(score_loss(tf, "softmax", Z, Z_T))
        + FEATURES * (error**2).mean() / variance
        + LABELS * float(label_loss(tf, "softmax", Z, np.array([1, 2])))
    )
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_ending() -> None:
    network = nets.teacher()
    assert ending(lower(network)) == "softmax"
    assert ending(lower(networks.with_head(network, *network.head.steps[:2]))) == "linear"
