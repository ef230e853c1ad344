"""Program and ranges to int8: scales, integers, and what the interpreter makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgedense.converters.network.graph import Activation, Array
from edgedense.converters.network.program import IMAGE, SCORES, Op, Program, lower
from edgedense.converters.quantization.quantize import (
    SMALLEST_SCALE,
    Quantized,
    activation_quantization,
    activations,
    int_bias,
    quantize,
    round_weights,
    scale_groups,
    snap,
    weight_scale,
)
from edgedense.converters.tflite import execute
from edgedense.converters.tflite.flatbuffer import Quantization
from edgedense.device.engines.contents import contents
from tests import networks
from tests.networks import array

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 6, 7, 3)).astype(np.uint8)


def program(*ops: Op, **shapes: tuple[int, ...]) -> Program:
    """Operators on a picture of 6x7; `shapes` of the tensors that they make."""
    return Program(ops, {IMAGE: (6, 7, 3), **shapes})


def run(quantized: Quantized, name: str) -> npt.NDArray[np.float64]:
    """The tensor `name` after a run on PIXELS, as integers."""
    runner = execute.interpreter(quantized.to_bytes(), keep_all=True)
    runner.set_tensor(runner.get_input_details()[0]["index"], PIXELS)
    runner.invoke()
    details = {d["name"]: d["index"] for d in runner.get_tensor_details()}
    return runner.get_tensor(details[name]).astype(np.float64)


class TestScales:
    @pytest.mark.parametrize(
        ("span", "scale", "zero_point"),
        [
            ((0, 255), 1, -128),
            ((-128, 127), 1, 0),
            ((-255, 0), 1, 127),
            ((51, 255), 1, -128),  # zero must be representable
            ((-255, -51), 1, 127),
            ((0, 0), SMALLEST_SCALE, -128),
        ],
    )
    def test_of_activations(self, span: tuple[float, float], scale: float, zero_point: int) -> None:
        found = activation_quantization(span)
        assert found.scale[0] == pytest.approx(scale)
        assert found.zero_point == zero_point

    def test_of_weights(self) -> None:
        kernel = np.zeros((1, 1, 2, 3))
        kernel[0, 0] = [[127, 0, -2.54], [-1, 0, 1]]
        assert weight_scale(kernel).tolist() == pytest.approx([1, 1, 0.02])  # a dead output channel gets any

    def test_weights_and_bias(self) -> None:
        op = Op("conv", "x", (IMAGE,), np.array([[[[1.27, 0], [0.006, 2.54]]]]), array(1, -2))
        found = round_weights(op, 0.5)
        assert found.kernel[0, 0].tolist() == [[127, 0], [1, 127]]
        assert found.scale == pytest.approx([0.01, 0.02])
        assert found.bias.tolist() == [200, -200]

    def test_biases_stay_in_int32(self) -> None:
        assert int_bias(array(1e9, -1e9), 1e-3, array(1e-3, 1e-3)).tolist() == [2**31 - 1, -(2**31) + 1]

    def test_snap_keeps_three_digits_and_forgets_the_noise_of_float_sums(self) -> None:
        for value in (0.0, 1.0, -3.0, 0.375):
            assert snap(value) == value
        for value in np.random.default_rng(0).lognormal(0, 3, 100):
            assert snap(value) == pytest.approx(value, rel=2**-10)
            assert snap(snap(value)) == snap(value)
        assert snap(1.2345) == snap(1.2345 * (1 + 1e-6))


def test_what_shares_a_scale() -> None:
    groups = scale_groups(lower(networks.folded()))
    assert groups["stem/conv"] == groups["stem/pool_pad"] == groups["stem/pool"]
    assert groups["stem/pool"] == groups["block1/layer1/growth"] == groups["block1/layer1/concat"]
    assert groups["block1/layer1/concat"] == groups["block1/layer2/growth"] == groups["block1/layer2/concat"]
    assert groups["transition1"] == groups["block2/layer1/concat"]
    assert (
        len(
            {
                groups[name]
                for name in (
                    "block1/layer1/concat",
                    "block1/layer1/norm",
                    "block1/layer1/bottleneck",
                    "transition1/norm",
                    "block2/layer1/concat",
                    "head/norm",
                )
            }
        )
        == 6
    )


def test_a_group_holds_the_ranges_of_all_its_members() -> None:
    ops = [Op("conv", name, (IMAGE,), np.ones((1, 1, 3, 2)), np.zeros(2)) for name in ("a", "b")]
    joined = program(*ops, Op("concat", SCORES, ("a", "b")), a=(6, 7, 2), b=(6, 7, 2), scores=(6, 7, 4))
    found = activations(joined, {"a": (0.0, 127.5), "b": (-127.5, 20.0)})
    for name in ("a", "b", SCORES):
        assert (found[name].scale[0], found[name].zero_point) == (1, 0)


class TestOneConvolution:
    """The interpreter's integers against the scheme written out in numpy."""

    @pytest.mark.parametrize("relu", [True, False])
    @pytest.mark.parametrize("stride", [1, 2])
    def test_conv(self, relu: bool, stride: int) -> None:
        random = np.random.default_rng(1)
        kernel, bias = random.normal(0, 0.1, (3, 3, 3, 4)), random.normal(0, 20, 4)
        op = Op("conv", "y", (IMAGE,), kernel, bias, stride=stride, relu=relu)
        shape = (4, 5, 4) if stride == 1 else (2, 3, 4)
        span = (0.0, 100.0) if relu else (-60.0, 100.0)
        found = run(quantize(program(op, y=shape), {"y": span}, output_type="uint8"), "y")
        weights = round_weights(op, 1.0)
        total = np.zeros((1, *shape))
        for row, column in np.ndindex(shape[:2]):
            window = PIXELS[0, row * stride : row * stride + 3, column * stride : column * stride + 3].astype(float)
            total[0, row, column] = np.tensordot(window, weights.kernel, 3) + weights.bias
        self.same(found, total * weights.scale, activation_quantization(span), relu)

    def test_depthwise(self) -> None:
        op = Op("depthwise", "y", (IMAGE,), np.array([[[0.5, -0.25, 0.1]]]), array(3, 200, -5), relu=True)
        found = run(quantize(program(op, y=(6, 7, 3)), {"y": (0.0, 250.0)}, output_type="uint8"), "y")
        weights = round_weights(op, 1.0)
        total = (PIXELS * weights.kernel[0, 0] + weights.bias) * weights.scale
        self.same(found, total, activation_quantization((0, 250)), True)

    def same(self, found: Array, real: Array, q: Quantization, relu: bool) -> None:
        """Equal integers; a tie, up to the kernels' float32 multiplier, may go either way."""
        steps = real / float(q.scale[0])
        wanted = np.clip(np.round(steps) + q.zero_point, q.zero_point if relu else -128, 127)
        tie = np.abs(steps - np.floor(steps) - 0.5) < 1e-3
        assert (found == wanted)[~tie].all()
        assert np.abs(found - wanted).max() <= 1
        assert len(np.unique(found)) > 10  # not all clipped


