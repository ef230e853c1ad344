"""Statistics of norms: what a cut did to them is undone, and what is as it was stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.kept import identity
from edgedense.converters.network.program import lower
from edgedense.converters.recovery.norms import LARGEST_FACTOR, MOST, estimating, match_norms, moments
from edgedense.measures import metrics
from tests import networks
from tests.converters.recovery import nets

pytest.importorskip("tensorflow")

FLOAT32 = 1e-4  # of a standard deviation: sums over some thousand positions


def test_moments_are_those_before_the_relu() -> None:
    network = nets.teacher()
    pixels = networks.pictures(network, 6)
    seen = {}
    program = lower(network)
    plain = replace(
        program, ops=tuple(replace(op, relu=False) if op.output == "stem/conv" else op for op in program.ops)
    )
    evaluate(plain, pixels, lambda name, x: seen.update({name: x}), ("stem/conv",))
    found = moments(program, pixels)
    assert np.allclose(found["stem/conv"].mean, seen["stem/conv"].mean((0, 1, 2)), atol=1e-5)
    assert np.allclose(found["stem/conv"].variance, seen["stem/conv"].var((0, 1, 2)), rtol=1e-4)
    assert found["head/2_dense"].mean.shape == (3,)
    assert "block1/layer1/concat" not in found


def test_mean_and_variance_become_the_teachers() -> None:
    teacher = nets.teacher()
    student, kept = nets.cut(teacher)
    pixels = networks.pictures(teacher, 16)
    matched = match_norms(student, teacher, kept, pixels)
    wanted, found = moments(lower(teacher), pixels), moments(lower(matched), pixels)
    for name, source, channels in (
        ("block1/layer2/bottleneck", "block1/layer2/bottleneck", [0, 1, 3, 4]),
        ("block2/layer1/norm", "block2/layer2/norm", list(range(7))),
        ("block2/layer1/bottleneck", "block2/layer2/bottleneck", [0, 1, 3, 4]),
        ("head/norm", "head/norm", [*range(7), *range(11, 15)]),
    ):
        spread = np.sqrt(wanted[source].variance[channels])
        assert np.abs(found[name].mean - wanted[source].mean[channels]).max() < FLOAT32 * spread.max()
        assert np.allclose(np.sqrt(found[name].variance), spread, rtol=1e-3)


def test_scores_come_closer() -> None:
    teacher = nets.teacher()
    student, kept = nets.cut(teacher)
    pixels = networks.pictures(teacher, 24)

    def divergence(network: object) -> float:
        return float(metrics.kl_divergence(evaluate(lower(teacher), pixels), evaluate(lower(network), pixels)).mean())

    assert divergence(match_norms(student, teacher, kept, pixels)) < 0.5 * divergence(student)


def test_an_unpruned_network_is_left_alone() -> None:
    teacher = nets.teacher()
    same = match_norms(teacher, teacher, identity(teacher), networks.pictures(teacher, 8))
    for before, after in zip(lower(teacher).ops, lower(same).ops, strict=True):
        if before.kernel is not None:
            for one, other in zip(before.weights, after.weights, strict=True):
                assert np.abs(one - other).max() < FLOAT32 * np.abs(one).max()


def test_dead_channels_and_zeros_stay() -> None:
    """A channel without variance keeps its weights; a huge factor is limited; zeros are not moved."""
    teacher = nets.teacher()
    layer = teacher.blocks[0].layers[0]
    kernel, bias = layer.conv1.kernel.copy(), layer.conv1.bias.copy()
    kernel[..., 0], bias[0] = 0.0, -1.0
    kernel[..., 1] /= 100
    layers = (replace(layer, conv1=replace(layer.conv1, kernel=kernel, bias=bias)), teacher.blocks[0].layers[1])
    student = replace(teacher, blocks=(replace(teacher.blocks[0], layers=layers), teacher.blocks[1]))
    matched = match_norms(student, teacher, identity(teacher), networks.pictures(teacher, 8)).blocks[0].layers[0].conv1
    assert not matched.kernel[..., 0].any()
    assert matched.bias[0] == -1.0
    assert np.allclose(matched.kernel[..., 1], LARGEST_FACTOR * kernel[..., 1])


def test_so_many_pictures_estimate() -> None:
    assert len(estimating(np.zeros((1000, 32, 32, 3), np.uint8))) == MOST
    assert len(estimating(np.zeros((100, 512, 512, 3), np.uint8))) == 24
    assert len(estimating(np.zeros((10, 32, 32, 3), np.uint8))) == 10
