"""A network in float32 on LiteRT: what statistics are measured with, and rewrites compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, DenseNet, Pool
from edgedense.converters.network.program import SCORES, lower
from edgedense.converters.quantization.measure import logits_of, statistics_of
from edgedense.converters.quantization.quantize import float_file
from edgedense.converters.readers.grey import SHARES
from edgedense.converters.tflite import execute
from edgedense.device.engines.contents import contents
from tests import networks

# float32 through some thirty operators, in another order than float64's; the logits are some units large.
CLOSE = 1e-4


def values() -> DenseNet:
    """A network that ends in numbers behind a global maximum."""
    network = networks.folded()
    dense = network.head.steps[1]
    return networks.with_head(network, Pool("max"), dense, Activation("tanh"))


def grey() -> DenseNet:
    """A network of one channel that is made of an RGB picture."""
    network = networks.folded()
    conv = replace(network.stem.conv, kernel=network.stem.conv.kernel.sum(axis=2, keepdims=True))
    return replace(network, grey=SHARES, normalization=None, stem=replace(network.stem, conv=conv))


@pytest.mark.parametrize(
    "network",
    [
        networks.densenet(),  # as it was read: every norm, the normalization, average pooling
        networks.rewritten(),
        networks.with_float_head(networks.folded()),
        values(),
        grey(),
    ],
    ids=["read", "rewritten", "float head", "values", "grey"],
)
def test_logits_are_those_of_the_network(network: DenseNet) -> None:
    pixels = networks.pictures(network, 3)
    assert logits_of(network, pixels) == pytest.approx(networks.logits(network, pixels), rel=CLOSE, abs=CLOSE)


def test_all_operators_are_in_float_but_those_that_read_the_picture() -> None:
    operators = contents(float_file(lower(networks.rewritten()), (SCORES,))).operators
    assert {operator.code for operator in operators if operator.arithmetic != "float32"} == {"QUANTIZE", "DEQUANTIZE"}


def test_statistics_are_of_what_the_network_says() -> None:
    network = networks.rewritten()
    pixels = networks.pictures(network, 3)
    scores = execute.run(float_file(lower(network), (SCORES,)), pixels)
    found = statistics_of(network, pixels)[SCORES]
    assert np.array_equal(found.low, scores)
    assert np.array_equal(found.high, scores)