def test_a_maximum_on_the_grid_is_exact() -> None:
    constant = array(100, 30, 0)
    op = Op("maximum", "y", (IMAGE,), constant=constant)
    found = run(quantize(program(op, y=(6, 7, 3)), {"y": (0.0, 255.0)}, output_type="uint8"), "y") + 128
    assert found.tolist() == np.maximum(PIXELS, constant).tolist()


class TestPadding:
    """PAD of the picture, and what stands in its place."""

    padding = ((1, 2), (0, 3))

    def quantized(self, channels: int, **options: Any) -> Quantized:
        op = Op("pad", "y", ("x",), padding=self.padding)
        made = Op("conv", "x", (IMAGE,), np.ones((1, 1, 3, channels)) / 3, np.zeros(channels))
        shapes = {"x": (6, 7, channels), "y": (9, 10, channels)}
        return quantize(program(made, op, **shapes), {"x": (-55.0, 200.0), "y": (-55.0, 200.0)}, **options)

    @pytest.mark.parametrize(("channels", "floats"), [(3, ()), (15, ()), (3, ("x", "y"))])
    def test_of_thin_pixels_is_concatenated(self, channels: int, floats: tuple[str, ...]) -> None:
        quantized = self.quantized(channels, float_ops=floats)
        assert [o.code for o in quantized.operators].count("CONCATENATION") == 2
        assert "PAD" not in [o.code for o in quantized.operators]
        before, after = run(quantized, "x"), run(quantized, "y")
        zero = 0 if floats else -73
        assert after.tolist() == np.pad(before, ((0, 0), *self.padding, (0, 0)), constant_values=zero).tolist()

    def test_of_wide_pixels_and_for_an_edge_tpu_is_left_alone(self) -> None:
        for quantized in (self.quantized(16), self.quantized(3, output_type="uint8")):
            assert [o.code for o in quantized.operators].count("PAD") == 1
            assert "CONCATENATION" not in [o.code for o in quantized.operators]


