"""The networks are those that their authors describe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgedense.converters.rivals import efficientnet_lite, networks
from edgedense.converters.rivals.options import RIVALS
from edgedense.errors import EdgedenseError

keras = pytest.importorskip("keras")


def macs(model: Any) -> int:
    """Multiply-accumulates of convolutions and Dense layers: outputs times what each is a sum of."""
    total = 0
    for layer in model.layers:
        outputs = int(np.prod(layer.output.shape[1:])) if layer.weights else 0
        summands = {"Conv2D": 3, "DepthwiseConv2D": 2, "Dense": 1}.get(type(layer).__name__, 0)
        total += outputs * int(np.prod(layer.kernel.shape[:summands])) if summands else 0
    return total


def test_each_name_has_a_network() -> None:
    assert tuple(networks.BACKBONES) == RIVALS


def test_efficientnet_lite0_has_its_blocks() -> None:
    image = keras.Input((64, 64, 3))
    model = keras.Model(image, efficientnet_lite.features(keras, image))
    assert model.output_shape == (None, 2, 2, 1280)
    kinds = [type(layer).__name__ for layer in model.layers]
    # 16 blocks, of which the first does not widen, stem and head; a way around where neither stride nor channels change
    assert kinds.count("DepthwiseConv2D") == 16
    assert kinds.count("Conv2D") == 16 + 15 + 2
    assert kinds.count("Add") == 1 + 1 + 2 + 2 + 3
    assert {layer.max_value for layer in model.layers if type(layer).__name__ == "ReLU"} == {6.0}


def test_small_pictures_are_refused() -> None:
    with pytest.raises(EdgedenseError, match="32x32 pixels or more for mobilenetv2"):
        networks.build("mobilenetv2", (31, 32, 3), 10, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters", "millions"),
    # parameters that are trained: 3.5, 4.65 and 25.6 million; multiply-accumulates: 300 million as in table 4 of
    # "MobileNetV2", 2018; 385 million are EfficientNet-B0's 390 without squeeze-and-excitation; 3.8 to 4.1 thousand
    # million for a ResNet50, by where its strides are
    [("mobilenetv2", 3_504_872, 301), ("efficientnet-lite0", 4_652_008, 385), ("resnet50", 25_583_592, 3858)],
)
def test_at_the_size_that_authors_give(name: str, parameters: int, millions: int) -> None:
    model = networks.build(name, (224, 224, 3), 1000, 0)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == parameters
    assert round(macs(model) / 1e6) == millions


@pytest.mark.slow
def test_the_smallest_pictures_in_grey_and_a_seed() -> None:
    first, again, other = (networks.build("mobilenetv2", (32, 32, 1), 2, seed) for seed in (3, 3, 4))
    assert first.output_shape == (None, 2)
    same = [np.array_equal(a, b) for a, b in zip(first.get_weights(), again.get_weights(), strict=True)]
    assert all(same)
    assert any(not np.array_equal(a, b) for a, b in zip(first.get_weights(), other.get_weights(), strict=True))
