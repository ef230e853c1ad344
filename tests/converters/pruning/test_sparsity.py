"""Kernels with exact zeros: the child really prunes; what it must not touch stays; its failures are told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import Op, lower
from edgedense.converters.network.weights import with_weights
from edgedense.converters.passes import rewriting
from edgedense.converters.pruning import sparsity as module
from edgedense.converters.pruning.sparsity import SparsitySpec, compressed_bytes, fractions, pieces, sparsify, sparsity
from edgedense.converters.quantization import attempts
from edgedense.converters.quantization.attempts import Attempt, RangeSpec
from edgedense.converters.tflite import execute
from edgedense.errors import EdgedenseError
from tests import networks

SPEC = SparsitySpec(0.5, epochs=2, batch=16, learning_rate=1e-3)
PICTURES = 40


@dataclass(frozen=True)
class Pruned:
    before: DenseNet
    after: DenseNet
    ticks: list[int]


def dense() -> DenseNet:
    return networks.folded(height=32, width=32)


def prune() -> Pruned:
    network, ticks = dense(), list[int]()
    return Pruned(network, sparsify(network, network, networks.pictures(network, PICTURES), SPEC, ticks.append), ticks)


@pytest.fixture(scope="module")
def pruned() -> Pruned:
    pytest.importorskip("tensorflow_model_optimization")
    return prune()


def pairs(pruned: Pruned) -> Iterator[tuple[Op, Op]]:
    """Operators with weights, before and after."""
    yield from (
        (old, new)
        for old, new in zip(lower(pruned.before).ops, lower(pruned.after).ops, strict=True)
        if old.kernel is not None
    )


@pytest.mark.slow
def test_half_of_the_weights_are_zero(pruned: Pruned) -> None:
    kernels = {
        old.output: old.weights[0]
        for old, _ in pairs(pruned)
        if old.kind in ("conv", "dense") and old.output != "stem/conv"
    }
    zeros = {new.output: int((new.weights[0] == 0).sum()) for _, new in pairs(pruned) if new.output in kernels}
    for name, fraction in fractions(kernels, 0.5).items():
        assert abs(zeros[name] - fraction * kernels[name].size) <= 1, name  # the toolkit rounds to whole weights
    assert sparsity(pruned.before) == 0
    assert sparsity(pruned.after) == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
def test_what_is_left_was_trained(pruned: Pruned) -> None:
    for old, new in pairs(pruned):
        if old.kind in ("conv", "dense"):
            kept = new.weights[0] != 0
            assert (new.weights[0] != old.weights[0])[kept].mean() > 0.9, old.output  # dead ReLUs learn nothing
    # A single step masks as much without any training; 6 steps get closer to the teacher than that.
    images = networks.pictures(pruned.before, PICTURES)
    wanted = networks.logits(pruned.before, images)
    masked = with_weights(
        pruned.before,
        {old.output: (old.weights[0] * (new.weights[0] != 0), old.weights[1]) for old, new in pairs(pruned)},
    )
    assert sparsity(masked) == sparsity(pruned.after)
    assert _distance(networks.logits(pruned.after, images), wanted) < _distance(networks.logits(masked, images), wanted)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    difference = one - other
    return float(np.square(difference - difference.mean(axis=1, keepdims=True)).mean())


@pytest.mark.slow
def test_depthwise_stay_as_they_are_and_the_stem_keeps_its_weights(pruned: Pruned) -> None:
    for old, new in pairs(pruned):
        if old.kind == "depthwise":
            np.testing.assert_array_equal(old.weights[0], new.weights[0])
            np.testing.assert_array_equal(old.weights[1], new.weights[1])
    assert (pruned.after.stem.conv.kernel != 0).all()
    assert lower(pruned.before).shapes == lower(pruned.after).shapes


@pytest.mark.slow
def test_every_picture_is_ticked(pruned: Pruned) -> None:
    assert sum(pruned.ticks) == pieces(PICTURES, SPEC) == 3 * PICTURES


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(pruned: Pruned) -> None:
    assert networks.equal(prune().after, pruned.after)


def deploy(network: DenseNet, form: Any = "maximum") -> attempts.Built:
    network = rewriting.rewritten(network, "cpu")
    return attempts.build(network, networks.statistics(network), Attempt(RangeSpec("minmax"), form))


def int8_kernels(built: attempts.Built) -> list[np.ndarray]:
    """Weights of the convolutions behind the stem; [out, h, w, in]."""
    tensors = {tensor.name: tensor for tensor in built.quantized.tensors}
    names = [op.output for op in lower(built.network).ops if op.kind == "conv" and not op.output.startswith("stem")]
    kernels = [tensors[f"{name}/kernel"] for name in names]
    assert all(kernel.dtype == "int8" for kernel in kernels)
    return [np.asarray(kernel.data) for kernel in kernels]


@pytest.mark.parametrize("form", ["maximum", "depthwise"])
@pytest.mark.slow
def test_zeros_are_zeros_in_the_deployed_file(pruned: Pruned, form: Any) -> None:
    before, after = (int8_kernels(deploy(network, form)) for network in (pruned.before, pruned.after))
    exact = [new.weights[0] == 0 for _, new in pairs(pruned) if new.kind == "conv" and new.output != "stem/conv"]
    assert sum((kernel == 0).sum() for kernel in after) >= sum(zeros.sum() for zeros in exact)
    assert sum((kernel == 0).sum() for kernel in before) < 0.1 * sum(kernel.size for kernel in before)


@pytest.mark.slow
def test_the_deployed_file_packs_smaller(pruned: Pruned) -> None:
    before, after = (deploy(network).quantized.to_bytes() for network in (pruned.before, pruned.after))
    assert len(after) == len(before)
    assert compressed_bytes(after) < compressed_bytes(before)


@pytest.mark.parametrize("name", ["block1/layer1/growth", "block1/layer2/bottleneck", "transition1/conv"])
def test_channels_that_lost_all_their_weights(name: str) -> None:
    """Their scale could be anything; their bias is what they say."""
    network = dense()
    kernel, bias = next(op.weights for op in lower(network).ops if op.output == name)
    kernel = kernel.copy()
    kernel[..., 1:3] = 0
    network = with_weights(network, {name: (kernel, bias)})
    images = networks.pictures(network, 8)
    scores = execute.run(deploy(network).quantized.to_bytes(), images)
    wanted = networks.logits(network, images)
    wanted = np.exp(wanted) / np.exp(wanted).sum(axis=1, keepdims=True)
    assert np.abs(scores - wanted).max() < 0.1  # a network this narrow loses a few percent to 8 bits


def test_fractions_by_hand() -> None:
    """Squares over the sum of those no smaller: 9/25 and 1; 1/12, 1/11, 1/10 and 1."""
    kernels = {"a": np.array([[3.0, -4.0]]), "b": np.array([[1.0, -3.0], [1.0, -1.0]])}
    assert fractions(kernels, 0.5) == {"a": 0, "b": 0.75}
    assert fractions(kernels, 4 / 6) == {"a": 0.5, "b": 0.75}
    assert fractions(kernels, 0.01) == {"a": 0, "b": 0.25}
    assert fractions({"a": 7 * kernels["a"], "b": kernels["b"]}, 0.5) == fractions(kernels, 0.5)


def test_zeros_that_are_there_already_count() -> None:
    """Three of eight are zero, and stay so."""
    kernels = {"a": np.array([0.0, 0.0, 0.0, 5.0]), "b": np.array([1.0, 2.0, 3.0, 4.0])}
    assert fractions(kernels, 0.25) == {"a": 0.75, "b": 0}
    assert fractions(kernels, 0.5) == {"a": 0.75, "b": 0.25}
    assert fractions({"a": np.zeros(4), "b": kernels["b"]}, 0.5) == {"a": 0.75, "b": 0}


def test_compressed_size_is_that_of_gzip() -> None:
    random = np.random.default_rng(0).integers(0, 256, 4096).astype(np.uint8)
    sparse = np.where(np.arange(4096) % 2, random, 0).astype(np.uint8)
    assert compressed_bytes(random.tobytes()) > 4096
    assert compressed_bytes(sparse.tobytes()) < 0.75 * 4096
    assert compressed_bytes(sparse.tobytes()) == compressed_bytes(sparse.tobytes())


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    network = dense()
    with pytest.raises(EdgedenseError, match="between 0 and 1"):
        sparsify(network, network, networks.pictures(network, 2), replace(SPEC, fraction=fraction))


def test_a_missing_toolkit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    network = dense()
    with pytest.raises(EdgedenseError, match=r"tensorflow-model-optimization.*pip install 'edgedense\[convert\]'"):
        sparsify(network, network, networks.pictures(network, 2), SPEC)


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, task: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.handover, "write_task", full)
    network = dense()
    with pytest.raises(EdgedenseError, match=r"MiB for pictures.*No space left.*TMPDIR"):
        sparsify(network, network, networks.pictures(network, 2), SPEC)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, tick: Any = lambda n: None) -> None:
    """Run `code` in place of the child."""
    (folder / "stand_in.py").write_text(code)
    monkeypatch.setattr(module, "WORKER", "stand_in")
    module._run_child(folder, tick)


def test_only_lines_about_pictures_are_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[int] = []
    run(tmp_path, monkeypatch, "print('hello'); print('pictures 3'); print('pictures 4')", ticks.append)
    assert ticks == [3, 4]


def test_the_child_uses_keras_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, "import os; assert os.environ['TF_USE_LEGACY_KERAS'] == '1'; import edgedense")


def test_the_last_lines_of_a_child_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EdgedenseError, match=r"exit status 1.*no room for 7 tensors") as caught:
        run(tmp_path, monkeypatch, "print('pictures 1', flush=True); raise MemoryError('no room for 7 tensors')")
    assert len(caught.value.found) < 1000


def test_a_child_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EdgedenseError, match=r"killed by signal 9.*memory"):
        run(tmp_path, monkeypatch, "import os; os.kill(os.getpid(), 9)")


def test_the_child_goes_when_the_parent_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    code = "import os, time; open('pid', 'w').write(str(os.getpid())); print('pictures 1', flush=True); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, monkeypatch, code, interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
