"""What calibration measures of each tensor."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.calibration.statistics import POSITIONS, Channels, derived, measured
from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.program import SCORES, Op, Program, lower
from edgedense.converters.passes.fold_normalization import fold_normalization
from edgedense.converters.passes.space_to_depth import space_to_depth
from edgedense.converters.quantization.measure import measure
from edgedense.converters.tflite import execute
from tests import networks
from tests.networks import array

PARTS = ("low", "high", "samples")


def test_by_hand() -> None:
    """The minimal network's stem computes relu((r + b + 1) * 2 + 1) and relu((g + b + 2) * 4 + 3)."""
    program = lower(networks.folded_minimal())
    pixels = np.zeros((2, 2, 2, 3), np.uint8)
    pixels[0, 0, 0] = (10, 20, 30)
    stem = measure(program, pixels)["stem/conv"]
    assert stem.low.tolist() == [[3, 11], [3, 11]]
    assert stem.high.tolist() == [[2 * 41 + 1, 4 * 52 + 3], [3, 11]]
    assert stem.samples.shape == (2 * 4, 2)  # four positions are fewer than are sampled


def test_each_picture_stands_for_itself_and_is_counted() -> None:
    """What is measured of a picture is the same to the bit, whatever stands beside it."""
    network = networks.folded()
    pixels = networks.pictures(network, 5)
    ticks: list[int] = []
    whole = measure(lower(network), pixels, ticks.append)
    assert ticks == [1] * 5
    last = measure(lower(network), pixels[4:])
    for name, channels in whole.items():
        assert channels.taken(slice(4, 5)).low.tolist() == last[name].low.tolist(), name
        assert channels.taken(slice(4, 5)).samples.tolist() == last[name].samples.tolist(), name


@pytest.mark.parametrize("cores", [1, 2, 5, 64])
def test_the_same_to_the_bit_on_any_number_of_cores(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = networks.folded()
    wanted = networks.statistics(network)
    monkeypatch.setattr(execute, "cores", lambda: cores)
    for name, channels in networks.statistics(network).items():
        for part in PARTS:
            assert np.array_equal(getattr(channels, part), getattr(wanted[name], part)), name


def test_all_that_is_computed_or_multiplied_is_known_and_what_is_moved_is_not() -> None:
    network = space_to_depth(fold_normalization(networks.folded()))
    program = lower(network)
    known = set(measure(program, networks.pictures(network, 1)))
    moved = {op.output for op in program.ops if op.kind in ("concat", "pad", "space_to_depth", "reshape")}
    assert moved & known == {"stem/space_to_depth"}  # the stem's convolution reads it
    assert known == {op.output for op in program.ops} - moved | {"stem/space_to_depth"}
    assert SCORES in known


def test_norms_are_not_measured_but_worked_out_exactly() -> None:
    network = networks.folded()
    program = lower(network)
    pixels = networks.pictures(network, 5)
    norms = [op.output for op in program.ops if op.output.endswith("/norm")]
    assert norms
    assert not set(norms) & set(measured(program))
    values: dict[str, np.ndarray] = {}
    evaluate(program, pixels, values.__setitem__, norms)
    found = measure(program, pixels)
    for name in norms:
        assert found[name].low == pytest.approx(values[name].min(axis=(1, 2)), abs=1e-4), name  # float32
        assert found[name].high == pytest.approx(values[name].max(axis=(1, 2)), abs=1e-4), name


def test_a_convolution_that_reads_the_picture_itself() -> None:
    program = lower(networks.folded_minimal())
    assert "image" in program.ops[0].inputs
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    found = measure(program, pixels)
    assert found["image"].high.tolist() == [[9, 10, 11]]


def test_positions_are_the_same_in_tensors_of_one_size() -> None:
    """So that samples of a norm and of what it reads belong together."""
    network = networks.folded()
    found = networks.statistics(network)
    norm = network.blocks[0].layers[0].norm1
    before, after = found["stem/pool"].samples, found["block1/layer1/norm"].samples
    assert len(before) == 5 * POSITIONS
    assert after == pytest.approx(np.maximum(before * norm.scale + norm.shift, 0), abs=1e-4)


def test_some_pictures() -> None:
    network = networks.folded()
    pixels = networks.pictures(network, 5)
    some = measure(lower(network), pixels[::2])
    for name, channels in networks.statistics(network, pixels).items():
        taken = channels.taken(slice(0, None, 2))
        for part in PARTS:
            assert getattr(taken, part).tolist() == getattr(some[name], part).tolist(), name


def test_what_passes_do_to_a_tensor_is_done_in_their_order() -> None:
    """max(2 x + 1, 3), where 3 was the floor before: (3, 5, 9) becomes (7, 11, 19), and the floor of 7 becomes 8."""
    values = np.array([[3], [5], [9]], np.float32)
    found = Channels.of(values, values, values).affine(np.array([2.0]), np.array([1.0]))
    found = found.refloored(np.array([7.0]), np.array([8.0]))
    assert found.samples.ravel().tolist() == [8, 11, 19]
    assert (found.low.ravel().tolist(), found.high.ravel().tolist()) == ([8, 11, 19], [8, 11, 19])
    assert (found.scale.tolist(), found.shift.tolist()) == ([2], [1])


def test_a_norm_that_turns_the_order_swaps_least_and_largest() -> None:
    """relu(10 - x) of a channel from 1 to 4 lies between 6 and 9."""
    norm = Op("depthwise", "head/norm", ("x",), array([[[-1]]])[0], array(10), relu=True)
    measured = Channels.of(np.float32([[1]]), np.float32([[4]]), np.float32([[2]]))
    found = derived(Program((norm,), {}), {"x": measured})["head/norm"]
    assert (found.low.item(), found.high.item(), found.samples.item()) == (6, 9, 8)
