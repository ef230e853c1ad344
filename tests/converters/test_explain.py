"""Grad-CAM from the graph is Grad-CAM of the Keras model; layers by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters import explain, features
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import load_image
from tests import models
from tests.pictures import fill

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

# float32 through some 40 operators of another order leaves 1e-6 of the largest value; gradients as much again.
CLOSE = 1e-4


def head(*widths: int, activation: str | None, pool: str = "GlobalAveragePooling2D") -> models.Head:
    def build(k: Any, x: Any) -> Any:
        x = getattr(k.layers, pool)()(x)
        for width in widths[:-1]:
            x = k.layers.Dense(width, activation="relu")(x)
        return k.layers.Dense(widths[-1], activation=activation)(x)

    return build


HEADS = {
    "softmax": head(5, activation="softmax"),
    "logits": head(5, activation=None),
    "several sigmoids": head(5, activation="sigmoid"),
    "binary": head(1, activation="sigmoid"),
    "hidden": head(16, 8, 4, activation="softmax"),
    "hidden binary": head(16, 1, activation="sigmoid"),
    "flatten": head(16, 4, activation="softmax", pool="Flatten"),
    "max": head(4, activation="softmax", pool="GlobalMaxPooling2D"),
}


def by_keras(model: Any, layer: Any, batch: np.ndarray, number: int) -> np.ndarray:
    """Grad-CAM [B, h, w] written down from the paper, on Keras' own layers: the model is cut in two behind `layer`."""
    last = model.layers[-1]
    before, last.activation = last.activation, keras.activations.linear
    try:
        values = keras.Model(model.input, layer.output)(batch)
        with tf.GradientTape() as tape:
            tape.watch(values)
            logits = keras.Model(layer.output, model.output)(values)
            target = logits[:, number] if logits.shape[1] > 1 else logits[:, 0] * (1 if number else -1)
        weights = tf.reduce_mean(tape.gradient(target, values), (1, 2))
    finally:
        last.activation = before
    return np.maximum(tf.reduce_sum(values * weights[:, None, None], -1), 0)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return sorted(fill(tmp_path / "pictures", 3).iterdir())


def saved(model: Any, folder: Path) -> Path:
    """The file of a model whose loss says what plain logits are; where it ends in an activation that counts."""
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.save(folder / "model.keras")
    return folder / "model.keras"


@pytest.mark.parametrize("name", HEADS)
def test_it_is_what_keras_computes(name: str, pictures: list[Path], tmp_path: Path) -> None:
    model = models.densenet(size=(64, 64), head=HEADS[name])
    opened = explain.read(saved(model, tmp_path), preprocess="rescale")
    batch = np.stack([load_image(path, opened.preprocessing) for path in pictures]) / np.float32(255)
    relu = [layer for layer in model.layers if type(layer).__name__ == "Activation"][-1]
    found = list(explain.explain(opened, pictures, opened.labels))
    largest = 0.0
    for number in range(len(opened.labels)):
        expected = by_keras(model, relu, batch, number)
        heats = np.stack([one.heats[number].values for one in found])
        assert np.abs(heats - expected).max() <= CLOSE * expected.max()
        largest = max(largest, float(expected.max()))
    assert largest > 0  # a class may have no evidence in a random model, but not all


def test_another_layer(pictures: list[Path], tmp_path: Path) -> None:
    model = models.densenet(size=(64, 64))
    opened = explain.read(saved(model, tmp_path), preprocess="rescale")
    batch = np.stack([load_image(path, opened.preprocessing) for path in pictures]) / np.float32(255)
    concat = [layer for layer in model.layers if type(layer).__name__ == "Concatenate"][-1]
    expected = by_keras(model, concat, batch, 2)
    found = np.stack([e.heats[0].values for e in explain.explain(opened, pictures, ["2"], "block2")])
    assert np.abs(found - expected).max() <= CLOSE * expected.max()
    last = np.stack([e.heats[0].values for e in explain.explain(opened, pictures, ["2"])])
    assert np.abs(found - last).max() > 0.01 * expected.max()


@pytest.fixture
def opened(tmp_path: Path) -> explain.Model:
    return explain.read(saved(models.densenet(size=(64, 64)), tmp_path), tuple("abcde"))


