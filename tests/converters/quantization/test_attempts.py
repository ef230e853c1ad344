"""Attempts at int8: which are made, how they are built, and which is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edgedense.converters.calibration.ranges import RangeSpec
from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.graph import DenseNet, Form
from edgedense.converters.network.program import lower
from edgedense.converters.quantization import attempts
from edgedense.converters.quantization.attempts import Attempt, candidates, choose
from edgedense.converters.tflite import execute
from edgedense.device.engines.contents import contents
from edgedense.measures import metrics
from tests import networks

PICTURES = 20
CLOSE = 0.03  # as in test_pipeline: what 40 tensors in steps of 1/255 of their range can do to a probability


@pytest.fixture(scope="module")
def network() -> DenseNet:
    return networks.rewritten(positive=True)


def test_candidates() -> None:
    assert candidates("mse", 1.2) == (RangeSpec("mse", 1.2),)
    assert {spec.estimator for spec in candidates("percentile", None)} == {"percentile"}
    assert {spec.headroom for spec in candidates(None, 1.2)} == {1.2}
    assert {spec.estimator for spec in candidates(None, 1.2)} == {"minmax", "percentile", "mse"}
    everything = candidates(None, None)
    assert len(set(everything)) == len(everything) > 3


@pytest.mark.parametrize("form", ["maximum", "depthwise"])
@pytest.mark.parametrize("headless", [False, True])
def test_every_form_is_close_to_float(network: DenseNet, form: Form, headless: bool) -> None:
    """Also where no norm follows the last block, whose channels then keep ranges of their own."""
    if headless:
        network = replace(network, head=replace(network.head, norm=None))
    pixels = networks.pictures(network, PICTURES)
    built = attempts.build(network, networks.statistics(network, pixels), Attempt(form=form))
    kinds = {layer.form for block in built.network.blocks for layer in block.layers}
    assert kinds == {form}
    data = built.quantized.to_bytes()
    codes = {operator.code for operator in contents(data).operators}
    assert ("MAXIMUM" in codes) == (form == "maximum")
    assert np.abs(execute.run(data, pixels) - evaluate(lower(network), pixels)).max() < CLOSE


def test_layers_in_float(network: DenseNet) -> None:
    pixels = networks.pictures(network, PICTURES)
    names = ("block1/layer1/bottleneck", "block2/layer2/growth")
    built = attempts.build(network, networks.statistics(network, pixels), Attempt(form="depthwise", floats=names))
    kinds = {tensor.name: tensor.dtype for tensor in built.quantized.tensors}
    assert [kinds[name] for name in names] == ["float32", "float32"]
    assert kinds["block1/layer1/growth"] == "int8"
    found = execute.run(built.quantized.to_bytes(), pixels)
    assert np.abs(found - evaluate(lower(network), pixels)).max() < CLOSE
    assert "2 operators in float" in Attempt(floats=names).describe()


def test_the_best_on_the_held_out_half_is_chosen(network: DenseNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second picture fits the ranges, and the others decide."""
    pixels = networks.pictures(network, 8)
    statistics = networks.statistics(network, pixels)
    scores = np.full((8, 3), 1 / 3)
    fitted: list[np.ndarray] = []
    answers: Iterator[float] = iter([0.6, 0.4, 0.5])

    def run(model: bytes, held: np.ndarray) -> np.ndarray:
        assert held.tolist() == pixels[1::2].tolist()
        sure = next(answers)
        return np.tile([sure, (1 - sure) / 2, (1 - sure) / 2], (4, 1))

    def build(network: DenseNet, half: dict, attempt: Attempt, output_type: str) -> object:
        fitted.append(half["stem/conv"].high)
        return real(network, half, attempt, output_type)

    real = attempts.build
    monkeypatch.setattr(attempts, "build", build)
    monkeypatch.setattr(execute, "run", run)
    specs = (RangeSpec("minmax"), RangeSpec("percentile"), RangeSpec("mse"))
    ticks: list[int] = []
    chosen, tried = choose(network, statistics, pixels, scores, specs, "float32", ticks.append)
    assert chosen.ranges == RangeSpec("percentile")
    assert [candidate.attempt.ranges for candidate in tried] == list(specs)
    wanted = metrics.kl_divergence(np.full((1, 3), 1 / 3), [[0.4, 0.3, 0.3]])[0]
    assert tried[1].divergence == pytest.approx(wanted)
    assert sum(ticks) == 3
    for half in fitted:
        assert half.tolist() == statistics["stem/conv"].high[::2].tolist()


def test_a_quarter_decides_which_half_is_scored_on_the_rest(network: DenseNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third is the worst of three on the first 8 of 32 pictures, and the second the better of the others on all."""
    pixels = networks.pictures(network, 64)
    pixels[:, 0, 0, 0] = np.arange(64)  # each picture's number
    far = [np.where(np.arange(64) % 8 == 1, 1.0, 9.0), np.where(np.arange(64) % 8 == 1, 2.0, 3.0), np.full(64, 2.5)]
    seen: list[tuple[int, list[int]]] = []

    def run(model: bytes, chosen: np.ndarray) -> np.ndarray:
        seen.append((model[0], chosen[:, 0, 0, 0].tolist()))
        return far[model[0]][chosen[:, 0, 0, 0]][:, None]

    numbers = iter(range(3))
    made = SimpleNamespace(to_bytes=lambda: bytes([next(numbers)]))
    monkeypatch.setattr(attempts, "build", lambda *a: SimpleNamespace(quantized=made))
    monkeypatch.setattr(execute, "run", run)
    specs = (RangeSpec("minmax"), RangeSpec("percentile"), RangeSpec("mse"))
    chosen, tried = choose(
        *(network, networks.statistics(network, pixels[:2]), pixels, np.zeros((64, 1)), specs, "float32"),
        lambda n: None,
        lambda before, after: after[:, 0],
    )
    first = list(range(1, 64, 8))
    rest = sorted(set(range(1, 64, 2)) - set(first))
    assert seen == [(0, first), (1, first), (2, first), (0, rest), (1, rest)]
    assert [(c.divergence, c.pictures) for c in tried] == [(7.0, 32), (2.75, 32), (2.5, 8)]
    assert chosen.ranges == RangeSpec("percentile")


def test_one_candidate_is_not_scored(network: DenseNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "build", None)
    spec = RangeSpec("mse", 1.2)
    pixels = networks.pictures(network, 4)
    assert choose(network, {}, pixels, np.zeros((4, 3)), (spec,), "float32", lambda n: None) == (Attempt(spec), ())
    one = choose(network, {}, pixels[:1], np.zeros((1, 3)), (spec, RangeSpec()), "float32", lambda n: None)
    assert one == (Attempt(spec), ())  # a single picture has no other half
