"""What the matcher takes beside that which Keras' own DenseNets have; all else is tested by the readers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgedense.converters.passes.fold_norms import fold_norms
from edgedense.converters.readers.keras.reader import read
from tests import models, reference

keras = pytest.importorskip("keras")


def folded(k: Any, x: Any) -> Any:
    """A body whose first convolutions contain the norms behind them, as a model has them that was optimized."""
    for _ in range(2):
        y = models.conv(k, models.norm_relu(k, x), 16, use_bias=True)
        x = k.layers.Concatenate()([x, models.conv(k, k.layers.ReLU()(y), 8, 3)])
    return models.norm_relu(k, x)


def test_convolutions_that_contain_the_second_norm() -> None:
    source = read(models.densenet(body=folded))
    (block,) = source.network.blocks
    assert [layer.norm2 for layer in block.layers] == [None, None]
    images = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
    for network in (source.network, fold_norms(source.network)):
        assert reference.relative_error(reference.logits(network, images), source.logits(images)) < 1e-5
