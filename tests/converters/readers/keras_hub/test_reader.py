"""A classifier of keras-hub, read without keras-hub: the scores are the model's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.opening import Opening
from edgedense.converters.readers import door
from edgedense.converters.readers.scores import settled
from edgedense.errors import EdgedenseError
from tests import hub

CLOSE = {"rtol": 1e-4, "atol": 1e-6}  # float32 in another order


# "same" has another border for odd sizes, in the stem and in the pooling behind it.
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (46, 35)])
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_scores_are_the_models(tmp_path: Path, size: tuple[int, int], pooling: str) -> None:
    model = hub.classifier(size, pooling)
    model.save(tmp_path / "m.keras")
    images = np.random.default_rng(0).normal(0, 1, (2, *size, 3)).astype(np.float32)
    source = door.read(tmp_path / "m.keras", Opening())
    np.testing.assert_allclose(source.predict(images), model(images, training=False), **CLOSE)
    assert (source.size, source.trained_size, source.outside) == (size, size, None)
    assert sum(source.parameters.values()) == model.count_params()
    assert settled(source) == (settled(source)[0], ())


def test_the_preprocessors_normalization_is_the_models(tmp_path: Path) -> None:
    said = hub.preprocessor(image_size=[32, 32], scale=0.02, offset=[-2.0, -1.0, -1.5])
    model = hub.classifier((None, None), described=said)
    model.save(tmp_path / "m.keras")
    source = door.read(tmp_path / "m.keras", Opening())
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(
        source.predict(pixels), model(pixels * 0.02 + said_offset(said), training=False), **CLOSE
    )
    assert source.normalized
    assert source.normalization() == "none"
    (note,) = settled(source)[1]
    assert "--fit crop --resize bilinear" in note


def said_offset(said: dict) -> np.ndarray:
    return np.array(said["config"]["image_converter"]["config"]["offset"], np.float32)


def test_logits_have_the_activation_of_the_loss(tmp_path: Path) -> None:
    import keras

    model = hub.classifier(activation=None)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.save(tmp_path / "m.keras")
    assert settled(door.read(tmp_path / "m.keras", Opening()))[0].activation == "softmax"


def test_its_weights_alone_are_padded_as_it_pads(tmp_path: Path) -> None:
    model = hub.classifier()
    model.save_weights(tmp_path / "m.weights.h5")
    source, _ = settled(door.read(tmp_path / "m.weights.h5", Opening((32, 32), architecture="1,2")), "softmax")
    images = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(source.predict(images), model(images, training=False), **CLOSE)
    assert source.outside is None


def test_the_size_is_asked_for(tmp_path: Path) -> None:
    hub.classifier((None, None)).save(tmp_path / "m.keras")
    with pytest.raises(EdgedenseError, match="--input-size"):
        door.read(tmp_path / "m.keras", Opening())
    assert door.read(tmp_path / "m.keras", Opening((48, 64))).size == (48, 64)


def test_a_backbone_without_head_is_refused(tmp_path: Path) -> None:
    hub.classifier().backbone.save(tmp_path / "m.keras")
    with pytest.raises(EdgedenseError, match="found DenseNetBackbone"):
        door.read(tmp_path / "m.keras", Opening())


def test_a_backbone_inside_of_another_model_is_read_by_its_weights(tmp_path: Path) -> None:
    import keras

    from tests import models

    backbone = hub.classifier().backbone
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    model = models.randomized(keras.Sequential([keras.Input((32, 32, 3)), backbone, *head]), 1)
    model.save(tmp_path / "m.keras")
    with pytest.raises(EdgedenseError, match=r"model\.save_weights.*--architecture"):
        door.read(tmp_path / "m.keras", Opening())
    model.save_weights(tmp_path / "m.weights.h5")
    source, _ = settled(door.read(tmp_path / "m.weights.h5", Opening((32, 32), architecture="1,2")), "softmax")
    images = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(source.predict(images), model(images, training=False), **CLOSE)
