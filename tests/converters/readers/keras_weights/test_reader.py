"""Weights that Keras saved without layers: the scores are those of the model that saved them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import Flatten
from edgedense.converters.opening import Opening
from edgedense.converters.readers import door
from edgedense.converters.readers.keras_weights import reader
from edgedense.converters.readers.scores import settled
from edgedense.converters.readers.summary import summarize
from edgedense.errors import EdgedenseError
from tests import models

SIZE = (32, 32)
IMAGES = np.random.default_rng(0).normal(0, 1, (3, *SIZE, 3)).astype(np.float32)
OPENING = Opening(SIZE, architecture="2,2")


def flattened(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(5, activation="softmax")(keras.layers.Flatten()(x))


def saved(model: Any, path: Path) -> Path:
    model.save_weights(path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(models.densenet(), tmp_path_factory.mktemp("weights") / "w.weights.h5")


NESTED = (models.nested, Opening(SIZE, head_activation="relu", architecture="2,2"), "sigmoid")


@pytest.mark.parametrize(
    ("make", "opening", "activation", "keras", "name"),
    [
        (models.densenet, OPENING, "softmax", "keras", "w.weights.h5"),
        (partial(models.densenet, head=flattened), OPENING, "softmax", "keras", "w.weights.h5"),
        (*NESTED, "keras", "w.weights.h5"),
        (*NESTED, "tf_keras", "w.weights.h5"),
        (*NESTED, "tf_keras", "w.h5"),
        (models.densenet, OPENING, "softmax", "tf_keras", "w.h5"),
    ],
)
def test_scores_are_the_models(
    tmp_path: Path, make: Callable[..., Any], opening: Opening, activation: Any, keras: str, name: str
) -> None:
    model = make(__import__(keras))
    source, _ = settled(door.read(saved(model, tmp_path / name), opening), activation)
    pixels = IMAGES if source.outside else IMAGES * 127.5 + 127.5  # models.nested rescales inside
    # float32 in another order
    np.testing.assert_allclose(source.predict(IMAGES), model(pixels, training=False), rtol=1e-4, atol=1e-6)
    assert sum(source.parameters.values()) == model.count_params() == summarize(source).parameters
    assert (source.name, source.size, source.normalized) == (name, SIZE, False)


@pytest.mark.parametrize(("keras", "name"), [("keras", "w.weights.h5"), ("tf_keras", "w.h5")])
def test_a_last_norm_without_relu(tmp_path: Path, keras: str, name: str) -> None:
    """As Keras' DenseNets were before Keras 2.2.3."""

    def body(k: Any, x: Any) -> Any:
        """models.body, of which the last ReLU is left out."""
        return models.body(k, x)._keras_history[0].input

    model = models.densenet(__import__(keras), body=body)
    source, _ = settled(door.read(saved(model, tmp_path / name), OPENING), "softmax")
    assert source.network.head.norm is None
    np.testing.assert_allclose(source.predict(IMAGES), model(IMAGES, training=False), rtol=1e-4, atol=1e-6)
    assert sum(source.parameters.values()) == model.count_params() == summarize(source).parameters


def test_a_head_on_all_positions_is_told_by_its_shape(tmp_path: Path) -> None:
    source = door.read(saved(models.densenet(head=flattened), tmp_path / "w.weights.h5"), OPENING)
    assert isinstance(source.network.head.steps[0], Flatten)
    with pytest.raises(EdgedenseError, match="480 to 5"):
        door.read(tmp_path / "w.weights.h5", Opening((64, 64), architecture="2,2"))


def test_a_normalization_without_numbers_is_asked_for(tmp_path: Path) -> None:
    source = door.read(
        saved(models.nested(), tmp_path / "w.weights.h5"), Opening(SIZE, head_activation="relu", architecture="2,2")
    )
    assert source.outside is None
    with pytest.raises(EdgedenseError, match="--preprocess"):
        source.normalization()
    assert source.normalization("rescale") == "rescale"


def test_what_weights_do_not_say_is_asked_for(weights: Path) -> None:
    with pytest.raises(EdgedenseError, match="--architecture 2,2, if"):
        door.read(weights, Opening(SIZE))
    with pytest.raises(EdgedenseError, match="--input-size"):
        door.read(str(weights), Opening(architecture="2,2"))
    with pytest.raises(EdgedenseError, match="--activation softmax"):
        settled(door.read(weights, OPENING))
    assert door.read(weights, OPENING).normalization() == "densenet"


def test_options_of_whole_models_are_refused(weights: Path) -> None:
    with pytest.raises(EdgedenseError, match="a whole Keras model for --output and --trust-model; found weights alone"):
        door.read(weights, replace(OPENING, output="age", trust=True))


def test_the_file_is_known_again(weights: Path, tmp_path: Path) -> None:
    first = door.read(weights, OPENING)
    again = tmp_path / "again.h5"
    again.write_bytes(weights.read_bytes())
    assert door.read(again, OPENING).sha256 == first.sha256
    assert door.read(saved(models.densenet(seed=1), tmp_path / "w.weights.h5"), OPENING).sha256 != first.sha256


def test_a_file_that_says_its_layers_needs_no_architecture(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    models.densenet().save(path)
    for opening in (OPENING, Opening(head_activation="relu")):
        with pytest.raises(EdgedenseError, match="holds weights alone for --"):
            door.read(path, opening)


def test_the_backbone_alone(weights: Path, tmp_path: Path) -> None:
    """A file without head, as Keras offers them for download."""
    whole = reader.backbone(weights, "2,2")
    model = models.densenet()
    headless = type(model)(model.input, model.layers[-3].output)
    found = reader.backbone(saved(headless, tmp_path / "notop.weights.h5"), "2,2")
    assert len(whole.convs) == len(found.convs) == 10
    assert all((a == b).all() for a, b in zip(whole.convs, found.convs, strict=True))
    assert (found.norms[0][2] == model.layers[3].get_weights()[2]).all()
