"""Norms without statistics: measured on pictures, and the network computes what it did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Affine, DenseNet, Front, MaxPool
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.training import graph_weights
from edgedense.converters.training.dataset import Side
from edgedense.errors import EdgedenseError
from tests import models


@pytest.fixture(scope="module")
def network() -> DenseNet:
    return keras_reader.read(models.densenet()).network


def test_arrays_in_calling_order(network: DenseNet) -> None:
    found = graph_weights.weights(network)
    model = models.densenet()
    layers = [layer for layer in model.layers if type(layer).__name__ in ("Conv2D", "BatchNormalization")]
    assert [[a.shape for a in arrays] for arrays in found] == [[a.shape for a in w.get_weights()] for w in layers]
    gamma, _, mean, variance = found[1]
    assert network.stem.norm is not None
    assert (gamma == network.stem.norm.scale).all()
    assert (mean == 0).all()
    assert variance + 1.001e-5 == pytest.approx(1)


def test_what_was_folded_into_a_convolution_is_a_norm_again(network: DenseNet) -> None:
    """Files of ONNX hold (kernel s, bias t) in place of kernel, scale s and shift t."""
    norm = network.stem.norm
    assert norm is not None
    conv = replace(network.stem.conv, kernel=network.stem.conv.kernel * norm.scale, bias=norm.shift)
    kernel, (scale, shift, *_) = graph_weights.weights(
        replace(network, stem=replace(network.stem, conv=conv, norm=None))
    )[:2]
    assert (kernel[0] == conv.kernel).all()
    assert (scale == 1).all()
    assert (shift == norm.shift).all()


def test_a_bias_before_a_norm_is_part_of_its_shift(network: DenseNet) -> None:
    bias = np.arange(12.0)
    stem = replace(network.stem, conv=replace(network.stem.conv, bias=bias), norm=Affine(np.full(12, 2.0), np.ones(12)))
    assert (graph_weights.weights(replace(network, stem=stem))[1][1] == 1 + 2 * bias).all()


def test_what_has_no_place_is_refused(network: DenseNet) -> None:
    block = network.blocks[0]
    layer = replace(block.layers[0], conv2=replace(block.layers[0].conv2, bias=np.ones(8)))
    biased = replace(network, blocks=(replace(block, layers=(layer, *block.layers[1:])), *network.blocks[1:]))
    with pytest.raises(EdgedenseError, match="a bias that no norm follows"):
        graph_weights.weights(biased)
    with pytest.raises(EdgedenseError, match="no norm behind the last block"):
        graph_weights.weights(replace(network, head=replace(network.head, norm=None)))


def test_another_stem_is_told_or_refused(network: DenseNet) -> None:
    assert graph_weights.notes(network) == ()
    conv = replace(network.stem.conv, padding=((2, 3), (2, 3)))
    assert "padded in another way" in graph_weights.notes(replace(network, stem=replace(network.stem, conv=conv)))[0]
    for pool, found in ((None, "no pooling"), (MaxPool(2, 2), "pooling of 2 with stride 2")):
        with pytest.raises(EdgedenseError, match=found):
            graph_weights.notes(replace(network, stem=replace(network.stem, pool=pool)))


def test_a_convolution_before_the_stem_is_refused(network: DenseNet) -> None:
    front = Front(replace(network.stem.conv, kernel=np.ones((1, 1, 3, 3)), bias=np.zeros(3), stride=1), False)
    with pytest.raises(EdgedenseError, match="a convolution before the stem"):
        graph_weights.notes(replace(network, front=front))


def test_measured_statistics_are_those_of_the_pictures_and_change_nothing() -> None:
    model = models.densenet()
    pixels = np.random.default_rng(0).normal(0, 1, (19, 32, 32, 3)).astype(np.float32)
    before = model.predict(pixels, verbose=0)
    graph_weights.measure(model, pixels)
    assert model.predict(pixels, verbose=0) == pytest.approx(before, rel=1e-3, abs=1e-5)
    convolved = type(model)(model.input, model.layers[2].output).predict(pixels, verbose=0).astype(np.float64)
    _, _, mean, variance = model.layers[3].get_weights()
    assert mean == pytest.approx(convolved.mean((0, 1, 2)), rel=1e-4, abs=1e-5)
    assert variance == pytest.approx(convolved.var((0, 1, 2)), rel=1e-4)


def test_pictures_are_taken_evenly() -> None:
    pixels = np.arange(400, dtype=np.uint8)[:, None, None, None] % 251
    rows = np.arange(10, 210)
    chosen = graph_weights.sample(Side(pixels, rows, np.zeros(200, int)))
    assert len(chosen) == 64
    assert (chosen[0, 0, 0, 0], chosen[-1, 0, 0, 0]) == (10, 209)
    assert len(graph_weights.sample(Side(pixels, rows[:3], np.zeros(3, int)))) == 3
