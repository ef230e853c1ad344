"""Quantization-aware training: the simulation is the file, and training brings the file closer to float."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.calibration.ranges import RangeSpec
from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.graph import DenseNet, Form
from edgedense.converters.network.kept import identity
from edgedense.converters.network.program import IMAGE, lower
from edgedense.converters.quantization import attempts
from edgedense.converters.quantization.attempts import Attempt, Prepared
from edgedense.converters.quantization.quantize import Quantized
from edgedense.converters.recovery.loop import RecoverySpec
from edgedense.converters.recovery.norms import moments
from edgedense.converters.recovery.pictures import Pictures
from edgedense.converters.recovery.qat import CHECKPOINT, SPEC, Simulated, corrected, limits, tune
from edgedense.converters.tflite import execute
from edgedense.measures import metrics
from tests import networks
from tests.converters.recovery import nets

pytestmark = pytest.mark.slow

tf = pytest.importorskip("tensorflow")

PICTURES = 24
# The mean of four whole numbers lies on a half one time in four, and kernels differ in which way they round it.
HALVES = 0.25
# Other sums lie so close to a half that float32 and fixed-point multipliers see them on different sides.
RARE = 0.02


@pytest.fixture(scope="module")
def network() -> DenseNet:
    return networks.rewritten(1, positive=True)


def prepared(
    network: DenseNet,
    form: Form = "maximum",
    output_type: str = "float32",
    headroom: float = 1.0,
    floats: tuple[str, ...] = (),
) -> Prepared:
    statistics = networks.statistics(network, networks.pictures(network, PICTURES))
    attempt = Attempt(RangeSpec("minmax", headroom), form, floats)
    return attempts.prepare(network, statistics, attempt, output_type)


def simulated(made: Prepared, pixels: np.ndarray) -> Simulated:
    found = moments(corrected(made), pixels)
    return Simulated(made, {name: part.variance**0.5 for name, part in found.items()})


def kl(network: DenseNet, model: bytes, pixels: np.ndarray) -> float:
    return float(metrics.kl_divergence(evaluate(lower(network), pixels), execute.run(model, pixels)).mean())


@pytest.mark.parametrize(
    ("form", "output_type", "floats"),
    [
        ("maximum", "float32", ()),
        ("maximum", "uint8", ()),
        ("depthwise", "float32", ("block1/layer2/bottleneck", "block2/layer1/growth")),
    ],
)
def test_the_simulation_is_the_file(network: DenseNet, form: Form, output_type: str, floats: tuple[str, ...]) -> None:
    """Operator by operator, from what the file itself reads: in all three forms, with layers in float, and with all in
    integers."""
    made = prepared(network, form, output_type, floats=floats)
    pixels = networks.pictures(network, 1)
    quantized = attempts.finish(made).quantized
    model = simulated(made, pixels)
    weights = model.trainable.weights()
    seen = tensors(quantized, pixels)
    seen[IMAGE] = pixels.astype(np.float32)
    values = {name: tf.constant(value, tf.float32) for name, value in seen.items()}
    rounded = {tensor.name: tensor.quantization for tensor in quantized.tensors if tensor.dtype == "int8"}
    compared = 0
    for op in model.program.ops:
        if op.output in values and op.output in rounded and all(name in values for name in op.inputs):
            expected = model.step(op, values, weights.get(op.output)).numpy()
            steps = np.abs(expected - seen[op.output]) / float(rounded[op.output].scale[0])
            assert steps.max() < 1.01, op.output
            assert (steps > 0.5).mean() <= (HALVES if "pool" in op.output else RARE), op.output
            compared += 1
    assert compared > 20


def tensors(quantized: Quantized, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Every activation of a file as real numbers."""
    runner = execute.interpreter(quantized.to_bytes(), keep_all=True)
    index = {detail["name"]: detail["index"] for detail in runner.get_tensor_details()}
    runner.set_tensor(runner.get_input_details()[0]["index"], pixels)
    runner.invoke()
    found = {}
    for tensor in quantized.tensors:
        if tensor.data is None and tensor.dtype in ("int8", "float32"):
            value, q = runner.get_tensor(index[tensor.name]).astype(np.float64), tensor.quantization
            found[tensor.name] = value if q is None else (value - q.zero_point) * float(q.scale[0])
    return found


@pytest.mark.parametrize("form", ["maximum", "depthwise"])
def test_training_brings_a_harmed_file_closer(network: DenseNet, form: Form) -> None:
    """Ranges that clip half of what they should hold."""
    made = prepared(network, form, headroom=0.5)
    teacher = nets.teacher()
    pictures = nets.pictures(teacher, 64)
    tuned = tune(made, teacher, identity(teacher), pictures, RecoverySpec(epochs=6, batch=8, learning_rate=0.01))
    pixels = networks.pictures(teacher, 32, seed=9)
    before = kl(teacher, attempts.finish(made).quantized.to_bytes(), pixels)
    after = kl(teacher, attempts.finish(made, tuned.weights).quantized.to_bytes(), pixels)
    assert after < 0.7 * before
    assert [epoch.number for epoch in tuned.history] == [1, 2, 3, 4, 5, 6]


def test_without_it_nothing_changes(network: DenseNet) -> None:
    made = prepared(network)
    statistics = networks.statistics(network, networks.pictures(network, PICTURES))
    plain = attempts.build(network, statistics, Attempt(RangeSpec())).quantized.to_bytes()
    assert attempts.finish(made).quantized.to_bytes() == plain
    assert attempts.finish(made, {}).quantized.to_bytes() == plain


def test_untrained_weights_make_the_same_file(network: DenseNet) -> None:
    """Variables in units of their own and back: only what lies on a half may round the other way."""
    made = prepared(network)
    pixels = networks.pictures(network, 8)
    weights = simulated(made, pixels).trainable.trained_weights()
    one, other = (execute.run(attempts.finish(made, given).quantized.to_bytes(), pixels) for given in (None, weights))
    assert np.abs(one - other).max() < 0.01


def test_it_can_be_stopped_and_gone_on_with(network: DenseNet, tmp_path: Path) -> None:
    made = prepared(network, headroom=0.5)
    teacher = nets.teacher()
    pictures = Pictures.unlabelled(networks.pictures(teacher, 24), "hash")
    spec = replace(SPEC, epochs=3, batch=8, learning_rate=0.01)
    first = tune(made, teacher, identity(teacher), pictures, spec, tmp_path, lambda weights: "stem/conv" in weights)
    assert [epoch.met for epoch in first.history] == [True]
    assert (tmp_path / CHECKPOINT).exists()
    again = tune(made, teacher, identity(teacher), pictures, spec, tmp_path)
    assert again.history == first.history
    for name, (kernel, bias) in first.weights.items():
        assert np.array_equal(kernel, again.weights[name][0])
        assert np.array_equal(bias, again.weights[name][1])


def test_limits(network: DenseNet) -> None:
    quantization = prepared(network).quantization["block1/layer1/growth"]
    low, high = limits(quantization)
    assert (high - low) / 255 == pytest.approx(float(quantization.scale[0]))
    assert low == pytest.approx((-128 - quantization.zero_point) * float(quantization.scale[0]))
