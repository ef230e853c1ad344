"""What a model's numbers are: its own activation, its loss's, or what a person says; never a guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation
from edgedense.converters.opening import Ending, Opening, recorded
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.reference import reference
from edgedense.converters.readers.scores import settled
from edgedense.converters.readers.source import Loss, Source
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing
from tests import models
from tests import reference as float64

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
# Keras 2 calls HDF5 a legacy format when it writes it. Users have such files, so they are tested.
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")


def model(outputs: int, activation: str | None, k: Any = None) -> Any:
    def head(k: Any, x: Any) -> Any:
        return k.layers.Dense(outputs, activation=activation)(k.layers.GlobalAveragePooling2D()(x))

    return models.densenet(k, head=head, body=lambda k, x: models.body(k, x, (1, 1)))


def read(path: Path, outputs: int, activation: str | None) -> Source:
    model(outputs, activation).save(path)
    return keras_reader.read(path)


def images() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, (4, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize(("outputs", "kind"), [(3, "softmax"), (1, "sigmoid"), (3, "sigmoid")])
def test_what_a_person_says_is_added_to_network_and_reference_alike(tmp_path: Path, outputs: int, kind: Ending) -> None:
    plain = read(tmp_path / "model.keras", outputs, None)
    source, (note,) = settled(plain, kind)
    assert source.network.head.steps[-1] == Activation(kind)  # type: ignore[arg-type]
    assert source.activation == kind
    assert f"{kind} was added, as you said" in note
    scores = source.predict(images())
    assert scores == pytest.approx(float64.scores(source.network, images()), abs=1e-5)  # float32 through 20 layers
    assert (scores > 0).all()
    assert (scores < 1).all()
    assert source.logits(images()).tolist() == plain.logits(images()).tolist()
    other, _ = reference(
        tmp_path / "model.keras", Preprocessing(32, 32, "rescale"), recorded({"activation": kind, "source": {}})
    )
    pixels = np.arange(2 * 32 * 32 * 3).reshape(2, 32, 32, 3).astype(np.uint8)
    assert other.predict(pixels) == pytest.approx(source.predict(pixels.astype(np.float32) / np.float32(255)))


def test_none_leaves_the_numbers_as_they_are(tmp_path: Path) -> None:
    plain = read(tmp_path / "model.keras", 1, None)
    source, notes = settled(plain, "none")
    assert (source.network, source.gives_values, notes) == (plain.network, True, ())
    assert source.predict(images()).tolist() == plain.predict(images()).tolist()


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("activation", [None, "linear", "relu", "tanh"])
def test_what_nothing_says_is_asked(tmp_path: Path, outputs: int, activation: str | None) -> None:
    source = read(tmp_path / "model.keras", outputs, activation)
    with pytest.raises(EdgedenseError, match=r"--activation sigmoid .*--activation none") as caught:
        settled(source)
    assert ("--activation softmax" in str(caught.value)) == (outputs > 1)
    assert ("behind" in str(caught.value)) == (activation in ("relu", "tanh"))
    assert settled(source, "none")[0].gives_values


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "saved_model"])
def test_the_loss_says_it(tmp_path: Path, name: str) -> None:
    """In every kind of file, without being executed."""
    k = tf_keras if name == "saved_model" else keras
    for outputs, loss, kind in (
        (1, k.losses.BinaryCrossentropy(from_logits=True), "sigmoid"),
        (3, k.losses.SparseCategoricalCrossentropy(from_logits=True), "softmax"),
    ):
        plain = model(outputs, None, k)
        plain.compile("sgd", loss)
        plain.save(tmp_path / f"{kind}_{name}")
        source, (note,) = settled(keras_reader.read(tmp_path / f"{kind}_{name}"))
        assert source.activation == kind
        assert f"its loss {type(loss).__name__} did in training" in note


def test_a_loss_that_applies_nothing_is_named_in_the_question(tmp_path: Path) -> None:
    plain = model(1, None)
    plain.compile("sgd", "mse")
    plain.save(tmp_path / "model.keras")
    with pytest.raises(EdgedenseError, match="one number without an activation with the loss mse"):
        settled(keras_reader.read(tmp_path / "model.keras"))


def test_a_person_knows_better_than_the_loss(tmp_path: Path) -> None:
    source = replace(read(tmp_path / "model.keras", 3, None), loss=Loss("CategoricalCrossentropy", "softmax"))
    assert settled(source, "sigmoid")[0].activation == "sigmoid"
    assert settled(source, "none")[0].gives_values


def test_a_model_with_an_activation_keeps_it(tmp_path: Path) -> None:
    source = read(tmp_path / "model.keras", 3, "softmax")
    for wanted in (None, "softmax"):
        found, notes = settled(source, wanted)  # type: ignore[arg-type]
        assert (found.network, found.activation, notes) == (source.network, "softmax", ())
    values, _ = settled(source, "none")  # such as shares that add up to one
    assert (values.network, values.gives_values) == (source.network, True)
    with pytest.raises(EdgedenseError, match="ends in softmax; found --activation sigmoid"):
        settled(source, "sigmoid")


def test_a_softmax_of_one_number_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="makes a single one always 1"):
        settled(read(tmp_path / "model.keras", 1, None), "softmax")


def test_the_recipe_says_how_to_open_the_model_again_but_never_to_trust_it() -> None:
    recipe = {"activation": "none", "source": {"output": "age", "trusted": True}}
    assert recorded(recipe, (8, 9)) == Opening((8, 9), False, "age", "none")
    assert recorded({"activation": "linear"}) == recorded({}) == Opening()
    given = Opening(output="age", head_activation="relu", architecture="6,12,24,16")
    assert recorded({"source": given.recipe}) == given
    assert Opening(trust=True).recipe == {"trusted": True}
    assert recorded({"source": {"head_activation": "code"}}) == Opening()
