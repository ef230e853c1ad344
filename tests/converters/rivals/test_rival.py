"""From a lesson to an int8 file that takes pixels, and the same of a network that somebody has trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.rivals import networks
from edgedense.converters.rivals import rival as module
from edgedense.converters.rivals.rival import convert_own, make, spec_of, to_the_ends
from edgedense.converters.tflite import execute
from edgedense.errors import EdgedenseError
from tests.converters.rivals import students

keras = pytest.importorskip("keras")

SPEC = replace(spec_of(epochs=2), batch=9, learning_rate=0.02)


@pytest.mark.slow
def test_a_rival_takes_pixels_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(networks.BACKBONES, "mobilenetv2", students.features)
    kept: list[Any] = []
    build = networks.build
    monkeypatch.setattr(networks, "build", lambda *given: kept.append(build(*given)) or kept[-1])
    lesson = students.lesson(labelled=True)
    rival = make("mobilenetv2", lesson, lesson.pictures.pixels, SPEC)
    image = execute.interpreter(rival.file, 1).get_input_details()[0]
    assert image["dtype"] == np.uint8
    assert image["quantization"] == (1 / networks.STEP, networks.ZERO)
    pixels = students.pixels(12, seed=5)
    wanted = networks.scoring(kept[0], "softmax")((pixels - networks.ZERO) / networks.STEP).numpy()
    assert np.abs(execute.run(rival.file, pixels) - wanted).max() < 0.1  # int8 through three layers, softmax in 1/256
    assert rival.parameters == kept[0].count_params()
    assert rival.course is not None
    training = rival.recipe["training"]
    assert (training["epochs"], training["pictures"], training["labelled"]) == (2, 40, 40)
    assert training["best_epoch"] == rival.course.best


def test_the_epochs_that_fitted_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, lesson = _Named(), students.lesson()
    asked: list[object] = []
    monkeypatch.setattr(module, "epochs_within", lambda *given: asked.append(given) or 7)
    assert module._planned(model, lesson, SPEC, 5.0, tmp_path) == 7
    assert module._planned(model, lesson, SPEC, 5.0, tmp_path) == 7
    assert len(asked) == 1
    assert module._planned(model, lesson, SPEC, 6.0, tmp_path) == 7  # other minutes are another question
    (tmp_path / "rival.json").write_text("{")
    assert module._planned(model, lesson, SPEC, 6.0, tmp_path) == 7
    assert len(asked) == 3
    assert json.loads((tmp_path / "rival.json").read_text())["planned"] == 7


class _Named:
    name = "rival"


@pytest.mark.slow
def test_a_network_that_was_trained_elsewhere_is_converted_as_it_is(tmp_path: Path) -> None:
    image = keras.Input(students.SHAPE)
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, 2)(x))
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
    path = tmp_path / "mine.keras"
    model.save(path)
    rival = convert_own(path, students.SHAPE, 3, students.pixels())
    scale, zero_point = execute.interpreter(rival.file, 1).get_input_details()[0]["quantization"]
    assert scale == pytest.approx(1)  # the pictures have neither black nor white, and yet a level is a pixel's level
    assert zero_point == 0
    pixels = students.pixels(12, seed=5)
    wanted = model(pixels.astype(np.float32)).numpy()
    assert np.abs(execute.run(rival.file, pixels) - wanted).max() < 0.03  # int8 through two layers, softmax in 1/256
    assert rival.name == "mine"
    assert rival.course is None
    assert rival.recipe["network"] == "mine.keras"
    with pytest.raises(EdgedenseError, match="pictures of 16x16x3 with 3 scores") as caught:
        convert_own(path, (16, 16, 3), 3, students.pixels())
    assert "mine.keras, which takes 32x32x3 and gives 3" in caught.value.found
    with pytest.raises(EdgedenseError, match="with 4 scores"):
        convert_own(path, students.SHAPE, 4, students.pixels())


def test_pictures_reach_both_ends() -> None:
    pixels = students.pixels(2)
    found = to_the_ends(pixels)
    assert (found.min(), found.max()) == (0, 255)
    assert (found != pixels).any(axis=-1).sum() == 2
    assert (pixels.min(), pixels.max()) != (0, 255)  # what was given stays as it was
    assert to_the_ends(found) is found
