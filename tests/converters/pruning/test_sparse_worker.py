"""The child's parts: the task comes over whole, the Keras model is the network, the schedule ends in time."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Affine, Array, Dense, DenseNet, Flatten, Pool
from edgedense.converters.network.program import Op, lower
from edgedense.converters.pruning import sparse_worker
from edgedense.converters.pruning.handover import Task, read_task, read_weights, write_task, write_weights
from edgedense.converters.pruning.sparsity import SparsitySpec
from tests import networks

ONES: Array = np.ones(15)


def task(network: DenseNet, count: int = 4) -> Task:
    program = lower(network)
    names = tuple(op.output for op in program.ops if op.kind in ("conv", "dense"))
    random = np.random.default_rng(3)
    return Task(
        program,
        dict.fromkeys(names[1:], 0.5),
        names,
        asdict(SparsitySpec(0.5)),
        networks.pictures(network, count),
        random.normal(size=(count, 3)).astype(np.float32),
    )


def plain(op: Op) -> dict[str, Any]:
    values = {field.name: getattr(op, field.name) for field in fields(op)}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def float_head() -> DenseNet:
    return networks.with_float_head(networks.folded())


@pytest.mark.parametrize("make", [networks.densenet, networks.folded, networks.rewritten, float_head])
def test_a_task_comes_over_whole(tmp_path: Path, make: Any) -> None:
    sent = task(make())
    write_task(tmp_path, sent)
    got = read_task(tmp_path)
    assert [plain(op) for op in got.program.ops] == [plain(op) for op in sent.program.ops]
    assert (got.program.shapes, got.pruned, got.trained) == (sent.program.shapes, sent.pruned, sent.trained)
    assert got.spec == sent.spec
    np.testing.assert_array_equal(got.pixels, sent.pixels)
    np.testing.assert_array_equal(got.logits, sent.logits)


def test_weights_come_back_whole(tmp_path: Path) -> None:
    sent = {
        "block1/layer1/growth": (np.eye(3, dtype=np.float32), np.arange(3, dtype=np.float32)),
        "scores": (np.ones((2, 1), np.float32), np.zeros(1, np.float32)),
    }
    write_weights(tmp_path, sent)
    got = read_weights(tmp_path)
    assert got.keys() == sent.keys()
    for name, pair in sent.items():
        np.testing.assert_array_equal(got[name][0], pair[0])
        np.testing.assert_array_equal(got[name][1], pair[1])


def flattened() -> DenseNet:
    dense = Dense(np.random.default_rng(2).normal(0, 0.1, (15 * 4, 6)), np.zeros(6))
    last = Dense(np.random.default_rng(3).normal(0, 0.3, (6, 1)), np.ones(1))
    network = networks.folded(height=32, width=32)
    size = lower(network).shapes["head/norm"]
    dense = Dense(np.resize(dense.kernel, (int(np.prod(size)), 6)), dense.bias)
    return networks.with_head(network, Flatten(), dense, Activation("leaky_relu", 0.2), last, Activation("sigmoid"))


def affine_head() -> DenseNet:
    dense = Dense(np.random.default_rng(4).normal(0, 0.3, (15, 2)), np.ones(2))
    return networks.with_head(networks.folded(), Pool("max"), Activation("tanh"), Affine(2 * ONES, ONES), dense)


@pytest.mark.parametrize("make", [networks.folded, networks.rewritten, flattened, affine_head, float_head])
def test_the_keras_model_is_the_network(make: Any) -> None:
    tf, keras = pytest.importorskip("tensorflow"), pytest.importorskip("tf_keras")
    network = make()
    given = task(network)
    model = sparse_worker.build(tf, keras, given, lambda layer, fraction: layer)
    wanted = networks.logits(network, given.pixels)
    found = model(given.pixels.astype(np.float32)).numpy()
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()  # float32 against float64
    assert [layer.name for layer in model.layers][1:] == [
        op.output for op in given.program.ops if op.output in {layer.name for layer in model.layers}
    ]
    assert set(given.trained) <= {layer.name for layer in model.layers}


def test_only_what_is_named_is_pruned() -> None:
    tf, keras = pytest.importorskip("tensorflow"), pytest.importorskip("tf_keras")
    given, wrapped = task(networks.folded()), dict[str, float]()

    def prune(layer: Any, fraction: float) -> Any:
        wrapped[layer.name] = fraction
        return layer

    sparse_worker.build(tf, keras, given, prune)
    assert wrapped == given.pruned
    assert len(wrapped) == len(given.trained) - 1


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 50, 51, 1000, 12345])
def test_the_last_update_of_the_masks_is_within_the_ramp(steps: int) -> None:
    begin, end, power, frequency = sparse_worker._ramp(steps)
    assert (begin, power) == (0, 3)
    assert 1 <= end <= max(1, sparse_worker.RAMP * steps)
    assert end % frequency == 0  # else the final fraction would never be applied
    assert end / frequency <= 2 * sparse_worker.UPDATES


def test_the_loss_does_not_see_what_softmax_does_not() -> None:
    tf = pytest.importorskip("tensorflow")
    given = task(networks.folded(), 40)
    loss = sparse_worker._loss(tf, given)
    assert loss(given.logits, given.logits + 5).numpy() == pytest.approx(0, abs=1e-6)
    mean = np.broadcast_to(given.logits.mean(axis=0), given.logits.shape)
    assert loss(given.logits, mean).numpy() == pytest.approx(1, abs=0.1)  # knowing only the mean leaves the variance
    sigmoid = sparse_worker._loss(tf, task(affine_head(), 40))
    assert sigmoid(given.logits, given.logits + 5).numpy() > 1


def test_every_picture_comes_once_an_epoch_in_an_order_that_the_seed_decides() -> None:
    keras = pytest.importorskip("tf_keras")
    given = task(networks.folded(), 40)
    batches = sparse_worker._batches(keras, given)
    first = [batches[i][1] for i in range(len(batches))]
    assert [len(batch) for batch in first] == [32, 8]
    batches.on_epoch_end()
    second = [batches[i][1] for i in range(len(batches))]
    for epoch in (first, second):
        assert sorted(np.concatenate(epoch).tolist()) == sorted(given.logits.tolist())
    assert not np.array_equal(first[0], second[0])
    again = sparse_worker._batches(keras, given)
    np.testing.assert_array_equal(again[0][1], first[0])
