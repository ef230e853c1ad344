"""Of several outputs, the one that is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.opening import Opening
from edgedense.converters.readers.keras import outputs
from edgedense.converters.readers.keras.reader import read
from edgedense.converters.readers.source import Loss
from edgedense.errors import EdgedenseError
from tests import models

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
# Keras 2 calls HDF5 a legacy format when it writes it. Users have such files, so they are tested.
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")


def two(k: Any) -> Any:
    """A DenseNet with two heads, compiled with a loss for each."""
    image = k.Input((32, 32, 3))
    x = k.layers.GlobalAveragePooling2D()(models.body(k, models.stem(k, image), (1, 1)))
    kind = k.layers.Dense(4, activation="softmax", name="kind")(x)
    side = k.layers.Dense(2, name="side")(x)
    model = models.randomized(k.Model(image, [kind, side]), 0)
    model.compile("sgd", ["mse", k.losses.SparseCategoricalCrossentropy(from_logits=True)])
    return model


@pytest.mark.parametrize(
    ("library", "name", "output", "number"),
    [
        (keras, "model.keras", "kind", 0),
        (keras, "model.keras", "side", 1),
        (keras, "model.h5", "side", 1),
        (tf_keras, "model.keras", "side", 1),
        (tf_keras, "model.h5", "side", 1),
        (tf_keras, "saved_model", "side", 1),
    ],
)
def test_the_named_output_is_read(tmp_path: Path, library: Any, name: str, output: str, number: int) -> None:
    model = two(library)
    model.save(tmp_path / name)
    source = read(tmp_path / name, Opening(output=output))
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    assert np.allclose(source.predict(pixels), np.asarray(model(pixels)[number]), atol=1e-5)
    assert source.network.classes == (4, 2)[number]
    assert source.loss == (Loss("mse"), Loss("SparseCategoricalCrossentropy", "softmax"))[number]
    assert sum(source.parameters.values()) == source.reference.model.count_params()


@pytest.mark.parametrize("output", [None, "head"])
def test_without_a_name_that_it_has_all_are_listed(tmp_path: Path, output: str | None) -> None:
    two(keras).save(tmp_path / "model.keras")
    with pytest.raises(EdgedenseError, match=r"kind \[4\], side \[2\], as --output kind") as caught:
        read(tmp_path / "model.keras", Opening(output=output))
    assert (output or "2 outputs in model.keras") in str(caught.value)


def test_a_single_output_needs_no_name_and_may_have_its_own() -> None:
    model = models.densenet()
    name = model.output_names[0]
    assert outputs.one(model, None, "m.keras") == (model, (name,), 0)
    assert outputs.one(model, name, "m.keras") == (model, (name,), 0)
    with pytest.raises(EdgedenseError, match=rf"found 'x'.*{name} \[5\]"):
        outputs.one(model, "x", "m.keras")


def test_outputs_of_one_name_are_numbered() -> None:
    image = keras.Input((4,))
    same = keras.layers.Dense(2, name="same")
    model = keras.Model([image], [same(image), same(image + 1)])
    with pytest.raises(EdgedenseError, match=r"same:0 \[2\], same:1 \[2\]"):
        outputs.one(model, "same", "m.keras")
    chosen, names, number = outputs.one(model, "same:1", "m.keras")
    assert (names, number) == (("same:0", "same:1"), 1)
    x = np.ones((1, 4), np.float32)
    assert np.allclose(chosen([x]), model([x])[1])


def test_the_output_of_a_sequential_model_is_called_as_its_last_layer() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="last")])
    assert outputs.one(model, None, "m.keras") == (model, ("last",), 0)
