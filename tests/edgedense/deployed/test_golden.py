from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from edgedense.deployed import golden
from edgedense.errors import EdgedenseError

MADE = {"runtime": "rt 1.0", "machine": "x86_64"}
ELSEWHERE = {"runtime": "rt 1.0", "machine": "aarch64"}
OTHER = {"runtime": "rt 2.0", "machine": "x86_64"}


def invoke(pixels: np.ndarray) -> np.ndarray:
    """A "model": softmax of the mean colour."""
    logits = pixels.mean(axis=(1, 2), dtype=np.float64) / 20
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)


def quantized(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(invoke(pixels) * 256), 0, 255).astype(np.uint8)


def make(call=invoke, step: float = golden.FLOAT_STEP, **more) -> golden.Golden:
    return golden.record(call, invoke, height=24, width=32, step=step, **MADE, **more)


def test_probes_are_the_same_on_every_machine() -> None:
    """The hash was made once; a change here breaks the golden samples in every file that is out there."""
    made = golden.probes(7, 3, 40, 56)
    assert made.shape == (3, 40, 56, 3)
    assert hashlib.sha256(made.tobytes()).hexdigest() == (
        "e4dd78a5ee89b0998b139cbe2c0b1c637fa99bb255dbed04cd2375878296e384"
    )


def test_probes_differ_by_seed_and_number_and_use_the_whole_range() -> None:
    a, b = golden.probes(0, 4, 32, 32), golden.probes(1, 4, 32, 32)
    every = np.concatenate([a, b]).reshape(8, -1)
    assert len(np.unique(every, axis=0)) == 8
    assert np.abs(np.corrcoef(every) - np.eye(8)).max() < 0.8  # neighbouring seeds do not repeat each other
    assert every.min() < 20
    assert every.max() > 235
    np.testing.assert_array_equal(golden.probes(0, 2, 32, 32), a[:2])


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (33, 17)])
def test_probes_of_any_size(size: tuple[int, int]) -> None:
    assert golden.probes(0, 2, *size).shape == (2, *size, 3)


@pytest.mark.parametrize(("call", "step"), [(invoke, golden.FLOAT_STEP), (quantized, 1 / 256)])
def test_survives_the_file_and_replays_to_the_bit(call, step) -> None:
    made = make(call, step, images=[np.full((24, 32, 3), 9, np.uint8)])
    assert made.to_bytes() == make(call, step, images=[np.full((24, 32, 3), 9, np.uint8)]).to_bytes()
    read = golden.Golden.from_bytes(made.to_bytes())
    assert len(read.inputs()) == golden.PROBES + 1
    assert (read.inputs()[-1] == 9).all()
    result = golden.replay(read, call, **MADE)
    assert result.bit_equal
    assert result.passed
    assert (result.steps, result.flipped) == ({}, ())
    assert result.kl_here == result.kl_made
    assert result.values == 3 * (golden.PROBES + 1)


def test_samples_of_one_channel() -> None:
    def brightness(pixels: np.ndarray) -> np.ndarray:
        assert pixels.shape[1:] == (24, 32, 1)
        return np.stack([pixels.mean(axis=(1, 2, 3)), 100 + 0 * pixels.mean(axis=(1, 2, 3))], 1).astype(np.float32)

    image = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32, 1)
    made = golden.record(brightness, brightness, height=24, width=32, step=1, channels=1, images=[image], **MADE)
    back = golden.Golden.from_bytes(made.to_bytes())
    assert back.channels == 1
    np.testing.assert_array_equal(back.inputs()[-1], image)
    np.testing.assert_array_equal(back.inputs()[:-1], golden.probes(0, golden.PROBES, 24, 32)[..., :1])
    assert golden.replay(back, brightness, **{**MADE, "runtime": "rt 1.0"}).bit_equal
    assert "channels" not in json.loads(make().to_bytes())


def test_no_picture_is_stored_unless_asked_for() -> None:
    data = make().to_bytes()
    assert json.loads(data)["images"] == []
    assert len(data) < 3000


def test_the_last_bits_of_a_float_are_no_step() -> None:
    result = golden.replay(make(), lambda x: invoke(x) + np.float32(1e-4), **MADE)
    assert not result.bit_equal
    assert result.steps == {}
    assert result.passed


def test_one_step_passes_on_another_processor_only() -> None:
    def off(pixels: np.ndarray) -> np.ndarray:
        scores = quantized(pixels)
        scores[0, 0] += np.uint8(scores[0, 0] < 255)
        return scores

    made = make(quantized, 1 / 256)
    here = golden.replay(made, off, **MADE)
    assert set(here.steps) == {1}
    assert not here.passed
    assert golden.replay(made, off, **ELSEWHERE).passed
    assert golden.replay(made, off, **OTHER).passed


def test_two_steps_pass_with_other_kernels_only_and_a_clear_flip_never() -> None:
    def off(pixels: np.ndarray) -> np.ndarray:
        return (quantized(pixels).astype(np.int64) + 2).clip(0, 255).astype(np.uint8)

    made = make(quantized, 1 / 256)
    assert not golden.replay(made, off, **ELSEWHERE).passed
    assert golden.replay(made, off, **OTHER).passed

    flipped = golden.replay(make(), lambda x: invoke(x)[:, ::-1], **OTHER)
    assert flipped.flipped
    assert not flipped.passed
    assert "margin" in flipped.limit


