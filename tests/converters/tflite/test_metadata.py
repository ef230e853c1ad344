"""TFLite Model Metadata, as another tool reads it: MediaPipe opens the deployed file and says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgedense.converters import pipeline
from edgedense.converters.options import Options
from edgedense.converters.tflite import execute
from edgedense.converters.tflite.metadata import model_metadata
from edgedense.deployed.bundle import parse
from edgedense.files import sha256
from edgedense.images.preprocessing import load_image
from tests import models
from tests.pictures import fill
from tests.test_digits_example import EXAMPLE
from tests.test_digits_example import images as digits

keras = pytest.importorskip("keras")
QUICK = Options(ranges="minmax", headroom=1.0)
IMAGES = 50
MEDIAPIPE = "mediapipe==1.2.2"


@pytest.fixture(scope="module")
def reader(pytestconfig: pytest.Config) -> Path:
    """A Python that has MediaPipe, kept in pytest's cache.

    It is an environment of its own: MediaPipe wants absl-py 2, tensorflow-model-optimization absl-py 1.
    """
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir(f"{MEDIAPIPE}-python{sys.version_info.major}.{sys.version_info.minor}")
    python, installed = folder / "bin" / "python", folder / "installed"
    if not installed.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", MEDIAPIPE], check=True
        )
        installed.touch()
    loads = subprocess.run(
        [python, "-I", "-c", "from mediapipe.tasks.python import vision"], capture_output=True, text=True
    )
    if "cannot open shared object file" in loads.stderr:
        pytest.skip(f"mediapipe needs the system packages libgl1 and libegl1: {loads.stderr.splitlines()[-1]}")
    assert loads.returncode == 0, f"mediapipe ended with status {loads.returncode}: {loads.stderr}"
    return python


def classify(reader: Path, folder: Path, model: bytes, pixels: npt.NDArray[np.uint8]) -> list[list[dict[str, Any]]]:
    """MediaPipe's categories for each picture, best first."""
    (folder / "model.tflite").write_bytes(model)
    np.save(folder / "pixels.npy", pixels)
    script = Path(__file__).parents[2] / "classify_with_mediapipe.py"
    command = [reader, "-I", script, folder / "model.tflite", folder / "pixels.npy"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def agree(reader: Path, folder: Path, model: bytes, pixels: npt.NDArray[np.uint8]) -> None:
    """The same top-1 on all pictures, by label, and the same scores."""
    labels = parse(model).labels
    scores = execute.run(model, pixels)
    assert len({int(i) for i in scores.argmax(axis=1)}) > 1  # else labels could be in any order
    found = classify(reader, folder, model, pixels)
    assert [categories[0]["name"] for categories in found] == [labels[i] for i in scores.argmax(axis=1)]
    for categories, row in zip(found, scores, strict=True):
        by_index = {category["index"]: category["score"] for category in categories}
        # Other kernels behind the same integers: 1/256 is what an 8-bit output would resolve.
        assert [by_index[i] for i in range(len(labels))] == pytest.approx(row, abs=1 / 256)


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("output_type", ["float32", "uint8"])
@pytest.mark.slow
@pytest.mark.xdist_group("mediapipe")  # one worker makes the environment
def test_a_tiny_model_in_mediapipe(reader: Path, tmp_path: Path, output_type: Any, explain: bool) -> None:
    model = models.densenet(head=lambda k, x: k.layers.Dense(3)(k.layers.GlobalAveragePooling2D()(x)))
    logits = model.predict(np.random.default_rng(0).normal(0, 1, (20, 32, 32, 3)), verbose=0)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([9 * kernel, 9 * (bias - np.median(logits, axis=0))])  # all classes, and sure of them
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    model.save(tmp_path / "model.keras")
    fill(tmp_path / "pictures", IMAGES)
    options = Options(ranges="minmax", headroom=1.0, output_type=output_type, explain=explain)
    conversion = pipeline.convert(tmp_path / "model.keras", tmp_path / "pictures", ("ape", "bat", "cat"), options)
    agree(reader, tmp_path, conversion.data, conversion.outcome.pictures.pixels)


@pytest.mark.slow
@pytest.mark.xdist_group("mediapipe")
def test_the_bundled_model_in_mediapipe(reader: Path, tmp_path: Path) -> None:
    """DenseNet121 at 224x224 and held-out digits."""
    digits.write_part(tmp_path / "calibration", digits.pictures(False, 2, 1))
    digits.write_part(tmp_path / "test", digits.pictures(True, IMAGES // 10, 2))
    conversion = pipeline.convert(EXAMPLE / "digits.keras", tmp_path / "calibration", digits.LABELS, QUICK)
    preprocessing = parse(conversion.data).preprocessing
    assert preprocessing is not None
    paths = sorted((tmp_path / "test").glob("*/*.jpg"))
    assert len(paths) == IMAGES
    pixels = np.stack([load_image(path, preprocessing) for path in paths])
    agree(reader, tmp_path, conversion.data, pixels)
    right = execute.run(conversion.data, pixels).argmax(axis=1) == [int(path.parent.name) for path in paths]
    assert right.mean() >= 0.9  # 98 % on all held-out pictures; below 0.9 on 50 by chance once in 10,000 times


def test_the_same_metadata_give_the_same_bytes() -> None:
    one = model_metadata("name", ("a", "b"), 2)
    assert one[4:8] == b"M001"
    assert model_metadata("name", ("a", "b"), 2) == one
    assert model_metadata("other", ("a", "b"), 2) != one


def test_labels_are_attached_only_where_there_is_one_for_each_score() -> None:
    """A single sigmoid has two labels and one score."""
    assert b"labels.txt" in model_metadata("name", ("a", "b"), 2)
    assert b"labels.txt" not in model_metadata("name", ("a", "b"), 1)
    assert b"labels.txt" not in model_metadata("name", (), 2)


def test_the_digest_of_the_source_is_in_the_recipe(tmp_path: Path) -> None:
    models.densenet().save(tmp_path / "model.keras")
    fill(tmp_path / "pictures", 4)
    recipe = pipeline.convert(tmp_path / "model.keras", tmp_path / "pictures", None, QUICK).recipe
    assert recipe["source"]["sha256"] == sha256((tmp_path / "model.keras").read_bytes())
    assert recipe["source"]["name"] == "model.keras"
