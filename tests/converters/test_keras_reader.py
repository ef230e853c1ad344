"""Every kind of MODEL: the graph that is read computes Keras' own logits, and what is no DenseNet is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.graph import DenseNet
from edgedense.converters.keras_reader import Source, read
from edgedense.errors import EdgedenseError
from tests import models, reference

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")

# Keras computes in float32 (relative rounding 6e-8) through some 30 layers here; the graph in float64.
TOLERANCE = 1e-5


def pixels(network: DenseNet, seed: int = 1) -> np.ndarray:
    """Three images of random pixels, 0 to 255."""
    return (
        np.random.default_rng(seed).integers(0, 256, (3, network.height, network.width, 3)).astype(np.float32)
    )


def agree(source: Source, images: np.ndarray | None = None) -> None:
    """Graph and Keras give the same logits and scores, and Keras' parameters are all counted."""
    images = pixels(source.network) if images is None else images
    wanted = source.logits(images)
    assert reference.relative_error(reference.logits(source.network, images), wanted) < TOLERANCE
    assert np.allclose(reference.scores(source.network, images), source.predict(images), atol=1e-5)
    assert sum(source.parameters.values()) == source.reference.model.count_params()


def saved(model: Any, folder: Path, name: str = "model.keras") -> Path:
    model.save(folder / name)
    return folder / name


def read_back(model: Any, folder: Path, name: str = "model.keras", **options: Any) -> Source:
    source = read(saved(model, folder, name), **options)
    assert np.allclose(
        model.predict(pixels(source.network), verbose=0), source.predict(pixels(source.network)), atol=1e-5
    )
    return source


def refused(
    model: Any, folder: Path, *words: str, name: str = "model.keras", **options: Any
) -> EdgedenseError:
    path = saved(model, folder, name)
    with pytest.raises(EdgedenseError) as caught:
        read(path, **options)
    for word in words:
        assert word in str(caught.value)
    return caught.value


class TestFiles:
    def test_keras_file(self, tmp_path: Path) -> None:
        source = read_back(models.densenet(), tmp_path)
        agree(source)
        assert (source.name, source.normalized) == ("model.keras", False)
        assert [len(block.layers) for block in source.network.blocks] == [2, 2]
        assert np.all(source.network.normalization.scale == 1)
        assert np.all(source.network.normalization.shift == 0)
        assert source.network.classes == 5

    @pytest.mark.parametrize("name", ["model.h5", "model.keras", "saved_model"])
    @pytest.mark.parametrize("make", [models.densenet, models.nested])
    def test_what_keras_2_wrote(self, tmp_path: Path, name: str, make: Callable[..., Any]) -> None:
        agree(read_back(make(tf_keras), tmp_path, name))

    @pytest.mark.parametrize("make", [models.densenet, models.nested, models.hostile])
    def test_h5_that_keras_3_wrote(self, tmp_path: Path, make: Callable[..., Any]) -> None:
        agree(read_back(make(), tmp_path, "model.h5"))

    def test_hdf5_named_keras_as_early_keras_2_wrote_it(self, tmp_path: Path) -> None:
        path = saved(models.densenet(tf_keras), tmp_path, "model.h5").rename(tmp_path / "model.keras")
        agree(read(path))