def test_a_flip_where_two_scores_were_close_passes_with_other_kernels() -> None:
    close = replace(make(), outputs=np.tile(np.float32([0.5, 0.45, 0.05]), (golden.PROBES, 1)))

    def here(pixels: np.ndarray) -> np.ndarray:
        return np.float32([[0.45, 0.5, 0.05]])

    result = golden.replay(close, here, **OTHER)
    assert len(result.flipped) == golden.PROBES
    assert result.passed
    assert not golden.replay(close, here, **ELSEWHERE).passed


def test_a_failed_replay_names_the_first_layer_that_differs() -> None:
    def layers(*levels: float):
        return lambda pixels: dict(zip(("stem", "block1", "head"), levels, strict=True))

    made = make(layers=layers(1.0, 2.0, 3.0))
    spoiled = golden.replay(made, lambda x: invoke(x)[:, ::-1], **MADE, layers=layers(1.01, 4.0, 5.0))
    assert spoiled.suspect == "block1"
    assert spoiled.to_dict()["suspect"] == "block1"
    assert golden.replay(made, invoke, **MADE, layers=layers(1.0, 4.0, 5.0)).suspect is None  # it passed


def test_first_difference_needs_the_same_layers() -> None:
    assert golden.first_difference(np.float32([1, 2]), {"a": 1.0, "b": 2.05}) is None
    assert golden.first_difference(np.float32([1, 2]), {"a": 1.0}) is None


def test_another_kind_of_output_is_refused() -> None:
    with pytest.raises(EdgedenseError, match="uint8"):
        golden.replay(make(), quantized, **MADE)


@pytest.mark.parametrize("damage", [{"outputs": "AAAA"}, {"dtype": "object"}, {"synthetic": "x"}, {"layers": None}])
def test_damaged_samples_are_refused(damage: dict) -> None:
    with pytest.raises(EdgedenseError, match="golden samples"):
        golden.Golden.from_bytes(json.dumps({**json.loads(make().to_bytes()), **damage}).encode())


def length(pixels: np.ndarray) -> np.ndarray:
    """A "model" that gives two values, one of them below 0."""
    mean = pixels.mean(axis=(1, 2, 3), dtype=np.float64)
    return np.stack([mean, -10 * mean], axis=1).astype(np.float32)


LENGTHS = golden.ValueScale((1.0, 10.0))  # as of values that span 256 and 2,560


def test_values_replay_without_labels_and_without_a_divergence() -> None:
    made = golden.Golden.from_bytes(
        golden.record(length, length, height=8, width=8, step=1, values=LENGTHS, **MADE).to_bytes()
    )
    assert made.values == LENGTHS
    result = golden.replay(made, length, **MADE)
    assert result.passed
    assert (result.kl_made, result.kl_here, result.flipped) == (None, None, ())
    assert (result.error_made, result.error_here) == (0, 0)
    assert result.limit == "no value differs by a step"


def test_values_are_off_by_steps_of_their_own() -> None:
    made = golden.record(length, length, height=8, width=8, step=1, values=LENGTHS, **MADE)

    def off(steps: float) -> golden.Replay:
        return golden.replay(made, lambda x: length(x) + np.float32([steps, 10 * steps]), **OTHER)

    near, far = off(20), off(30)  # other kernels may be off by a tenth of the range
    assert near.steps == {20: 2 * golden.PROBES}
    assert near.error_here == pytest.approx(20, rel=1e-4)
    assert (near.passed, far.passed) == (True, False)
    assert "no value differs by more than 26 steps" in far.limit


def test_quantized_values_are_counted_from_their_zero_point() -> None:
    def whole(pixels: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(length(pixels)[:, :1] / 2) + 100, 0, 255).astype(np.uint8)

    scale = golden.ValueScale((2.0,), 100)
    made = golden.record(whole, lambda x: length(x)[:, :1], height=8, width=8, step=2, values=scale, **MADE)
    assert golden.replay(made, whole, **MADE).error_made <= 0.5  # rounding


@pytest.mark.parametrize("entry", [{"steps": [1.0], "zero_point": None}, {"steps": [0.0, 1.0], "zero_point": None}, {}])
def test_damaged_scales_of_values_are_refused(entry: dict[str, object]) -> None:
    made = json.loads(golden.record(length, length, height=8, width=8, step=1, values=LENGTHS, **MADE).to_bytes())
    with pytest.raises(EdgedenseError, match="damaged"):
        golden.Golden.from_bytes(json.dumps({**made, "values": entry}).encode())


class Output:
    """The output of an interpreter."""

    def __init__(self, dtype: type, quantization: tuple[float, int]) -> None:
        self.output = {"dtype": dtype, "quantization": quantization}

    def get_output_details(self) -> list[dict[str, object]]:
        return [self.output]


def test_the_scale_of_values_follows_what_calibration_spans() -> None:
    scores = np.float32([[0, 5], [256, 5]])
    scale = golden.value_scale(Output(np.float32, (0.0, 0)), scores)
    assert scale == golden.ValueScale((1.0, 0.0195312))  # the second never changes: 1/256 of its size
    assert golden.value_scale(Output(np.uint8, (0.5, 7)), scores) == golden.ValueScale((0.5, 0.5), 7)
