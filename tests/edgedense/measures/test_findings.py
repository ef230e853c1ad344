"""Figures of several findings equal scikit-learn's; what changed between two models is checked by hand."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from edgedense.measures import findings, metrics
from edgedense.measures.bootstrap import Estimate, weights
from edgedense.measures.findings import FIGURES, Findings, Flip, measure

NAMES = ("edema", "nodule", "mass")
LIMITS = (0.5, 0.3, 0.6)


@pytest.fixture(scope="module")
def scored() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scores before, after, truth) of 120 images in steps of 1/256, so that there are ties; some truth is unknown."""
    random = np.random.default_rng(5)
    truth = (random.random((120, 3)) < (0.5, 0.3, 0.15)).astype(float)
    logits = random.normal(0, 1.2, truth.shape) + 1.5 * truth - 0.7
    truth[random.random(truth.shape) < 0.1] = np.nan
    before, after = (
        np.round(256 / (1 + np.exp(-values))) / 256 for values in (logits, logits + random.normal(0, 0.3, truth.shape))
    )
    return before, after, truth


def judged(*scores: np.ndarray, truth: np.ndarray, limits: tuple[float, ...] = LIMITS, **keywords) -> Findings:
    return measure(
        scores,
        truth,
        limits,
        NAMES[: truth.shape[1]],
        models=("float", "int8")[-len(scores) :],
        images=[f"{i}.png" for i in range(len(truth))],
        **{"draws": 40, **keywords},
    )


def by_scikit_learn(scores: np.ndarray, truth: np.ndarray, limit: float | np.ndarray) -> list[float]:
    """FIGURES of one class, or of several in one heap: all [N] or [N, K]."""
    sk = pytest.importorskip("sklearn.metrics")
    known = ~np.isnan(truth)
    real, score, said = truth[known], scores[known], (scores >= limit)[known]
    return [
        sk.roc_auc_score(real, score),
        sk.average_precision_score(real, score),
        sk.recall_score(real, said),
        sk.recall_score(real, said, pos_label=0),
        sk.precision_score(real, said),
        sk.precision_score(real, said, pos_label=0),
        sk.f1_score(real, said),
    ]


def values(figures: findings.Figures) -> list[float]:
    return [getattr(figures, name).value for name in FIGURES]


