"""What rounding does on average is moved into the biases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.calibration.statistics import Channels, Statistics
from edgedense.converters.network.program import IMAGE, Op, Program
from edgedense.converters.quantization.compensate import corrected_weights, round_constants
from edgedense.converters.quantization.quantize import round_weights
from edgedense.converters.tflite.flatbuffer import Quantization
from tests.networks import array

STEP = Quantization(np.array([1.0], np.float32), -128)  # x holds 0 to 255 in steps of 1
SAMPLES = np.array([[0], [10], [20], [30]], np.float32)  # of x


def program(constant: float, kernel: float = 2.0) -> Program:
    norm = Op("maximum", "norm", ("x",), constant=array(constant))
    conv = Op("conv", "y", ("norm",), np.full((1, 1, 1, 1), kernel), array(5))
    return Program((norm, conv), {IMAGE: (1, 1, 1), "x": (1, 1, 1), "norm": (1, 1, 1), "y": (1, 1, 1)})


def statistics(output: np.ndarray) -> Statistics:
    return {"norm": Channels.of(output, output, output)}


def rounded(constant: float) -> tuple[float, float, np.ndarray]:
    """The constant on the grid, the bias behind, and the new samples."""
    before = np.maximum(SAMPLES, constant).astype(np.float32)
    after, found = round_constants(program(constant), {"x": STEP}, statistics(before))
    norm, conv = after.ops
    assert norm.constant is not None
    assert conv.bias is not None
    return float(norm.constant[0]), float(conv.bias[0]), found["norm"].samples.ravel()


class TestMaximum:
    def test_rounding_costs_where_it_is_idle(self) -> None:
        """max(x, 14.4) is 14.4 in two of four samples and becomes 14 there: 0.2 on average, times the weight 2."""
        constant, bias, samples = rounded(14.4)
        assert (constant, bias) == (14, pytest.approx(5 + 2 * 0.4 / 2))
        assert samples.tolist() == pytest.approx([14, 14, 20, 30])

    @pytest.mark.parametrize("constant", [1000, 1.7e9])
    def test_a_constant_above_the_range_is_the_output(self, constant: float) -> None:
        """A tiny gamma makes constants far beyond float32's whole numbers."""
        found, bias, samples = rounded(constant)
        assert (found, bias) == (255, pytest.approx(5 + 2 * (constant - 255)))
        assert samples.tolist() == [255] * 4

    def test_a_constant_below_the_range_never_shows(self) -> None:
        assert rounded(-1000)[:2] == (0, 5)

    def test_on_the_grid_nothing_changes(self) -> None:
        assert rounded(14)[:2] == (14, 5)

    def test_samples_that_float32_rounds_above_the_constant_are_idle_all_the_same(self) -> None:
        """Whichever way float32 rounds the constants, half of the gap shows up behind."""
        for constant in np.arange(10.05, 19, 0.37):
            rest = constant - np.round(constant)
            assert rounded(constant)[1] == pytest.approx(5 + 2 * rest * 0.5, abs=1e-9), constant

    def test_both_corrections_together_keep_the_mean(self) -> None:
        """The constant's rounding is made up for once, not by the bias correction again."""
        for constant in (14.4, 14.6):
            before = np.maximum(SAMPLES, np.float32(constant))
            after, found = round_constants(program(constant), {"x": STEP}, statistics(before))
            weights = corrected_weights(after, {"norm": STEP}, found, frozenset())["y"]
            integers = np.maximum(SAMPLES, np.round(constant))
            mean = float(((integers * weights.kernel.ravel() + weights.bias) * weights.scale).mean())
            assert mean == pytest.approx(2 * before.mean() + 5, abs=float(weights.scale[0]))


def test_the_gap_goes_through_a_pooling() -> None:
    norm, conv = program(14.4).ops
    pool = Op("mean", "pool", ("norm",))
    dense = Op("dense", "y", ("pool",), array([2.0]), array(5))
    shapes = {"x": (1, 1, 1), "norm": (1, 1, 1), "pool": (1,), "y": (1,)}
    before = np.maximum(SAMPLES, np.float32(14.4))
    after, _ = round_constants(Program((norm, pool, dense), shapes), {"x": STEP}, statistics(before))
    assert after.ops[-1].bias == pytest.approx([5 + 2 * 0.2])
    pool = Op("depthwise", "pool", ("norm",), np.full((2, 2, 1), 0.75), array(1), stride=2)  # 3 times the mean
    conv = replace(conv, inputs=("pool",))
    after, _ = round_constants(Program((norm, pool, conv), shapes), {"x": STEP}, statistics(before))
    assert after.ops[1].bias == pytest.approx([1 + 3 * 0.2])
    assert after.ops[2].bias == pytest.approx([5])  # told to the pooling, and not again


def test_other_operators_are_left_alone() -> None:
    conv = Op("conv", "y", ("x",), np.ones((1, 1, 1, 1)), array(5))
    before = Program((conv,), {"x": (1, 1, 1), "y": (1, 1, 1)})
    after, _ = round_constants(before, {"x": STEP}, {})
    assert after.ops[0] is conv


def test_biases_make_up_for_rounded_weights_and_inputs() -> None:
    """On the samples the output's mean is kept, but for the rounding of the bias itself."""
    random = np.random.default_rng(0)
    op = Op("conv", "y", ("x",), random.normal(0, 0.1, (1, 1, 6, 4)), random.normal(0, 1, 4))
    samples = random.uniform(0, 260, (50, 6)).astype(np.float32)  # some are clipped
    found = corrected_weights(
        Program((op,), {}), {"x": STEP}, {"x": Channels.of(samples, samples, samples)}, frozenset()
    )["y"]
    kernel, bias = op.weights
    integers = np.clip(np.round(samples), 0, 255)
    wanted = samples @ kernel[0, 0] + bias

    def error(integer_bias: np.ndarray) -> np.ndarray:
        means = (integers @ found.kernel[0, 0] + integer_bias).mean(axis=0)
        return means - wanted.mean(axis=0) / found.scale

    assert np.abs(error(found.bias)).max() <= 0.5 + 1e-6
    plain = round_weights(op, 1.0)
    assert found.kernel.tolist() == plain.kernel.tolist()
    assert np.abs(error(plain.bias)).max() > 5


def test_float_operators_and_unmeasured_inputs_get_no_correction() -> None:
    op = Op("conv", "y", ("x",), np.ones((1, 1, 1, 1)), array(0))
    measured = {"x": Channels.of(SAMPLES, SAMPLES, SAMPLES)}
    assert corrected_weights(Program((op,), {}), {"x": STEP}, measured, frozenset({"y"})) == {}
    assert corrected_weights(Program((op,), {}), {"x": STEP}, {}, frozenset()) == {}
