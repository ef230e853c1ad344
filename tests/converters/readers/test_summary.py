"""Parameters and multiply-accumulates against Keras' own count and against the layers' output shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgedense.converters.readers.keras import layers as keras_layers
from edgedense.converters.readers.keras.files import Opened
from edgedense.converters.readers.keras.reader import read_opened
from edgedense.converters.readers.summary import Summary, summarize
from tests import models

keras = pytest.importorskip("keras")


def summary_of(model: Any) -> Summary:
    return summarize(read_opened(Opened(model, "a name", "")))


def stock(*head: Any, **options: Any) -> Any:
    base = keras.applications.DenseNet121(weights=None, input_shape=(224, 224, 3), **options)
    return keras.Sequential([keras.Input((224, 224, 3)), base, *head]) if head else base


def macs(model: Any) -> int:
    """Output positions times kernel size, by Keras' own output shapes."""
    weighted = [x for x in keras_layers.flatten(model) if x.kind in ("Conv2D", "Dense")]
    return sum(int(np.prod(x.shape[1:-1])) * x.weights[0].size for x in weighted)


@pytest.mark.slow
class TestStockSizes:
    def test_densenet121(self) -> None:
        model = stock()
        summary = summary_of(model)
        assert summary.name == "a name"
        assert summary.parameters == model.count_params() == 8_062_504
        assert summary.macs == macs(model)
        rows = {row.name: row for row in summary.rows}
        assert rows["stem"].shape == (56, 56, 64)
        assert rows["stem"].parameters == 7 * 7 * 3 * 64 + 4 * 64
        assert rows["stem"].macs == 112 * 112 * 7 * 7 * 3 * 64
        assert rows["block1"].shape == (56, 56, 256)
        assert rows["transition3"].shape == (7, 7, 512)
        assert rows["head"].shape == (1024,)
        assert (rows["dense1"].shape, rows["dense1"].parameters) == ((1000,), 1025 * 1000)
        assert [row.name for row in summary.rows] == [
            "input", "stem", "block1", "transition1", "block2", "transition2", "block3", "transition3",
            "block4", "head", "dense1",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("head", "parameters"),
        [
            (lambda k: [k.Dense(1024, activation="relu"), k.Dense(1, activation="sigmoid")], 8_088_129),
            (lambda k: [k.Dense(4, activation="softmax")], 7_041_604),
        ],
    )
    def test_two_users_heads(self, head: Callable[[Any], list[Any]], parameters: int) -> None:
        layers = keras.layers
        model = stock(layers.GlobalAveragePooling2D(), *head(layers), include_top=False)
        assert summary_of(model).parameters == parameters


@pytest.mark.parametrize("make", [models.densenet, models.nested, models.hostile])
def test_total_is_keras_count_and_macs_are_those_of_the_shapes(make: Callable[[], Any]) -> None:
    model = make()
    summary = summary_of(model)
    assert summary.parameters == model.count_params()
    assert summary.macs == macs(model)


def test_parameters_that_folding_hides_are_counted() -> None:
    """A zero bias, a norm without scale, and a Normalization layer count as Keras counts them."""
    layers = keras.layers

    def before(keras: Any, x: Any) -> Any:
        return layers.Normalization()(x)

    def stem(keras: Any, x: Any) -> Any:
        x = layers.Conv2D(12, 3, use_bias=True, bias_initializer="zeros")(x)
        return layers.ReLU()(layers.BatchNormalization(scale=False)(x))

    model = models.densenet(before=before, stem=stem)
    summary = summary_of(model)
    rows = {row.name: row for row in summary.rows}
    assert rows["input"].parameters == 3 + 3 + 1
    assert rows["stem"].parameters == 3 * 3 * 3 * 12 + 12 + 3 * 12
    assert summary.parameters == model.count_params()


def test_head_rows() -> None:
    rows = {row.name: row for row in summary_of(models.hostile()).rows}
    assert rows["head"].content == "norm, ReLU, flatten"
    assert rows["dense1"].content == "Dense 4, softmax"
    assert rows["input"].content == "images, normalized inside"
    assert rows["block1"].content == "3 dense layers, 12 channels + 8 each"