def test_figures_equal_scikit_learn(scored) -> None:
    before, _, truth = scored
    found = judged(before, truth=truth).scored
    each = [by_scikit_learn(before[:, k], truth[:, k], LIMITS[k]) for k in range(3)]
    for finding, expected in zip(found.classes, each, strict=True):
        np.testing.assert_allclose(values(finding.figures), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(values(found.macro), np.mean(each, axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        values(found.micro), by_scikit_learn(before, truth, np.array(LIMITS)), rtol=0, atol=1e-12
    )
    counts = [(c.positives, c.negatives, c.unknown) for c in found.classes]
    assert counts == [(np.sum(t == 1), np.sum(t == 0), np.sum(np.isnan(t))) for t in truth.T]
    assert findings.mean_auroc(before, truth) == pytest.approx(found.macro.auroc.value, abs=1e-15)


def test_intervals_are_those_of_images_that_were_really_drawn(scored) -> None:
    """With weights as with images that are there as often; and both models in the same draws."""
    before, after, truth = scored
    found = judged(before, after, truth=truth, draws=12)
    assert found.change is not None
    rows = [np.repeat(np.arange(120), one.astype(int)) for one in np.concatenate(list(weights(120, draws=12)), 1).T]
    drawn = [np.array([by_scikit_learn(s[r, 0], truth[r, 0], 0.5) for r in rows]) for s in (before, after)]
    for f, name in enumerate(FIGURES):
        own = getattr(found.scored.classes[0].figures, name)
        np.testing.assert_allclose((own.low, own.high), np.quantile(drawn[1][:, f], (0.025, 0.975)), atol=1e-12)
    moved = found.change.classes[0].auroc
    difference = drawn[1][:, 0] - drawn[0][:, 0]
    np.testing.assert_allclose((moved.low, moved.high), np.quantile(difference, (0.025, 0.975)), atol=1e-12)
    assert judged(before, after, truth=truth, draws=12) == found
    assert judged(before, after, truth=truth, draws=12, seed=1) != found


def test_images_of_one_patient_say_no_more_than_one_of_them(scored) -> None:
    """Each image three times under one patient: the same figures, and the same intervals as of the images alone."""
    before, _, truth = scored
    alone = judged(before, truth=truth)
    copies = [np.repeat(array, 3, axis=0) for array in (before, truth)]
    patients = [f"{i // 3:03}" for i in range(360)]
    grouped = judged(copies[0], truth=copies[1], patients=patients)
    assert (grouped.images, grouped.patients, grouped.drawn_by) == (360, 120, "patient")
    assert (alone.patients, alone.drawn_by) == (0, "picture")
    for one, other in zip(alone.scored.classes, grouped.scored.classes, strict=True):
        for name in FIGURES:
            a, b = (getattr(finding.figures, name) for finding in (one, other))
            assert (b.value, b.low, b.high) == pytest.approx((a.value, a.low, a.high), abs=1e-12)
    narrower = judged(copies[0], truth=copies[1]).scored.macro.auroc
    assert narrower.high - narrower.low < 0.8 * (alone.scored.macro.auroc.high - alone.scored.macro.auroc.low)


def test_what_has_no_meaning_is_none_and_never_nan() -> None:
    """edema has no positive image; nodule has a single one, which a third of the draws miss; of mass all is unknown."""
    truth = np.array([[0, 1, np.nan], [0, 0, np.nan], [0, 0, np.nan], [0, 0, np.nan]])
    scores = np.array([[0.1, 0.9, 0.2], [0.2, 0.4, 0.3], [0.9, 0.1, 0.9], [0.1, 0.2, 0.1]])
    result = judged(scores, scores, truth=truth, draws=200)
    edema, nodule, mass = (finding.figures for finding in result.scored.classes)
    assert values(edema) == [None, None, None, 0.75, None, None, None]
    assert edema.specificity.low is not None
    assert nodule.sensitivity == nodule.auroc == Estimate(1.0)
    assert values(mass) == [None] * 7
    assert values(result.scored.macro)[:4] == [1, 1, 1, pytest.approx((0.75 + 2 / 3) / 2)]
    assert json.loads(json.dumps(asdict(result), allow_nan=False))["scored"]["classes"][2]["unknown"] == 4
    assert findings.mean_auroc(scores[:, 1:], truth[:, 1:]) == 1
    assert findings.mean_auroc(scores[:, :1], truth[:, :1]) is None


def test_one_patient_alone_gives_no_intervals(scored) -> None:
    before, _, truth = scored
    found = judged(before, truth=truth, patients=["p"] * 120).scored
    assert found.macro.auroc == Estimate(findings.mean_auroc(before, truth))


def test_a_class_that_is_never_reported_has_counts_and_no_figures(scored) -> None:
    before, after, truth = scored
    limits = (0.5, math.inf, 0.6)
    found = judged(before, after, truth=truth, limits=limits)
    two = judged(before[:, [0, 2]], truth=truth[:, [0, 2]], limits=(0.5, 0.6))
    nodule = found.scored.classes[1]
    assert (nodule.threshold, values(nodule.figures)) == (None, [None] * 7)
    assert nodule.positives == np.sum(truth[:, 1] == 1)
    assert found.reference is not None
    assert found.change is not None
    assert values(found.reference.macro) == values(two.scored.macro)
    assert values(found.reference.micro) == values(two.scored.micro)
    assert found.reference.macro.auroc.value == findings.mean_auroc(before, truth, limits)
    assert [threshold.positive for threshold in found.change.thresholds] == ["edema", "mass"]
    assert (found.change.classes[1].score, found.change.classes[1].agreement) == (None, None)
    flat = np.full_like(after, 0.1)
    assert (
        judged(flat, np.where(np.arange(3) == 1, 0.9, flat), truth=truth, limits=limits).change.agreement_of_images == 1
    )


def test_equal_models_did_not_change(scored) -> None:
    before, _, truth = scored
    change = judged(before, before, truth=truth).change
    assert change is not None
    assert change.drop == Estimate(0, 0, 0)
    assert (change.agreement, change.agreement_of_images, change.changed, change.kl_worst) == (1, 1, (), 0)
    assert all(one.auroc == one.sensitivity == Estimate(0, 0, 0) for one in change.classes)
    assert all(threshold.moved == 0 for threshold in change.thresholds)


def test_change_by_hand() -> None:
    """Four images and two classes. The second model loses the edema of 0.png, and says nodule of 1.png, rightly, and of
    2.png, of which nobody knows."""
    truth = np.array([[1, 0], [0, 1], [1, np.nan], [0, 0]])
    before = np.array([[0.6, 0.1], [0.2, 0.2], [0.9, 0.2], [0.4, 0.1]])
    after = np.array([[0.3, 0.1], [0.2, 0.4], [0.9, 0.7], [0.4, 0.1]])
    found = judged(before, after, truth=truth, limits=LIMITS[:2])
    change = found.change
    assert change is not None
    assert change.agreement == 1 - 3 / 8
    assert change.agreement_of_images == 0.25
    assert [(one.image, one.flips) for one in change.changed] == [
        ("0.png", (Flip("edema", True, False, 0.6, 0.3),)),
        ("1.png", (Flip("nodule", True, True, 0.2, 0.4),)),
        ("2.png", (Flip("nodule", None, True, 0.2, 0.7),)),
    ]
    edema, nodule = change.classes
    assert edema.sensitivity.value == -0.5  # of two images with edema one
    assert edema.auroc.value == pytest.approx(3 / 4 - 1)  # 0.3 is below the 0.4 of 3.png
    assert nodule.sensitivity.value == 1
    assert change.drop.value == pytest.approx(100 * (1 + 1) / 2 - 100 * (3 / 4 + 1) / 2)
    assert (edema.score, nodule.score) == (pytest.approx(0.3 / 4), pytest.approx(0.7 / 4))
    assert (change.moved_most, edema.agreement, nodule.agreement) == ("nodule", 0.75, 0.5)
    divergence = metrics.independent_kl(before, after)
    assert (change.kl_mean, change.kl_worst_image) == (pytest.approx(divergence.mean()), "2.png")
    assert change.thresholds[0].after == pytest.approx(0.3)  # finds both again
    assert (change.thresholds[0].specificity_before, change.thresholds[0].specificity_after) == (1, 0.5)


def test_new_mistakes_stand_before_other_changes() -> None:
    truth, before, after = np.array([[1.0], [0.0]]), np.array([[0.1], [0.1]]), np.array([[0.9], [0.9]])
    changed = judged(before, after, truth=truth, limits=(0.5,)).change.changed
    assert [one.image for one in changed] == ["1.png", "0.png"]


def test_roc_curve_goes_from_corner_to_corner_and_holds_its_area(scored) -> None:
    before, _, truth = scored
    finding = judged(before, truth=truth).scored.classes[0]
    x, y = np.array(finding.roc).T
    assert (finding.roc[0], finding.roc[-1]) == ((0, 0), (1, 1))
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert len(x) <= findings.ROC_POINTS + 2
    assert np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) == pytest.approx(finding.figures.auroc.value, abs=0.01)
    assert judged(before, truth=np.zeros_like(truth)).scored.classes[0].roc == ()


@pytest.mark.parametrize(
    ("scores", "truth", "limits"),
    [
        (np.zeros((2, 2)), np.zeros((3, 2)), LIMITS[:2]),
        (np.zeros((2, 2)), np.zeros((2, 2)), LIMITS),
        (np.zeros((0, 2)), np.zeros((0, 2)), LIMITS[:2]),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), LIMITS[:2]),
    ],
)
def test_what_does_not_fit_is_refused(scores: np.ndarray, truth: np.ndarray, limits: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"fit|finite"):
        judged(scores, truth=truth, limits=limits)