class TestFloatOperators:
    def quantized(self, *floats: str) -> Quantized:
        ops = (
            Op("conv", "a", (IMAGE,), np.ones((1, 1, 3, 2)), np.zeros(2), relu=True),
            Op("conv", "b", ("a",), np.ones((1, 1, 2, 2)), np.ones(2), relu=True),
            Op("concat", "c", ("a", "b")),
            Op("mean", "d", ("c",)),
            Op("dense", "e", ("d",), np.ones((4, 2)) / 1000, np.zeros(2)),
            Op("activation", SCORES, ("e",), function=Activation("softmax")),
        )
        shapes = {"a": (6, 7, 2), "b": (6, 7, 2), "c": (6, 7, 4), "d": (4,), "e": (2,), SCORES: (2,)}
        ranges = {"a": (0.0, 765.0), "b": (0.0, 1531.0), "d": (0.0, 1531.0), "e": (0.0, 5.0)}
        return quantize(program(*ops, **shapes), ranges, floats)

    def floats(self, quantized: Quantized) -> list[str]:
        kinds = {tensor.name: tensor.dtype for tensor in quantized.tensors}
        return [
            f"{o.code} {o.outputs[0]}"
            for o in quantized.operators
            if "float32" in {kinds[name] for name in (*o.inputs, *o.outputs)}
        ]

    def test_none(self) -> None:
        assert self.floats(self.quantized()) == ["DEQUANTIZE scores/float"]

    def test_a_tail(self) -> None:
        assert self.floats(self.quantized("e", SCORES)) == ["DEQUANTIZE d/float", "FULLY_CONNECTED e", "SOFTMAX scores"]

    def test_one_in_the_middle_is_crossed_both_ways(self) -> None:
        found = self.quantized("b", "e", SCORES)
        assert self.floats(found) == [
            "DEQUANTIZE a/float",
            "CONV_2D b",
            "QUANTIZE b/int8",
            "DEQUANTIZE d/float",
            "FULLY_CONNECTED e",
            "SOFTMAX scores",
        ]
        whole = run(self.quantized("e", SCORES), "d")
        assert np.abs(run(found, "d") - whole).max() <= 1

    def test_a_tensor_read_twice_is_converted_once(self) -> None:
        found = self.floats(self.quantized("b", "c", "e", SCORES))
        assert found.count("DEQUANTIZE a/float") == 1


def test_uint8_scores() -> None:
    op = Op("conv", "y", (IMAGE,), np.ones((1, 1, 3, 2)), np.zeros(2))
    quantized = quantize(program(op, y=(6, 7, 2)), {"y": (-10.0, 765.0)}, output_type="uint8")
    (scores,) = contents(quantized.to_bytes()).outputs
    inside = activation_quantization((-10, 765))
    assert (scores.dtype, scores.zero_point) == ("uint8", inside.zero_point + 128)
    assert scores.scale == pytest.approx(float(inside.scale[0]))
