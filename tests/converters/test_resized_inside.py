"""A model that cuts and resizes its pictures itself: the deployed file does it outside, the same on every side."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedense.cli import app
from edgedense.converters import explain as converted_explain
from edgedense.converters.conversion import Conversion
from edgedense.converters.options import Options
from edgedense.converters.pipeline import convert
from edgedense.converters.slimming import Slimming
from edgedense.deployed import bundle
from edgedense.device import explain as device_explain
from edgedense.device.classifier import Classifier
from edgedense.images import steps
from edgedense.images.preprocessing import Preprocessing, load_image
from edgedense.images.steps import Crop, Resample, Window
from tests import models
from tests.pictures import fill

keras = pytest.importorskip("keras")

# int8 noise on a softmax (see test_pipeline), which half a level in 255 of the input does not add to.
CLOSE = 0.03
QUICK = Options(
    calibration_images=12, golden_images=2, explain=True, ranges="minmax", headroom=1.0, force=True, preprocess="none"
)
STEPS = (Crop(0, 8, 48, 48), Resample(32, 32, "bilinear"))


def inside(k: Any, x: Any) -> Any:
    """The middle of 48x64, resized to 32x32, then scaled."""
    return k.layers.Rescaling(1 / 64, -2)(k.layers.Resizing(32, 32, crop_to_aspect_ratio=True)(x))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("resized")
    for number in range(5):
        fill(root / "pictures" / f"class{number}", 4, seed=number)
    models.densenet(size=(48, 64), before=inside).save(root / "model.keras")
    return root


@pytest.fixture(scope="module")
def conversion(folder: Path) -> Conversion:
    made = convert(folder / "model.keras", folder / "pictures", None, QUICK)
    (folder / "model.tflite").write_bytes(made.data)
    return made


def paths(folder: Path) -> list[Path]:
    return sorted((folder / "pictures").rglob("*.png"))


def test_the_recipe_has_the_steps(conversion: Conversion) -> None:
    found = bundle.parse(conversion.data).preprocessing
    assert found == Preprocessing(48, 64, "none", steps=STEPS)
    assert found.size == (32, 32)
    assert found.window((64, 96)) == Window(0, 0.125, 1, 0.875)


def test_the_user_is_told(conversion: Conversion) -> None:
    told = [note for note in conversion.notes if "inside of it" in note]
    assert told == [
        "the model takes 48x64 pixels, and they are cut to 48x48, resized to 32x32 (bilinear) inside of it: the file's "
        "preprocessing does the same, and rounds to whole levels"
    ]


def test_the_network_is_read_exactly(conversion: Conversion) -> None:
    """The step "read" compares with Keras on what Keras takes, before anything is rounded."""
    assert conversion.steps[0].error < 1e-5
    assert conversion.outcome.pictures.pixels.shape[1:] == (32, 32, 3)


def test_the_deployed_file_says_what_keras_says(folder: Path, conversion: Conversion) -> None:
    model = keras.saving.load_model(folder / "model.keras")
    with Classifier(folder / "model.tflite") as classifier:
        p = classifier.preprocessing
        own = np.stack([load_image(path, Preprocessing(48, 64, "none")) for path in paths(folder)])
        expected = model.predict(own.astype(np.float32), verbose=0)
        found = np.stack([classifier.classify(load_image(path, p)) for path in paths(folder)])
    assert np.abs(found - expected).max() < CLOSE
    assert (found.argmax(1) == expected.argmax(1)).all()


def test_the_scores_to_keep_are_those_of_keras_on_what_it_takes(folder: Path, conversion: Conversion) -> None:
    model = keras.saving.load_model(folder / "model.keras")
    own = np.stack([load_image(path, Preprocessing(48, 64, "none")) for path in conversion.outcome.pictures.paths])
    expected = model.predict(own.astype(np.float32), verbose=0)
    np.testing.assert_allclose(conversion.outcome.before, expected, atol=1e-5)  # float32, traced differently


def test_validate_gives_each_model_its_own(
    folder: Path, conversion: Conversion, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed, pictures, model = folder / "model.tflite", folder / "pictures", folder / "model.keras"
    arguments = ["validate", deployed, "--data", pictures, "--reference", model, "--json"]
    app([str(argument) for argument in arguments], standalone_mode=False)
    drift = json.loads(capsys.readouterr().out)["drift"]
    assert drift["kl_mean"] < 0.01
    assert drift["agreement"] == 1


@pytest.mark.slow
def test_the_gate_is_kept_on_labelled_pictures(folder: Path) -> None:
    labels = tuple(f"class{number}" for number in range(5))
    made = convert(
        folder / "model.keras", folder / "pictures", labels, replace(QUICK, max_drop=30.0), folder / "pictures"
    )
    assert made.trials[-1].drop <= 30


@pytest.mark.slow
def test_pruning_goes_on_behind_the_steps(folder: Path) -> None:
    made = convert(
        folder / "model.keras", folder / "pictures", None, replace(QUICK, slimming=Slimming(prune_channels=0.1))
    )
    assert bundle.parse(made.data).preprocessing == Preprocessing(48, 64, "none", steps=STEPS)
    assert len(made.stages) == 2


def test_heatmaps_lie_over_what_the_model_saw(folder: Path, conversion: Conversion) -> None:
    first = paths(folder)[:1]
    seen = np.asarray(Image.open(first[0]))
    seen = seen[:, round(0.125 * seen.shape[1]) : round(0.875 * seen.shape[1])]
    with Classifier(folder / "model.tflite") as classifier:
        (on_device,) = device_explain.explain(classifier, first)
    model = converted_explain.read(folder / "model.keras", preprocess="none")
    (by_graph,) = converted_explain.explain(model, first)
    np.testing.assert_array_equal(on_device.picture, seen)
    np.testing.assert_array_equal(by_graph.picture, seen)
    assert on_device.heats[0].label.removeprefix("class") == by_graph.heats[0].label


def test_rounding_costs_at_most_half_a_level(folder: Path) -> None:
    p = Preprocessing(48, 64, "none", steps=STEPS)
    model = keras.saving.load_model(folder / "model.keras")
    resizing = next(layer for layer in model.layers if "resizing" in layer.name)
    for path in paths(folder):
        own = load_image(path, Preprocessing(48, 64, "none")).astype(np.float32)
        expected = np.asarray(resizing(own))
        assert np.abs(load_image(path, p) - expected).max() <= 0.5 + 1e-3  # float32 in another order
        np.testing.assert_allclose(steps.apply(own, p.steps), expected, atol=1e-3)
