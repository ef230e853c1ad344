"""What trials share: which cut keeps a limit, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.network.weights import with_weights
from edgedense.searching.bench import _keep_weights, _kept_weights, key, places, spread
from tests import networks


def test_some_places_are_spread_evenly() -> None:
    assert places(10, 4).tolist() == [0, 3, 6, 9]
    assert places(3, 4).tolist() == [0, 1, 2]
    assert spread(np.arange(5) * 10, 3).tolist() == [0, 20, 40]


def test_a_name_depends_on_every_part() -> None:
    names = {key("taylor", 0.5), key("taylor", 0.25), key("norm", 0.5), key(None, "taylor", 0.5)}
    assert len(names) == 4
    assert key("taylor", 0.5) in names
    assert all(name.isalnum() and len(name) == 16 for name in names)


@pytest.fixture(scope="module")
def network() -> DenseNet:
    return networks.folded()


def test_weights_come_back_to_the_bit(network: DenseNet, tmp_path: Path) -> None:
    path = tmp_path / "training" / "pruned.npz"
    _keep_weights(path, network)
    weights = _kept_weights(path)
    assert weights is not None
    assert set(weights) == {op.output for op in lower(network).ops if op.kind in ("conv", "dense")}
    assert networks.equal(with_weights(network, weights), network)


def test_damaged_weights_are_made_again(network: DenseNet, tmp_path: Path) -> None:
    path = tmp_path / "pruned.npz"
    assert _kept_weights(path) is None
    _keep_weights(path, network)
    path.write_bytes(path.read_bytes()[:-200])
    assert _kept_weights(path) is None
