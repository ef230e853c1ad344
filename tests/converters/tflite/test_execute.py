"""The bytes of a .tflite on the workstation: what they compute does not depend on how many cores compute it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedense.converters.quantization import attempts
from edgedense.converters.quantization.attempts import Attempt
from edgedense.converters.tflite import execute
from edgedense.deployed import bundle
from edgedense.device.classifiers import Classifiers
from edgedense.images.preprocessing import Preprocessing
from edgedense.measures import labelled, validation
from tests import networks

LABELS = ("0", "1", "2")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return networks.pictures(networks.rewritten(positive=True), 21)


@pytest.fixture(scope="module", params=["float32", "uint8"])
def model(request: pytest.FixtureRequest, pixels: np.ndarray) -> bytes:
    """An int8 DenseNet with a float or an integer tail."""
    network = networks.rewritten(positive=True)
    built = attempts.build(network, networks.statistics(network, pixels[:5]), Attempt(), request.param)
    return built.quantized.to_bytes()


@pytest.fixture(scope="module")
def folder(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures as files, in three class folders by turns."""
    root = tmp_path_factory.mktemp("classes")
    for number, picture in enumerate(pixels):
        path = root / LABELS[number % 3] / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(path)
    return root


@pytest.mark.parametrize("cores", [1, 2, 5, 64])
def test_scores_are_the_same_to_the_bit_on_any_number_of_cores(
    model: bytes, pixels: np.ndarray, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = [execute._infer(execute.interpreter(model, threads=1), picture) for picture in pixels]
    expected = np.array(one) if one[0].dtype == np.float32 else np.array(one).astype(np.float32) / 256
    monkeypatch.setattr(execute, "cores", lambda: cores)
    ticks: list[int] = []
    found = execute.run(model, pixels, ticks.append)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    assert sum(ticks) == len(pixels)


def test_every_core_has_an_interpreter_of_one_thread(
    model: bytes, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int | None] = []
    make: Callable[..., object] = execute.interpreter

    def watched(model: bytes, threads: int | None = None) -> object:
        made.append(threads)
        return make(model, threads)

    monkeypatch.setattr(execute, "interpreter", watched)
    monkeypatch.setattr(execute, "cores", lambda: 3)
    execute.run(model, pixels)
    execute.run(model, pixels[:2])
    assert made == [1, 1, 1, 1, 1]


def test_the_figures_of_a_validation_are_the_same_to_the_bit(model: bytes, folder: Path, tmp_path: Path) -> None:
    """Also beside a model that scores batches, as the float reference does."""
    network = networks.rewritten(positive=True)
    recipe = {"preprocessing": Preprocessing(network.height, network.width, "none").to_dict()}
    (tmp_path / "model.tflite").write_bytes(bundle.pack(model, LABELS, recipe))
    images = labelled.read_labelled(folder, LABELS)

    def darkness(pixels: np.ndarray) -> np.ndarray:
        channels = 1.0 + pixels.mean((1, 2))
        return channels / channels.sum(1, keepdims=True)

    figures = []
    for threads in (1, 2, 3, 8):
        with Classifiers(tmp_path / "model.tflite", threads=threads) as classifiers:
            models = [
                validation.Model("float", classifiers.preprocessing, darkness),
                validation.deployed("int8", classifiers.each),
            ]
            scores = validation.score(images.paths, models)
            figures.append(validation.judge(images, ["float", "int8"], scores).to_json())
    assert json.loads(figures[0])["drift"]["after"]["images"] == len(images.paths)
    assert figures == [figures[0]] * 4
