"""`validate --reference`: a deployed file beside the Keras model that it was made from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense import cli
from edgedense.deployed import golden
from edgedense.errors import GateError
from tests import models

keras = pytest.importorskip("keras")

SIZE = 32
CLASSES = ("ape", "bee", "cow", "dog", "elk")


def call(*arguments: object) -> None:
    cli.app([str(a) for a in arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(deployed file, Keras model, pictures): an untrained network, so that only agreement means something."""
    folder = tmp_path_factory.mktemp("reference")
    models.densenet(size=(SIZE, SIZE)).save(folder / "model.keras")
    pictures = golden.probes(5, 40, SIZE, SIZE)
    for i, picture in enumerate(pictures):
        place = folder / "data" / CLASSES[i % len(CLASSES)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{i}.png")
    call(
        "convert",
        folder / "model.keras",
        "--calibration",
        folder / "data",
        "--out",
        folder / "model.tflite",
        "--ranges",
        "minmax",
        "--headroom",
        1,
        "--force",
    )
    return folder / "model.tflite", folder / "model.keras", folder / "data"


def test_the_reference_gets_the_same_pixels(files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    deployed, model, data = files
    call("validate", deployed, "--data", data, "--reference", model, "--json", "--max-drop", 100)
    out, err = capsys.readouterr()
    drift = json.loads(out)["drift"]
    assert drift["before"]["model"] == "model.keras"
    assert drift["agreement"] > 0.8
    assert drift["kl_mean"] < 0.01  # int8 noise; pixels normalized twice or not at all give far more
    assert "another source" not in err


def test_another_reference_is_noticed(
    files: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed, _, data = files
    models.densenet(size=(SIZE, SIZE), seed=9).save(tmp_path / "other.keras")
    call("validate", deployed, "--data", data, "--reference", tmp_path / "other.keras", "--json")
    out, err = capsys.readouterr()
    assert "another source" in err
    assert json.loads(out)["drift"]["kl_mean"] > 0.01


def test_the_page_shows_the_noise_of_each_layer_and_the_gate_may_fail(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    deployed, model, data = files
    page = tmp_path / "report.html"
    with pytest.raises(GateError):  # -100: asks for a gain that is not there
        call("validate", deployed, "--data", data, "--reference", model, "--max-drop", -100, "--report", page)
    assert "Noise, layer by layer" in page.read_text()
    assert "gate failed" in page.read_text()


def test_golden_samples_of_a_converted_file_replay(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    call("validate", files[0], "--json")
    assert json.loads(capsys.readouterr().out)["bit_equal"]


@pytest.mark.slow
def test_predictions_are_normalized_as_the_recipe_says(files: tuple[Path, Path, Path]) -> None:
    from edgedense.converters.readers.reference import reference
    from edgedense.images.preprocessing import Preprocessing

    pixels = golden.probes(1, 4, SIZE, SIZE)
    loaded = keras.saving.load_model(files[1])
    found = {}
    for normalize in ("densenet", "rescale", "none"):
        model, _ = reference(files[1], Preprocessing(SIZE, SIZE, normalize))
        found[normalize] = np.asarray(model.predict(pixels))
    densenet = keras.applications.densenet.preprocess_input(pixels.astype(np.float32))
    for name, batch in (("densenet", densenet), ("rescale", pixels / np.float32(255)), ("none", pixels)):
        # Probabilities of float32 networks that were traced differently: the last bits differ.
        np.testing.assert_allclose(found[name], loaded.predict(batch.astype(np.float32), verbose=0), atol=1e-5)
