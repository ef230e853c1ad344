"""What only training needs does not stop a model from being read, in any kind of file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.readers.keras import description
from edgedense.converters.readers.keras.reader import read
from edgedense.errors import EdgedenseError
from tests import models

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
# Keras 2 calls HDF5 a legacy format when it writes it. Users have such files, so they are tested.
pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    # Of a SavedModel, Keras 2 restores a regularizer's function that its description no longer names.
    pytest.mark.filterwarnings("ignore:The `keras.regularizers.serialize:UserWarning"),
]

FILES = [
    (keras, "model.keras"),
    (keras, "model.h5"),
    (tf_keras, "model.keras"),
    (tf_keras, "model.h5"),
    (tf_keras, "saved_model"),
]


def small(k: Any, **parts: Any) -> Any:
    return models.densenet(k, body=lambda k, x: models.body(k, x, (1, 1)), **parts)


def compiled(k: Any) -> Any:
    """A loss, a metric and an optimizer of the user's own."""

    class Mine(k.metrics.Metric):  # type: ignore[misc, name-defined]
        def update_state(self, *arguments: Any, **options: Any) -> None:
            pass

        def result(self) -> Any:
            return 0.0

    class Slow(k.optimizers.SGD):  # type: ignore[misc, name-defined]
        pass

    def weighted(wanted: Any, found: Any) -> Any:
        return (1 - found) ** 2 * wanted

    model = small(k)
    model.compile(Slow(), weighted, metrics=[Mine(name="mine"), k.metrics.AUC(), weighted])
    return model


def compiled_within(k: Any) -> Any:
    """A model in the model that was compiled by itself."""

    def weighted(wanted: Any, found: Any) -> Any:
        return wanted - found

    inner = small(k)
    inner.compile("sgd", weighted)
    image = k.Input((32, 32, 3))
    return k.Model(image, inner(image))


def regularized(k: Any) -> Any:
    """An initializer, a regularizer and a constraint of the user's own."""

    class Rising(k.initializers.Initializer):  # type: ignore[misc, name-defined]
        def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> Any:
            return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 100

        def get_config(self) -> dict[str, Any]:
            return {}

    class Heavy(k.regularizers.Regularizer):  # type: ignore[misc, name-defined]
        def __call__(self, x: Any) -> Any:
            return tf.reduce_sum(x)

        def get_config(self) -> dict[str, Any]:
            return {}

    class Light(k.constraints.Constraint):  # type: ignore[misc, name-defined]
        def __call__(self, w: Any) -> Any:
            return w

        def get_config(self) -> dict[str, Any]:
            return {}

    def head(k: Any, x: Any) -> Any:
        x = k.layers.GlobalAveragePooling2D()(x)
        options = {"kernel_initializer": Rising(), "kernel_regularizer": Heavy(), "bias_constraint": Light()}
        return k.layers.Dense(3, activation="softmax", activity_regularizer=Heavy(), **options)(x)

    return small(k, head=head)


@pytest.mark.parametrize(("library", "name"), FILES)
@pytest.mark.parametrize("make", [compiled, compiled_within, regularized])
def test_read_without_what_training_needs(tmp_path: Path, library: Any, name: str, make: Callable[[Any], Any]) -> None:
    model = make(library)
    model.save(tmp_path / name)
    before = _contents(tmp_path / name)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    assert np.allclose(read(tmp_path / name).predict(pixels), np.asarray(model(pixels)), atol=1e-5)
    assert _contents(tmp_path / name) == before


def _contents(path: Path) -> list[bytes]:
    return [file.read_bytes() for file in ([path] if path.is_file() else sorted(path.rglob("*"))) if file.is_file()]


def test_a_class_of_the_users_around_the_network_is_refused(tmp_path: Path) -> None:
    """It may compute anything; the hint says how to save the network without it."""

    class Trainer(keras.Model):  # type: ignore[misc, name-defined]
        pass

    inner = models.densenet()
    Trainer(inner.inputs, inner.outputs).save(tmp_path / "model.keras")
    with pytest.raises(EdgedenseError, match=r"custom object 'Trainer'.*keras.Model\(model.inputs, model.outputs\)"):
        read(tmp_path / "model.keras")


def layers_of(path: Path) -> Any:
    return json.loads(zipfile.ZipFile(path).read("config.json"))


def test_a_plain_description_is_left_as_it_is(tmp_path: Path) -> None:
    """Then the file need not be copied: the very same object comes back."""
    model = models.densenet()
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    layers = layers_of(tmp_path / "model.keras")
    assert layers.pop("compile_config")["loss"] == "mse"  # of the whole model, which Keras is told not to look at
    assert description.without_training(layers, keras) is layers


def test_what_keras_knows_is_kept() -> None:
    known = {"class_name": "GlorotUniform", "config": {"seed": None}, "module": "keras.initializers"}
    layer = {"class_name": "Dense", "config": {"kernel_initializer": known, "kernel_regularizer": "l2", "units": 3}}
    assert description.without_training([layer], keras) == [layer]


def test_what_keras_does_not_know_is_left_out() -> None:
    config = {"kernel_initializer": "mine", "bias_regularizer": {"class_name": "Mine", "config": {}}, "units": 3}
    layer = {"class_name": "Dense", "config": config, "compile_config": {"loss": "mine"}}
    assert description.without_training([layer], keras) == [
        {"class_name": "Dense", "config": {"kernel_initializer": "zeros", "bias_regularizer": None, "units": 3}}
    ]
