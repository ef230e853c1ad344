"""Probabilities from a model that ends in plain logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.keras.reader import Source
from edgedense.converters.readers.probabilities import with_probabilities
from edgedense.converters.readers.reference import reference
from edgedense.images.preprocessing import Preprocessing
from tests import models
from tests import reference as float64

keras = pytest.importorskip("keras")


def head(outputs: int, activation: str | None) -> models.Head:
    def apply(k: Any, x: Any) -> Any:
        return k.layers.Dense(outputs, activation=activation)(k.layers.GlobalAveragePooling2D()(x))

    return apply


def read(path: Path, outputs: int, activation: str | None) -> Source:
    models.densenet(head=head(outputs, activation)).save(path)
    return keras_reader.read(path)


@pytest.mark.parametrize(("outputs", "kind"), [(3, "softmax"), (1, "sigmoid")])
def test_the_activation_is_added_to_network_and_reference_alike(tmp_path: Path, outputs: int, kind: str) -> None:
    plain = read(tmp_path / "model.keras", outputs, None)
    source, notes = with_probabilities(plain)
    assert source.network.head.steps[-1] == Activation(kind)
    assert len(notes) == 1
    assert kind in notes[0]
    images = np.random.default_rng(0).normal(0, 2, (4, 32, 32, 3)).astype(np.float32)
    scores = source.predict(images)
    assert scores == pytest.approx(float64.scores(source.network, images), abs=1e-5)  # float32 through 20 layers
    assert (scores > 0).all()
    assert (scores < 1).all()
    assert source.logits(images).tolist() == plain.logits(images).tolist()
    model, _ = reference(tmp_path / "model.keras", Preprocessing(32, 32, "rescale"))
    pixels = np.arange(2 * 32 * 32 * 3).reshape(2, 32, 32, 3).astype(np.uint8)
    assert model.predict(pixels) == pytest.approx(source.predict(pixels.astype(np.float32) / np.float32(255)))


def test_a_model_with_an_activation_is_left_alone(tmp_path: Path) -> None:
    source = read(tmp_path / "model.keras", 3, "softmax")
    assert with_probabilities(source) == (source, ())
