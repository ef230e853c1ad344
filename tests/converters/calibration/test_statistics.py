"""What calibration measures of each tensor."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.calibration.statistics import POSITIONS, measure, measured
from edgedense.converters.network.evaluate import evaluate
from edgedense.converters.network.program import SCORES, lower
from edgedense.converters.passes.fold_normalization import fold_normalization
from edgedense.converters.passes.space_to_depth import space_to_depth
from tests import networks


def test_by_hand() -> None:
    """The minimal network's stem computes relu((r + b + 1) * 2 + 1) and relu((g + b + 2) * 4 + 3)."""
    program = lower(networks.folded_minimal())
    pixels = np.zeros((2, 2, 2, 3), np.uint8)
    pixels[0, 0, 0] = (10, 20, 30)
    stem = measure(program, [pixels])["stem/conv"]
    assert stem.low.tolist() == [[3, 11], [3, 11]]
    assert stem.high.tolist() == [[2 * 41 + 1, 4 * 52 + 3], [3, 11]]
    assert stem.samples.shape == (2 * 4, 2)  # four positions are fewer than are sampled


def test_batches_and_progress_do_not_matter() -> None:
    network = networks.folded()
    pixels = networks.pictures(network, 5)
    ticks: list[int] = []
    whole = measure(lower(network), [pixels])
    parts = measure(lower(network), [pixels[:3], pixels[3:]], ticks.append)
    assert ticks == [3, 2]
    for name, channels in whole.items():
        assert channels.low == pytest.approx(parts[name].low, rel=1e-5, abs=1e-5)  # float32 in another order
        assert channels.samples == pytest.approx(parts[name].samples, rel=1e-5, abs=1e-5)


def test_all_that_is_computed_or_multiplied_is_known_and_what_is_moved_is_not() -> None:
    network = space_to_depth(fold_normalization(networks.folded()))
    program = lower(network)
    known = set(measure(program, [networks.pictures(network, 1)]))
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
    found = measure(program, [pixels])
    for name in norms:
        assert found[name].low == pytest.approx(values[name].min(axis=(1, 2)), abs=1e-4), name  # float32
        assert found[name].high == pytest.approx(values[name].max(axis=(1, 2)), abs=1e-4), name


def test_a_convolution_that_reads_the_picture_itself() -> None:
    program = lower(networks.folded_minimal())
    assert "image" in program.ops[0].inputs
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    found = measure(program, [pixels])
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
    some = measure(lower(network), [pixels[[0, 3]]])
    for name, channels in networks.statistics(network, pixels).items():
        taken = channels.take(np.array([0, 3]))
        for part in ("low", "high", "samples"):
            assert getattr(taken, part) == pytest.approx(getattr(some[name], part), rel=1e-5, abs=1e-5), name
