"""Whole conversions of models that take one channel, and of RGB models for pictures that have one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgedense
from edgedense.converters import pipeline
from edgedense.converters.conversion import Conversion
from edgedense.converters.opening import Opening
from edgedense.converters.options import Options, Resizing
from edgedense.converters.passes.rewriting import GREY_TOLERANCE
from edgedense.deployed import bundle
from edgedense.device.classifier import Classifier
from edgedense.device.engines.contents import contents
from edgedense.device.engines.replay import replay
from edgedense.device.explain import explain
from edgedense.device.monitor.samples import measure
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing, load_image, prepare
from tests import models
from tests.converters.test_pipeline import CLOSE
from tests.pictures import fill

keras = pytest.importorskip("keras")
SIZE = (32, 32)


def own_means(k: Any, x: Any) -> Any:
    """One channel repeated, and each copy normalized by numbers of its own: a border for each of them."""
    return k.layers.Rescaling([0.017, 0.018, 0.0175], [-2.1, -2.0, -1.8])(k.layers.Concatenate()([x, x, x]))


def convolved(k: Any, x: Any) -> Any:
    """As people make three channels of one in front of a pre-trained network."""
    return k.layers.Conv2D(3, 3, padding="same", activation="relu")(x)


def ours(before: models.Head = lambda k, x: x, channels: int = 1) -> Any:
    return models.densenet(size=SIZE, before=before, channels=channels)


def options(channels: Any = 3, **more: Any) -> Options:
    chosen = {"preprocess": "rescale", "ranges": "minmax", "headroom": 1.0, **more}
    return Options(opening=Opening(channels=channels), resizing=Resizing("nearest"), **chosen)


@dataclass(frozen=True)
class Made:
    """A model, and the file that was made of it."""

    model: Path
    file: Path
    conversion: Conversion

    def scores(self, paths: list[Path]) -> np.ndarray:
        with Classifier(self.file) as classifier:
            return np.stack([classifier.classify(load_image(path, classifier.preprocessing)) for path in paths])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("photos"), 12)


def make(folder: Path, photos: Path, model: Any, chosen: Options) -> Made:
    model.save(folder / "model.keras")
    made = Made(
        folder / "model.keras",
        folder / "model.tflite",
        pipeline.convert(folder / "model.keras", photos, ("a", "b", "c", "d", "e"), chosen),
    )
    made.conversion.save(made.file)
    return made


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Made:
    """A file of one channel, with everything that a file may carry."""
    folder = tmp_path_factory.mktemp("grey")
    return make(folder, photos, ours(), options(1, explain=True, golden_images=2))


def by_keras(model: Any, photos: Path, scale: float = 1 / 255) -> np.ndarray:
    """What Keras says of its own grey pictures."""
    from keras.utils import img_to_array, load_img

    def loaded(path: Path) -> Any:
        return img_to_array(load_img(path, color_mode="grayscale", target_size=SIZE, interpolation="nearest"))

    pictures = np.stack([loaded(path) for path in sorted(photos.iterdir())])
    return np.asarray(keras.models.load_model(model, compile=False)(pictures * scale, training=False))


@pytest.mark.parametrize(
    ("before", "chosen", "rounded"),
    [
        pytest.param(lambda k, x: x, options(), False, id="RGB"),
        pytest.param(own_means, options(preprocess="none"), True, id="RGB for copies with means of their own"),
        pytest.param(convolved, options(), False, id="RGB for a 3x3 convolution", marks=pytest.mark.slow),
        pytest.param(own_means, options(1, preprocess="none"), False, id="one channel", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_file_says_what_keras_says(
    tmp_path: Path, photos: Path, before: models.Head, chosen: Options, rounded: bool
) -> None:
    made = make(tmp_path, photos, ours(before), chosen)
    wanted = by_keras(made.model, photos, 1 if chosen.preprocess == "none" else 1 / 255)
    found = made.scores(sorted(photos.iterdir()))
    assert np.abs(found - wanted).max() < CLOSE
    steps = {step.name: step.error for step in made.conversion.steps}
    assert ("round_grey" in steps) == rounded
    assert steps.get("round_grey", 0.0) < GREY_TOLERANCE
    makes_grey = "makes RGB pictures grey" in "".join(made.conversion.notes)
    assert makes_grey == (chosen.opening.channels == 3)


def test_a_file_of_one_channel_says_what_keras_says(grey: Made, photos: Path) -> None:
    assert np.abs(grey.scores(sorted(photos.iterdir())) - by_keras(grey.model, photos)).max() < CLOSE


def test_its_input_and_its_recipe_have_one_channel(grey: Made) -> None:
    assert contents(grey.file.read_bytes()).inputs[0].shape == (1, *SIZE, 1)
    assert grey.conversion.recipe["preprocessing"]["channels"] == 1
    assert "channel" not in "".join(grey.conversion.notes)
    with Classifier(grey.file) as classifier:
        assert classifier.preprocessing == Preprocessing(*SIZE, "rescale", "nearest", channels=1)
        with pytest.raises(EdgedenseError, match=r"a uint8 image \[32, 32, 1\].*\[32, 32, 3\]"):
            classifier.classify(np.zeros((*SIZE, 3), np.uint8))


def test_grey_pictures_of_8_and_16_bits_and_in_rgb_are_the_same(grey: Made, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, SIZE).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "grey.png")
    Image.fromarray(np.uint16(levels) << 8).save(tmp_path / "sixteen.png")
    Image.fromarray(np.repeat(levels[:, :, None], 3, axis=2)).save(tmp_path / "rgb.png")
    one, two, three = grey.scores([tmp_path / name for name in ("grey.png", "sixteen.png", "rgb.png")])
    assert one.tolist() == two.tolist() == three.tolist()


def test_golden_samples_replay(grey: Made) -> None:
    assert replay(grey.file).bit_equal


def test_validation_against_keras_and_the_noise_of_layers(grey: Made, photos: Path) -> None:
    pairs = [(path, "a") for path in sorted(photos.iterdir())]
    report = edgedense.validate(grey.file, pairs, reference=grey.model, layer_noise=True, threads=1)
    assert report.drift.agreement == 1  # type: ignore[union-attr]
    assert min(level for _, level in report.layer_noise) > 10  # type: ignore[union-attr]


def test_heatmaps_of_device_and_keras_agree(grey: Made, photos: Path) -> None:
    from edgedense.converters import explain as by_the_model

    path = min(photos.iterdir())
    with Classifier(grey.file) as classifier:
        (here,) = explain(classifier, [path], ("b",))
    model = by_the_model.read(grey.model, None, "rescale", Resizing("nearest"), Opening(channels=1))
    (there,) = by_the_model.explain(model, [path], ("1",))
    assert here.picture.shape == there.picture.shape == (50, 60, 3)  # as people see it
    assert np.corrcoef(here.heats[0].values.ravel(), there.heats[0].values.ravel())[0, 1] > 0.95


def test_a_camera_frame_is_made_grey(grey: Made) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 44, 3)).astype(np.uint8)
    with Classifier(grey.file) as classifier:
        pixels = prepare(frame, classifier.preprocessing)
        scores = classifier.classify(pixels)
    assert pixels.shape == (*SIZE, 1)
    assert measure(scores, pixels)[0][3] == 0  # the monitor sees no colour


def test_an_rgb_model_for_grey_pictures(tmp_path: Path, photos: Path) -> None:
    """Pixels are repeated, and each copy is normalized by its colour's mean."""
    made = make(tmp_path, photos, ours(channels=3), options(1, preprocess="densenet"))
    assert contents(made.conversion.data).inputs[0].shape == (1, *SIZE, 1)
    assert made.conversion.figures["calibration_agreement"] == 1
    assert "it gets the file's one channel three times" in "".join(made.conversion.notes)


@pytest.mark.slow
def test_for_an_edge_tpu(tmp_path: Path, photos: Path) -> None:
    """`edgetpu.check` refuses what does not run on one."""
    chosen = options(1, preprocess="none", target="coral")
    made = make(tmp_path, photos, ours(own_means), chosen)
    assert bundle.parse(made.conversion.data).recipe["options"]["target"] == "coral"
