"""A temperature in the last layer, in float32 and in int8."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.graph import Activation, DenseNet, Pool
from edgedense.converters.network.program import lower
from edgedense.converters.quantization import attempts, temperature
from edgedense.converters.quantization.attempts import Attempt, Built
from edgedense.converters.tflite import edgetpu, execute
from edgedense.errors import EdgedenseError
from edgedense.measures.temperature import activated, tempered
from tests import networks

T = 1.7
PICTURES = 12


@pytest.fixture(scope="module")
def network() -> DenseNet:
    return networks.rewritten(positive=True)


@pytest.fixture(scope="module", params=["float32", "uint8"])
def built(request: pytest.FixtureRequest, network: DenseNet) -> Built:
    statistics = networks.statistics(network, networks.pictures(network, PICTURES))
    return attempts.build(network, statistics, Attempt(), request.param)


def logits_of(built: Built, network: DenseNet) -> np.ndarray:
    """Of the deployed file."""
    found = temperature.with_logits(built.quantized, temperature.logits_name(built.network))
    return execute.run(found.to_bytes(), networks.pictures(network, PICTURES))


def divided(built: Built) -> Built:
    name = temperature.logits_name(built.network)
    return Built(built.network, temperature.with_temperature(built.quantized, name, T), built.equalization)


def test_the_logits_are_those_of_the_files_scores(built: Built, network: DenseNet) -> None:
    scores = execute.run(built.quantized.to_bytes(), networks.pictures(network, PICTURES))
    step = 1 / 256 if built.quantized.output == "scores_uint8" else 1e-6  # what the output type resolves
    assert np.abs(activated(logits_of(built, network), "softmax") - scores).max() < step


def test_logits_are_divided_and_labels_stay(built: Built, network: DenseNet) -> None:
    before, after = logits_of(built, network), logits_of(divided(built), network)
    # A scale divided in float32 is off by 1e-7 of itself. Were an integer another one, that would be a whole step.
    np.testing.assert_allclose(after, before / T, rtol=1e-6, atol=1e-6)
    pixels = networks.pictures(network, PICTURES)
    plain, cooled = (execute.run(one.quantized.to_bytes(), pixels) for one in (built, divided(built)))
    assert (plain.argmax(axis=1) == cooled.argmax(axis=1)).all()
    assert len(set(plain.argmax(axis=1).tolist())) > 1
    exact = activated(before / T, "softmax")
    assert np.abs(cooled - exact).max() < (1 / 256 if built.quantized.output == "scores_uint8" else 1e-6)


def test_an_edge_tpu_minds_nothing_new(built: Built) -> None:
    """A Dense with more than one scale would be refused, for instance."""
    assert edgetpu.check(divided(built).quantized.to_bytes()) == edgetpu.check(built.quantized.to_bytes())


def test_the_float_network(network: DenseNet) -> None:
    pixels = networks.pictures(network)
    before, after = evaluate(lower(network), pixels), evaluate(lower(temperature.in_network(network, T)), pixels)
    np.testing.assert_allclose(after, tempered(before, "softmax", T), rtol=1e-5)


def test_heads_that_end_in_something_else(network: DenseNet) -> None:
    with pytest.raises(EdgedenseError, match=r"ends in a Dense layer with softmax or sigmoid .* found another kind"):
        temperature.check(networks.with_head(network, Pool("avg"), Activation("softmax")))
    with pytest.raises(EdgedenseError, match="found one that stays float32: a reason"):
        temperature.in_network(networks.with_float_head(network), T)
