"""A rival from paths alone, as a worker makes it, and what can be done with its file."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from edgedense.boards.estimate import estimate
from edgedense.boards.known import BOARDS
from edgedense.boards.operators import read
from edgedense.converters.options import Options, Slimming
from edgedense.converters.rivals import networks
from edgedense.converters.rivals.making import Making
from edgedense.converters.rivals.options import RIVALS, RivalOptions
from edgedense.converters.rivals.rival import untrained
from edgedense.deployed import bundle
from edgedense.device.classifier import Classifier
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import load_image
from tests import models
from tests.converters.rivals import students


def test_what_is_trained_needs_pictures(tmp_path: Path) -> None:
    making = Making("chest.keras", tmp_path, None, Options(), RivalOptions(("mobilenetv2", "mine.keras")), tmp_path)
    with pytest.raises(EdgedenseError, match="--recover with --against mobilenetv2"):
        making.check()
    replace(making, rivals=RivalOptions(("mine.keras",))).check()
    given = replace(making, options=Options(slimming=Slimming(recover=tmp_path)))
    given.check()
    assert pickle.loads(pickle.dumps(given)) == given


@pytest.mark.slow
def test_a_device_runs_a_rival_as_it_runs_a_densenet(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(networks.BACKBONES, "mobilenetv2", students.features)
    model = tmp_path / "chest.keras"
    models.nested().save(model)
    labels = ("healthy", "ill")
    options = Options(slimming=Slimming(recover=pictures))
    rivals = RivalOptions(("mobilenetv2",), against_epochs=1)
    making = Making(model, pictures, labels, options, rivals, tmp_path / "work")
    rival = making("mobilenetv2")
    path = tmp_path / "rival.tflite"
    path.write_bytes(rival.file)
    found = bundle.read(path)
    assert found.labels == labels
    assert found.preprocessing is not None
    assert found.recipe["teacher"]["name"] == "chest.keras"
    assert found.recipe["rival"]["training"]["epochs"] == 1
    with Classifier(path) as classifier:
        prediction = classifier.predict(load_image(next(pictures.iterdir()), found.preprocessing), top=2)
    assert {label for label, _ in prediction.top} == set(labels)
    assert sum(score for _, score in prediction.top) == pytest.approx(1)
    assert sorted(entry.name for entry in (tmp_path / "work").iterdir()) == ["mobilenetv2.npz", "teacher.npz"]
    again = making("mobilenetv2")  # from the checkpoint
    assert again.file == rival.file
    elsewhere = replace(making, work=tmp_path / "none")
    assert operators(elsewhere.untrained("mobilenetv2")) == operators(bundle.without_archive(rival.file))
    assert not (tmp_path / "none").exists()  # nothing was trained, and no picture scored


def operators(file: bytes) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(one.code, one.arithmetic, one.output.shape) for one in read(file)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "activation"), [*((name, "softmax") for name in RIVALS), ("mobilenetv2", "sigmoid")])
def test_the_time_of_each_can_be_estimated(name: str, activation: str) -> None:
    file = untrained(name, (32, 32, 3), 3, activation, students.pixels(2))
    for board in BOARDS:
        assert estimate(file, board).milliseconds > 0