class TestClasses:
    def test_the_best_by_default(self, opened: explain.Model, pictures: list[Path]) -> None:
        for one in explain.explain(opened, pictures):
            (every,) = explain.explain(opened, [one.path], tuple("abcde"))
            scores = [heat.score for heat in every.heats]
            assert one.heats[0].score == pytest.approx(max(scores), rel=1e-4)
            assert one.heats[0].label == "abcde"[int(np.argmax(scores))]
            assert np.allclose(one.heats[0].values, every.heats[int(np.argmax(scores))].values, rtol=1e-3)

    def test_several_in_the_order_asked_for(self, opened: explain.Model, pictures: list[Path]) -> None:
        (one,) = explain.explain(opened, pictures[:1], ("d", "b"))
        assert [heat.label for heat in one.heats] == ["d", "b"]

    def test_unknown(self, opened: explain.Model, pictures: list[Path]) -> None:
        with pytest.raises(EdgedenseError, match="a class of the model"):
            list(explain.explain(opened, pictures, ("f",)))

    def test_both_of_a_single_output(self, pictures: list[Path], tmp_path: Path) -> None:
        """What speaks for one speaks against the other: no cell is in both heatmaps."""
        model = saved(models.densenet(size=(64, 64), head=HEADS["binary"]), tmp_path)
        opened = explain.read(model, ("ill", "well"))
        for one in explain.explain(opened, pictures, ("ill", "well")):
            ill, well = one.heats
            assert ill.score + well.score == pytest.approx(1)
            assert not (ill.values * well.values).any()


class TestLabels:
    def test_numbers_without_them(self, tmp_path: Path) -> None:
        opened = explain.read(saved(models.densenet(), tmp_path))
        assert opened.labels == ("0", "1", "2", "3", "4")
        assert any("--labels" in note for note in opened.notes)

    def test_too_few(self, tmp_path: Path) -> None:
        with pytest.raises(EdgedenseError, match="5 labels"):
            explain.read(saved(models.densenet(), tmp_path), ("a", "b"))


class TestLayers:
    @pytest.mark.parametrize(
        ("name", "tensor"),
        [
            (None, "head/norm"),
            ("last", "head/norm"),
            ("relu", "head/norm"),
            ("stem", "stem/conv"),
            ("block1", "block1/layer2/concat"),
            ("transition1", "transition1"),
            ("pool2_pool", "transition1"),
            ("conv3_block2_concat", "block2/layer2/concat"),
            ("conv2_block1_1_relu", "block1/layer1/bottleneck"),
            ("block1/layer1/growth", "block1/layer1/growth"),
            ("conv1_relu", "stem/conv"),
        ],
    )
    def test_by_name(self, opened: explain.Model, name: str | None, tensor: str) -> None:
        assert explain.tensor_of(opened.program, name) == tensor

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("block7", "block1"),
            ("conv9_block1_concat", "block1"),
            ("transitoin1", "transition1"),
            ("head/1_pool", "head/norm"),
            ("block1/layer1/grown", "block1/layer1/growth"),
            ("?", "transition1, block2"),
        ],
    )
    def test_unknown(self, opened: explain.Model, name: str, near: str) -> None:
        with pytest.raises(EdgedenseError, match="a layer that has a feature map") as caught:
            explain.tensor_of(opened.program, name)
        assert near in str(caught.value)

    def test_stages(self, opened: explain.Model) -> None:
        assert explain.stages(opened.program) == ("stem", "block1", "transition1", "block2", "last")


class TestFeatures:
    def test_of_every_stage(self, opened: explain.Model, pictures: list[Path]) -> None:
        found = list(features.feature_maps(opened, pictures))
        assert [one.path for one in found] == pictures
        assert [(name, values.shape) for name, values in found[0].maps] == [
            ("stem", (32, 32, 12)),
            ("block1", (16, 16, 28)),
            ("transition1", (8, 8, 14)),
            ("block2", (8, 8, 30)),
            ("last", (8, 8, 30)),
        ]
        assert not np.array_equal(found[0].maps[-1][1], found[1].maps[-1][1])

    def test_are_those_of_keras(self, pictures: list[Path], tmp_path: Path) -> None:
        model = models.densenet(size=(64, 64))
        opened = explain.read(saved(model, tmp_path), preprocess="rescale")
        batch = np.stack([load_image(path, opened.preprocessing) for path in pictures]) / np.float32(255)
        concat = [layer for layer in model.layers if type(layer).__name__ == "Concatenate"][1]
        expected = keras.Model(model.input, concat.output)(batch)
        found = np.stack([one.maps[0][1] for one in features.feature_maps(opened, pictures, ["block1"])])
        assert np.allclose(found, expected, atol=CLOSE * np.abs(expected).max())

    def test_a_sheet_shows_the_channels_that_vary(self, opened: explain.Model) -> None:
        values = np.zeros((8, 8, 30), np.float32)
        values[2, 3, 17] = 1
        one = features.Features(Path("p.jpg"), np.zeros((224, 224, 3), np.uint8), (("block1", values),))
        flat = features.Features(Path("p.jpg"), one.picture, (("block1", 0 * values),))
        (name, data), (_, other) = (next(features.files(f, "p")) for f in (one, flat))
        assert name == "p-features.png"
        assert data != other


def test_a_picture_that_is_none(opened: explain.Model, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_bytes(b"no")
    paths = [tmp_path / "no.jpg", *pictures]
    with pytest.raises(EdgedenseError, match="an image"):
        list(explain.explain(opened, paths))
    failures: list[EdgedenseError] = []
    tell: Callable[[EdgedenseError], None] = failures.append
    assert [one.path for one in explain.explain(opened, paths, unreadable=tell)] == pictures
    assert len(failures) == 1
