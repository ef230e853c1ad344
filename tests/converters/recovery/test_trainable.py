"""A program with variables computes what the program does, and keeps what must not change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.program import Program, lower
from edgedense.converters.network.weights import with_weights
from edgedense.converters.recovery.norms import moments
from edgedense.converters.recovery.trainable import SMALLEST_UNIT, Trainable, bias_unit, kernel_unit, trained
from tests import networks
from tests.converters.recovery import nets

tf = pytest.importorskip("tensorflow")

CLOSE = 1e-5  # float32 through some 30 operators


def trainable(program: Program, pixels: np.ndarray) -> Trainable:
    return Trainable(program, {name: found.variance**0.5 for name, found in moments(program, pixels).items()})


def test_it_computes_the_program() -> None:
    network = nets.teacher()
    pixels = networks.pictures(network)
    program = lower(network)
    found = trainable(program, pixels)(tf.constant(pixels, tf.float32))["scores"].numpy()
    assert np.abs(found - evaluate(program, pixels)).max() < CLOSE


def test_weights_go_back_into_the_network() -> None:
    network = nets.teacher()
    model = trainable(lower(network), networks.pictures(network))
    same = with_weights(network, model.trained_weights())
    for before, after in zip(lower(network).ops, lower(same).ops, strict=True):
        if before.kernel is not None:
            for one, other in zip(before.weights, after.weights, strict=True):
                assert np.allclose(one, other, rtol=1e-6, atol=1e-6 * np.abs(one).max())


def test_what_is_trained() -> None:
    ops = {op.output: op for op in lower(nets.teacher()).ops}
    assert [
        trained(ops[name])
        for name in (
            "normalize",
            "stem/conv",
            "block1/layer1/norm",
            "head/norm",
            "block1/layer1/concat",
            "head/2_dense",
        )
    ] == ["", "kernel", "bias", "bias", "", "kernel"]
    pooled = {op.output: op for op in lower(networks.rewritten(positive=True)).ops}
    assert trained(pooled["transition1/pool"]) == ""


def test_gradients_of_zeros_are_cleared() -> None:
    network = nets.teacher()
    layer = network.blocks[0].layers[0]
    kernel = layer.conv2.kernel.copy()
    kernel[0, 0, :2] = 0.0
    layers = (replace(layer, conv2=replace(layer.conv2, kernel=kernel)), network.blocks[0].layers[1])
    network = replace(network, blocks=(replace(network.blocks[0], layers=layers), network.blocks[1]))
    model = trainable(lower(network), networks.pictures(network))
    gradients = model.masked([tf.ones(variable.shape) for variable in model.flat])
    place = [id(variable) for variable in model.flat].index(id(model.variables["block1/layer1/growth"][0]))
    assert ((gradients[place].numpy() == 0) == (kernel == 0)).all()
    assert all(g.numpy().all() for i, g in enumerate(gradients) if i != place)


def test_units() -> None:
    kernel = np.array([[3.0, 0.0, 0.0], [4.0, 0.0, 2.0]])
    assert kernel_unit(kernel).tolist() == [np.sqrt(12.5), 1.0, 2.0]  # zeros do not count
    assert bias_unit(np.array([2.0, 1.0, 1e-9])).tolist() == [2.0, 1.0, SMALLEST_UNIT]
    assert bias_unit(np.zeros(2)).tolist() == [1.0, 1.0]
